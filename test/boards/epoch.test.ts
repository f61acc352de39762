/** Epoch publishing, one step at a time; with real threads: stress.test.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EpochRegion, halfOf, loadEpoch, publish } from '../../src/boards/epoch.ts';

const HALF_WORDS = 4;

test('a publication writes the half that is not current, and makes it so', () => {
  const region = newRegion(0);
  assert.equal(publish(region, image(1)), 1);
  assert.deepEqual([...region.words], [1, 0, 0, 0, 0, 1, 1, 1, 1]);
  assert.equal(publish(region, image(2)), 2);
  assert.deepEqual([...region.words], [2, 2, 2, 2, 2, 1, 1, 1, 1]);
  assert.equal(halfOf(region, loadEpoch(region)), 1);
});

test('the epoch wraps without a step in the halves', () => {
  const region = newRegion(0x7fff_fffe);
  for (const expected of [0x7fff_ffff, -0x8000_0000, -0x7fff_ffff]) {
    const before = halfOf(region, loadEpoch(region));
    assert.equal(publish(region, image(expected)), expected);
    const half = halfOf(region, loadEpoch(region));
    assert.notEqual(half, before);
    assert.equal(region.words[half], expected);
  }
});

function newRegion(epoch: number): EpochRegion {
  const words = new Int32Array(new SharedArrayBuffer((1 + 2 * HALF_WORDS) * 4));
  words[0] = epoch;
  return { words, epochIndex: 0, halvesIndex: 1, halfWords: HALF_WORDS };
}

function image(value: number): Int32Array {
  return new Int32Array(HALF_WORDS).fill(value);
}
