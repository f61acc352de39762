/**
 * The pools of one edge: what the file says with the cluster's edits over it, published to the listener threads whenever
 * one of the two changes. Main thread.
 */

import { randomBytes } from 'node:crypto';
import type { NodeConfig, PoolConfig } from '../config/config.ts';
import type { Helper } from './helper.ts';
import { effectiveNodes } from './pool-edits.ts';
import { RoutePublisher } from './route-publisher.ts';
import type { ReplicatedState, StateChange } from './state.ts';
import type { Route } from './thread-settings.ts';

export interface PoolsOptions {
  readonly routes: readonly Route[];
  readonly pools: readonly PoolConfig[];
  readonly workers: number;
  readonly state: ReplicatedState;
  readonly helper: Helper;
  /** Board `index`, that of route `index`, is this one from now on. */
  readonly onOutgrown: (index: number, buffer: SharedArrayBuffer) => void;
}

export class Pools {
  readonly #routes: readonly Route[];
  readonly #state: ReplicatedState;
  readonly #publishers: readonly RoutePublisher[];
  #configured: Map<string, readonly NodeConfig[]>;
  /** The cluster's, once there was one: until then this edge's own. */
  #salt: string = randomBytes(16).toString('hex');
  /** Routes whose boards do not hold what is true now. */
  readonly #stale: Set<number>;
  #isPublished = false;
  /** A publication that has not begun: what changes until then is part of it. */
  #next: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor({ routes, pools, workers, state, helper, onOutgrown }: PoolsOptions) {
    this.#routes = routes;
    this.#state = state;
    this.#configured = new Map(pools.map(({ name, nodes }) => [name, nodes]));
    this.#stale = new Set(routes.keys());
    this.#publishers = routes.map(({ pool, salt }, index) => {
      const nodes = this.#configured.get(pool) ?? [];
      return new RoutePublisher(nodes, salt ?? '', workers, helper, (buffer) => onOutgrown(index, buffer));
    });
  }

  /** One a route, in their order. */
  get boards(): SharedArrayBuffer[] {
    return this.#publishers.map(({ board }) => board.buffer);
  }

  get names(): string[] {
    return [...this.#configured.keys()];
  }

  /** The nodes of a pool as they are in force; null where this edge has no such pool. */
  nodes(pool: string): readonly NodeConfig[] | null {
    const configured = this.#configured.get(pool);
    return configured === undefined ? null : effectiveNodes(configured, this.#state.editsOf(pool));
  }

  /**
   * Takes over what the file says now, to be published. A pool that is not in it any more stays as it is while services
   * that run need it. Resolves to the names of those.
   */
  configure(pools: readonly PoolConfig[]): string[] {
    const after = new Map<string, readonly NodeConfig[]>(pools.map(({ name, nodes }) => [name, nodes]));
    const gone = new Set(this.#routes.map(({ pool }) => pool).filter((pool) => !after.has(pool)));
    for (const pool of gone) after.set(pool, this.#configured.get(pool) ?? []);
    this.#configured = after;
    this.#markStale(() => true);
    return [...gone];
  }

  /**
   * Takes over what has changed in the replicated state. The first publication is for the caller to ask for, when the
   * state is there; from then on each change is published. The result is that of `publish`; null before the first.
   */
  stateChanged(change: StateChange): Promise<void> | null {
    // a cluster that has lost its state, and with it the salt, keeps the old one until there is another
    const salt = this.#state.salt ?? this.#salt;
    const isResalted = salt !== this.#salt;
    this.#salt = salt;
    this.#markStale((route) => {
      if (change.kind === 'all' || (isResalted && route.salt === null)) return true;
      return change.kind === 'pool' && change.pool === route.pool;
    });
    return this.#isPublished && this.#stale.size > 0 ? this.publish() : null;
  }

  /** Resolves when all that is true at the time of the call is on the boards. */
  publish(): Promise<void> {
    this.#isPublished = true;
    this.#next ??= this.#last.then(() => {
      this.#next = null;
      return this.#publishStale();
    });
    this.#last = this.#next.catch(() => {});
    return this.#next;
  }

  #markStale(isStale: (route: Route) => boolean): void {
    for (const [index, route] of this.#routes.entries()) if (isStale(route)) this.#stale.add(index);
  }

  async #publishStale(): Promise<void> {
    const stale = [...this.#stale];
    this.#stale.clear();
    await Promise.all(
      stale.map(async (index) => {
        const { pool, salt } = this.#routes[index] as Route;
        try {
          await this.#publishers[index]?.update(this.nodes(pool) ?? [], salt ?? this.#salt);
        } catch (error) {
          this.#stale.add(index);
          throw error;
        }
      }),
    );
  }
}
