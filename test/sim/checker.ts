/**
 * What must hold at every step, whatever breaks (paper, figure 3). Fed by the simulation with what members do; throws at
 * the first violation.
 */

import type { Raft } from '../../src/raft/raft.ts';
import type { Entry, MemberId, Snapshot } from '../../src/raft/types.ts';

export class Violation extends Error {}

interface Known {
  readonly text: string;
  readonly previousTerm: number;
}

export class Checker {
  /** Who led each term. */
  readonly #leaders = new Map<number, MemberId>();
  /** What stands at (index, term) in any log. */
  readonly #known = new Map<string, Known>();
  /** What anybody has applied, by index. */
  readonly #applied: (string | undefined)[] = [];
  /** What was found committed, by rising index, and the term of the member that found it so. */
  readonly #committed: { index: number; term: number; foundIn: number }[] = [];

  /** Election safety: at most one leader a term. Leader completeness: it has all that was ever committed. */
  leads(raft: Raft): void {
    const before = this.#leaders.get(raft.term);
    if (before !== undefined && before !== raft.id) {
      throw new Violation(`election safety: ${before} and ${raft.id} both lead term ${raft.term}`);
    }
    if (before === raft.id) return;
    this.#leaders.set(raft.term, raft.id);
    const { log } = raft;
    // what was committed in this term or later is no concern of this leader's: it may be a leader of old that was paused
    const due = this.#committed.findLast(({ foundIn }) => foundIn < raft.term);
    if (due === undefined || log.firstIndex > due.index || log.termAt(due.index) === due.term) return;
    throw new Violation(
      `leader completeness: ${raft.id} leads term ${raft.term} without entry ${due.index} of term ${due.term}`,
    );
  }

  /** Log matching: the same index and term mean the same entry, and the same entry before it. */
  appends(raft: Raft, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const text = describe(entry);
      const previousTerm = raft.log.termAt(entry.index - 1);
      if (previousTerm === null) continue;
      const key = `${entry.index}/${entry.term}`;
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, { text, previousTerm });
      else if (known.text !== text || known.previousTerm !== previousTerm) {
        throw new Violation(
          `log matching: ${key} is ${known.text} after ${known.previousTerm}, and at ${raft.id} ${text} after ${previousTerm}`,
        );
      }
    }
  }

  /** State machine safety: nobody applies another entry at an index than anybody else. */
  applies(raft: Raft, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const text = `${entry.term}:${describe(entry)}`;
      const before = this.#applied[entry.index];
      if (before !== undefined && before !== text) {
        throw new Violation(`state machine safety: entry ${entry.index} is ${before}, and at ${raft.id} ${text}`);
      }
      this.#applied[entry.index] = text;
      if (entry.index > (this.#committed.at(-1)?.index ?? 0)) {
        this.#committed.push({ index: entry.index, term: entry.term, foundIn: raft.term });
      }
    }
  }

  /** A snapshot stands for what was applied, and carries the membership as of its index. */
  restores(raft: Raft, snapshot: Snapshot): void {
    const expected = this.membershipAt(snapshot.index);
    const found = JSON.stringify(snapshot.membership);
    if (expected !== null && expected !== found) {
      throw new Violation(`snapshot: ${raft.id} takes ${snapshot.index} with membership ${found}, not ${expected}`);
    }
  }

  /** The state that a machine must have after `index`: every command up to there, in order. */
  stateAt(index: number): string {
    let state = '';
    for (let i = 1; i <= index; i++) {
      const match = /^\d+:command (.*)$/.exec(this.#applied[i] ?? '');
      if (match) state += `${match[1]},`;
    }
    return state;
  }

  #memberships: { index: number; text: string }[] = [];

  /** Committed memberships, as they are applied. */
  membershipApplied(index: number, text: string): void {
    if (index > (this.#memberships.at(-1)?.index ?? 0)) this.#memberships.push({ index, text });
  }

  membershipAt(index: number): string | null {
    return this.#memberships.findLast((m) => m.index <= index)?.text ?? null;
  }
}

export function describe({ payload }: Entry): string {
  if (payload.kind === 'command') return `command ${Buffer.from(payload.data).toString()}`;
  return payload.kind === 'noop' ? 'noop' : `membership ${JSON.stringify(payload.membership)}`;
}
