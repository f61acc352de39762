/**
 * A pool as one listener thread uses it: the route board, and the nodes this thread has met. Nodes are made when first
 * chosen, so that a pool of 100,000 costs a thread what it uses of it. Listener threads.
 */

import { readIdWords } from '../src/affinity/backend-id.ts';
import { type FoundNode, findById } from '../src/affinity/route-table.ts';
import { addressOf, idOf } from '../src/affinity/selection.ts';
import { FLAG_DRAIN, NODE_UP, RouteBoard } from '../src/boards/route-board.ts';
import type { ThreadContext } from './thread-context.ts';
import { UpstreamNode } from './upstream-node.ts';

export class NodePool {
  board: RouteBoard;
  readonly #context: ThreadContext;
  readonly #nodes: (UpstreamNode | undefined)[] = [];
  /** Index of this thread's in-flight cells. */
  #row: number;
  readonly #id = new Int32Array(5);

  constructor(board: RouteBoard, context: ThreadContext) {
    this.board = board;
    this.#context = context;
    this.#row = board.inFlightRow(context.thread);
    // a thread that takes a dead one's place begins with nothing in flight
    for (let slot = 0; slot < board.dimensions.capacity; slot++) Atomics.store(board.words, this.#row + slot, 0);
  }

  /** Goes over to a larger board; what is in flight goes with it. */
  moveTo(buffer: SharedArrayBuffer): void {
    const board = new RouteBoard(buffer);
    const row = board.inFlightRow(this.#context.thread);
    for (let slot = 0; slot < this.board.dimensions.capacity; slot++) {
      Atomics.store(board.words, row + slot, this.board.words[this.#row + slot] as number);
    }
    this.board = board;
    this.#row = row;
  }

  addInFlight(slot: number, by: 1 | -1): void {
    const { words } = this.board;
    words[this.#row + slot] = (words[this.#row + slot] as number) + by;
  }

  /** The node that holds `id`, or null where none does. */
  byId(id: Int32Array, found: FoundNode): UpstreamNode | null {
    return findById(this.board, id, found) ? this.resolve(found) : null;
  }

  /** The node that a look-up found; null where it left the pool since. */
  resolve(found: FoundNode): UpstreamNode | null {
    const known = this.#nodes[found.slot];
    if (known !== undefined && known.generation === found.generation) return known;
    return this.#meet(found);
  }

  /** May serve a request: up, and not left out by this thread. Draining nodes may: their clients stay. */
  isUsable(node: UpstreamNode): boolean {
    return this.board.stateOf(node.slot) === NODE_UP && !node.isLeftOut;
  }

  holds(node: UpstreamNode): boolean {
    return addressOf(this.board, node.slot, node.generation) !== null;
  }

  /** Found as draining: it takes no new clients. */
  static isDraining(found: FoundNode): boolean {
    return (found.flags & FLAG_DRAIN) !== 0;
  }

  closeIdle(): void {
    for (const node of this.#nodes) node?.closeIdle();
  }

  #meet(found: FoundNode): UpstreamNode | null {
    const { slot, generation } = found;
    const address = addressOf(this.board, slot, generation);
    if (address === null || !idOf(this.board, slot, generation, this.#id)) return null;
    this.#nodes[slot]?.closeIdle();
    const node = new UpstreamNode(this, this.#context, slot, generation, address, readIdWords(this.#id, 0));
    this.#nodes[slot] = node;
    return node;
  }
}
