/**
 * Which nodes of this edge's pools answer: health checks on the main thread, and what the listener threads meet with. One
 * a program.
 *
 *   checks ──────────────┐
 *                        ├─► up, failing or down ─► the boards of all threads, the log, status and metrics
 *   marks of threads ────┘
 */

import type { PoolConfig } from '../../config/config.ts';
import { NameResolver } from '../../names/name-resolver.ts';
import type { Log } from '../log.ts';
import type { Pools } from '../pools.ts';
import type { HealthStatus } from '../status.ts';
import { CheckSchedule } from './check-schedule.ts';
import { PoolHealth, type PoolHealthCounts } from './pool-health.ts';
import { probeWith, type StartProbe } from './probe.ts';

/** That there are too many checks is said at most this often. */
const LATE_WARNING_MS = 60_000;

export interface HealthOptions {
  readonly pools: Pick<Pools, 'nodes' | 'setState'>;
  readonly log: Log;
  /** For tests. */
  readonly startProbe?: StartProbe;
  /** 0 <= n < 1. For tests. */
  readonly random?: () => number;
}

const UNKNOWN: HealthStatus = { state: 'up', isChecked: false, reason: '', changedAtMs: null };

export class Health {
  readonly #options: HealthOptions;
  readonly #schedule = new CheckSchedule((byMs) => this.#onLate(byMs));
  readonly #pools = new Map<string, PoolHealth>();
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  readonly #startProbe: StartProbe;
  #isStopped = false;

  constructor(options: HealthOptions) {
    this.#options = options;
    // that a name is in trouble shows in the state of its node, and is said there
    this.#startProbe = options.startProbe ?? probeWith(new NameResolver({ onChange: () => {} }).lookup);
  }

  /** One a pool, in the order in which they came. */
  get counts(): PoolHealthCounts[] {
    return [...this.#pools.values()].map((pool) => pool.counts);
  }

  /** Takes over what the file says: at the start and after a reload. What is known of nodes that stay is kept. */
  configure(pools: readonly PoolConfig[]): void {
    if (this.#isStopped) return;
    const names = new Set(pools.map(({ name }) => name));
    for (const [name, pool] of this.#pools) {
      if (names.has(name)) continue;
      pool.stop();
      this.#pools.delete(name);
    }
    for (const { name, healthCheck } of pools) this.#poolOf(name).configure(healthCheck);
  }

  /** The boards hold the nodes of a pool anew. */
  poolChanged(pool: string): void {
    if (!this.#isStopped) this.#pools.get(pool)?.refresh();
  }

  /** A listener thread leaves a node out, as its requests keep failing there, or uses it again. */
  mark(thread: number, pool: string, address: string, isOut: boolean, reason: string): void {
    this.#pools.get(pool)?.mark(thread, address, isOut, reason);
  }

  /** What listener thread `thread` said of nodes counts no more. */
  withdraw(thread: number): void {
    for (const pool of this.#pools.values()) pool.withdraw(thread);
  }

  status(pool: string, address: string): HealthStatus {
    return this.#pools.get(pool)?.status(address) ?? UNKNOWN;
  }

  /** Addresses of the nodes that are not up. */
  troubled(pool: string): readonly string[] {
    return this.#pools.get(pool)?.troubled ?? [];
  }

  /** Checks no more; nothing of it is left running. */
  stop(): void {
    this.#isStopped = true;
    for (const pool of this.#pools.values()) pool.stop();
  }

  #poolOf(name: string): PoolHealth {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const { pools, log, random = Math.random } = this.#options;
    const pool = new PoolHealth({
      name,
      nodes: () => pools.nodes(name) ?? [],
      setState: (address, state) => pools.setState(name, address, state),
      schedule: this.#schedule,
      startProbe: this.#startProbe,
      random,
      log,
    });
    this.#pools.set(name, pool);
    return pool;
  }

  #onLate(byMs: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#warnedAtMs < LATE_WARNING_MS) return;
    this.#warnedAtMs = nowMs;
    const advice = 'health checks fall behind: there are more than this machine can make; lengthen their interval';
    this.#options.log.warn({ lateMs: Math.round(byMs) }, advice);
  }
}
