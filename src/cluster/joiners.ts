/** The fresh servers that ask a leader to be taken in, and what it does about its membership. Pure: time is ticks. */

import type { Raft } from '../raft/raft.ts';
import type { MemberId, Membership } from '../raft/types.ts';
import { nextMembership } from './admission.ts';
import { serverOf } from './identity.ts';
import type { ServerId } from './types.ts';

export interface JoinerLimits {
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  /** A learner at most this many entries behind counts as caught up. */
  readonly snapshotDistance: number;
}

export class Joiners {
  readonly #limits: JoinerLimits;
  /** Which incarnation, and when it last asked. */
  readonly #asking = new Map<ServerId, { readonly member: MemberId; readonly atTick: number }>();

  constructor(limits: JoinerLimits) {
    this.#limits = limits;
  }

  /** `member` asks to be taken in. Returns why it is not; null where it will be, or where to ask again will tell. */
  ask(member: MemberId, raft: Raft, listed: readonly ServerId[], nowTick: number): string | null {
    const server = serverOf(member);
    if (!listed.includes(server)) {
      return `server ${server} is not in the leader's server list; add it there and reload`;
    }
    const former = raft.membership.voters.find((id) => serverOf(id) === server && id !== member);
    if (former === undefined || this.#isSilent(raft, former)) {
      this.#asking.set(server, { member, atTick: nowTick });
      return null;
    }
    // one that has just died has not been silent for long
    if (raft.progress.get(former)?.silentTicks !== 0) return null;
    return `server_id ${server} still answers as ${former}; if that is another machine, give this one its own server_id`;
  }

  /** What to propose next; null for nothing. */
  nextMembership(raft: Raft, listed: readonly ServerId[], nowTick: number): Membership | null {
    for (const [server, { atTick }] of this.#asking) {
      if (nowTick - atTick > this.#limits.electionTicksMax) this.#asking.delete(server);
    }
    return nextMembership({
      membership: raft.membership,
      listed,
      joiners: new Map([...this.#asking].map(([server, { member }]) => [server, member])),
      isCaughtUp: (id) => this.#isCaughtUp(raft, id),
      isSilent: (id) => this.#isSilent(raft, id),
    });
  }

  clear(): void {
    this.#asking.clear();
  }

  #isCaughtUp(raft: Raft, id: MemberId): boolean {
    const progress = raft.progress.get(id);
    if (progress === undefined || this.#isSilent(raft, id)) return false;
    return progress.match > 0 && progress.match + this.#limits.snapshotDistance >= raft.commit;
  }

  #isSilent(raft: Raft, id: MemberId): boolean {
    return (raft.progress.get(id)?.silentTicks ?? 0) >= this.#limits.electionTicksMin;
  }
}
