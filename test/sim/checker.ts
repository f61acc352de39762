/**
 * What must hold at every step within one cluster, whatever breaks (paper, figure 3). Fed by the simulation with what
 * members do; throws at the first violation.
 */

import { ReplicatedState } from '../../src/control/state.ts';
import type { Raft } from '../../src/raft/raft.ts';
import type { Entry, MemberId, Membership, Snapshot } from '../../src/raft/types.ts';
import { isKeyCommand, isSame, SimState, type StateText, stateText } from './sim-state.ts';

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
  /** Committed memberships, by rising index. */
  readonly #memberships: { index: number; membership: Membership; text: string }[] = [];
  /** The state that a machine must have after each index: every command up to there, in order. */
  readonly #states: StateText[] = [];
  /** The last of them. */
  readonly #state = new SimState(new ReplicatedState());

  constructor(founding: Snapshot) {
    this.#state.restore(founding.data);
    this.#states[founding.index] = this.#state.text;
    this.#noteMembership(founding.index, founding.membership);
  }

  get elections(): number {
    return this.#leaders.size;
  }

  /** In force as far as anybody knows it committed. */
  get membership(): Membership {
    return this.#memberships.at(-1)?.membership as Membership;
  }

  /**
   * Election safety: at most one leader a term. Leader completeness: it has all that was ever committed. Returns whether
   * it is a new one.
   */
  leads(raft: Raft): boolean {
    const before = this.#leaders.get(raft.term);
    if (before !== undefined && before !== raft.id) {
      throw new Violation(`election safety: ${before} and ${raft.id} both lead term ${raft.term}`);
    }
    if (before === raft.id) return false;
    this.#leaders.set(raft.term, raft.id);
    const { log } = raft;
    // what was committed in this term or later is no concern of this leader's: it may be a leader of old that was paused
    const due = this.#committed.findLast(({ foundIn }) => foundIn < raft.term);
    if (due === undefined || log.firstIndex > due.index || log.termAt(due.index) === due.term) return true;
    throw new Violation(
      `leader completeness: ${raft.id} leads term ${raft.term} without entry ${due.index} of term ${due.term}`,
    );
  }

  /** Log matching: the same index and term mean the same entry, and the same entry before it. */
  appends(raft: Raft, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (raft.log.termAt(entry.index) !== entry.term) continue;
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
      if (this.#states[entry.index - 1] === undefined) {
        throw new Violation(`${raft.id} applies ${entry.index} before the one before it`);
      }
      this.#states[entry.index] ??= this.#stateAfter(entry);
      if (entry.index > (this.#committed.at(-1)?.index ?? 0)) {
        this.#committed.push({ index: entry.index, term: entry.term, foundIn: raft.term });
      }
      if (entry.payload.kind === 'membership') this.#noteMembership(entry.index, entry.payload.membership);
    }
  }

  /** What a member says it has applied is what its state machine holds. */
  holds({ id, applied }: Raft, state: StateText): void {
    const expected = this.#states[applied];
    if (applied === 0 || expected === undefined || isSame(expected, state)) return;
    throw new Violation(`${id} says that it has applied ${applied}, and ${difference(state, expected)}`);
  }

  /** A snapshot stands for what was applied, and carries the membership as of its index. */
  snapshot(id: MemberId, { index, membership, data }: Snapshot): void {
    if (index === 0) return;
    const expected = this.#memberships.findLast((m) => m.index <= index)?.text;
    const found = JSON.stringify(membership);
    if (expected !== found) {
      throw new Violation(`snapshot: ${id} has ${index} with membership ${found}, not ${expected}`);
    }
    const [state, known] = [stateText(data), this.#states[index]];
    if (known === undefined || !isSame(state, known)) {
      throw new Violation(`snapshot: ${id} has ${index}, and ${difference(state, known ?? { words: '', keys: '' })}`);
    }
  }

  #stateAfter({ payload }: Entry): StateText {
    if (payload.kind === 'command') this.#state.apply(payload.data);
    return this.#state.text;
  }

  #noteMembership(index: number, membership: Membership): void {
    if (index <= (this.#memberships.at(-1)?.index ?? 0)) return;
    this.#memberships.push({ index, membership, text: JSON.stringify(membership) });
  }
}

export function describe({ payload }: Entry): string {
  if (payload.kind === 'command') {
    const { data } = payload;
    return `command ${Buffer.from(data).toString(isKeyCommand(data) ? 'hex' : 'latin1')}`;
  }
  return payload.kind === 'noop' ? 'noop' : `membership ${JSON.stringify(payload.membership)}`;
}

function difference(found: StateText, expected: StateText): string {
  if (found.words !== expected.words) return `holds ${found.words}, not ${expected.words}`;
  return `has another ring: ${hexOf(found.keys)}, not ${hexOf(expected.keys)}`;
}

function hexOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}
