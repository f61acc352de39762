import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusals } from '../../src/cluster/refusals.ts';

test('a refusal that lasts is said ever less often, down to once a minute, with what was left out; a new one at once', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let seconds = 0;
  const said: (readonly [number, number])[] = [];
  const refusals = new Refusals((_level, _message, fields) => {
    said.push([seconds, ((fields as { suppressed?: number }).suppressed ?? 0) + 1]);
  });
  const pass = (isRefused: boolean) => {
    if (isRefused) refusals.add('wrong-subject', {});
    t.mock.timers.tick(1_000);
    seconds++;
  };
  while (seconds < 600) pass(true);
  assert.equal(refusals.counts['wrong-subject'], 600);
  assert.deepEqual(said.map(([at]) => at).slice(0, 8), [0, 1, 2, 6, 14, 30, 62, 122]);
  assert.ok(said.length <= 16);
  while (seconds < 800) pass(false);
  const before = said.length;
  pass(true);
  assert.deepEqual(said[before]?.[0], 800);
  refusals.close();
  assert.equal(
    said.reduce((sum, [, count]) => sum + count, 0),
    601,
  );
});
