/**
 * When each node is checked: a bounded number at once, few begun in one turn of the event loop, and no check of a node
 * while the one before it runs. Main thread, which must never stand still: heartbeats are 100 ms apart.
 *
 *   add ─► (first delay) ─► due ─► waits for its turn ─► runs ─► due again, a period after it began
 */

/** Checks under way at once; further ones wait. A rack of nodes that do not answer must not hold up the others' checks. */
const RUNNING_MAX = 1_024;
/** Begun in one turn of the event loop: about 3 ms of the main thread's time. */
const STARTS_PER_TURN = 32;

export interface Running {
  /** Ends it: `onDone` is not called any more. */
  cancel(): void;
}

/** One node's check, again and again. */
export interface Job {
  /** From the beginning of one run to that of the next, ms. Asked for at each. */
  periodMs(): number;
  /** Begins. `onDone` is called once, after this has returned. */
  run(onDone: () => void): Running;
}

class Entry {
  readonly job: Job;
  timer: NodeJS.Timeout | null = null;
  running: Running | null = null;
  /** Its time has come while it still ran. */
  isOverdue = false;
  /** When it began to wait for its turn; performance.now(). */
  dueAtMs = 0;

  constructor(job: Job) {
    this.job = job;
  }
}

export class CheckSchedule {
  /** The limits above had a check wait for so long: there are more than they allow for. */
  readonly #onLate: (byMs: number) => void;
  readonly #entries = new Map<Job, Entry>();
  /** Those that wait for their turn, in this order. */
  readonly #due = new Set<Entry>();
  #running = 0;
  #turn: NodeJS.Immediate | null = null;
  /** Since when the limits above have had checks wait without a break; performance.now(). What was before, CPU time cost. */
  #fullSinceMs = Number.POSITIVE_INFINITY;

  constructor(onLate: (byMs: number) => void = () => {}) {
    this.#onLate = onLate;
  }

  /** Checks under way. */
  get running(): number {
    return this.#running;
  }

  /** Runs `job` after `firstMs`, and from then on a period after each run has begun. */
  add(job: Job, firstMs: number): void {
    const entry = new Entry(job);
    this.#entries.set(job, entry);
    this.#arm(entry, firstMs);
  }

  /** Forgets `job`, and ends its run where one is under way. */
  remove(job: Job): void {
    const entry = this.#entries.get(job);
    if (entry === undefined) return;
    this.#entries.delete(job);
    this.#due.delete(entry);
    if (entry.timer !== null) clearTimeout(entry.timer);
    if (entry.running === null) return;
    entry.running.cancel();
    this.#running--;
    this.#pump();
  }

  #arm(entry: Entry, ms: number): void {
    entry.timer = setTimeout(() => this.#onDue(entry), ms);
  }

  #onDue(entry: Entry): void {
    entry.timer = null;
    if (entry.running !== null) {
      entry.isOverdue = true;
      return;
    }
    entry.dueAtMs = performance.now();
    if (this.#due.size === 0) this.#fullSinceMs = Number.POSITIVE_INFINITY;
    this.#due.add(entry);
    this.#pump();
  }

  /** Has the next turn of the event loop begin what may begin. */
  #pump(): void {
    if (this.#turn !== null || this.#due.size === 0) return;
    if (this.#running >= RUNNING_MAX) {
      this.#noteFull();
      return;
    }
    this.#turn = setImmediate(() => {
      this.#turn = null;
      for (let starts = 0; starts < STARTS_PER_TURN && this.#running < RUNNING_MAX; starts++) {
        const [entry] = this.#due;
        if (entry === undefined) return;
        this.#due.delete(entry);
        this.#begin(entry);
      }
      if (this.#due.size > 0) this.#noteFull();
      this.#pump();
    });
  }

  #noteFull(): void {
    this.#fullSinceMs = Math.min(this.#fullSinceMs, performance.now());
  }

  #begin(entry: Entry): void {
    const periodMs = entry.job.periodMs();
    const lateMs = performance.now() - Math.max(entry.dueAtMs, this.#fullSinceMs);
    if (lateMs > periodMs) this.#onLate(lateMs);
    this.#arm(entry, periodMs);
    this.#running++;
    entry.running = entry.job.run(() => this.#onDone(entry));
  }

  #onDone(entry: Entry): void {
    entry.running = null;
    this.#running--;
    if (entry.isOverdue) {
      entry.isOverdue = false;
      this.#onDue(entry);
    } else this.#pump();
  }
}
