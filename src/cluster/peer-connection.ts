/**
 * One TLS connection between two servers: frames in and out, bounded both ways. Main thread.
 */

import type { TLSSocket } from 'node:tls';
import type { Credentials } from './credentials.ts';
import { FrameReader, frame } from './frames.ts';
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from './limits.ts';
import { decodeFrame, encodeFrame, type Frame, type OwnFrame } from './peer-codec.ts';
import type { DoorLimits, PeerDoor } from './peer-door.ts';
import type { Refusals } from './refusals.ts';
import type { Announce, PeerMessage, Report, ServerId } from './types.ts';

/** Durations are milliseconds. */
export interface TransportLimits extends DoorLimits {
  /** For connecting and TLS. */
  readonly handshakeTimeoutMs: number;
  /** From there to the other's hello. */
  readonly helloTimeoutMs: number;
  /** Accepted connections that have not said hello. */
  readonly silentMax: number;
  readonly pingIntervalMs: number;
  /** So many pings without a pong, and the other end counts as gone. */
  readonly pingsUnansweredMax: number;
  /** Silence on an accepted connection; the other end sends a ping each pingIntervalMs. */
  readonly idleTimeoutMs: number;
  /** What may wait in a socket for further messages to be added. */
  readonly waitingBytesMax: number;
  /** For the last bytes to go out on a connection that is being closed. */
  readonly lingerTimeoutMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
}

export const TRANSPORT_LIMITS: TransportLimits = {
  handshakeTimeoutMs: 3000,
  helloTimeoutMs: 3000,
  silentMax: 128,
  peerRate: { perSecond: 10, burst: 10 },
  strangerRate: { perSecond: 5, burst: 5 },
  pingIntervalMs: 1000,
  pingsUnansweredMax: 3,
  idleTimeoutMs: 10_000,
  waitingBytesMax: 4 * 1024 * 1024,
  lingerTimeoutMs: 1000,
  backoffMinMs: 50,
  backoffMaxMs: 1000,
};

/** Since the start, all connections together. */
export interface Traffic {
  accepted: number;
  dialled: number;
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Messages that were not sent: no connection, too much waiting, or too large. */
  dropped: number;
}

/** What the connections of one transport have in common. */
export interface PeerContext {
  readonly serverId: ServerId;
  readonly credentials: () => Credentials;
  /** What to say of ourselves to `to`, now. */
  readonly hello: (to: ServerId) => Announce;
  /** Null, or the reason to close the connection on which it came. */
  readonly onMessage: (from: ServerId, message: PeerMessage) => string | null;
  readonly onLinkUp: (to: ServerId) => void;
  readonly onLinkDown: (to: ServerId) => void;
  readonly limits: TransportLimits;
  readonly door: PeerDoor;
  readonly refusals: Refusals;
  readonly traffic: Traffic;
  readonly report: Report;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface PeerConnectionOptions {
  readonly context: PeerContext;
  /** For reports: who is at the other end, as far as known. */
  readonly describe: () => object;
  /** Null, or the reason to close the connection. */
  readonly onFrame: (frame: Frame) => string | null;
}

/** Use: once TLS is up and the certificate has been checked. A refused connection closes by itself. */
export class PeerConnection {
  readonly #socket: TLSSocket;
  readonly #options: PeerConnectionOptions;
  readonly #reader = new FrameReader(HELLO_BYTES_MAX);
  #isClosing = false;

  constructor(socket: TLSSocket, options: PeerConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** From now on the other end may send whole messages. */
  trust(): void {
    this.#reader.raiseLimit(FRAME_BYTES_MAX);
  }

  /**
   * False where it was dropped. What waits stays below waitingBytesMax + FRAME_BYTES_MAX: one message, such as a snapshot,
   * may be larger than what may wait, or it would never go.
   */
  send(message: OwnFrame): boolean {
    const { traffic, limits, refusals } = this.#options.context;
    const isFull = this.#socket.writableLength > limits.waitingBytesMax;
    const bytes = this.#isClosing || isFull ? null : encodeFrame(message);
    if (bytes === null || bytes.length > FRAME_BYTES_MAX) {
      traffic.dropped += 1;
      if (bytes !== null) refusals.add('oversized-message', { bytes: bytes.length, ...this.#options.describe() });
      return false;
    }
    traffic.framesOut += 1;
    traffic.bytesOut += bytes.length;
    this.#socket.write(frame(bytes));
    return true;
  }

  /** Counts and reports `reason`, lets what was written go out, and closes. */
  refuse(reason: string, detail = ''): void {
    this.#options.context.refusals.add(reason, { ...this.#options.describe(), ...(detail !== '' && { detail }) });
    this.#isClosing = true;
    this.#socket.destroySoon();
    // the other end may never take it
    const timer = setTimeout(() => this.#socket.destroy(), this.#options.context.limits.lingerTimeoutMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.#isClosing = true;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const { traffic } = this.#options.context;
    traffic.bytesIn += chunk.length;
    if (this.#isClosing) return;
    this.#reader.push(chunk);
    while (!this.#isClosing) {
      const bytes = this.#reader.next();
      if (bytes === null) return;
      const reason = bytes === 'oversized' ? 'oversized-frame' : this.#take(bytes);
      if (reason !== null) this.refuse(reason);
    }
  }

  #take(bytes: Uint8Array): string | null {
    const message = decodeFrame(bytes);
    if (message === null) return 'bad-frame';
    this.#options.context.traffic.framesIn += 1;
    return this.#options.onFrame(message);
  }
}
