/**
 * Answers that cost the main thread much: each is made once for all who ask at the same time, one after the other, and seldom
 * enough that whoever asks without end cannot keep this thread from its heartbeats. Main thread.
 */

import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Asking, patiently } from './patiently.ts';

/** Of the main thread's time, answers take at most one part in about this many. */
const REST_FACTOR = 20;
/** With each kind waiting for all others, an answer takes a few times this at the most. */
const REST_MS_MAX = 2_000;
const NOTHING = Buffer.alloc(0);

interface Awaited {
  readonly make: () => Promise<string> | string;
  askers: readonly Socket[];
  readonly answer: PromiseWithResolvers<Buffer>;
}

/** What somebody gets is made after they have asked: never an old answer. */
export class SharedAnswers {
  /**
   * What is not begun yet, by key in each kind; the kind whose turn it is comes first. Invariant: who has left is forgotten when
   * the next one asks, so there is no more than there are connections.
   */
  readonly #awaited = new Map<string, Map<string, Awaited>>();
  /** One is being made, or the rest after it is not over. */
  #isWorking = false;

  /**
   * What `make` answers, or rejects with; the same for the same `kind` and `key`. The bytes are one copy for all. Kinds take
   * turns, so that who asks for many things of one kind holds up no other.
   */
  get(request: Asking, kind: string, make: Awaited['make'], key = ''): Promise<Buffer> {
    const ofKind = this.#awaited.get(kind) ?? new Map<string, Awaited>();
    this.#awaited.set(kind, ofKind);
    forgetThoseWhoLeft(ofKind);
    const awaited = ofKind.get(key) ?? { make, askers: [], answer: Promise.withResolvers<Buffer>() };
    awaited.askers = [...awaited.askers, request.raw.socket];
    ofKind.set(key, awaited);
    if (!this.#isWorking) void this.#work();
    return patiently(request, awaited.answer.promise);
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    // whoever asks in this turn of the event loop shares
    await null;
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const beganMs = performance.now();
      await answerTo(next);
      const restMs = Math.min((performance.now() - beganMs) * REST_FACTOR, REST_MS_MAX);
      await sleep(restMs, null, { ref: false });
    }
    this.#isWorking = false;
  }

  /** Its kind goes to the end of the line. */
  #next(): Awaited | null {
    for (const [kind, ofKind] of this.#awaited) {
      this.#awaited.delete(kind);
      forgetThoseWhoLeft(ofKind);
      const [first] = ofKind;
      if (first === undefined) continue;
      const [key, awaited] = first;
      ofKind.delete(key);
      if (ofKind.size > 0) this.#awaited.set(kind, ofKind);
      return awaited;
    }
    return null;
  }
}

function forgetThoseWhoLeft(ofKind: Map<string, Awaited>): void {
  for (const [key, awaited] of ofKind) {
    awaited.askers = awaited.askers.filter(({ destroyed }) => !destroyed);
    if (awaited.askers.length > 0) continue;
    ofKind.delete(key);
    awaited.answer.resolve(NOTHING);
  }
}

/** Never rejects. */
async function answerTo({ make, answer }: Awaited): Promise<void> {
  try {
    answer.resolve(Buffer.from(await make()));
  } catch (error) {
    answer.reject(error);
  }
}
