/** Answers that cost much: fresh for whoever asks, and rare for all together. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedAnswers } from '../../src/admin/shared-answers.ts';
import { exchange } from '../e2e/harness.ts';
import { startAdmin } from './admin-harness.ts';

/** Makes that keep the thread busy for `ms`. */
function busy(ms: number) {
  let made = 0;
  return {
    make: () => {
      const end = performance.now() + ms;
      while (performance.now() < end);
      made += 1;
      return String(made);
    },
    made: () => made,
  };
}

const text = async (answer: Promise<Buffer>) => (await answer).toString();

test('those who ask before it is made share an answer, and those who ask afterwards get a new one', async () => {
  const answers = new SharedAnswers();
  const { make, made } = busy(0);
  const first = Array.from({ length: 100 }, () => answers.get('x', make));
  assert.deepEqual(new Set(await Promise.all(first.map(text))), new Set(['1']));
  assert.equal(await first[0], await first[99], 'one copy');
  assert.equal(await text(answers.get('x', make)), '2');
  assert.equal(made(), 2);
});

test('whoever asks again and again gets a twentieth of the time, whatever they ask for', async () => {
  const answers = new SharedAnswers();
  const { make, made } = busy(5);
  const beganMs = performance.now();
  const asking = async (key: string) => {
    while (performance.now() - beganMs < 1_000) await answers.get(key, make);
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => asking(`key ${i % 4}`)));
  const tookMs = performance.now() - beganMs;
  // the last round ends after the second is over
  assert.ok(made() * 5 * 20 <= tookMs + 4 * 5 * 20, `${made()} in ${tookMs} ms`);
});

test('an answer that fails is the failure of those who shared it, and of nobody else', async () => {
  const answers = new SharedAnswers();
  const fail = () => {
    throw new Error('no');
  };
  const [one, two, other] = [answers.get('x', fail), answers.get('x', fail), answers.get('y', () => 'well')];
  await assert.rejects(one, /no/);
  await assert.rejects(two, /no/);
  assert.equal(await text(other), 'well');
  assert.equal(await text(answers.get('x', () => 'again')), 'again');
});

for (const [path, method] of [
  ['/metrics', 'metrics'],
  ['/status', 'status'],
] as const) {
  test(`GET ${path} is made a few times for a hundred who ask at once`, async (t) => {
    const { edge, port } = await startAdmin(t);
    const costly = busy(5);
    const make = edge[method].bind(edge) as () => never;
    edge[method] = () => {
      costly.make();
      return make();
    };
    const bytes = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const beganMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 100 }, () => exchange(port, bytes)));
    const tookMs = performance.now() - beganMs;
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.ok(costly.made() * 5 * 20 <= tookMs + 2 * 5 * 20, `${costly.made()} in ${tookMs} ms`);
  });
}
