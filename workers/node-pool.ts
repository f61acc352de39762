/**
 * A pool as one listener thread uses it: the route board, and the nodes this thread has met. Nodes are made when first
 * chosen, so that a pool of 100,000 costs a thread what it uses of it. Listener threads.
 */

import { ID_WORDS } from '../src/affinity/backend-id.ts';
import { type FoundNode, findById } from '../src/affinity/route-table.ts';
import { addressOf, generationOf, idOf } from '../src/affinity/selection.ts';
import { loadEpoch } from '../src/boards/epoch.ts';
import { FLAG_DRAIN, NODE_UP, RouteBoard } from '../src/boards/route-board.ts';
import type { ThreadContext } from './thread-context.ts';
import { UpstreamNode } from './upstream-node.ts';

/** A power of two: a look-up in shared memory, word by word, costs ten times one here. */
const RECENT = 256;

export class NodePool {
  board: RouteBoard;
  readonly #route: number;
  readonly #context: ThreadContext;
  readonly #nodes: (UpstreamNode | undefined)[] = [];
  /** Indices of this thread's in-flight and request cells. */
  #inFlight: number;
  #requests: number;
  readonly #id = new Int32Array(ID_WORDS);
  /** Nodes that were found by their ids since the board's last change, by the lowest bits of those. */
  readonly #recent: (UpstreamNode | null)[] = new Array<UpstreamNode | null>(RECENT).fill(null);
  #recentEpoch = -1;
  /** Nothing that is in force names it. */
  isClosed = false;

  /** `route`: what the main thread calls the board. */
  constructor(route: number, board: RouteBoard, context: ThreadContext) {
    const { thread } = context;
    this.#route = route;
    this.board = board;
    this.#context = context;
    assertRow(board, thread);
    this.#inFlight = board.inFlightRow(thread);
    this.#requests = board.requestsRow(thread);
    // a thread that takes a dead one's place begins with nothing in flight
    board.words.fill(0, this.#inFlight, this.#inFlight + board.dimensions.capacity);
  }

  /** Goes over to a larger board, of more nodes or threads; what this thread counts goes with it. */
  moveTo(buffer: SharedArrayBuffer): void {
    const board = new RouteBoard(buffer);
    const { thread } = this.#context;
    assertRow(board, thread);
    const { words } = this.board;
    const { capacity } = this.board.dimensions;
    const [inFlight, requests] = [board.inFlightRow(thread), board.requestsRow(thread)];
    board.words.set(words.subarray(this.#inFlight, this.#inFlight + capacity), inFlight);
    board.words.set(words.subarray(this.#requests, this.#requests + capacity), requests);
    this.board = board;
    this.#recentEpoch = -1;
    this.#inFlight = inFlight;
    this.#requests = requests;
  }

  /** A request begins on a slot. */
  begin(slot: number): void {
    const { words } = this.board;
    words[this.#inFlight + slot] = (words[this.#inFlight + slot] as number) + 1;
    words[this.#requests + slot] = (words[this.#requests + slot] as number) + 1;
  }

  /** It is over. */
  end(slot: number): void {
    const { words } = this.board;
    words[this.#inFlight + slot] = (words[this.#inFlight + slot] as number) - 1;
  }

  /** The node that holds `id`, or null where none does. */
  byId(id: Int32Array, found: FoundNode): UpstreamNode | null {
    const epoch = loadEpoch(this.board);
    if (epoch !== this.#recentEpoch) {
      this.#recent.fill(null);
      this.#recentEpoch = epoch;
    }
    const at = (id[0] as number) & (RECENT - 1);
    const recent = this.#recent[at] as UpstreamNode | null;
    if (recent?.hasId(id)) return recent;
    const node = findById(this.board, id, found) ? this.resolve(found) : null;
    // one that was found in a later epoch is forgotten with the next request
    if (node !== null) this.#recent[at] = node;
    return node;
  }

  /** The node that a look-up found; null where it left the pool since. */
  resolve(found: FoundNode): UpstreamNode | null {
    const known = this.#nodes[found.slot];
    if (known !== undefined && known.generation === found.generation) return known;
    return this.#meet(found);
  }

  /** May serve a request: up, and not left out by this thread. Draining nodes may: their clients stay. */
  isUsable(node: UpstreamNode): boolean {
    const state = this.board.stateOf(node.slot);
    return !node.isLeftOut(state) && state === NODE_UP;
  }

  /** Tells the main thread, and by it all others, that this one leaves `node` out or uses it again. */
  tell(node: UpstreamNode, isOut: boolean, reason: string): void {
    // the main thread knows the route no more: what it was told now, it could not be told otherwise later
    if (this.isClosed) return;
    const { slot, address } = node;
    // it has another generation than when this thread met it where ids are hashed with another salt since
    const generation = generationOf(this.board, slot);
    if (addressOf(this.board, slot, generation) !== address) return;
    this.#context.log.send({ type: 'node-mark', route: this.#route, slot, generation, isOut, reason });
  }

  holds(node: UpstreamNode): boolean {
    return !this.isClosed && addressOf(this.board, node.slot, node.generation) !== null;
  }

  /** Found as draining: it takes no new clients. */
  static isDraining(found: FoundNode): boolean {
    return (found.flags & FLAG_DRAIN) !== 0;
  }

  closeIdle(): void {
    for (const node of this.#nodes) node?.closeIdle();
  }

  /** No new request comes. Those under way end on their nodes, of which nothing is said to the other threads any more. */
  close(): void {
    for (const node of this.#nodes) {
      node?.withdraw();
      node?.closeIdle();
    }
    this.isClosed = true;
  }

  #meet(found: FoundNode): UpstreamNode | null {
    const { slot, generation } = found;
    const address = addressOf(this.board, slot, generation);
    if (address === null || !idOf(this.board, slot, generation, this.#id)) return null;
    this.#nodes[slot]?.closeIdle();
    const node = new UpstreamNode(this, this.#context, slot, generation, address, this.#id);
    this.#nodes[slot] = node;
    return node;
  }
}

/** Beyond the last row lie other threads' cells. */
function assertRow(board: RouteBoard, thread: number): void {
  if (!(thread >= 0 && thread < board.threads)) throw new RangeError(`the route board has no row for thread ${thread}`);
}
