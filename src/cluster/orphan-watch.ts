/** Watches whether a member's cluster is lost, or has to give way to another one. Pure: time is ticks. */

import {
  certaintyTicks,
  type FormationTiming,
  isClusterLost,
  isOutranked,
  lostTicks,
  type OrphanView,
  patienceTicks,
} from './formation.ts';
import type { Announce, ClusterId, Position, ServerId } from './types.ts';

export class OrphanWatch {
  readonly #timing: FormationTiming;
  #leaderlessTicks = 0;
  /** For how long all that is heard has said that the cluster is lost. */
  #lostTicks = 0;
  /** For how long another cluster's leader has been near that goes before this one. */
  #outrankedTicks = 0;

  constructor(timing: FormationTiming) {
    this.#timing = timing;
  }

  /** A tick with a leader, or the beginning in a cluster. */
  reset(): void {
    this.#leaderlessTicks = this.#lostTicks = 0;
  }

  /** A tick of a leader. Returns whether it has to give way to another cluster's. */
  tickLeader(cluster: ClusterId, position: Position, reports: ReadonlyMap<ServerId, Announce>): boolean {
    this.#outrankedTicks = isOutranked(cluster, position, reports) ? this.#outrankedTicks + 1 : 0;
    return this.#outrankedTicks > certaintyTicks(this.#timing);
  }

  /** A tick without one. Returns whether the cluster is to be left for lost. */
  tick(view: Omit<OrphanView, 'isPatienceOver'>): boolean {
    this.#leaderlessTicks++;
    const isPatienceOver = this.#leaderlessTicks >= patienceTicks(this.#timing);
    this.#lostTicks = isClusterLost({ ...view, isPatienceOver }) ? this.#lostTicks + 1 : 0;
    return this.#lostTicks > certaintyTicks(this.#timing) && this.#leaderlessTicks >= lostTicks(this.#timing);
  }
}
