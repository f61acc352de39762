/**
 * Who may begin a TLS handshake at the port for peers. A handshake costs this thread half a millisecond, whoever asks for
 * it and however little that costs them: without a bound, strangers could keep it from its heartbeats. Main thread.
 *
 * The addresses at which the other servers are dialled have a rate each; all other addresses have one together, since a
 * server may be seen from another address than the one at which it listens.
 */

import { isIPv6, SocketAddress } from 'node:net';
import { type Rate, TokenBucket } from './token-bucket.ts';
import type { ServerId } from './types.ts';

export interface DoorLimits {
  /** Handshakes from the address of each listed server. It dials one connection, and backs off. */
  readonly peerRate: Rate;
  /** Handshakes from all other addresses together. */
  readonly strangerRate: Rate;
}

interface Expected {
  address: string;
  readonly bucket: TokenBucket;
}

export class PeerDoor {
  readonly #limits: DoorLimits;
  readonly #now: () => number;
  readonly #expected = new Map<ServerId, Expected>();
  readonly #strangers: TokenBucket;

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(limits: DoorLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#strangers = new TokenBucket(limits.strangerRate, now());
  }

  /** `serverId` is dialled at `address`, an IP address: it may come from there. */
  expect(serverId: ServerId, address: string): void {
    const known = this.#expected.get(serverId);
    if (known !== undefined) known.address = plain(address);
    else {
      const bucket = new TokenBucket(this.#limits.peerRate, this.#now());
      this.#expected.set(serverId, { address: plain(address), bucket });
    }
  }

  /** Servers that are not among `serverIds` are expected no more. */
  keep(serverIds: ReadonlySet<ServerId>): void {
    for (const serverId of this.#expected.keys()) if (!serverIds.has(serverId)) this.#expected.delete(serverId);
  }

  /** Whether a listed server is dialled at `address`. */
  expects(address: string): boolean {
    const wanted = plain(address);
    for (const expected of this.#expected.values()) if (expected.address === wanted) return true;
    return false;
  }

  /** Whether one more connection from `address` may begin a handshake now. */
  admits(address: string): boolean {
    const wanted = plain(address);
    const nowMs = this.#now();
    let isExpected = false;
    // several servers on one machine come from one address, each with a rate of its own
    for (const expected of this.#expected.values()) {
      if (expected.address !== wanted) continue;
      if (expected.bucket.take(nowMs)) return true;
      isExpected = true;
    }
    return !isExpected && this.#strangers.take(nowMs);
  }
}

/** As the kernel writes it, and IPv4 as such on a socket that serves both. */
function plain(address: string): string {
  const unmapped = address.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIPv6(unmapped) ? new SocketAddress({ address: unmapped, family: 'ipv6' }).address : unmapped;
}
