/** How often the configuration was read again, and with what result. Main thread. */

export interface ReloadsStatus {
  readonly ok: number;
  readonly failed: number;
  /** What is in force is what the file said when it was last read. */
  readonly isLastOk: boolean;
  /** Unix time at which the configuration in force was read, ms. */
  readonly lastOkAtMs: number;
}

export class ReloadCounts {
  readonly #now: () => number;
  #ok = 0;
  #failed = 0;
  #isLastOk = true;
  #lastOkAtMs: number;

  /** The configuration has been read for the first time: that is no reload. `now` gives Unix time, ms. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#lastOkAtMs = now();
  }

  record(isOk: boolean): void {
    this.#isLastOk = isOk;
    if (isOk) {
      this.#ok++;
      this.#lastOkAtMs = this.#now();
    } else this.#failed++;
  }

  get status(): ReloadsStatus {
    return { ok: this.#ok, failed: this.#failed, isLastOk: this.#isLastOk, lastOkAtMs: this.#lastOkAtMs };
  }
}
