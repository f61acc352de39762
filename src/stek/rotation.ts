/**
 * When the ring changes: what the leader proposes next. Pure: the clocks and the members are given. Main thread, and the
 * simulator.
 *
 *   no key staged ──────────────────────────────────────────────► mint
 *   the active key is as old as the interval, or a rotation is
 *   wanted, and every live member has applied the staged one ───► activate
 *   a retiring key has opened tickets for their whole lifetime ─► retire
 *
 * The next key is staged as soon as the one before is active, so that its activation has to wait for nobody when its time
 * comes. Because every live member holds a key before the first ticket is made with it, no ticket is ever issued that a
 * live member cannot open.
 */

import { KEYS_MAX, type KeyRing, type RingKey } from './key-ring.ts';
import { nameOf } from './ticket-key.ts';

export interface RotationRules {
  /** How long a key is active. */
  readonly intervalMs: number;
  /** How long a ticket can be used. */
  readonly lifetimeMs: number;
  /** A member that has not been heard of for this long stops blocking. */
  readonly silenceMsMax: number;
}

/** Another member, as the leader sees it. */
export interface MemberView {
  /** The index up to which it has applied the log, as it last said; null: it has not said. */
  readonly applied: number | null;
  /** Since it was last heard of; null: it has not been since this leader was elected. */
  readonly silentMs: number | null;
}

export interface RotationView {
  readonly ring: Pick<KeyRing, 'keys' | 'active' | 'staged' | 'isRotationWanted'>;
  /** How long a key has been in its stage, or what is known of it: see key-ages.ts. */
  readonly ageMs: (key: RingKey) => number;
  /** Whoever has applied the log up to here holds the staged key. */
  readonly stagedIndex: number;
  /** The other members, learners too. */
  readonly members: readonly MemberView[];
  /** For how long this leader has led. */
  readonly ledMs: number;
}

export type RotationStep =
  | { readonly kind: 'mint' }
  | { readonly kind: 'activate'; readonly name: string }
  | { readonly kind: 'retire'; readonly name: string };

/**
 * The next command, or null where nothing is to be done now. From a full ring, which only somebody who asks for hundreds of
 * rotations brings about, the oldest goes before its time: going on matters more than its last tickets.
 */
export function nextStep(view: RotationView, rules: RotationRules): RotationStep | null {
  const { active, staged, keys } = view.ring;
  const isFull = keys.length >= KEYS_MAX;
  if (staged === null && !isFull) return { kind: 'mint' };
  if (staged !== null && isDue(view, rules, active) && isHeldByAll(view, rules)) {
    return { kind: 'activate', name: nameOf(staged.bytes) };
  }
  const over = keys.find((key) => key.stage === 'retiring' && (isFull || isOver(view, rules, key)));
  return over === undefined ? null : { kind: 'retire', name: nameOf(over.bytes) };
}

/**
 * How long a member goes on making tickets with a key that it believes to be the active one. A member that is cut off
 * then stops, rather than stretch the key.
 */
export function issuingMsMax({ intervalMs }: Pick<RotationRules, 'intervalMs'>): number {
  return 2 * intervalMs;
}

function isDue({ ring, ageMs }: RotationView, { intervalMs }: RotationRules, active: RingKey | null): boolean {
  return active === null || ring.isRotationWanted || ageMs(active) >= intervalMs;
}

/** A member that this leader has not heard of yet may be alive: it blocks for as long as one that has fallen silent. */
function isHeldByAll({ members, stagedIndex, ledMs }: RotationView, { silenceMsMax }: RotationRules): boolean {
  return members.every(({ applied, silentMs }) => {
    if (applied !== null && applied >= stagedIndex) return true;
    return (silentMs ?? ledMs) >= silenceMsMax;
  });
}

/**
 * Whoever was cut off while the key was active may still make tickets with it. It may have learnt late that the key was:
 * as long after the leader as a member may be silent.
 */
function isOver({ ageMs }: RotationView, rules: RotationRules, key: RingKey): boolean {
  // of two clocks, maybe
  const activeMs = Math.max(0, key.sinceMs - key.activeSinceMs);
  return ageMs(key) >= rules.lifetimeMs && ageMs(key) + activeMs >= issuingMsMax(rules) + rules.silenceMsMax;
}
