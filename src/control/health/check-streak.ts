/**
 * What a row of checks says of a node: `fall` that fail in a row put it out, `rise` that pass bring it back. Pure; main
 * thread. One a node.
 *
 *   up ─► (fall checks fail in a row) ─► down ─► (rise checks pass in a row) ─► up
 *
 * The first check decides alone, as in HAProxy: a node is used as soon as it is there, and must not be for `fall` checks
 * where it is dead.
 */

export interface StreakRules {
  /** At least 1. */
  readonly rise: number;
  /** At least 1. */
  readonly fall: number;
}

export class CheckStreak {
  #isUp: boolean;
  readonly #rules: StreakRules;
  #isFirst = true;
  /** Checks in a row that said otherwise than `isUp`. Invariant: less than the rule that they count towards. */
  #contrary = 0;

  /** `isUp`: what is held of the node until its first check. */
  constructor(isUp: boolean, rules: StreakRules) {
    this.#isUp = isUp;
    this.#rules = rules;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** A check has passed, or failed. Returns whether `isUp` has changed by it. */
  take(hasPassed: boolean): boolean {
    const needed = this.#isFirst ? 1 : hasPassed ? this.#rules.rise : this.#rules.fall;
    this.#isFirst = false;
    if (hasPassed === this.#isUp) {
      this.#contrary = 0;
      return false;
    }
    this.#contrary++;
    if (this.#contrary < needed) return false;
    this.#contrary = 0;
    this.#isUp = hasPassed;
    return true;
  }
}
