import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyPace } from '../../workers/body-pace.ts';

/** 10 s, 100 bytes a second: a byte buys 10 ms. */
function pace(): BodyPace {
  const one = new BodyPace();
  one.begin(10_000, 100);
  return one;
}

test('silence runs out after the timeout', () => {
  const one = pace();
  assert.equal(one.await(0), 10_000);
  assert.equal(one.await(4_000), 6_000);
  assert.equal(one.await(12_000), 0);
});

test('a byte buys back its part, and never more than is missing', () => {
  const one = pace();
  one.await(0);
  one.moved(100, 5_000);
  assert.equal(one.await(5_000), 6_000);
  one.moved(1e9, 5_000);
  assert.equal(one.await(5_000), 10_000);
});

test('below the least rate time runs out however often a byte comes', () => {
  const one = pace();
  let now = 0;
  while (one.await(now) > 0) {
    now += 1_000;
    one.moved(50, now);
    assert.ok(now < 25_000);
  }
  // 50 bytes buy half of the second that they took
  assert.equal(now, 20_000);
});

test('at the least rate it never does', () => {
  const one = pace();
  for (let now = 0; now < 1e6; now += 1_000) {
    assert.ok(one.await(now) > 0);
    one.moved(100, now + 1_000);
  }
});

test('time in which the other side is waited for does not count', () => {
  const one = pace();
  one.await(0);
  one.rest(1_000);
  one.moved(0, 50_000);
  assert.equal(one.await(60_000), 9_000);
  one.rest(61_000);
  one.moved(10, 90_000);
  assert.equal(one.await(90_000), 8_100);
});

test('without a least rate any byte buys all of it', () => {
  const one = new BodyPace();
  one.begin(10_000, 0);
  one.await(0);
  one.moved(1, 9_999);
  assert.equal(one.await(9_999), 10_000);
});
