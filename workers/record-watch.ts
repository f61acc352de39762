/**
 * Ends TLS connections whose records bring no data. Listener threads, one a thread.
 *
 * OpenSSL bounds empty records and warnings, and KeyUpdates not at all (RFC 8446 section 4.6.3): each costs 19 us, and its
 * answer waits in OpenSSL's own buffer for a client that never reads, where no high watermark is. No event tells of them,
 * so what came over the wire is compared with what came out of it, once a second.
 */

import { plainAddress } from './accept.ts';
import type { ThreadContext } from './thread-context.ts';
import { Timed } from './timer-wheel.ts';
import type { TlsStream } from './tls-stream.ts';

/** At each tick of the wheel a part of the connections is looked at: half a microsecond each. */
export const LOOKS_A_ROUND = 10;
/**
 * A byte of data excuses this many on the wire: the shortest records have 31 bytes a byte of data, and a request of 128
 * bytes may be padded to the longest record there is (RFC 8446 section 5.4).
 */
export const WIRE_BYTES_A_BYTE = 128;
/** Bytes on the wire that nothing excuses. */
export const IDLE_BYTES_MAX = 64 * 1024;
/** Sealed bytes that may wait besides those that were written: an answer of ours to each KeyUpdate. */
const SEALED_BYTES_MAX = 1024 * 1024;

const REASON = { idle: 'records without data', unread: 'answers to KeyUpdates unread' } as const;

interface Watched {
  wireBytes: number;
  dataBytes: number;
  /** Of the wire's bytes, those that no data has excused. 0 <= idleBytes. */
  idleBytes: number;
}

export class RecordWatch extends Timed {
  readonly #context: ThreadContext;
  readonly #watched = new Map<TlsStream, Watched>();
  #round = this.#watched.entries();

  constructor(context: ThreadContext) {
    super();
    this.#context = context;
  }

  /** Looks at `stream`, whose handshake is done, from now on until it is gone. */
  add(stream: TlsStream): void {
    if (this.#watched.size === 0) this.#context.wheel.arm(this, 0);
    this.#watched.set(stream, { wireBytes: stream.bytesOnWire, dataBytes: stream.bytesRead, idleBytes: 0 });
  }

  onDeadline(): void {
    for (let left = Math.ceil(this.#watched.size / LOOKS_A_ROUND); left > 0; left--) this.#lookAtNext();
    if (this.#watched.size > 0) this.#context.wheel.arm(this, 0);
  }

  #lookAtNext(): void {
    let next = this.#round.next();
    if (next.done) {
      this.#round = this.#watched.entries();
      next = this.#round.next();
    }
    if (next.done) return;
    const [stream, watched] = next.value;
    if (stream.destroyed) {
      this.#watched.delete(stream);
      return;
    }
    const reason = fault(stream, watched);
    if (reason === null) return;
    this.#context.log.info('TLS connection ended', { client: plainAddress(stream.remoteAddress), reason });
    stream.destroy();
  }
}

function fault(stream: TlsStream, watched: Watched): string | null {
  const wireBytes = stream.bytesOnWire;
  const dataBytes = stream.bytesRead;
  const excused = WIRE_BYTES_A_BYTE * (dataBytes - watched.dataBytes);
  watched.idleBytes = Math.max(0, watched.idleBytes + wireBytes - watched.wireBytes - excused);
  watched.wireBytes = wireBytes;
  watched.dataBytes = dataBytes;
  if (watched.idleBytes > IDLE_BYTES_MAX) return REASON.idle;
  return stream.bytesSealed > SEALED_BYTES_MAX + 2 * stream.writableLength ? REASON.unread : null;
}
