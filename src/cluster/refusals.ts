/**
 * Counts what was refused and why, and says so without flooding the log: a line a second for each reason.
 * Main thread.
 */

import type { Report } from './types.ts';

const REPORT_INTERVAL_MS = 1000;

interface Held {
  /** Refused since the last line. */
  suppressed: number;
  latest: object;
  readonly timer: NodeJS.Timeout;
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
    if (held === undefined) this.#say(reason, fields, 0);
    else {
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

  #say(reason: string, fields: object, suppressed: number): void {
    this.#warn(reason, fields, suppressed);
    const timer = setTimeout(() => this.#release(reason), REPORT_INTERVAL_MS).unref();
    this.#held.set(reason, { suppressed: 0, latest: fields, timer });
  }

  #release(reason: string): void {
    const held = this.#held.get(reason);
    this.#held.delete(reason);
    if (held !== undefined && held.suppressed > 0) this.#say(reason, held.latest, held.suppressed - 1);
  }

  #warn(reason: string, fields: object, suppressed: number): void {
    this.#report('warn', this.#message, { reason, ...fields, ...(suppressed > 0 && { suppressed }) });
  }
}
