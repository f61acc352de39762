/**
 * Who may begin a TLS handshake at the port for peers. A handshake costs this thread half a millisecond, and one with a chain
 * of 100 KiB of certificates 20 ms, whoever asks for it and however little that costs them: without a bound, strangers could
 * keep it from its heartbeats. Main thread.
 *
 * The other servers have a rate each, at the address at which they are dialled and at the one from which they have come in
 * before, which may be another. All other addresses have a rate together.
 */

import { isIPv6, SocketAddress } from 'node:net';
import { type Rate, TokenBucket } from './token-bucket.ts';
import type { ServerId } from './types.ts';

export interface DoorLimits {
  /** Handshakes from the addresses of each listed server. It dials one connection, and backs off. */
  readonly peerRate: Rate;
  /** Handshakes from all other addresses together. */
  readonly strangerRate: Rate;
}

interface Expected {
  dialledAt: string | null;
  heardFrom: string | null;
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
  dialled(serverId: ServerId, address: string): void {
    this.#of(serverId).dialledAt = plain(address);
  }

  /** `serverId` has come in from `address`, with a certificate and a hello. */
  heard(serverId: ServerId, address: string): void {
    this.#of(serverId).heardFrom = plain(address);
  }

  /** Servers that are not among `serverIds` are expected no more. */
  keep(serverIds: ReadonlySet<ServerId>): void {
    for (const serverId of this.#expected.keys()) if (!serverIds.has(serverId)) this.#expected.delete(serverId);
  }

  /** Whether a listed server may come from `address`. */
  expects(address: string): boolean {
    const wanted = plain(address);
    for (const expected of this.#expected.values()) if (isAt(expected, wanted)) return true;
    return false;
  }

  /** Whether one more connection from `address` may begin a handshake now. */
  admits(address: string): boolean {
    const wanted = plain(address);
    const nowMs = this.#now();
    let isExpected = false;
    // several servers on one machine come from one address, each with a rate of its own
    for (const expected of this.#expected.values()) {
      if (!isAt(expected, wanted)) continue;
      if (expected.bucket.take(nowMs)) return true;
      isExpected = true;
    }
    return !isExpected && this.#strangers.take(nowMs);
  }

  #of(serverId: ServerId): Expected {
    const known = this.#expected.get(serverId);
    if (known !== undefined) return known;
    const bucket = new TokenBucket(this.#limits.peerRate, this.#now());
    const expected: Expected = { dialledAt: null, heardFrom: null, bucket };
    this.#expected.set(serverId, expected);
    return expected;
  }
}

function isAt({ dialledAt, heardFrom }: Expected, address: string): boolean {
  return dialledAt === address || heardFrom === address;
}

/** As the kernel writes it, and IPv4 as such on a socket that serves both. */
function plain(address: string): string {
  const unmapped = address.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIPv6(unmapped) ? new SocketAddress({ address: unmapped, family: 'ipv6' }).address : unmapped;
}
