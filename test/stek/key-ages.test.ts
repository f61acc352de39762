/** How old a key is taken to be, whatever the clocks say. Two clocks: one that can be set, one that only runs forward. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyAges } from '../../src/stek/key-ages.ts';
import type { KeyRing, RingKey } from '../../src/stek/key-ring.ts';
import { keyName, ringOf, ticketKey } from './fixtures.ts';

const HOUR_MS = 3_600_000;
/** When the key of `newRing` became active. */
const SINCE_MS = 100 * HOUR_MS;
const STEADY_MS = 5_000;

test('where the clocks agree the age counts from when the key entered its stage, here or not', () => {
  const { ages, active } = observed(SINCE_MS + 7, STEADY_MS);
  assert.equal(ages.ageMs(active), 7);
});

test('a key that was stamped by a clock ahead of this one is as old as it has been seen to be', () => {
  const { ages, ring, active } = observed(SINCE_MS - HOUR_MS, STEADY_MS);
  assert.equal(ages.ageMs(active), 0);
  ages.observe(ring, SINCE_MS - HOUR_MS + 300, STEADY_MS + 300);
  assert.equal(ages.ageMs(active), 300);
});

test('a wall clock that is set makes no key older or younger', () => {
  const { ages, ring, active } = observed(SINCE_MS, STEADY_MS);
  ages.observe(ring, SINCE_MS + HOUR_MS, STEADY_MS + 500);
  assert.equal(ages.ageMs(active), 500);
  ages.observe(ring, SINCE_MS - HOUR_MS, STEADY_MS + 600);
  assert.equal(ages.ageMs(active), 600);
});

test('what is seen to happen begins then, whatever the clock of the leader said', () => {
  const ring = ringOf(1);
  const ages = new KeyAges();
  ages.observe(ring, SINCE_MS, STEADY_MS);
  ring.apply({ kind: 'key-activate', name: keyName(2), atMs: SINCE_MS - 10 * HOUR_MS });
  ages.observe(ring, SINCE_MS + 100, STEADY_MS + 100);
  ages.observe(ring, SINCE_MS + 150, STEADY_MS + 150);
  assert.equal(ages.ageMs(ring.active as RingKey), 50);
});

test('a key that enters its next stage begins anew', () => {
  const { ages, ring } = observed(0, STEADY_MS);
  ages.observe(ring, 0, STEADY_MS + 900);
  assert.equal(ages.ageMs(ring.staged as RingKey), 900);
  ring.apply({ kind: 'key-activate', name: keyName(2), atMs: HOUR_MS });
  ages.observe(ring, 0, STEADY_MS + 1_000);
  assert.equal(ages.ageMs(ring.active as RingKey), 0);
  assert.equal(ages.ageMs(ring.keys[0] as RingKey), 0);
});

test('a key that is gone is forgotten: one that comes back counts from then', () => {
  const { ages, ring } = observed(0, STEADY_MS);
  ages.observe({ keys: [] }, 0, STEADY_MS + 100);
  ages.observe(ring, 0, STEADY_MS + 900);
  assert.equal(ages.ageMs(ring.active as RingKey), 0);
});

test('a ring that was restored is the same ring: its keys are as old as before', () => {
  const { ages } = observed(0, STEADY_MS);
  const restored = newRing();
  ages.observe(restored, 0, STEADY_MS + 700);
  assert.equal(ages.ageMs(restored.active as RingKey), 700);
});

test('by a clock that runs true an age never shrinks, and is never less than what was seen here', () => {
  const step = fc.record({ elapsedMs: fc.nat(HOUR_MS), nowMs: fc.nat(10 * HOUR_MS) });
  fc.assert(
    fc.property(fc.array(step), fc.boolean(), (steps, isTrue) => {
      const { ages, ring, active } = observed(SINCE_MS, 0);
      let [steadyMs, beforeMs] = [0, 0];
      for (const { elapsedMs, nowMs } of steps) {
        steadyMs += elapsedMs;
        ages.observe(ring, isTrue ? SINCE_MS + steadyMs : nowMs, steadyMs);
        assert.ok(ages.ageMs(active) >= steadyMs);
        if (isTrue) assert.ok(ages.ageMs(active) >= beforeMs);
        beforeMs = ages.ageMs(active);
      }
    }),
  );
});

function newRing(): KeyRing {
  const ring = ringOf(1, SINCE_MS);
  assert.deepEqual(ring.active?.bytes, ticketKey(1));
  return ring;
}

function observed(nowMs: number, steadyMs: number) {
  const [ages, ring] = [new KeyAges(), newRing()];
  ages.observe(ring, nowMs, steadyMs);
  return { ages, ring, active: ring.active as RingKey };
}
