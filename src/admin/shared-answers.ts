/**
 * Answers that cost the main thread much: each is made once for all who ask at the same time, one after the other, and seldom
 * enough that whoever asks without end cannot keep this thread from its heartbeats. Main thread.
 */

import { setTimeout as sleep } from 'node:timers/promises';

/** Of the main thread's time, answers take at most one part in about this many. */
const REST_FACTOR = 20;
/** A connection may stand still for longer. */
const REST_MS_MAX = 2_000;

/** What somebody gets is made after they have asked: never an old answer. */
export class SharedAnswers {
  /** Not begun yet. At most one a request that waits. */
  readonly #awaited = new Map<string, Promise<Buffer>>();
  /** Resolves when the last one is made, and the rest after it is over. */
  #turn: Promise<unknown> = Promise.resolve();
  #restMs = 0;

  /** What `make` answers, or rejects with; the same for the same `key`. The bytes are one copy for all. */
  get(key: string, make: () => Promise<string> | string): Promise<Buffer> {
    const awaited = this.#awaited.get(key);
    if (awaited !== undefined) return awaited;
    const made = this.#turn.then(() => this.#make(key, make));
    this.#awaited.set(key, made);
    const rest = () => sleep(this.#restMs, null, { ref: false });
    this.#turn = made.then(rest, rest);
    return made;
  }

  async #make(key: string, make: () => Promise<string> | string): Promise<Buffer> {
    this.#awaited.delete(key);
    const beganMs = performance.now();
    try {
      return Buffer.from(await make());
    } finally {
      this.#restMs = Math.min((performance.now() - beganMs) * REST_FACTOR, REST_MS_MAX);
    }
  }
}
