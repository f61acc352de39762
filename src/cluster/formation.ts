/**
 * How fresh servers come to belong to a cluster, and how members of a lost one become fresh again. Pure: time is ticks,
 * chance is passed in, what is to be sent comes out as data.
 *
 * A server without memory must not vote as if it had never promised anything. So each start without state is a new
 * incarnation: another member id, which counts for nothing until a cluster has taken it in.
 *
 *   fresh ── a cluster with a leader is near ──► asks the leader to take it in (admission.ts)
 *   fresh ── none is, and a majority of the listed servers is fresh ──► asks those to found one with it
 *   fresh ── a cluster that names this incarnation speaks to it ──► bound to that cluster, and to no other
 *   bound ── its cluster can never have a majority again ──► fresh, as a new incarnation, keeping the state
 *
 * Two clusters never live side by side, as long as the servers have the same list. A cluster is founded with all listed servers as voters, known or not: the founder
 * names the incarnations that agreed, and placeholders for the rest. To commit anything it needs a majority of all
 * listed servers bound to it; admission.ts never lets a living cluster's majority shrink so far that the servers outside
 * of it are one too. What agreement before the founding spares is not a split, which binding prevents, but the time
 * that foundings without a majority would cost.
 *
 * The founder brings its state along, and nobody agrees to one whose state is older than its own (for a while): what the
 * survivors of a lost cluster remember, ticket keys above all, lives on.
 */

import { isMajority, quorum } from '../raft/membership.ts';
import type { MemberId, Membership } from '../raft/types.ts';
import { comparePositions, generationOf, serverOf } from './identity.ts';
import { GENERATION_MAX } from './limits.ts';
import type { Reports } from './reports.ts';
import type { Announce, ClusterId, PeerMessage, Position, ServerId } from './types.ts';

export interface FormationTiming {
  readonly heartbeatTicks: number;
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
}

/** A member without a leader for this many ticks may leave its cluster for lost: ten of the longest elections. */
export function lostTicks({ electionTicksMax }: FormationTiming): number {
  return 10 * electionTicksMax;
}

/**
 * For this many ticks all that is heard must speak for the loss, and only what was heard in them counts. After a pause a
 * process reads what was true before it; what is true now comes within a few heartbeats.
 */
export function certaintyTicks({ electionTicksMax }: FormationTiming): number {
  return 5 * electionTicksMax;
}

/** Without a leader for this many ticks a member does not count on servers that are not in the list any more. */
export function patienceTicks(timing: FormationTiming): number {
  return 10 * lostTicks(timing);
}

export interface FreshView {
  readonly self: ServerId;
  readonly member: MemberId;
  /** All servers of the group, this one included. */
  readonly listed: readonly ServerId[];
  readonly position: Position;
  readonly reports: Reports;
  readonly nowTick: number;
}

export type FreshStep =
  | { readonly kind: 'send'; readonly to: ServerId; readonly message: PeerMessage }
  /** Found a cluster with these incarnations; those of the other servers are not known. */
  | { readonly kind: 'found'; readonly generation: number; readonly members: readonly MemberId[] };

/** An attempt to found a cluster. */
interface Round {
  readonly beganTick: number;
  readonly asked: number;
  readonly grants: Map<ServerId, MemberId>;
}

/** What one incarnation of a fresh server goes through. */
export class Formation {
  readonly #timing: FormationTiming;
  readonly #random: () => number;
  readonly #beganTick: number;
  #round: Round | null = null;
  /** When to ask for a founding; null while that is out of the question. */
  #askAtTick: number | null = null;
  /** Since when members of a cluster without a leader are near: it may find one, or give up and bring its state along. */
  #orphansSinceTick: number | null = null;
  /** Agreed to a founding by this server, and to no other, until then. */
  #promise: { readonly to: ServerId; readonly untilTick: number } | null = null;

  constructor(timing: FormationTiming, random: () => number, nowTick: number) {
    this.#timing = timing;
    this.#random = random;
    this.#beganTick = nowTick;
  }

