/**
 * All that is known of a node's health: what its checks say, and which threads leave it out. Pure; main thread. One a node.
 */

import type { HealthStatus } from '../status.ts';
import type { CheckStreak } from './check-streak.ts';

export type HealthState = HealthStatus['state'];

/** What is to be seen of a node, and why it is not up. */
export interface Verdict {
  readonly state: HealthState;
  /** Empty where it is up. */
  readonly reason: string;
}

const UP: Verdict = { state: 'up', reason: '' };

export class NodeRecord {
  readonly address: string;
  /** Null: the pool has no health check. */
  checks: CheckStreak | null = null;
  /** Why the last check that failed did. */
  failure = '';
  /** As last told to the listener threads. */
  state: HealthState = 'up';
  /** Unix time of the last change of `state`, ms. */
  changedAtMs: number | null = null;
  /** Why, by the thread that leaves the node out. */
  readonly #marks = new Map<number, string>();

  constructor(address: string) {
    this.address = address;
  }

  mark(thread: number, reason: string): void {
    this.#marks.set(thread, reason);
  }

  /** Returns whether there was a mark of that thread's. */
  withdraw(thread: number): boolean {
    return this.#marks.delete(thread);
  }

  withdrawAll(): void {
    this.#marks.clear();
  }

  /** Checks weigh more than requests: where they fail, nobody need try. */
  get verdict(): Verdict {
    if (this.checks?.isUp === false) return { state: 'down', reason: this.failure };
    for (const reason of this.#marks.values()) return { state: 'failing', reason };
    return UP;
  }
}
