/**
 * How often something may happen: at a rate, and some of it at once. Pure. Main thread.
 */

export interface Rate {
  readonly perSecond: number;
  /** What may come at once after a quiet while. At least 1. */
  readonly burst: number;
}

/** Invariant: 0 <= tokens <= burst. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #filledAtMs: number;

  /** Full. Times are of any clock that never goes back. */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filledAtMs = nowMs;
  }

  /** Takes a token; false where there is none. */
  take(nowMs: number): boolean {
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * perSecond);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
