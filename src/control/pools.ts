/**
 * The pools of one edge: what the file says with the edits of the cluster and of this edge over it, published to the
 * listener threads whenever one of these changes. Main thread.
 */

import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { RouteRef } from '../boards/listener-task.ts';
import type { NodeState } from '../boards/route-board.ts';
import type { NodeConfig, PoolConfig } from '../config/config.ts';
import type { Helper } from './helper.ts';
import type { LocalEdits } from './local-edits.ts';
import { effectiveNodes } from './pool-edits.ts';
import { INLINE_NODES_MAX, type NodeActivity, RoutePublisher } from './route-publisher.ts';
import type { ReplicatedState, StateChange } from './state.ts';
import type { Route } from './thread-settings.ts';

export interface PoolsOptions {
  readonly pools: readonly PoolConfig[];
  /** Rows that each board has, at first. */
  readonly threads: number;
  readonly state: ReplicatedState;
  /** Edits of this edge alone, over the group's. */
  readonly local: Pick<LocalEdits, 'of'>;
  readonly helper: Helper;
  /** The board of a route is this one from now on. */
  readonly onOutgrown: (route: RouteRef) => void;
}

/** From a publication that failed to the next attempt. */
const RETRY_MS = 1_000;

interface OpenRoute {
  readonly id: number;
  readonly route: Route;
  readonly publisher: RoutePublisher;
  /** The board does not hold what is true now. */
  isStale: boolean;
}

export class Pools {
  /** Called when the nodes of a pool have been published anew. */
  onPublished: (pool: string) => void = () => {};
  readonly #options: PoolsOptions;
  readonly #state: ReplicatedState;
  /** By id. */
  readonly #routes = new Map<number, OpenRoute>();
  /** The same by pool: of as many pools as there are services, each with one of its own, a status asks for every node. */
  readonly #byPool = new Map<string, OpenRoute[]>();
  #nextRoute = 0;
  #threads: number;
  #configured: Map<string, readonly NodeConfig[]>;
  /** Those in force, of pools that were asked for since the file or the edits have changed. */
  readonly #effective = new Map<string, readonly NodeConfig[]>();
  /** The cluster's, once there was one: until then this edge's own. */
  #salt: string = randomBytes(16).toString('hex');
  #isPublished = false;
  /** A publication that has not begun: what changes until then is part of it. */
  #next: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | null = null;

  constructor(options: PoolsOptions) {
    const { pools, threads, state } = options;
    this.#options = options;
    this.#state = state;
    this.#threads = threads;
    this.#configured = new Map(pools.map(({ name, nodes }) => [name, nodes]));
  }

