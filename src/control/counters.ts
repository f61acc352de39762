/**
 * What the listener threads have counted since the start, as numbers that do not wrap. Main thread.
 *
 * A thread that is replaced goes on in the row of the one before it, so a row only ever grows, modulo 2^32. To be read at
 * least once while a counter goes around: at 100,000 a second, every 11 hours.
 */

import type { Gauge, Stat, StatsBoard } from '../boards/stats-board.ts';

/** All but what goes up and down, and what says that a thread is alive. */
export type Counter = Exclude<Stat, 'heartbeat' | Gauge>;

interface Count {
  /** By thread; so is `last`, as read before. */
  readonly totals: number[];
  readonly last: number[];
}

export class Counters {
  readonly #stats: Pick<StatsBoard, 'read'>;
  readonly #threads: () => number;
  readonly #counts = new Map<Counter, Count>();

  /** `threads` tells how many rows of the board have ever been used: 0 to that many less one. */
  constructor(stats: Pick<StatsBoard, 'read'>, threads: () => number) {
    this.#stats = stats;
    this.#threads = threads;
  }

  /** Over all threads. */
  read(counter: Counter): number {
    return this.readThreads(counter).reduce((sum, total) => sum + total, 0);
  }

  /** By thread. */
  readThreads(counter: Counter): readonly number[] {
    const { totals, last } = this.#countOf(counter);
    for (let thread = 0; thread < this.#threads(); thread++) {
      const now = this.#stats.read(thread, counter);
      totals[thread] = (totals[thread] ?? 0) + ((now - (last[thread] ?? 0)) >>> 0);
      last[thread] = now;
    }
    return totals;
  }

  /** What is open now, over all threads. */
  gauge(gauge: Gauge): number {
    let sum = 0;
    for (let thread = 0; thread < this.#threads(); thread++) sum += this.#stats.read(thread, gauge);
    return sum;
  }

  #countOf(counter: Counter): Count {
    const known = this.#counts.get(counter);
    if (known !== undefined) return known;
    const count = { totals: [], last: [] };
    this.#counts.set(counter, count);
    return count;
  }
}
