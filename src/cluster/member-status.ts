/** What a member can tell of itself and the others. Pure. */

import type { Raft } from '../raft/raft.ts';
import type { MemberId } from '../raft/types.ts';
import { serverOf } from './identity.ts';
import type { MemberStatus } from './types.ts';

/** All members of the cluster, sorted by server; `tickMs` is the length of a tick. */
export function memberStatuses(raft: Raft, tickMs: number): MemberStatus[] {
  const { voters, learners } = raft.membership;
  return [...voters, ...learners]
    .map((id) => statusOf(id, raft, tickMs))
    .sort((a, b) => a.serverId - b.serverId || Number(b.isVoter) - Number(a.isVoter));
}

function statusOf(member: MemberId, raft: Raft, tickMs: number): MemberStatus {
  const isSelf = member === raft.id;
  const known = isSelf
    ? { match: raft.log.lastIndex, applied: raft.applied, silentTicks: 0 }
    : (raft.progress.get(member) ?? { match: null, applied: null, silentTicks: Number.POSITIVE_INFINITY });
  return {
    member,
    serverId: serverOf(member),
    isSelf,
    isLeader: raft.leader === member,
    isVoter: raft.membership.voters.includes(member),
    match: known.match,
    applied: known.applied,
    lastContactMs: Number.isFinite(known.silentTicks) ? known.silentTicks * tickMs : null,
  };
}