  get names(): string[] {
    return [...this.#configured.keys()];
  }

  /**
   * The nodes of a pool as they are in force: the same array as long as nothing in it changes. Null where this edge has no
   * such pool.
   */
  nodes(pool: string): readonly NodeConfig[] | null {
    const configured = this.#configured.get(pool);
    if (configured === undefined) return null;
    const known = this.#effective.get(pool);
    if (known !== undefined) return known;
    const nodes = effectiveNodes(configured, this.#state.editsOf(pool), this.#options.local.of(pool));
    this.#effective.set(pool, nodes);
    return nodes;
  }

  /** The boards of `routes`, in their order; a route that is new gets one, which `publish` fills. */
  open(routes: readonly Route[]): RouteRef[] {
    const nodesOf = (pool: string) => this.#configured.get(pool) ?? [];
    return routes.map((route) => {
      const known = this.#routesOf(route.pool).find((open) => open.route.salt === route.salt);
      if (known !== undefined) return { id: known.id, buffer: known.publisher.board.buffer };
      const id = this.#nextRoute++;
      const onOutgrown = (buffer: SharedArrayBuffer) => this.#options.onOutgrown({ id, buffer });
      const { pool, salt } = route;
      const { helper } = this.#options;
      const publisher = new RoutePublisher(nodesOf(pool), salt ?? '', this.#threads, helper, onOutgrown);
      const open: OpenRoute = { id, route, publisher, isStale: true };
      this.#routes.set(id, open);
      this.#byPool.set(pool, [...this.#routesOf(pool), open]);
      return { id, buffer: publisher.board.buffer };
    });
  }

  /** Forgets all routes but these. */
  retain(routes: readonly RouteRef[]): void {
    const ids = new Set(routes.map(({ id }) => id));
    for (const [id, { route }] of this.#routes) {
      if (ids.has(id)) continue;
      this.#routes.delete(id);
      const left = this.#routesOf(route.pool).filter((open) => open.id !== id);
      if (left.length > 0) this.#byPool.set(route.pool, left);
      else this.#byPool.delete(route.pool);
    }
  }

  /** Pools that are new are there from now on as well; the others stay as they are. */
  admit(pools: readonly PoolConfig[]): void {
    for (const { name, nodes } of pools) if (!this.#configured.has(name)) this.#configured.set(name, nodes);
  }

  /**
   * Takes over what the file says now, to be published. A pool that it does not name stays on its boards as it is, for
   * those who still use it.
   */
  configure(pools: readonly PoolConfig[]): void {
    const before = this.#configured;
    this.#configured = new Map(pools.map(({ name, nodes }) => [name, nodes]));
    this.#effective.clear();
    this.#markStale(({ pool }) => !isSameNodes(before.get(pool), this.#configured.get(pool)));
  }

  /** The boards have rows for as many threads, once it is published. They never lose one. */
  growTo(threads: number): void {
    if (threads <= this.#threads) return;
    this.#threads = threads;
    for (const { publisher } of this.#routes.values()) publisher.growTo(threads);
    this.#markStale(() => true);
  }

  /** A listener thread has ended: nothing is in flight on it any more. */
  threadEnded(thread: number): void {
    for (const { publisher } of this.#routes.values()) publisher.threadEnded(thread);
  }

  /** Whether requests go to a node, in force at once on all threads, until the node leaves the pool. */
  setState(pool: string, address: string, state: NodeState): void {
    for (const { publisher } of this.#routesOf(pool)) publisher.setState(address, state);
  }

  /** Over all threads and all routes of the pool. */
  activity(pool: string, address: string): NodeActivity {
    let [inFlight, requests] = [0, 0];
    for (const { publisher } of this.#routesOf(pool)) {
      const activity = publisher.activity(address);
      inFlight += activity?.inFlight ?? 0;
      requests += activity?.requests ?? 0;
    }
    return { inFlight, requests: requests >>> 0 };
  }

  /** Which node a listener thread means; null where it has left. */
  nodeAt(route: number, slot: number, generation: number): { pool: string; address: string } | null {
    const open = this.#routes.get(route);
    const address = open?.publisher.addressAt(slot, generation) ?? null;
    return open === undefined || address === null ? null : { pool: open.route.pool, address };
  }

  /**
   * Takes over what has changed in the replicated state. The first publication is for the caller to ask for, when the
   * state is there; from then on each change is published. The result is that of `publish`; null before the first.
   */
  stateChanged(change: StateChange): Promise<void> | null {
    if (change.kind === 'all') this.#effective.clear();
    else if (change.kind === 'pool') this.#effective.delete(change.pool);
    // a cluster that has lost its state, and with it the salt, keeps the old one until there is another
    const salt = this.#state.salt ?? this.#salt;
    const isResalted = salt !== this.#salt;
    this.#salt = salt;
    this.#markStale((route) => {
      if (change.kind === 'all' || (isResalted && route.salt === null)) return true;
      return change.kind === 'pool' && change.pool === route.pool;
    });
    return this.#isPublished && this.#hasStale() ? this.publish() : null;
  }

  /**
   * Resolves when all that is true at the time of the call is on the boards. Where it rejects (no thread can be started for a
   * large table, say) what listeners see is as it was, and it is tried again each second.
   */
  publish(): Promise<void> {
    this.#isPublished = true;
    this.#next ??= this.#last.then(() => {
      this.#next = null;
      return this.#publishStale();
    });
    this.#last = this.#next.catch(() => this.#publishLater());
    return this.#next;
  }

  #publishLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      // whoever asked has been told
      if (this.#hasStale()) this.publish().catch(() => {});
    }, RETRY_MS).unref();
  }

  #routesOf(pool: string): readonly OpenRoute[] {
    return this.#byPool.get(pool) ?? [];
  }

  #markStale(isStale: (route: Route) => boolean): void {
    for (const open of this.#routes.values()) if (isStale(open.route)) open.isStale = true;
  }

  #hasStale(): boolean {
    return [...this.#routes.values()].some(({ isStale }) => isStale);
  }

  async #publishStale(): Promise<void> {
    const stale = [...this.#routes.values()].filter(({ isStale }) => isStale);
    for (const open of stale) open.isStale = false;
    const failures: unknown[] = [];
    let placed = 0;
    for (const open of stale) {
      await this.#publishOne(open).catch((error) => failures.push(error));
      placed += this.nodes(open.route.pool)?.length ?? 0;
      // many small tables in a row hold up this thread as long as a large one would
      if (placed < INLINE_NODES_MAX) continue;
      placed = 0;
      await setImmediate();
    }
    for (const pool of new Set(stale.map(({ route }) => route.pool))) this.onPublished(pool);
    if (failures.length > 0) throw failures[0];
  }

  async #publishOne(open: OpenRoute): Promise<void> {
    const { pool, salt } = open.route;
    const nodes = this.nodes(pool);
    if (nodes === null) return;
    try {
      await open.publisher.update(nodes, salt ?? this.#salt);
    } catch (error) {
      open.isStale = true;
      throw error;
    }
  }
}

/** Cheap for pools of 100,000 nodes that a reload leaves as they are. */
function isSameNodes(a: readonly NodeConfig[] | undefined, b: readonly NodeConfig[] | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return a === b;
  return a.every((node, i) => {
    const other = b[i] as NodeConfig;
    return node.address === other.address && node.weight === other.weight && node.drain === other.drain;
  });
}
