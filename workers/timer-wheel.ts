/**
 * Deadlines for every connection of a listener thread on one timer: a hashed wheel (Varghese and Lauck, scheme 6).
 * A socket.setTimeout a connection costs 5 % of a request; moving a deadline here is one store, because a deadline
 * that moves later stays in its bucket until that comes round.
 */

const TICK_MS = 100;
const BUCKETS = 512; // a power of two; 51 s, later deadlines come round more than once

/** A tick that comes later than this says that the thread stood still, or the machine. */
const STALL_MS = 1_000;

/** Something with a deadline. The fields are for the wheel's use. */
export abstract class Timed {
  wheelPrevious: Timed | null = null;
  wheelNext: Timed | null = null;
  /** Bucket it hangs in, -1 for none. */
  wheelBucket = -1;
  /** Tick at which it is looked at next. */
  wheelTick = 0;
  /** Wheel time in ms, Infinity for none. Invariant: wheelTick comes no later than the deadline's tick. */
  deadline = Number.POSITIVE_INFINITY;
  /** Called once when the deadline has passed; the deadline is Infinity then. */
  abstract onDeadline(): void;
}

export class TimerWheel {
  /** Milliseconds since the wheel began, as of the last tick: up to TICK_MS behind. */
  now = 0;
  readonly #heads: (Timed | null)[] = new Array<Timed | null>(BUCKETS).fill(null);
  /** When it would have begun, had it never stood still. */
  #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #tick = 0;

  /** `onTick` is called at every tick, about ten times a second, after the deadlines. */
  constructor(onTick: () => void) {
    this.#timer = setInterval(() => {
      this.tickAt(performance.now());
      onTick();
    }, TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Moves to a moment of performance.now(). Time in which the thread stood still does not count: what came meanwhile waits
   * unread, which is nobody's fault; and what is armed between its waking and its first tick is armed by the time before.
   */
  tickAt(nowMs: number): void {
    const stoodMs = nowMs - this.#startedMs - this.now - TICK_MS;
    if (stoodMs > STALL_MS) this.#startedMs += stoodMs;
    this.advance(nowMs - this.#startedMs);
  }

  /**
   * Sets `timed`'s deadline to `ms` from now: at most two ticks late, and by as much as the thread stands still meanwhile;
   * early by less than STALL_MS, where it has just stood still: `now` is the last tick's.
   */
  arm(timed: Timed, ms: number): void {
    timed.deadline = this.now + ms + TICK_MS;
    if (timed.wheelBucket < 0 || timed.deadline < timed.wheelTick * TICK_MS) {
      this.#unlink(timed);
      this.#link(timed);
    }
  }

  /** No deadline for now; the place in the wheel is kept, as another deadline mostly follows. */
  disarm(timed: Timed): void {
    timed.deadline = Number.POSITIVE_INFINITY;
  }

  /** Forgets `timed`: for when its connection is gone. */
  remove(timed: Timed): void {
    timed.deadline = Number.POSITIVE_INFINITY;
    this.#unlink(timed);
  }

  /** Moves to `elapsedMs` since the start and calls what is due. For the interval, and for tests. */
  advance(elapsedMs: number): void {
    const target = Math.floor(elapsedMs / TICK_MS);
    // after a long stall every bucket is looked at once: no deadline can hide
    const first = Math.max(this.#tick + 1, target - BUCKETS + 1);
    this.now = Math.max(this.now, target * TICK_MS);
    for (let tick = first; tick <= target; tick++) {
      this.#tick = tick;
      this.#visit(tick & (BUCKETS - 1));
    }
  }

  /** Empties a bucket. What stays on the wheel goes to another bucket, so this ends; callbacks may unlink at will. */
  #visit(bucket: number): void {
    for (;;) {
      const timed = this.#heads[bucket] as Timed | null;
      if (timed === null) return;
      this.#unlink(timed);
      if (timed.deadline <= this.now) {
        timed.deadline = Number.POSITIVE_INFINITY;
        timed.onDeadline();
      } else if (timed.deadline !== Number.POSITIVE_INFINITY) this.#link(timed);
    }
  }

  #link(timed: Timed): void {
    const ahead = Math.min(BUCKETS - 1, Math.max(1, Math.ceil((timed.deadline - this.now) / TICK_MS)));
    timed.wheelTick = this.#tick + ahead;
    const bucket = timed.wheelTick & (BUCKETS - 1);
    const head = this.#heads[bucket] as Timed | null;
    timed.wheelBucket = bucket;
    timed.wheelPrevious = null;
    timed.wheelNext = head;
    if (head !== null) head.wheelPrevious = timed;
    this.#heads[bucket] = timed;
  }

  #unlink(timed: Timed): void {
    if (timed.wheelBucket < 0) return;
    if (timed.wheelPrevious !== null) timed.wheelPrevious.wheelNext = timed.wheelNext;
    else this.#heads[timed.wheelBucket] = timed.wheelNext;
    if (timed.wheelNext !== null) timed.wheelNext.wheelPrevious = timed.wheelPrevious;
    timed.wheelPrevious = timed.wheelNext = null;
    timed.wheelBucket = -1;
  }
}
