import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThreadWatch } from '../../../src/control/systemd/thread-watch.ts';

const GRACE_MS = 45_000;
const seen = (areAllAlive: boolean) => ({ areAllAlive, replacementMsMax: GRACE_MS });

/** Looks once a second from `fromMs` to `toMs`; the time at which all was not well any more, or null. */
function watch(threads: ThreadWatch, areAllAlive: boolean, fromMs: number, toMs: number): number | null {
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 1_000) if (!threads.observe(seen(areAllAlive), nowMs)) return nowMs;
  return null;
}

test('a thread that is replaced in time is no reason for alarm', () => {
  const threads = new ThreadWatch();
  assert.equal(watch(threads, true, 0, 10_000), null);
  assert.equal(watch(threads, false, 11_000, 55_000), null);
  assert.equal(watch(threads, true, 56_000, 57_000), null);
  assert.equal(watch(threads, false, 58_000, 58_000 + GRACE_MS), null, 'the grace begins anew');
});

test('one that is not replaced within the grace is', () => {
  const threads = new ThreadWatch();
  assert.equal(watch(threads, false, 1_000, 200_000), 1_000 + GRACE_MS + 1_000);
});

test('all is well again once all live', () => {
  const threads = new ThreadWatch();
  assert.equal(watch(threads, false, 0, 100_000), 46_000);
  assert.equal(threads.observe(seen(false), 47_000), false);
  assert.equal(threads.observe(seen(true), 48_000), true);
});

test('a machine that was paused is given the grace anew', () => {
  const threads = new ThreadWatch();
  assert.equal(threads.observe(seen(false), 0), true);
  assert.equal(threads.observe(seen(false), 3_600_000), true);
  assert.equal(watch(threads, false, 3_601_000, 3_600_000 + GRACE_MS), null);
  assert.equal(threads.observe(seen(false), 3_600_000 + GRACE_MS + 1), false);
});
