/** What the clients of a soak have seen: how much of each traffic went well, and each thing that did not. */

import type { Failure } from './failure.ts';

export interface Tally {
  ok: number;
  failed: number;
}

/** TLS connections. */
export interface TlsTally {
  /** Without a ticket to offer. */
  first: number;
  /** With one. */
  offered: number;
  resumed: number;
  /** Of those, with a ticket of another edge. */
  elsewhere: number;
}

export class Ledger {
  readonly traffic = new Map<string, Tally>();
  readonly failures: Failure[] = [];
  readonly tls: TlsTally = { first: 0, offered: 0, resumed: 0, elsewhere: 0 };

  ok(traffic: string): void {
    this.#tally(traffic).ok++;
  }

  failed(failure: Failure): void {
    this.failures.push(failure);
    this.#tally(failure.traffic).failed++;
  }

  get total(): number {
    return [...this.traffic.values()].reduce((sum, { ok, failed }) => sum + ok + failed, 0);
  }

  #tally(traffic: string): Tally {
    const found = this.traffic.get(traffic) ?? { ok: 0, failed: 0 };
    this.traffic.set(traffic, found);
    return found;
  }
}
