/**
 * Counts what was refused and why, and says so without flooding the log: a line a second for each reason, and while it
 * lasts half as often each time, down to one a minute.
 * Main thread.
 */

import type { Report } from './types.ts';

const REPORT_INTERVAL_MS = 1_000;
const REPORT_INTERVAL_MS_MAX = 60_000;
/** A reason that has not come up for so long after an interval begins anew. */
const FORGET_MS = 60_000;

interface Held {
  /** Refused since the last line. */
  suppressed: number;
  latest: object;
  timer: NodeJS.Timeout;
  /** From the line before to the next. */
  readonly intervalMs: number;
  /** The interval is over: the next refusal is said at once. */
  isOver: boolean;
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
    else if (held.isOver) {
      clearTimeout(held.timer);
      this.#sayAgain(reason, fields, 0, held);
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
    const timer = setTimeout(() => this.#release(reason), intervalMs).unref();
    this.#held.set(reason, { suppressed: 0, latest: fields, timer, intervalMs, isOver: false });
  }

  /** The next line after `before`, and longer until the one after it. */
  #sayAgain(reason: string, fields: object, suppressed: number, before: Held): void {
    this.#say(reason, fields, suppressed, Math.min(REPORT_INTERVAL_MS_MAX, before.intervalMs * 2));
  }

  #release(reason: string): void {
    const held = this.#held.get(reason);
    if (held === undefined) return;
    if (held.suppressed > 0) this.#sayAgain(reason, held.latest, held.suppressed - 1, held);
    else if (held.isOver) this.#held.delete(reason);
    else {
      held.isOver = true;
      held.timer = setTimeout(() => this.#release(reason), FORGET_MS).unref();
    }
  }

  #warn(reason: string, fields: object, suppressed: number): void {
    this.#report('warn', this.#message, { reason, ...fields, ...(suppressed > 0 && { suppressed }) });
  }
}
