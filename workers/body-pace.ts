/**
 * How long one side of a body may take: a silence of `timeoutMs` at most, of which each byte that moves buys a part back, at
 * the price of the least rate. Whoever is slower on average runs out of time. Listener threads; pure.
 *
 * Only the time counts in which this side is waited for. Times are the timer wheel's.
 */
export class BodyPace {
  #timeoutMs = 0;
  /** What a byte buys; Infinity: all of it. */
  #msPerByte = Number.POSITIVE_INFINITY;
  #leftMs = 0;
  /** Since when it is waited for; -1: it is not. */
  #sinceMs = -1;

  /** A body begins. `rateMin`: bytes a second; 0: any byte will do. */
  begin(timeoutMs: number, rateMin: number): void {
    this.#timeoutMs = timeoutMs;
    this.#msPerByte = 1_000 / rateMin;
    this.#leftMs = timeoutMs;
    this.#sinceMs = -1;
  }

  /** `bytes` have moved. They buy nothing that is not missing. */
  moved(bytes: number, nowMs: number): void {
    if (bytes <= 0) return;
    this.#spend(nowMs);
    this.#leftMs = Math.min(this.#timeoutMs, this.#leftMs + bytes * this.#msPerByte);
  }

  /** This side is waited for. Returns the time it has left, ms: at least 0. */
  await(nowMs: number): number {
    if (this.#sinceMs < 0) this.#sinceMs = nowMs;
    else this.#spend(nowMs);
    return Math.max(0, this.#leftMs);
  }

  /** The other side is waited for. */
  rest(nowMs: number): void {
    this.#spend(nowMs);
    this.#sinceMs = -1;
  }

  #spend(nowMs: number): void {
    if (this.#sinceMs < 0) return;
    this.#leftMs -= nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
  }
}
