/**
 * Which membership a leader proposes next, one small step at a time: taking in servers that ask to join, replacing those
 * that came back without their memory, letting go of those that left the list. Pure.
 *
 *   a server that asks          becomes a learner, and gets the log
 *   caught up                   its former incarnation, if any, is removed; then it becomes a voter
 *   not in the list any more    removed
 *
 * No step is taken whose voters would lack a majority that answers: it could not be committed, nor anything after it.
 *
 * The removal of a former incarnation comes first, never both at once: until it is committed, a vote that the former one
 * gave may be on its way yet, and counted (thesis, 4.1: one change at a time).
 */

import { isMajority, membership, quorum } from '../raft/membership.ts';
import type { MemberId, Membership } from '../raft/types.ts';
import { serverOf } from './identity.ts';
import type { ServerId } from './types.ts';

export interface AdmissionView {
  readonly membership: Membership;
  /** All servers of the group, as this one's list has them. */
  readonly listed: readonly ServerId[];
  /** Fresh servers that ask to be taken in. */
  readonly joiners: ReadonlyMap<ServerId, MemberId>;
  /** Answers, and has all but the newest entries. */
  readonly isCaughtUp: (member: MemberId) => boolean;
  /** Another member that has not been heard of for the shortest election timeout. */
  readonly isSilent: (member: MemberId) => boolean;
}

/** The next step; null where all is as it should be, or must wait. */
export function nextMembership(view: AdmissionView): Membership | null {
  const steps = [nextLearners(view), ...promotions(view), ...removals(view), ...retirements(view)];
  return nextOf(steps, view);
}

/** The first that can be committed. */
function nextOf(steps: readonly (Membership | null)[], view: AdmissionView): Membership | null {
  return steps.find((next) => next !== null && isMajority(next, (id) => !view.isSilent(id))) ?? null;
}

/** Learners count for nothing, so that all of them may change at once. */
function nextLearners({ membership: now, listed, joiners, isSilent }: AdmissionView): Membership | null {
  const learners = now.learners.filter((id) => {
    const server = serverOf(id);
    const former = formerOf(id, now);
    // a voter of its server that answers: the machine that asked has come back under its former name
    return listed.includes(server) && (joiners.get(server) ?? id) === id && (former === undefined || isSilent(former));
  });
  for (const [server, id] of joiners) {
    if (!listed.includes(server) || learners.includes(id) || now.voters.includes(id)) continue;
    // two machines under one server_id: the one that takes part stays
    if (now.voters.every((voter) => serverOf(voter) !== server || isSilent(voter))) learners.push(id);
  }
  const next = membership(now.voters, learners);
  return next.learners.join() === now.learners.join() ? null : next;
}

function promotions({ membership: now, listed, isCaughtUp }: AdmissionView): Membership[] {
  const isReady = (id: MemberId) => isCaughtUp(id) && formerOf(id, now) === undefined && listed.includes(serverOf(id));
  const ready = now.learners.filter(isReady);
  return ready.map((id) => {
    const others = now.learners.filter((learner) => learner !== id);
    return membership([...now.voters, id], others);
  });
}

function retirements({ membership: now, listed, isCaughtUp, isSilent }: AdmissionView): (Membership | null)[] {
  const formers = now.learners.flatMap((id) => (isCaughtUp(id) ? (formerOf(id, now) ?? []) : []));
  return formers.filter(isSilent).map((id) => without(id, now, listed));
}

function removals({ membership: now, listed }: AdmissionView): (Membership | null)[] {
  const unlisted = now.voters.filter((id) => !listed.includes(serverOf(id)));
  return unlisted.map((id) => without(id, now, listed));
}

function formerOf(learner: MemberId, { voters }: Membership): MemberId | undefined {
  return voters.find((id) => serverOf(id) === serverOf(learner));
}

/**
 * `now` less a voter; null where that would let so few listed servers make a majority that the others could found a
 * cluster of their own beside it (formation.ts): whoever was removed before has to be replaced first.
 */
function without(voter: MemberId, now: Membership, listed: readonly ServerId[]): Membership | null {
  const next = membership(
    now.voters.filter((id) => id !== voter),
    now.learners,
  );
  const before = listedInMajority(now, listed);
  const after = listedInMajority(next, listed);
  const leavesRoom = after < before && after + quorum(listed.length) <= listed.length;
  return next.voters.length === 0 || leavesRoom ? null : next;
}

/** At least this many servers of the list are in any majority of the voters. */
function listedInMajority({ voters }: Membership, listed: readonly ServerId[]): number {
  const unlisted = voters.filter((id) => !listed.includes(serverOf(id))).length;
  return Math.max(0, quorum(voters.length) - unlisted);
}
