/** Boards for the affinity tests. */

import { backendId, ID_WORDS, writeIdWords } from '../../src/affinity/backend-id.ts';
import { buildRouteImage, type RouteNode } from '../../src/affinity/route-table.ts';
import { publish } from '../../src/boards/epoch.ts';
import { dimensionsFor, RouteBoard } from '../../src/boards/route-board.ts';

export function node(fields: Partial<RouteNode> & { readonly slot: number }): RouteNode {
  const { slot } = fields;
  return { generation: slot + 1, address: `10.0.0.${slot}:80`, weight: 1, drain: false, ...fields };
}

/** A board with `nodes` published. */
export function boardOf(nodes: readonly RouteNode[], salt = '', threads = 1): RouteBoard {
  const slots = nodes.reduce((max, { slot }) => Math.max(max, slot + 1), 0);
  const bytes = nodes.reduce((sum, { address }) => sum + Buffer.byteLength(address), 0);
  const board = RouteBoard.create(dimensionsFor(slots, bytes), threads);
  publish(board, buildRouteImage(nodes, salt, board.dimensions));
  return board;
}

/** The five words of the id of `address`. */
export function idWords(address: string, salt = ''): Int32Array {
  const words = new Int32Array(ID_WORDS);
  writeIdWords(backendId(address, salt), words, 0);
  return words;
}

/** Words of boards that are read in `work`: what a look-up costs, without a clock. */
export function loadsOf(work: () => void): number {
  const { load } = Atomics;
  let loads = 0;
  Atomics.load = ((array: Int32Array, index: number) => {
    loads++;
    return load(array, index);
  }) as typeof load;
  try {
    work();
  } finally {
    Atomics.load = load;
  }
  return loads;
}
