/**
 * Counts what was refused from peers and why, and says so without flooding the log: a line a second for each reason.
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
  readonly #held = new Map<string, Held>();

  constructor(report: Report) {
    this.#report = report;
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
    this.#report('warn', 'refused from a peer', { reason, ...fields, ...(suppressed > 0 && { suppressed }) });
  }
}
