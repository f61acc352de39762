/** The policy as a table: a ring, its ages, the other members, and what a leader does then. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KEYS_MAX, KeyRing, type RingKey, type Stage } from '../../src/stek/key-ring.ts';
import {
  issuingMsMax,
  type MemberView,
  nextStep,
  type RotationStep,
  type RotationView,
} from '../../src/stek/rotation.ts';
import { nameOf } from '../../src/stek/ticket-key.ts';
import { keyName, ticketKey } from './fixtures.ts';

const INTERVAL_MS = 1_000;
const LIFETIME_MS = 10_000;
const SILENCE_MS = 200;
const RULES = { intervalMs: INTERVAL_MS, lifetimeMs: LIFETIME_MS, silenceMsMax: SILENCE_MS };
const STAGED_INDEX = 50;

const HOLDS: MemberView = { applied: STAGED_INDEX, silentMs: 0 };
const BEHIND: MemberView = { applied: STAGED_INDEX - 1, silentMs: 0 };
const LONG_SILENT: MemberView = { applied: STAGED_INDEX - 1, silentMs: SILENCE_MS };
const ALMOST_SILENT: MemberView = { applied: STAGED_INDEX - 1, silentMs: SILENCE_MS - 1 };
const UNMET: MemberView = { applied: 0, silentMs: null };
const SAID_NOTHING: MemberView = { applied: null, silentMs: 0 };

/** A key by its number: `[stage, ageMs, activeMs]`, where activeMs is how long a retiring one was active. */
type Keys = Record<number, readonly [stage: Stage, ageMs: number, activeMs?: number]>;

interface Case {
  readonly keys: Keys;
  readonly members?: readonly MemberView[];
  readonly ledMs?: number;
  readonly isRotationWanted?: boolean;
  readonly rules?: Partial<typeof RULES>;
  readonly step: RotationStep | null;
}

const MINT: RotationStep = { kind: 'mint' };
const activate = (n: number): RotationStep => ({ kind: 'activate', name: keyName(n) });
const retire = (n: number): RotationStep => ({ kind: 'retire', name: keyName(n) });
/** The active key has served its time, and the next is there. */
const DUE: Keys = { 1: ['active', INTERVAL_MS], 2: ['staged', INTERVAL_MS] };

const CASES: Record<string, Case> = {
  'an empty ring is given a key': { keys: {}, step: MINT },
  'the first key becomes active at once where every member holds it': {
    keys: { 1: ['staged', 0] },
    members: [HOLDS, HOLDS],
    step: activate(1),
  },
  'the first key, too, waits for every live member': {
    keys: { 1: ['staged', 0] },
    members: [HOLDS, BEHIND],
    step: null,
  },
  'the next key is staged as soon as the one before is active': { keys: { 1: ['active', 0] }, step: MINT },
  'a young active key stays': {
    keys: { 1: ['active', INTERVAL_MS - 1], 2: ['staged', INTERVAL_MS - 1] },
    step: null,
  },
  'an active key as old as the interval is followed by the next': {
    keys: DUE,
    members: [HOLDS, HOLDS],
    step: activate(2),
  },
  'a leader that is alone asks nobody': { keys: DUE, members: [], step: activate(2) },
  'a live member that has not applied the staged key holds up its activation': {
    keys: DUE,
    members: [HOLDS, BEHIND],
    step: null,
  },
  'a live member that has not said what it has applied holds it up, too': {
    keys: DUE,
    members: [SAID_NOTHING],
    step: null,
  },
  'a member that has been silent for a while still does': { keys: DUE, members: [HOLDS, ALMOST_SILENT], step: null },
  'a member that has been silent for too long does not': {
    keys: DUE,
    members: [HOLDS, LONG_SILENT],
    step: activate(2),
  },
  'a silent member that holds the key holds nothing up': {
    keys: DUE,
    members: [{ applied: STAGED_INDEX, silentMs: 1 }],
    step: activate(2),
  },
  'a member not heard of since the election may be alive': {
    keys: DUE,
    members: [UNMET],
    ledMs: SILENCE_MS - 1,
    step: null,
  },
  'until the leader has waited for it as long as for a silent one': {
    keys: DUE,
    members: [UNMET],
    ledMs: SILENCE_MS,
    step: activate(2),
  },
  'a leader of long standing does not forgive a live member that is behind': {
    keys: DUE,
    members: [BEHIND],
    ledMs: 1_000 * SILENCE_MS,
    step: null,
  },
  'a rotation that is wanted waits for no interval': {
    keys: { 1: ['active', 0], 2: ['staged', 0] },
    isRotationWanted: true,
    step: activate(2),
  },
  'a rotation that is wanted waits for the members all the same': {
    keys: { 1: ['active', 0], 2: ['staged', 0] },
    members: [BEHIND],
    isRotationWanted: true,
    step: null,
  },
  'a rotation that is wanted begins with a key to rotate to': {
    keys: { 1: ['active', 0] },
    isRotationWanted: true,
    step: MINT,
  },
  'a retiring key stays for the lifetime of a ticket': {
    keys: { 1: ['retiring', LIFETIME_MS - 1, INTERVAL_MS], 2: ['active', 0], 3: ['staged', 0] },
    step: null,
  },
  'and goes after it': {
    keys: { 1: ['retiring', LIFETIME_MS, INTERVAL_MS], 2: ['active', 0], 3: ['staged', 0] },
    step: retire(1),
  },
  'of several that are over the first to come is the first to go': {
    keys: {
      1: ['retiring', LIFETIME_MS + 2, INTERVAL_MS],
      2: ['retiring', LIFETIME_MS + 1, INTERVAL_MS],
      3: ['active', 0],
      4: ['staged', 0],
    },
    step: retire(1),
  },
  'with a short lifetime a retiring key stays while a member that was cut off may still make tickets with it': {
    keys: { 1: ['retiring', INTERVAL_MS + SILENCE_MS - 1, INTERVAL_MS], 2: ['active', 0], 3: ['staged', 0] },
    rules: { lifetimeMs: 10 },
    step: null,
  },
  'which it does for twice the interval from when it learnt of the activation, at the latest when it fell silent': {
    keys: { 1: ['retiring', INTERVAL_MS + SILENCE_MS, INTERVAL_MS], 2: ['active', 0], 3: ['staged', 0] },
    rules: { lifetimeMs: 10 },
    step: retire(1),
  },
  'a key that was rotated early stays for as long': {
    keys: { 1: ['retiring', 2 * INTERVAL_MS + SILENCE_MS - 2, 1], 2: ['active', 0], 3: ['staged', 0] },
    rules: { lifetimeMs: 10 },
    step: null,
  },
  'a key that retires by a clock behind the one that activated it counts as never active': {
    keys: { 1: ['retiring', 2 * INTERVAL_MS + SILENCE_MS - 1, -100 * INTERVAL_MS], 2: ['active', 0], 3: ['staged', 0] },
    rules: { lifetimeMs: 10 },
    step: null,
  },
  'an activation that is due comes before a retirement': {
    keys: { 1: ['retiring', LIFETIME_MS, INTERVAL_MS], 2: ['active', INTERVAL_MS], 3: ['staged', 0] },
    step: activate(3),
  },
  'while an activation is held up keys retire': {
    keys: { 1: ['retiring', LIFETIME_MS, INTERVAL_MS], 2: ['active', INTERVAL_MS], 3: ['staged', 0] },
    members: [BEHIND],
    step: retire(1),
  },
  'staged and active keys never retire, however old': {
    keys: { 1: ['active', 100 * LIFETIME_MS], 2: ['staged', 100 * LIFETIME_MS] },
    members: [BEHIND],
    step: null,
  },
};

