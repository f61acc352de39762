/** Watches how long a member has had no leader, and whether its cluster is lost. Pure: time is ticks. */

import {
  certaintyTicks,
  type FormationTiming,
  isClusterLost,
  lostTicks,
  type OrphanView,
  patienceTicks,
} from './formation.ts';

export class OrphanWatch {
  readonly #timing: FormationTiming;
  #leaderlessTicks = 0;
  /** For how long all that is heard has said that the cluster is lost. */
  #lostTicks = 0;

  constructor(timing: FormationTiming) {
    this.#timing = timing;
  }

  /** A tick with a leader, or the beginning in a cluster. */
  reset(): void {
    this.#leaderlessTicks = this.#lostTicks = 0;
  }

  /** A tick without one. Returns whether the cluster is to be left for lost. */
  tick(view: Omit<OrphanView, 'isPatienceOver'>): boolean {
    this.#leaderlessTicks++;
    const isPatienceOver = this.#leaderlessTicks >= patienceTicks(this.#timing);
    this.#lostTicks = isClusterLost({ ...view, isPatienceOver }) ? this.#lostTicks + 1 : 0;
    return this.#lostTicks > certaintyTicks(this.#timing) && this.#leaderlessTicks >= lostTicks(this.#timing);
  }
}
