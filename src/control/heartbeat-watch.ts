/** Notices listener threads whose event loops stand still, and ends them: others take their places then. Main thread. */

import type { StatsBoard } from '../boards/stats-board.ts';
import type { Log } from './log.ts';
import type { ThreadSlot } from './thread-slot.ts';

const CHECK_MS = 250;
const LATE_CHECK_MS = 1_000;
/** Ten heartbeats, and a check. */
const ALIVE_MS = 1_000 + CHECK_MS;
/** Loading the thread's code can take long on a busy machine. */
export const START_TIMEOUT_MS = 30_000;

export interface HeartbeatWatchOptions {
  readonly stats: StatsBoard;
  /** All that may have a thread now. */
  readonly slots: () => readonly ThreadSlot[];
  /** How long a thread that serves may stand still. */
  readonly hangTimeoutMs: () => number;
  readonly log: Log;
}

export class HeartbeatWatch {
  readonly #options: HeartbeatWatchOptions;
  #timer: NodeJS.Timeout | null = null;
  #checkedMs = 0;

  constructor(options: HeartbeatWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#checkedMs = performance.now();
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** All of `slots` serve, and have shown that their event loops turn within the last second. */
  static areAlive(slots: readonly ThreadSlot[]): boolean {
    const now = performance.now();
    return slots.every(({ isServing, aliveMs }) => isServing && now - aliveMs < ALIVE_MS);
  }

  #check(): void {
    const { stats, slots, hangTimeoutMs, log } = this.#options;
    const now = performance.now();
    // this thread itself stood still (a paused machine): the others have had no chance to show that they live
    const wasLate = now - this.#checkedMs > LATE_CHECK_MS;
    this.#checkedMs = now;
    for (const slot of slots()) {
      const heartbeat = stats.read(slot.thread, 'heartbeat');
      if (heartbeat !== slot.heartbeat || wasLate) {
        slot.heartbeat = heartbeat;
        slot.aliveMs = now;
      }
      const stillMs = Math.round(now - slot.aliveMs);
      if (slot.link === null || stillMs < (slot.isServing ? hangTimeoutMs() : START_TIMEOUT_MS)) continue;
      log.error({ thread: slot.thread, stillMs }, 'listener thread hangs');
      slot.aliveMs = now;
      slot.link.kill();
    }
  }
}
