/**
 * Counts what was refused and why, and says so without flooding the log: for each reason a line after a second, then
 * after two, four and so on for as long as it goes on. Main thread.
 */

import type { Report } from './types.ts';

const REPORT_INTERVAL_MS = 1000;
const REPORT_INTERVAL_MS_MAX = 60_000;

interface Held {
  /** Refused since the last line. */
  suppressed: number;
  latest: object;
  /** None was refused in the last interval. */
  isQuiet: boolean;
  /** Until the next line may come. */
  readonly intervalMs: number;
  timer: NodeJS.Timeout;
}

export class Refusals {
  /** By reason, since the start. */
  readonly counts: Record<string, number> = {};
  readonly #report: Report;
  readonly #message: string;
  readonly #held = new Map<string, Held>();

  /** `message` is what each line says. */
  constructor(report: Report, message = 'refused from a peer') {
    this.#report = report;
    this.#message = message;
  }

  /** `fields` say who and why. */
  add(reason: string, fields: object): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    const held = this.#held.get(reason);
    if (held === undefined) this.#say(reason, fields, 0, REPORT_INTERVAL_MS);
    else if (held.isQuiet) {
      clearTimeout(held.timer);
      this.#say(reason, fields, 0, longer(held.intervalMs));
    } else {
      held.suppressed += 1;
      held.latest = fields;
    }
  }

  /** Says what has not been said. */
  close(): void {
    for (const [reason, held] of this.#held) {
      clearTimeout(held.timer);
      if (held.suppressed > 0) this.#warn(reason, held.latest, held.suppressed - 1);
    }
    this.#held.clear();
  }

  #say(reason: string, fields: object, suppressed: number, intervalMs: number): void {
    this.#warn(reason, fields, suppressed);
    const timer = this.#wait(reason, intervalMs);
    this.#held.set(reason, { suppressed: 0, latest: fields, isQuiet: false, intervalMs, timer });
  }

  #release(reason: string): void {
    const held = this.#held.get(reason);
    if (held === undefined) return;
    if (held.suppressed > 0) this.#say(reason, held.latest, held.suppressed - 1, longer(held.intervalMs));
    else if (held.isQuiet) this.#held.delete(reason);
    else {
      // one that comes again and again is not to begin anew each time
      held.isQuiet = true;
      held.timer = this.#wait(reason, held.intervalMs);
    }
  }

  #wait(reason: string, intervalMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#release(reason), intervalMs).unref();
  }

  #warn(reason: string, fields: object, suppressed: number): void {
    this.#report('warn', this.#message, { reason, ...fields, ...(suppressed > 0 && { suppressed }) });
  }
}

function longer(intervalMs: number): number {
  return Math.min(2 * intervalMs, REPORT_INTERVAL_MS_MAX);
}
