/**
 * Proposals made at this server, until it is known what became of them. Pure: time is ticks.
 *
 *   waiting ── a leader is known ──► sent (to another server) ──► placed at (index, term) ──► applied
 *      ▲                               │ refused
 *      └───────────────────────────────┘
 *
 * Each is proposed at most once: one that was sent and not answered may be in the log.
 */

import { COMMAND_BYTES_MAX, PENDING_MAX } from './limits.ts';
import { ProposalError } from './types.ts';

type Stage =
  | { readonly kind: 'waiting'; readonly fromTick: number }
  | { readonly kind: 'sent' }
  | { readonly kind: 'placed'; readonly index: number; readonly term: number };

interface Pending {
  readonly data: Uint8Array;
  readonly untilTick: number;
  readonly done: (error: ProposalError | null) => void;
  stage: Stage;
}

export type Attempt = { readonly index: number; readonly term: number } | 'sent' | 'no-leader';

export class Proposals {
  readonly #pending = new Map<number, Pending>();
  #lastId: number;

  /** `firstId` is drawn anew at each start: an answer to a former process must not pass for one to this. */
  constructor(firstId: number) {
    this.#lastId = firstId;
  }

  /** Returns a function that gives it up, with what is known by then. */
  add(data: Uint8Array, untilTick: number, done: (error: ProposalError | null) => void): () => void {
    if (data.length > COMMAND_BYTES_MAX) throw new RangeError(`a command of ${data.length} bytes is too long`);
    if (this.#pending.size >= PENDING_MAX) {
      done(new ProposalError('no-leader', `${PENDING_MAX} proposals are waiting already; nothing was changed`));
      return () => {};
    }
    const pending: Pending = { data, untilTick, done, stage: { kind: 'waiting', fromTick: 0 } };
    this.#pending.set(++this.#lastId, pending);
    return () => {
      for (const [id, other] of this.#pending) if (other === pending) this.#giveUp(id, pending);
    };
  }

  /** Tries those that wait. `attempt` proposes, or sends to the leader. */
  send(nowTick: number, attempt: (id: number, data: Uint8Array) => Attempt): void {
    for (const [id, pending] of this.#pending) {
      if (pending.stage.kind !== 'waiting' || nowTick < pending.stage.fromTick) continue;
      const result = attempt(id, pending.data);
      if (result === 'no-leader') return;
      pending.stage = result === 'sent' ? { kind: 'sent' } : { kind: 'placed', ...result };
    }
  }

  /** The leader has put one into its log. `termAt` tells what stands there by now, where that is applied. */
  placed(id: number, index: number, term: number, termAt: (index: number) => number | null | 'not-applied'): void {
    const pending = this.#pending.get(id);
    if (pending?.stage.kind !== 'sent') return;
    pending.stage = { kind: 'placed', index, term };
    const applied = termAt(index);
    if (applied !== 'not-applied') this.#settle(id, pending, applied === null ? unconfirmed() : outcome(applied, term));
  }

  /** The leader was none any more, and did not propose it. Tried again with the next tick: not as fast as it is refused. */
  refused(id: number, nowTick: number): void {
    const pending = this.#pending.get(id);
    if (pending?.stage.kind !== 'sent') return;
    // under another id: a second refusal of this attempt must not pass for one of the next
    this.#pending.delete(id);
    pending.stage = { kind: 'waiting', fromTick: nowTick + 1 };
    this.#pending.set(++this.#lastId, pending);
  }

  /** The entry at `index` has been applied. */
  applied(index: number, term: number): void {
    for (const [id, pending] of this.#pending) {
      const { stage } = pending;
      if (stage.kind === 'placed' && stage.index === index) this.#settle(id, pending, outcome(term, stage.term));
    }
  }

  /** A snapshot stands for all entries up to `index`, and does not tell which they were. */
  restored(index: number): void {
    for (const [id, pending] of this.#pending) {
      const { stage } = pending;
      if (stage.kind === 'placed' && stage.index <= index) this.#settle(id, pending, unconfirmed());
    }
  }

  expire(nowTick: number): void {
    for (const [id, pending] of this.#pending) {
      if (nowTick >= pending.untilTick) this.#giveUp(id, pending);
    }
  }

  /** The member ends, or has left its cluster. */
  abandon(): void {
    for (const [id, pending] of this.#pending) {
      if (pending.stage.kind !== 'waiting') this.#settle(id, pending, unconfirmed());
    }
  }

  #giveUp(id: number, pending: Pending): void {
    this.#settle(id, pending, pending.stage.kind === 'waiting' ? noLeader() : unconfirmed());
  }

  #settle(id: number, { done }: Pending, error: ProposalError | null): void {
    this.#pending.delete(id);
    done(error);
  }
}

function outcome(found: number, expected: number): ProposalError | null {
  if (found === expected) return null;
  return new ProposalError('lost', 'the leader changed before a majority had it; nothing was changed, try again');
}

function noLeader(): ProposalError {
  return new ProposalError('no-leader', 'no leader within client_req_timeout; nothing was changed');
}

function unconfirmed(): ProposalError {
  return new ProposalError(
    'unconfirmed',
    'not confirmed in time; it may still take effect, on all edges or on none: look again',
  );
}
