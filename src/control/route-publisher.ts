/**
 * Publishes a pool to the listener threads: gives each node its slot, builds the route table, makes it current. Main
 * thread; one for each pair of pool and salt, the only writer of its board.
 */

import { setImmediate } from 'node:timers/promises';
import { buildRouteImage, type RouteNode } from '../affinity/route-table.ts';
import { addressOf } from '../affinity/selection.ts';
import { publish } from '../boards/epoch.ts';
import { dimensionsFor, NODE_UP, type NodeState, RouteBoard, type RouteDimensions } from '../boards/route-board.ts';
import type { NodeConfig } from '../config/config.ts';
import type { Helper } from './helper.ts';

/** Above this many nodes a table is built in the helper thread: 2,000 take the main thread about 5 ms. */
export const INLINE_NODES_MAX = 2_000;
/** Nodes placed at a stretch: about 10 ms. */
const SLICE = 10_000;

interface Tenant {
  readonly slot: number;
  readonly generation: number;
  /** The slot's request count when it came: what is above is its own. */
  readonly requestsBefore: number;
}

/** Requests of a node, over all threads. */
export interface NodeActivity {
  readonly inFlight: number;
  /** Begun since it came into the pool, modulo 2^32. */
  readonly requests: number;
}

/** Who holds which slot. Invariant: the tenants' slots and the free ones differ, and together are 0 to slotsUsed - 1. */
interface Tenancy {
  readonly tenants: Map<string, Tenant>;
  readonly free: number[];
  slotsUsed: number;
}

export class RoutePublisher {
  /** Of what is published. */
  #salt: string;
  #threads: number;
  readonly #helper: Helper;
  readonly #onOutgrown: (buffer: SharedArrayBuffer) => void;
  #board: RouteBoard;
  #tenancy: Tenancy = { tenants: new Map(), free: [], slotsUsed: 0 };
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

  /** The next update makes room for as many threads: a board never loses a row. */
  growTo(threads: number): void {
    this.#threads = Math.max(this.#threads, threads);
  }

  /** In force at once. No effect where the node is not in the pool. */
  setState(address: string, state: NodeState): void {
    const tenant = this.#tenancy.tenants.get(address);
    if (tenant !== undefined) this.#board.setState(tenant.slot, state);
  }

  /** Null where the node is not in the pool. */
  activity(address: string): NodeActivity | null {
    const tenant = this.#tenancy.tenants.get(address);
    if (tenant === undefined) return null;
    const { slot, requestsBefore } = tenant;
    const requests = (this.#board.requests(slot) - requestsBefore) >>> 0;
    return { inFlight: Math.max(0, this.#board.inFlight(slot)), requests };
  }

  /** The node in `slot`; null where it is not of that generation any more. */
  addressAt(slot: number, generation: number): string | null {
    return addressOf(this.#board, slot, generation);
  }

  /** Listener thread `thread` has ended. */
  threadEnded(thread: number): void {
    if (thread < this.#board.threads) this.#board.clearInFlight(thread);
  }

  /**
   * Makes `nodes` the pool, hashed with `salt`: the one before where it is left out. Updates take effect in the order of
   * the calls, each whole. One that fails changes nothing that listeners see, and the next ones do not suffer from it.
   */
  update(nodes: readonly NodeConfig[], salt?: string): Promise<void> {
    const update = this.#last.then(() => this.#publish(nodes, salt ?? this.#salt));
    this.#last = update.catch(() => {});
    return update;
  }

  async #publish(nodes: readonly NodeConfig[], salt: string): Promise<void> {
    const { dimensions } = this.#board;
    const bytes = textBytes(nodes);
    const isTooSmall = nodes.length > dimensions.capacity || bytes > dimensions.textBytes;
    const isOutgrown = isTooSmall || this.#threads > this.#board.threads;
    const larger = isTooSmall ? dimensionsFor(nodes.length, bytes, dimensions) : dimensions;
    const board = isOutgrown ? RouteBoard.create(larger, this.#threads) : this.#board;
    const before = this.#tenancy;
    const { placed, tenancy } = await this.#place(nodes, salt);
    const image = await this.#build(placed, salt, board.dimensions);
    if (isOutgrown) board.continueFrom(this.#board);
    publish(board, image);
    this.#tenancy = tenancy;
    this.#salt = salt;
    // what was known of a slot's former tenant is not true of the new one
    for (const { address, slot } of placed) if (!before.tenants.has(address)) board.setState(slot, NODE_UP);
    if (!isOutgrown) return;
    this.#board = board;
    this.#onOutgrown(board.buffer);
  }

  /** The image, from the helper thread where the pool is large; the event loop turns between the steps then. */
  async #build(placed: readonly RouteNode[], salt: string, dimensions: RouteDimensions): Promise<Int32Array> {
    if (placed.length <= INLINE_NODES_MAX) return buildRouteImage(placed, salt, dimensions);
    await setImmediate();
    const image = await this.#helper.buildRoutes(placed, salt, dimensions);
    await setImmediate();
    return image;
  }

  /**
   * Nodes that stay keep their slot and generation; new ones get a free slot, of a generation never used before. Under
   * another salt those that stay get a new generation too: listener threads remember a node's id with it. Pools of many
   * nodes are gone through in slices, between which the event loop turns.
   */
  async #place(nodes: readonly NodeConfig[], salt: string): Promise<{ placed: RouteNode[]; tenancy: Tenancy }> {
    const isResalted = salt !== this.#salt;
    const before = this.#tenancy.tenants;
    const tenancy: Tenancy = { ...this.#tenancy, tenants: new Map(), free: [...this.#tenancy.free] };
    for (const [i, { address }] of nodes.entries()) {
      if (i % SLICE === SLICE - 1) await setImmediate();
      const tenant = before.get(address);
      if (tenant === undefined) continue;
      tenancy.tenants.set(address, isResalted ? { ...tenant, generation: this.#nextGeneration() } : tenant);
    }
    for (const [address, { slot }] of before) if (!tenancy.tenants.has(address)) tenancy.free.push(slot);
    const placed: RouteNode[] = [];
    for (const { address, weight, drain } of nodes) {
      if (placed.length % SLICE === SLICE - 1) await setImmediate();
      const { slot, generation } = tenancy.tenants.get(address) ?? this.#admit(address, tenancy);
      placed.push({ address, weight, drain, slot, generation });
    }
    return { placed, tenancy };
  }

  #admit(address: string, tenancy: Tenancy): Tenant {
    const slot = tenancy.free.pop() ?? tenancy.slotsUsed++;
    const requestsBefore = slot < this.#board.dimensions.capacity ? this.#board.requests(slot) : 0;
    const tenant = { slot, generation: this.#nextGeneration(), requestsBefore };
    tenancy.tenants.set(address, tenant);
    return tenant;
  }

  #nextGeneration(): number {
    this.#generation = (this.#generation + 1) | 0;
    return this.#generation;
  }
}

function textBytes(nodes: readonly NodeConfig[]): number {
  return nodes.reduce((sum, { address }) => sum + Buffer.byteLength(address), 0);
}
