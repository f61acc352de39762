/**
 * What the core takes on trust from its peers, checked before it gets it: a faulty one must not bring this server down, nor
 * make it forget what it knows. Pure.
 */

import type { Raft } from '../raft/raft.ts';
import { type AppendRequest, type Message, ROLE } from '../raft/types.ts';
import { SNAPSHOT_INDEX_MAX } from './limits.ts';
import type { StateMachine } from './types.ts';

type Reader = Pick<StateMachine, 'isReadable'>;

/** Whether a sound member of this cluster can have sent `message`. Null: this server has no core yet. */
export function isSound(raft: Raft | null, message: Message, stateMachine: Reader): boolean {
  switch (message.type) {
    case 'append-request':
      return isLeaders(raft, message) && isOrdered(message);
    case 'snapshot-request': {
      const { index, term, membership, data } = message.snapshot;
      const isWhole = membership.voters.length > 0 && term <= message.term && index <= SNAPSHOT_INDEX_MAX;
      return isLeaders(raft, message) && isWhole && stateMachine.isReadable(data);
    }
    default:
      return true;
  }
}

/** A term has one leader (paper, 5.2). */
function isLeaders(raft: Raft | null, message: Message): boolean {
  if (raft === null) return true;
  const { role, term, leader } = raft;
  return message.term !== term || (role !== ROLE.leader && (leader === null || leader === message.from));
}

/** Entries follow on each other, their terms never fall, and a membership has voters. */
function isOrdered({ term, previousIndex, previousTerm, entries }: AppendRequest): boolean {
  let before = previousTerm;
  return entries.every((entry, i) => {
    const isNext = entry.index === previousIndex + 1 + i && entry.term >= before && entry.term <= term;
    before = entry.term;
    return isNext && (entry.payload.kind !== 'membership' || entry.payload.membership.voters.length > 0);
  });
}
