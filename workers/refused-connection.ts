/**
 * A plain connection that a limit stands against: told so by a status, and closed. Listener threads.
 *
 * It holds a descriptor until its client has read the answer, so there are few at once; the rest are closed without a word.
 */

import { type AcceptedStream, reset } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';
import { ADMISSION, type Admission } from './connection-limits.ts';
import { localResponse } from './http1/rewrite.ts';
import { Timed, type TimerWheel } from './timer-wheel.ts';

/** For a client to read the answer and close: a close with its request unread would take the answer back. */
const TOLD_MS = 1_000;

/** Those of a thread. */
export class RefusedConnections {
  readonly wheel: TimerWheel;
  told = 0;
  /** Told at one time. At least 1. */
  toldMax: number;

  constructor(wheel: TimerWheel, toldMax: number) {
    this.wheel = wheel;
    this.toldMax = toldMax;
  }

  refuse(stream: AcceptedStream, admission: Exclude<Admission, 0>): StreamOwner {
    return new RefusedConnection(stream, admission === ADMISSION.addressFull ? 429 : 503, this);
  }
}

class RefusedConnection extends Timed implements StreamOwner {
  readonly #stream: AcceptedStream;
  readonly #all: RefusedConnections;
  readonly #isTold: boolean;

  constructor(stream: AcceptedStream, status: 429 | 503, all: RefusedConnections) {
    super();
    this.#stream = stream;
    this.#all = all;
    this.#isTold = all.told < all.toldMax;
    if (!this.#isTold) {
      // its owner is told of bytes from the next turn on
      setImmediate(reset, stream);
      return;
    }
    all.told++;
    all.wheel.arm(this, TOLD_MS);
    stream.write(localResponse(status, { close: true, withoutBody: false }), 'latin1');
    stream.end();
  }

  onBytes(): void {}

  onEnd(): void {
    this.#stream.destroy();
  }

  onClose(): void {
    if (!this.#isTold) return;
    this.#all.told--;
    this.#all.wheel.remove(this);
  }

  onDeadline(): void {
    this.#stream.destroy();
  }
}
