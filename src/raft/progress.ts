/**
 * What a leader knows of one follower, and how fast it may send to it (paper, figure 2: nextIndex and matchIndex). Pure.
 *
 *   probe      one append at a time, until the logs are known to agree
 *   replicate  appends follow one another without waiting, up to a window
 *   snapshot   the log before next is gone: nothing but heartbeats until the snapshot has arrived
 */

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  state: ProgressState = 'probe';
  /** The log is known to agree up to here. Invariant: match < next. */
  match = 0;
  next: number;
  /** The follower has applied up to here, as it last said. Invariant: applied <= match. */
  applied = 0;
  /** Ticks since it was last heard of; Infinity where it has not been since this leader was elected. */
  silentTicks = Number.POSITIVE_INFINITY;
  /** Heard of since the last check of the quorum. */
  isActive: boolean;
  /** Probe: an append is under way, and the next waits for its answer or a heartbeat. */
  isProbing = false;
  /** Snapshot: index of the one under way. */
  pendingSnapshot = 0;
  /** Snapshot: it has been under way for a whole period. */
  #isSnapshotOld = false;
  /** Replicate: last index of each append under way, ascending. */
  #inFlight: number[] = [];

  constructor(next: number, isActive: boolean) {
    this.next = next;
    this.isActive = isActive;
  }

  isPaused(inFlightMax: number): boolean {
    if (this.state === 'probe') return this.isProbing;
    return this.state === 'snapshot' || this.#inFlight.length >= inFlightMax;
  }

  /** An append up to `lastIndex` has been handed over for sending. */
  sent(lastIndex: number): void {
    if (this.state === 'probe') this.isProbing = true;
    else {
      this.next = lastIndex + 1;
      this.#inFlight.push(lastIndex);
    }
  }

  /** The follower's log agrees up to `index`. Returns whether that is news. */
  accepted(index: number): boolean {
    while (this.#inFlight.length > 0 && (this.#inFlight[0] as number) <= index) this.#inFlight.shift();
    const isNews = index > this.match;
    if (isNews) {
      this.match = index;
      this.next = Math.max(this.next, index + 1);
    }
    if (this.state === 'probe' || (this.state === 'snapshot' && index >= this.pendingSnapshot))
      this.#become('replicate');
    return isNews;
  }

  /**
   * The append after `index` was refused; the logs agree at `agreeAt` at the latest. Returns whether to send at once: not
   * so for an answer that came late and says nothing any more.
   */
  rejected(index: number, agreeAt: number): boolean {
    if (this.state === 'snapshot' || index < this.match) return false;
    if (index === this.match) {
      // what it had confirmed is gone: its disk has lost it, or the refusal is an old one, and to probe does no harm.
      // With the next heartbeat: one that confirms and refuses by turns, as after a false leader's snapshot, would else be
      // asked as fast as the network carries it, for ever
      this.match = Math.min(this.match, agreeAt);
      this.#become('probe');
      return false;
    }
    if (this.state === 'replicate') {
      this.#become('probe');
      return true;
    }
    if (this.next - 1 !== index) return false;
    this.next = Math.max(Math.min(index, agreeAt + 1), this.match + 1);
    this.isProbing = false;
    return true;
  }

  awaitSnapshot(index: number): void {
    this.#become('snapshot');
    this.pendingSnapshot = index;
  }

  /** A heartbeat is due: what is under way may be lost, and one more may be sent. */
  freeOne(inFlightMax: number): void {
    this.isProbing = false;
    if (this.#inFlight.length >= inFlightMax) this.#inFlight.shift();
  }

  /** A check of the quorum is over. A snapshot that has not arrived within a whole period counts as lost. */
  endPeriod(): void {
    this.isActive = false;
    if (this.state !== 'snapshot') return;
    if (this.#isSnapshotOld) this.unreachable();
    else this.#isSnapshotOld = true;
  }

  /** The peer cannot be reached, or a snapshot was lost: begin again carefully. */
  unreachable(): void {
    if (this.state !== 'probe') this.#become('probe');
    this.isProbing = false;
  }

  #become(state: ProgressState): void {
    this.next =
      state === 'probe' && this.state === 'snapshot' ? Math.max(this.match, this.pendingSnapshot) + 1 : this.match + 1;
    this.state = state;
    this.isProbing = false;
    this.pendingSnapshot = 0;
    this.#isSnapshotOld = false;
    this.#inFlight = [];
  }
}
