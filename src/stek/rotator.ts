/**
 * Drives the rotation on every member: where it leads, it proposes the next step, one at a time. Pure: clocks, chance and
 * the log are ports. Main thread, and the simulator.
 */

import { KeyAges } from './key-ages.ts';
import type { KeyCommand, KeyRing, RingKey } from './key-ring.ts';
import { issuingMsMax, type MemberView, nextStep, type RotationRules, type RotationStep } from './rotation.ts';
import { nameOf, type TicketKey } from './ticket-key.ts';

export type RingView = Pick<KeyRing, 'keys' | 'active' | 'staged' | 'isRotationWanted'>;

/** What a leader knows of its cluster. */
export interface Leadership {
  readonly term: number;
  /** Index up to which this member has applied the log. */
  readonly applied: number;
  /** The other members, learners too. */
  readonly members: readonly MemberView[];
}

export interface RotatorPorts {
  readonly ring: () => RingView;
  /** Null where this member does not lead. */
  readonly leadership: () => Leadership | null;
  /** A new key; the first of a cluster may be one that was brought along. */
  readonly newKey: (isFirst: boolean) => TicketKey;
  /** `done` is called once, whatever became of it. */
  readonly propose: (command: KeyCommand, done: () => void) => void;
}

export class Rotator {
  rules: RotationRules;
  /** What changes in the ring has just happened. Not so while a log is read that may be old. */
  isLive = true;
  readonly #ports: RotatorPorts;
  readonly #ages = new KeyAges();
  #nowMs = 0;
  /** Since when this member has led in this term, by the steady clock; null where it does not. */
  #reign: { readonly term: number; readonly sinceMs: number } | null = null;
  #staged: { readonly name: string; readonly index: number } | null = null;
  #isProposing = false;

  constructor(rules: RotationRules, ports: RotatorPorts) {
    this.rules = rules;
    this.#ports = ports;
  }

  /** To be called several times within an interval. `nowMs` is Unix time, `steadyMs` a clock that only runs forward. */
  tick(nowMs: number, steadyMs: number): void {
    this.observe(nowMs, steadyMs);
    const ring = this.#ports.ring();
    const leadership = this.#ports.leadership();
    if (leadership === null) {
      this.#reign = this.#staged = null;
      return;
    }
    const { term, applied, members } = leadership;
    if (this.#reign?.term !== term) {
      this.#reign = { term, sinceMs: steadyMs };
      this.#staged = null;
    }
    if (this.#isProposing) return;
    const ledMs = steadyMs - this.#reign.sinceMs;
    const view = { ring, ageMs: this.ageMs, stagedIndex: this.#stagedIndex(ring, applied), members, ledMs };
    const step = nextStep(view, this.rules);
    if (step !== null) this.#propose(step, ring);
  }

  /** Takes a look at the ring and the clocks alone: to be called at each change of the ring, whose time then counts. */
  observe(nowMs: number, steadyMs: number): void {
    this.#nowMs = nowMs;
    this.#ages.observe(this.#ports.ring(), nowMs, steadyMs, this.isLive);
  }

  /** Of a key of the ring, as of the last look, ms. */
  readonly ageMs = (key: RingKey): number => this.#ages.ageMs(key);

  /** The key that new tickets may be made with here: the active one, unless it is stretched already. */
  get issuing(): RingKey | null {
    const { active } = this.#ports.ring();
    return active !== null && this.ageMs(active) < issuingMsMax(this.rules) ? active : null;
  }

  /**
   * The mint is at most at the index that is applied when its key is first seen. Indexes of an earlier cluster, which a
   * ring may have come from, mean nothing in this one.
   */
  #stagedIndex({ staged }: RingView, applied: number): number {
    if (staged === null) {
      this.#staged = null;
      return applied;
    }
    const name = nameOf(staged.bytes);
    if (this.#staged?.name !== name) this.#staged = { name, index: applied };
    return this.#staged.index;
  }

  #propose(step: RotationStep, ring: RingView): void {
    this.#isProposing = true;
    this.#ports.propose(this.#commandOf(step, ring), () => {
      this.#isProposing = false;
    });
  }

  #commandOf(step: RotationStep, ring: RingView): KeyCommand {
    const atMs = this.#nowMs;
    switch (step.kind) {
      case 'mint':
        return { kind: 'key-mint', key: this.#ports.newKey(ring.keys.length === 0), atMs };
      case 'activate':
        return { kind: 'key-activate', name: step.name, atMs };
      case 'retire':
        return { kind: 'key-retire', name: step.name };
    }
  }
}
