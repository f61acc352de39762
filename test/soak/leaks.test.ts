/** Whether growth is told from noise. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLeak, LEAK_LIMITS, median, SAMPLES_MIN } from './leaks.ts';

const MIB = 2 ** 20;
/** Twenty minutes, a sample each 10 s. */
const COUNT = 120;
const series = (at: (i: number) => number) => Array.from({ length: COUNT }, (_, i) => at(i));
const verdictOf = (samples: number[], figure: keyof typeof LEAK_LIMITS) =>
  judgeLeak(samples, LEAK_LIMITS[figure]).verdict;

test('what warms up in the first minutes and then stays is level', () => {
  const warming = series((i) => (i < 20 ? 120 + i * 3 : 180) * MIB);
  assert.equal(verdictOf(warming, 'rss'), 'level');
});

test('a thread that keeps 100 bytes a request, at 50 requests a second, leaks', () => {
  const leaking = series((i) => 15 * MIB + i * 10 * 50 * 100);
  assert.equal(verdictOf(leaking, 'heapUsed'), 'grows');
});

test('a process that grows by 4 MiB a minute leaks', () => {
  assert.equal(
    verdictOf(
      series((i) => (180 + (i * 4) / 6) * MIB),
      'rss',
    ),
    'grows',
  );
});

test('a process that loses a descriptor every ten seconds leaks', () => {
  assert.equal(
    verdictOf(
      series((i) => 90 + i),
      'descriptors',
    ),
    'grows',
  );
  assert.equal(
    verdictOf(
      series((i) => 20 + i),
      'resources',
    ),
    'grows',
  );
});

test('peaks and noise are no leak', () => {
  const noisy = series((i) => (180 + (i % 7)) * MIB + (i % 10 === 9 ? 300 * MIB : 0));
  assert.equal(verdictOf(noisy, 'rss'), 'level');
});

test('of few samples nothing is said', () => {
  const short = series((i) => i * MIB).slice(0, SAMPLES_MIN - 1);
  assert.equal(verdictOf(short, 'rss'), 'too few samples');
});

test('the median of an even number of samples is between the two in the middle', () => {
  assert.deepEqual([median([4, 1, 3, 2]), median([3, 1, 2]), median([])], [2.5, 2, 0]);
});
