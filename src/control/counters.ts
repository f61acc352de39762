/**
 * What the listener threads have counted since the start, as numbers that do not wrap. Main thread.
 *
 * A thread that is replaced goes on in the row of the one before it, so a row only ever grows, modulo 2^32. To be read at
 * least once while a counter goes around: at 100,000 a second, every 11 hours.
 */

import type { Stat, StatsBoard } from '../boards/stats-board.ts';

/** All but what goes up and down, and what says that a thread is alive. */
export type Counter = Exclude<Stat, 'heartbeat' | 'connectionsOpen' | 'tunnelsOpen'>;

interface Count {
  total: number;
  /** As last read, by thread. */
  readonly last: number[];
}

export class Counters {
  readonly #stats: Pick<StatsBoard, 'threads' | 'read'>;
  readonly #counts = new Map<Counter, Count>();

  constructor(stats: Pick<StatsBoard, 'threads' | 'read'>) {
    this.#stats = stats;
  }

  /** Over all threads. */
  read(counter: Counter): number {
    const count = this.#countOf(counter);
    for (const [thread, before] of count.last.entries()) {
      const now = this.#stats.read(thread, counter);
      count.total += (now - before) >>> 0;
      count.last[thread] = now;
    }
    return count.total;
  }

  #countOf(counter: Counter): Count {
    const known = this.#counts.get(counter);
    if (known !== undefined) return known;
    const count = { total: 0, last: new Array<number>(this.#stats.threads).fill(0) };
    this.#counts.set(counter, count);
    return count;
  }
}
