/**
 * Whether the listener threads are well enough for a sign of life. Pure: it is told the time. Main thread.
 *
 * A thread that dies or hangs is replaced by the supervisor, and meanwhile the others serve: no reason to have the whole
 * program restarted. So it counts only once there has been at least one thread too few for longer than a replacement takes.
 */

export interface ThreadsSeen {
  readonly areAllAlive: boolean;
  /** In which a hanging thread is noticed and another one serves in its place. */
  readonly replacementMsMax: number;
}

export class ThreadWatch {
  #deadSinceMs: number | null = null;
  #seenMs: number | null = null;

  /** How things are at `nowMs` of a steady clock, told far more often than a replacement takes. Whether all is well. */
  observe({ areAllAlive, replacementMsMax }: ThreadsSeen, nowMs: number): boolean {
    const silentMs = nowMs - (this.#seenMs ?? nowMs);
    this.#seenMs = nowMs;
    if (areAllAlive) this.#deadSinceMs = null;
    // nobody looked for so long (a paused machine): no thread was replaced meanwhile either
    else if (this.#deadSinceMs === null || silentMs > replacementMsMax) this.#deadSinceMs = nowMs;
    return this.#deadSinceMs === null || nowMs - this.#deadSinceMs <= replacementMsMax;
  }
}
