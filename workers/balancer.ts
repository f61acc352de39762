/**
 * `balance`: a node for a request that brings no affinity. Constant cost in the number of nodes while they are up.
 * Listener threads; each balances its own share, least_conn with the counts of all.
 */

import type { FoundNode } from '../src/affinity/route-table.ts';
import { type OpenNodes, openNodeAt, openNodeOfWeight, readOpenNodes, weightOf } from '../src/affinity/selection.ts';
import { NODE_DOWN } from '../src/boards/route-board.ts';
import type { NodePool } from './node-pool.ts';
import type { UpstreamNode } from './upstream-node.ts';

/** Up to this many open nodes least_conn looks at each. */
const SCAN_MAX = 16;
/** Beyond, at the best of this many chosen at random: nearly as even (Mitzenmacher 2001, the power of two choices). */
const SAMPLES = 4;
/** Draws before the search goes through all nodes in turn: more are needed only where most are down. */
const DRAWS_MAX = 16;

export class Balancer {
  readonly #method: 'least_conn' | 'round_robin' | 'random';
  readonly #pool: NodePool;
  readonly #open: OpenNodes = { count: 0, totalWeight: 0, stride: 1 };
  readonly #found: FoundNode = { slot: 0, generation: 0, flags: 0 };
  /** Where round robin stands, in units of weight; threads begin apart, so that they do not move in step. */
  #position = Math.floor(Math.random() * 2 ** 30);

  constructor(method: 'least_conn' | 'round_robin' | 'random', pool: NodePool) {
    this.#method = method;
    this.#pool = pool;
  }

  /**
   * An open node that is not in `tried`; null where there is none. One whose requests fail is better than none; one whose
   * health checks fail is not.
   */
  choose(tried: readonly UpstreamNode[]): UpstreamNode | null {
    readOpenNodes(this.#pool.board, this.#open);
    if (this.#open.count === 0) return null;
    if (this.#method === 'least_conn') return this.#leastLoaded(tried) ?? this.#first(tried);
    for (let draws = 0; draws < DRAWS_MAX; draws++) {
      const node = this.#draw(tried, this.#method === 'round_robin' ? this.#nextUnit() : this.#randomUnit());
      if (node !== null) return node;
    }
    return this.#first(tried);
  }

  #nextUnit(): number {
    this.#position = (this.#position + this.#open.stride) % this.#open.totalWeight;
    return this.#position;
  }

  #randomUnit(): number {
    return Math.floor(Math.random() * this.#open.totalWeight);
  }

  #draw(tried: readonly UpstreamNode[], unit: number): UpstreamNode | null {
    if (!openNodeOfWeight(this.#pool.board, unit, this.#found)) return null;
    const node = this.#pool.resolve(this.#found);
    return node !== null && this.#pool.isUsable(node) && !tried.includes(node) ? node : null;
  }

  /**
   * The node with the fewest requests in flight for its weight. It begins with a node drawn by weight and leaves it for a
   * better one alone, so that equals share by weight: most of all while all are idle, when new clients of a sticky
   * service would otherwise pile on the heaviest.
   */
  #leastLoaded(tried: readonly UpstreamNode[]): UpstreamNode | null {
    const scanned = this.#open.count <= SCAN_MAX;
    const candidates = scanned ? this.#open.count : SAMPLES - 1;
    let best = this.#draw(tried, scanned ? this.#nextUnit() : this.#randomUnit());
    let bestLoad = best === null ? Number.POSITIVE_INFINITY : this.#load(best);
    for (let i = 0; i < candidates && bestLoad > 0; i++) {
      const node = scanned ? this.#at(i, tried) : this.#draw(tried, this.#randomUnit());
      if (node === null) continue;
      const load = this.#load(node);
      if (load < bestLoad) {
        best = node;
        bestLoad = load;
      }
    }
    return best;
  }

  /** Requests in flight a unit of weight, the one to come counted in; 0 for an idle node, whatever its weight. */
  #load(node: UpstreamNode): number {
    const { board } = this.#pool;
    const inFlight = board.inFlight(node.slot);
    return inFlight === 0 ? 0 : (inFlight + 1) / Math.max(1, weightOf(board, node.slot));
  }

  #at(index: number, tried: readonly UpstreamNode[]): UpstreamNode | null {
    if (!openNodeAt(this.#pool.board, index, this.#found)) return null;
    const node = this.#pool.resolve(this.#found);
    return node !== null && this.#pool.isUsable(node) && !tried.includes(node) ? node : null;
  }

  /** Goes through all open nodes: first for a usable one, then for one that is merely not known to be down. */
  #first(tried: readonly UpstreamNode[]): UpstreamNode | null {
    let fallback: UpstreamNode | null = null;
    const start = this.#position++;
    for (let i = 0; i < this.#open.count; i++) {
      if (!openNodeAt(this.#pool.board, (start + i) % this.#open.count, this.#found)) continue;
      if (this.#pool.board.stateOf(this.#found.slot) === NODE_DOWN) continue;
      const node = this.#pool.resolve(this.#found);
      if (node === null || tried.includes(node)) continue;
      if (this.#pool.isUsable(node)) return node;
      fallback ??= node;
    }
    return fallback;
  }
}
