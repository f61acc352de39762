/**
 * Publishes a pool to the listener threads: gives each node its slot, builds the route table, makes it current. Main
 * thread; one for each pair of pool and salt, the only writer of its board.
 */

import { buildRouteImage, type RouteNode } from '../affinity/route-table.ts';
import { publish } from '../boards/epoch.ts';
import { dimensionsFor, NODE_UP, RouteBoard } from '../boards/route-board.ts';
import type { NodeConfig } from '../config/config.ts';
import type { Helper } from './helper.ts';

/** Above this many nodes a table is built in the helper thread: 2,000 take the main thread about 5 ms. */
const INLINE_NODES_MAX = 2_000;

export class RoutePublisher {
  readonly #salt: string;
  readonly #threads: number;
  readonly #helper: Helper;
  readonly #onOutgrown: (buffer: SharedArrayBuffer) => void;
  #board: RouteBoard;
  /** Tenants by address. Invariant: slots differ, and each is below the board's capacity. */
  #tenants = new Map<string, { slot: number; generation: number }>();
  #free: number[] = [];
  #slotsUsed = 0;
  #generation = 0;
  #last: Promise<void> = Promise.resolve();

  /**
   * A publisher with an empty board that fits `nodes`; `update` fills it. `onOutgrown` is given a larger board, already
   * filled, when an update needs one: the only publication that takes a message.
   */
  constructor(
    nodes: readonly NodeConfig[],
    salt: string,
    threads: number,
    helper: Helper,
    onOutgrown: (buffer: SharedArrayBuffer) => void,
  ) {
    this.#salt = salt;
    this.#threads = threads;
    this.#helper = helper;
    this.#onOutgrown = onOutgrown;
    this.#board = RouteBoard.create(dimensionsFor(nodes.length, textBytes(nodes)), threads);
  }

  get board(): RouteBoard {
    return this.#board;
  }

  /** Makes `nodes` the pool. Updates take effect in the order of the calls, each whole. */
  update(nodes: readonly NodeConfig[]): Promise<void> {
    this.#last = this.#last.then(() => this.#publish(nodes));
    return this.#last;
  }

  async #publish(nodes: readonly NodeConfig[]): Promise<void> {
    const { capacity, textBytes: textMax } = this.#board.dimensions;
    const isOutgrown = nodes.length > capacity || textBytes(nodes) > textMax;
    const board = isOutgrown
      ? RouteBoard.create(dimensionsFor(nodes.length, textBytes(nodes)), this.#threads)
      : this.#board;
    const placed = this.#place(nodes, board);
    const image =
      nodes.length <= INLINE_NODES_MAX
        ? buildRouteImage(placed, this.#salt, board.dimensions)
        : await this.#helper.buildRoutes(placed, this.#salt, board.dimensions);
    publish(board, image);
    if (!isOutgrown) return;
    this.#board = board;
    this.#onOutgrown(board.buffer);
  }

  /** Nodes that stay keep their slot and generation; new ones get a free slot, of a generation never used before. */
  #place(nodes: readonly NodeConfig[], board: RouteBoard): RouteNode[] {
    const before = this.#tenants;
    this.#tenants = new Map();
    for (const { address } of nodes) {
      const tenant = before.get(address);
      if (tenant !== undefined) this.#tenants.set(address, tenant);
    }
    for (const [address, { slot }] of before) if (!this.#tenants.has(address)) this.#free.push(slot);
    return nodes.map(({ address, weight, drain }) => {
      const { slot, generation } = this.#tenants.get(address) ?? this.#admit(address, board);
      return { address, weight, drain, slot, generation };
    });
  }

  #admit(address: string, board: RouteBoard): { slot: number; generation: number } {
    const slot = this.#free.pop() ?? this.#slotsUsed++;
    this.#generation = (this.#generation + 1) | 0;
    const tenant = { slot, generation: this.#generation };
    this.#tenants.set(address, tenant);
    board.setState(slot, NODE_UP);
    return tenant;
  }
}

function textBytes(nodes: readonly NodeConfig[]): number {
  return nodes.reduce((sum, { address }) => sum + Buffer.byteLength(address), 0);
}
