/**
 * How long each key has been in its stage. Pure: the clocks are given. Main thread.
 *
 * The ring holds times of the wall clocks of whoever led then, and a wall clock can be wrong, or be set. So they count for
 * what happened before it could be seen here: for what a ring holds when it is first seen, after a start or a restore.
 * From then on, and for all that is seen to happen, a clock counts that only runs forward.
 */

import type { KeyRing, RingKey } from './key-ring.ts';
import { nameOf } from './ticket-key.ts';

export class KeyAges {
  /** Of each key in its stage: when it began, ms of the steady clock. May lie before that clock did. */
  #beganMs = new Map<string, number>();
  #ring: Pick<KeyRing, 'keys'> | null = null;
  #keys: readonly RingKey[] | null = null;
  #steadyMs = 0;

  /**
   * Looks at the ring. `nowMs` is Unix time, `steadyMs` a clock that only runs forward. `isLive`: what is new in it has
   * just happened, and is not read from an old log.
   */
  observe(ring: Pick<KeyRing, 'keys'>, nowMs: number, steadyMs: number, isLive = true): void {
    this.#steadyMs = steadyMs;
    if (ring === this.#ring && ring.keys === this.#keys) return;
    const hasJustHappened = isLive && ring === this.#ring;
    const before = this.#beganMs;
    this.#ring = ring;
    this.#keys = ring.keys;
    this.#beganMs = new Map(
      ring.keys.map((key) => {
        const stage = stageOf(key);
        const ageMs = hasJustHappened ? 0 : Math.max(0, nowMs - key.sinceMs);
        return [stage, before.get(stage) ?? steadyMs - ageMs];
      }),
    );
  }

  /** Of a key that was in the ring when it was last looked at, ms. */
  readonly ageMs = (key: RingKey): number => this.#steadyMs - (this.#beganMs.get(stageOf(key)) ?? this.#steadyMs);
}

function stageOf({ bytes, stage }: RingKey): string {
  return `${stage} ${nameOf(bytes)}`;
}