  tick(view: FreshView): FreshStep[] {
    const { listed, self, reports, nowTick } = view;
    const others = listed.filter((server) => server !== self);
    const near = reports.allRecent(others, nowTick, 2 * this.#timing.electionTicksMax);
    // longer: one that does not list this server yet speaks only when it is dialled
    const leader = leaderToJoin(reports.allRecent(others, nowTick, certaintyTicks(this.#timing)).values());
    if (leader !== null) {
      this.#round = this.#askAtTick = null;
      return nowTick % this.#timing.heartbeatTicks === 0 ? [join(leader, view)] : [];
    }
    if (this.#round !== null) return this.#continueRound(this.#round, view);
    if (!this.#mayFound(near, view)) {
      this.#askAtTick = null;
      return [];
    }
    this.#askAtTick ??= nowTick + this.#drawDelay(near.size === others.length, others.length);
    return nowTick >= this.#askAtTick ? this.#beginRound(near, view) : [];
  }

  /** Another fresh server wants to found a cluster with this one. */
  requested(from: ServerId, founder: MemberId, position: Position, view: FreshView): FreshStep[] {
    const { nowTick, member } = view;
    const isPromised = this.#promise !== null && this.#promise.untilTick > nowTick && this.#promise.to !== from;
    if (this.#round !== null || isPromised || !view.listed.includes(from)) return [];
    if (comparePositions(position, view.position) < 0 && this.#isPatient(nowTick)) return [];
    this.#promise = { to: from, untilTick: nowTick + this.#timing.electionTicksMax };
    return [{ kind: 'send', to: from, message: { type: 'found-grant', founder, member } }];
  }

  granted(from: ServerId, founder: MemberId, member: MemberId, view: FreshView): FreshStep[] {
    if (this.#round === null || founder !== view.member || serverOf(member) !== from) return [];
    this.#round.grants.set(from, member);
    return this.#continueRound(this.#round, view);
  }

  /** A majority of the listed servers is fresh, nobody near has a later state, and members of a lost cluster had their time. */
  #mayFound(near: ReadonlyMap<ServerId, Announce>, view: FreshView): boolean {
    const { nowTick, listed, position } = view;
    if (this.#promise !== null && this.#promise.untilTick > nowTick) return false;
    const all = [...near.values()];
    const orphans = all.filter(({ cluster }) => cluster !== null);
    this.#orphansSinceTick = orphans.length > 0 ? (this.#orphansSinceTick ?? nowTick) : null;
    if (this.#orphansSinceTick !== null) {
      // whoever has more to bring is given all the time that it takes to see that its cluster is lost
      const hasLater = orphans.some((orphan) => comparePositions(orphan.position, position) > 0);
      const waitTicks = (hasLater ? patienceTicks(this.#timing) : 0) + 2 * lostTicks(this.#timing);
      if (nowTick - this.#orphansSinceTick < waitTicks) return false;
    }
    const fresh = all.filter(({ cluster }) => cluster === null);
    if (1 + fresh.length < quorum(listed.length)) return false;
    return !this.#isPatient(nowTick) || fresh.every((other) => comparePositions(other.position, position) <= 0);
  }

  /** A later state than any near is waited for, but not for ever: its holder may not reach a majority. */
  #isPatient(nowTick: number): boolean {
    return nowTick - this.#beganTick < 4 * lostTicks(this.#timing);
  }

  /** Drawn, so that not all ask at once. Where servers are missing, a moment more: they may just be starting. */
  #drawDelay(isComplete: boolean, othersCount: number): number {
    if (othersCount === 0) return 0;
    const { electionTicksMin, electionTicksMax } = this.#timing;
    return (isComplete ? 0 : electionTicksMax) + Math.floor(this.#random() * electionTicksMin);
  }

  #beginRound(near: ReadonlyMap<ServerId, Announce>, view: FreshView): FreshStep[] {
    const { nowTick, self, member, position } = view;
    const fresh = [...near].filter(([, { cluster }]) => cluster === null).map(([server]) => server);
    this.#askAtTick = null;
    this.#round = { beganTick: nowTick, asked: fresh.length, grants: new Map([[self, member]]) };
    const message: PeerMessage = { type: 'found-request', member, position };
    return [
      ...fresh.map((to): FreshStep => ({ kind: 'send', to, message })),
      ...this.#continueRound(this.#round, view),
    ];
  }

  /** Founds once all have agreed, or a majority has and the others had their time. */
  #continueRound(round: Round, { listed, nowTick, reports, self, position }: FreshView): FreshStep[] {
    const { heartbeatTicks, electionTicksMin } = this.#timing;
    const elapsed = nowTick - round.beganTick;
    const isAgreed = listed.filter((server) => round.grants.has(server)).length >= quorum(listed.length);
    if (isAgreed && (round.grants.size > round.asked || elapsed >= heartbeatTicks)) {
      const others = listed.filter((server) => server !== self);
      const known = reports.allRecent(others, nowTick, Number.POSITIVE_INFINITY).values();
      const seen = [position.generation, ...[...known].map(generationSeen)];
      const generation = 1 + Math.max(0, ...seen.filter((g) => g < GENERATION_MAX));
      return [{ kind: 'found', generation, members: [...round.grants.values()] }];
    }
    if (elapsed >= electionTicksMin) this.#round = null;
    return [];
  }
}

function join(leader: { cluster: ClusterId; leader: MemberId }, { member }: FreshView): FreshStep {
  return {
    kind: 'send',
    to: serverOf(leader.leader),
    message: { type: 'join', cluster: leader.cluster, member },
  };
}

/** The leader of the latest cluster that has one. */
function leaderToJoin(near: Iterable<Announce>): { cluster: ClusterId; leader: MemberId } | null {
  let best: { cluster: ClusterId; leader: MemberId } | null = null;
  for (const { cluster, leader } of near) {
    if (cluster === null || leader === null) continue;
    if (best === null || generationOf(cluster) > generationOf(best.cluster)) best = { cluster, leader };
  }
  return best;
}

function generationSeen({ cluster, position }: Announce): number {
  return Math.max(position.generation, cluster === null ? 0 : generationOf(cluster));
}

/**
 * Whether the leader of another cluster has more to keep than the leader of this one, which then has to give way. Two
 * clusters come to live side by side only where servers had lists that contradict each other.
 */
export function isOutranked(cluster: ClusterId, position: Position, reports: ReadonlyMap<ServerId, Announce>): boolean {
  return [...reports.values()].some((report) => {
    if (report.cluster === null || report.cluster === cluster || report.leader !== report.member) return false;
    const order = comparePositions(report.position, position);
    return order > 0 || (order === 0 && report.cluster > cluster);
  });
}

/** What a member without a leader goes by. */
export interface OrphanView {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly membership: Membership;
  readonly listed: readonly ServerId[];
  /** What the others said within `certaintyTicks`. */
  readonly reports: ReadonlyMap<ServerId, Announce>;
  /** It has had no leader for that long that even servers which left the list had time to come back. */
  readonly isPatienceOver: boolean;
}

/**
 * Whether the cluster of a member that has no leader can, by what is heard, never have one again: too many of its voters
 * are proven to have forgotten it. Or another cluster's leader has spoken, which has a majority of the servers. Or the
 * operator has taken servers off the list that a majority needs, and they have been gone for long: dead machines.
 */
export function isClusterLost(view: OrphanView): boolean {
  const { cluster, member, membership, listed, reports, isPatienceOver } = view;
  const all = [...reports.values()];
  // whoever follows a leader of it knows more than this one, which may have missed a change of the membership
  if (all.some((report) => report.cluster === cluster && report.leader !== null)) return false;
  if (all.some((report) => report.cluster !== null && report.cluster !== cluster && report.leader === report.member)) {
    return true;
  }
  if (membership.voters.length === 0) return isPatienceOver || isNewcomerLost(view);
  return !isMajority(membership, (voter) => {
    const server = serverOf(voter);
    if (server === serverOf(member)) return voter === member;
    const report = reports.get(server);
    if (report === undefined) return listed.includes(server) || !isPatienceOver;
    return report.cluster === cluster && report.member === voter;
  });
}

/**
 * The same for one that was taken in and has no log yet, so that it does not know the voters: a majority of all servers is
 * bound to the cluster, and one of them has its log, or can have it for all that is known.
 */
function isNewcomerLost({ cluster, member, listed, reports }: OrphanView): boolean {
  const others = listed.filter((server) => server !== serverOf(member));
  const bound = others.filter((server) => (reports.get(server) ?? { cluster }).cluster === cluster);
  const hasLog = bound.some((server) => {
    const report = reports.get(server);
    return report === undefined || report.position.generation === generationOf(cluster);
  });
  return !hasLog || bound.length + 1 < quorum(listed.length);
}
