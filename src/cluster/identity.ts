/** Names of members and clusters. Pure. */

import type { MemberId, Snapshot } from '../raft/types.ts';
import type { ClusterId, Position, ServerId } from './types.ts';

/** Stands for the incarnation of a listed server that nobody has met yet. No server ever takes it. */
const UNMET = 'none';

/** The log of a member that has just been taken in. */
export const EMPTY_SNAPSHOT: Snapshot = {
  index: 0,
  term: 0,
  membership: { voters: [], learners: [] },
  data: new Uint8Array(),
};

export const NOWHERE: Position = { generation: 0, term: 0, index: 0 };

/** `SERVER.INCARNATION`. Each start without memory is another incarnation. */
export function memberId(server: ServerId, incarnation: string): MemberId {
  return `${server}.${incarnation}`;
}

export function placeholder(server: ServerId): MemberId {
  return memberId(server, UNMET);
}

export function serverOf(member: MemberId): ServerId {
  return Number(member.slice(0, member.indexOf('.')));
}

export function clusterId(generation: number, random: string): ClusterId {
  return `${generation}.${random}`;
}

export function generationOf(cluster: ClusterId): number {
  return Number(cluster.slice(0, cluster.indexOf('.')));
}

/** Below 0 where `a` is less recent than `b`, 0 where equal. */
export function comparePositions(a: Position, b: Position): number {
  return a.generation - b.generation || a.term - b.term || a.index - b.index;
}
