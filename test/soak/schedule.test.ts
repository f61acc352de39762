/** The plan of a soak's faults. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_KINDS } from './fault.ts';
import { FAULT_MS_MAX, planFaults } from './schedule.ts';

const PACE = { everyMs: 4_000, quietMs: 5_000 };
const TWENTY_MINUTES_MS = 1_200_000;

test('a seed gives the same plan again, and another seed another', () => {
  assert.deepEqual(planFaults(1, TWENTY_MINUTES_MS, PACE), planFaults(1, TWENTY_MINUTES_MS, PACE));
  assert.notDeepEqual(planFaults(1, TWENTY_MINUTES_MS, PACE), planFaults(2, TWENTY_MINUTES_MS, PACE));
});

test('in twenty minutes every kind of fault comes ten times or more', () => {
  const plan = planFaults(1, TWENTY_MINUTES_MS, PACE);
  for (const kind of FAULT_KINDS) {
    assert.ok(plan.filter((planned) => planned.kind === kind).length >= 10, kind);
  }
});

test('faults come in order, between the quiet times, and none lasts for longer than an edge bears', () => {
  const plan = planFaults(5, 120_000, PACE);
  for (const [i, { atMs, forMs }] of plan.entries()) {
    assert.ok(atMs >= PACE.quietMs && atMs < 120_000 - PACE.quietMs && atMs >= (plan[i - 1]?.atMs ?? 0));
    assert.ok(forMs > 0 && forMs <= FAULT_MS_MAX);
  }
});
