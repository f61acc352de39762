/** What the other servers last said of themselves. Pure: time is ticks. */

import type { Announce, ServerId } from './types.ts';

interface Report {
  readonly announce: Announce;
  readonly atTick: number;
}

export class Reports {
  readonly #latest = new Map<ServerId, Report>();

  note(from: ServerId, announce: Announce, nowTick: number): void {
    this.#latest.set(from, { announce, atTick: nowTick });
  }

  /** What `server` said within the last `ticks`. */
  recent(server: ServerId, nowTick: number, ticks: number): Announce | null {
    const report = this.#latest.get(server);
    return report !== undefined && nowTick - report.atTick <= ticks ? report.announce : null;
  }

  /** What each of `servers` said within the last `ticks`, of those that said anything. */
  allRecent(servers: readonly ServerId[], nowTick: number, ticks: number): Map<ServerId, Announce> {
    const all = new Map<ServerId, Announce>();
    for (const server of servers) {
      const announce = this.recent(server, nowTick, ticks);
      if (announce !== null) all.set(server, announce);
    }
    return all;
  }
}
