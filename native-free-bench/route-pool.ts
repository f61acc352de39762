/** Pools of any size, as route boards hold them, for the benchmarks of their readers. */

import { buildRouteImage, type RouteNode } from '../src/affinity/route-table.ts';
import { publish } from '../src/boards/epoch.ts';
import { dimensionsFor, RouteBoard } from '../src/boards/route-board.ts';

export function pool(size: number): RouteNode[] {
  return Array.from({ length: size }, (_, slot) => {
    const address = `10.${slot >> 16}.${(slot >> 8) & 255}.${slot & 255}:80`;
    return { slot, generation: slot + 1, address, weight: 1, drain: false };
  });
}

export function boardOf(nodes: readonly RouteNode[]): RouteBoard {
  const bytes = nodes.reduce((sum, { address }) => sum + address.length, 0);
  const board = RouteBoard.create(dimensionsFor(nodes.length, bytes), 1);
  publish(board, buildRouteImage(nodes, '', board.dimensions));
  return board;
}
