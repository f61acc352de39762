/** Majorities, and which membership changes are safe to make at once (thesis, 4.1). Pure. */

import type { MemberId, Membership } from './types.ts';

/** Members that make a majority of `count` voters. Two majorities of one membership always meet. */
export function quorum(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** Whether the voters for whom `holds` are a majority. No voters: never. */
export function isMajority(membership: Membership, holds: (voter: MemberId) => boolean): boolean {
  const { voters } = membership;
  return voters.length > 0 && voters.filter(holds).length >= quorum(voters.length);
}

/** The largest index that a majority of the voters has reached (paper, 5.3 and 5.4.2). */
export function majorityIndex(membership: Membership, indexOf: (voter: MemberId) => number): number {
  const reached = membership.voters.map(indexOf).sort((a, b) => b - a);
  return reached[quorum(membership.voters.length) - 1] ?? 0;
}

export function isMember(membership: Membership, id: MemberId): boolean {
  return membership.voters.includes(id) || membership.learners.includes(id);
}

/**
 * Whether `to` may follow on `from`: at most one voter more or less, so that every majority of the one meets every majority
 * of the other (thesis, figure 4.3), and at least one voter left. Learners may change at will, as they count for nothing.
 */
export function isSafeChange(from: Membership, to: Membership): boolean {
  const added = to.voters.filter((id) => !from.voters.includes(id)).length;
  const removed = from.voters.filter((id) => !to.voters.includes(id)).length;
  const isSound =
    to.voters.length > 0 && new Set([...to.voters, ...to.learners]).size === to.voters.length + to.learners.length;
  return isSound && added + removed <= 1;
}

/** A membership in its canonical form: both lists sorted. */
export function membership(voters: Iterable<MemberId>, learners: Iterable<MemberId> = []): Membership {
  return { voters: [...voters].sort(), learners: [...learners].sort() };
}
