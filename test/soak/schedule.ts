/**
 * Which fault comes when: all from one seed. The kinds are dealt as from a deck, so that each comes once a round, in another
 * order each time. Pure.
 */

import { Random } from '../sim/random.ts';
import { FAULT_KINDS, type FaultKind } from './fault.ts';

export interface Planned {
  readonly atMs: number;
  readonly kind: FaultKind;
  /** How long it lasts, where it lasts. */
  readonly forMs: number;
  /** Chooses edge, node and pool, among those that there are when it comes. */
  readonly draw: number;
}

export interface Pace {
  /** From one fault to the next, on average. */
  readonly everyMs: number;
  /** No fault before: there has to be traffic first. */
  readonly quietMs: number;
}

/** Shorter than `worker_hang_timeout`, or every pause would be one of a thread that hangs. */
export const FAULT_MS_MAX = 3_500;
const FAULT_MS_MIN = 500;

/** For a run of `durationMs`: none within `quietMs` of its beginning and its end. */
export function planFaults(seed: number, durationMs: number, { everyMs, quietMs }: Pace): Planned[] {
  const random = new Random(seed);
  const plan: Planned[] = [];
  let deck: FaultKind[] = [];
  for (let atMs = quietMs; atMs < durationMs - quietMs; atMs += random.between(everyMs / 2, (everyMs * 3) / 2)) {
    if (deck.length === 0) deck = shuffled(FAULT_KINDS, random);
    const kind = deck.pop() as FaultKind;
    const forMs = random.between(FAULT_MS_MIN, Math.min(FAULT_MS_MAX, Math.max(FAULT_MS_MIN, everyMs)));
    plan.push({ atMs, kind, forMs, draw: random.next() });
  }
  return plan;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.between(0, left.length - 1), 1)[0] as T);
}