for (const [name, { step, ...given }] of Object.entries(CASES)) {
  test(name, () => {
    const { rules, ...view } = viewOf(given);
    assert.deepEqual(nextStep(view, rules), step);
  });
}

test('a full ring is not offered a further key: first those that are over go', () => {
  const { keys, ring } = fullRing();
  const over = keys[0] as RingKey;
  const ageMs = (key: RingKey) => (key === over ? LIFETIME_MS : 0);
  const view: RotationView = { ring, ageMs, stagedIndex: STAGED_INDEX, members: [], ledMs: 0 };
  assert.deepEqual(nextStep(view, RULES), { kind: 'retire', name: nameOf(over.bytes) });
});

test('a full ring in which no key is over lets go of the oldest: it would not take a further one', () => {
  const { keys, ring } = fullRing();
  const view: RotationView = { ring, ageMs: () => 0, stagedIndex: STAGED_INDEX, members: [], ledMs: 0 };
  const oldest = keys.find(({ stage }) => stage === 'retiring') as RingKey;
  assert.deepEqual(nextStep(view, RULES), { kind: 'retire', name: nameOf(oldest.bytes) });
});

test('no key is ever activated that a live member has not applied', () => {
  const member = fc.record({ applied: fc.option(fc.nat(100)), silentMs: fc.option(fc.nat(2 * SILENCE_MS)) });
  fc.assert(
    fc.property(
      fc.array(member, { maxLength: 5 }),
      fc.boolean(),
      fc.nat(2 * SILENCE_MS),
      (members, isWanted, ledMs) => {
        const { rules, ...view } = viewOf({ keys: DUE, members, ledMs, isRotationWanted: isWanted });
        const isBlocked = members.some(({ applied, silentMs }) => {
          const isLive = silentMs === null ? ledMs < SILENCE_MS : silentMs < SILENCE_MS;
          return isLive && (applied === null || applied < STAGED_INDEX);
        });
        assert.deepEqual(nextStep(view, rules), isBlocked ? null : activate(2));
      },
    ),
  );
});

test('who is cut off makes tickets for twice the interval', () => {
  assert.equal(issuingMsMax(RULES), 2 * INTERVAL_MS);
});

function viewOf({ keys, members = [], ledMs = 0, isRotationWanted = false, rules = {} }: Omit<Case, 'step'>) {
  const ages = new Map<RingKey, number>();
  const list = Object.entries(keys).map(([n, [stage, ageMs, activeMs = 0]]): RingKey => {
    const key = { bytes: ticketKey(Number(n)), stage, sinceMs: 1_000_000, activeSinceMs: 1_000_000 - activeMs };
    ages.set(key, ageMs);
    return key;
  });
  const of = (wanted: Stage) => list.find(({ stage }) => stage === wanted) ?? null;
  const ring = { keys: list, active: of('active'), staged: of('staged'), isRotationWanted };
  const ageMs = (key: RingKey) => ages.get(key) as number;
  return { ring, ageMs, stagedIndex: STAGED_INDEX, members, ledMs, rules: { ...RULES, ...rules } };
}

/** KEYS_MAX keys, the last one active, none staged. */
function fullRing() {
  const keys = Array.from({ length: KEYS_MAX }, (_, n) => {
    const bytes = new Uint8Array(48).fill(1);
    new DataView(bytes.buffer).setUint32(0, n);
    return [bytes, n === KEYS_MAX - 1 ? 'active' : 'retiring', 2 * INTERVAL_MS, INTERVAL_MS];
  });
  const ring = KeyRing.fromSnapshot([false, keys]);
  return { ring, keys: ring.keys };
}
