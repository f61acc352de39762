/**
 * The log: a snapshot, and the entries after it (paper, 5.3 and 7). In memory; the driver keeps the durable copy. Pure.
 */

import type { Entry, Membership, Snapshot } from './types.ts';

/** The end of what was compacted away: the entry there is known by its term alone. */
interface Base {
  readonly index: number;
  readonly term: number;
  readonly membership: Membership;
}

export class RaftLog {
  /** Invariant: base.index <= snapshot.index <= lastIndex; the entries between serve followers a little behind. */
  #base: Base;
  #snapshot: Snapshot;
  /** entries[i].index === base.index + 1 + i */
  #entries: Entry[];

  /** A log as the driver found it: `entries` follow on `snapshot`. */
  constructor(snapshot: Snapshot, entries: readonly Entry[]) {
    this.#base = this.#snapshot = snapshot;
    this.#entries = [...entries];
    assertContiguous(snapshot.index, entries);
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }
  /** Index of the first entry that is there as an entry; lastIndex + 1 where there is none. */
  get firstIndex(): number {
    return this.#base.index + 1;
  }
  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }
  get lastTerm(): number {
    return this.termAt(this.lastIndex) as number;
  }

  /** The term of the entry at `index`; null where the log does not know it (compacted away, or not there yet). */
  termAt(index: number): number | null {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.firstIndex]?.term ?? null;
  }

  /** Entries from `from` on, at most `countMax`, up to `to` inclusive. `from` is not compacted away. */
  slice(from: number, to: number, countMax: number): Entry[] {
    if (from < this.firstIndex) throw new RangeError(`entry ${from} is compacted away`);
    const start = from - this.firstIndex;
    return this.#entries.slice(start, Math.min(to - this.#base.index, start + countMax));
  }

  /** Appends after cutting off what stands from the first entry's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index < this.firstIndex || first.index > this.lastIndex + 1) {
      throw new RangeError(`entry ${first.index} does not follow on ${this.firstIndex}..${this.lastIndex}`);
    }
    assertContiguous(first.index - 1, entries);
    this.#entries.length = first.index - this.firstIndex;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Of `entries` those that are new here, beginning with the first that conflicts or is missing (paper, 5.3). */
  newOf(entries: readonly Entry[]): readonly Entry[] {
    const first = entries.findIndex(({ index, term }) => this.termAt(index) !== term);
    return first < 0 ? [] : entries.slice(first);
  }

  /**
   * The largest index up to `index` whose term is at most `term`: where a log that has `term` at `index` may agree with
   * this one. Skips a whole term of conflicting entries at once (paper, end of 5.3).
   */
  agreementBefore(index: number, term: number): number {
    for (let i = Math.min(index, this.lastIndex); i >= this.#base.index; i--) {
      if ((this.termAt(i) as number) <= term) return i;
    }
    return this.#base.index;
  }

  /** The paper's "at least as up-to-date" (5.4.1): does a log that ends so hold all that this one might have committed? */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** The latest membership in the log, committed or not, and its index (thesis, 4.1: in force as soon as it is appended). */
  get membership(): { readonly membership: Membership; readonly index: number } {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const { payload, index } = this.#entries[i] as Entry;
      if (payload.kind === 'membership') return { membership: payload.membership, index };
    }
    return { membership: this.#base.membership, index: this.#base.index };
  }

  /** Membership as of `index`, which is not compacted away. */
  membershipAt(index: number): Membership {
    for (let i = index - this.firstIndex; i >= 0; i--) {
      const payload = this.#entries[i]?.payload;
      if (payload?.kind === 'membership') return payload.membership;
    }
    return this.#base.membership;
  }

  /** Takes a snapshot as of an applied index, and lets go of the entries up to `reserved` before it. */
  compact(snapshot: Snapshot, reserved: number): void {
    const index = Math.max(this.#base.index, snapshot.index - reserved);
    const base = { index, term: this.termAt(index) as number, membership: this.membershipAt(index) };
    this.#entries = this.#entries.slice(index - this.#base.index);
    this.#base = base;
    this.#snapshot = snapshot;
  }

  /** Replaces everything by a leader's snapshot. */
  restore(snapshot: Snapshot): void {
    this.#base = this.#snapshot = snapshot;
    this.#entries = [];
  }
}

function assertContiguous(before: number, entries: readonly Entry[]): void {
  entries.forEach(({ index }, i) => {
    if (index !== before + 1 + i) throw new RangeError(`entry ${index} stands where ${before + 1 + i} belongs`);
  });
}
