/** Rise and fall. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckStreak } from '../../../src/control/health/check-streak.ts';

/** The states after each of `checks`, + passed, - failed, as u(p) and d(own). */
function statesAfter(checks: string, { isUp = true, rise = 2, fall = 3 } = {}): string {
  const streak = new CheckStreak(isUp, { rise, fall });
  return [...checks]
    .map((check) => {
      const before = streak.isUp;
      assert.equal(streak.take(check === '+'), streak.isUp !== before);
      return streak.isUp ? 'u' : 'd';
    })
    .join('');
}

test('fall checks that fail in a row put a node out, and rise that pass bring it back', () => {
  assert.equal(statesAfter('+---++'), 'uuuddu');
  assert.equal(statesAfter('+---++', { rise: 1, fall: 1 }), 'uddduu');
});

test('a check that says otherwise begins the count anew', () => {
  assert.equal(statesAfter('+--+--+---'), 'uuuuuuuuud');
  assert.equal(statesAfter('+---+-+-++'), 'uuuddddddu');
});

test('the first check decides alone, either way', () => {
  assert.equal(statesAfter('-'), 'd');
  assert.equal(statesAfter('-+'), 'dd');
  assert.equal(statesAfter('-++'), 'ddu');
  assert.equal(statesAfter('+', { isUp: false }), 'u');
  assert.equal(statesAfter('-', { isUp: false }), 'd');
});

test('a node changes only at the end of as many checks in a row as the rule says, whatever comes', () => {
  const rules = fc.record({ rise: fc.integer({ min: 1, max: 5 }), fall: fc.integer({ min: 1, max: 5 }) });
  fc.assert(
    fc.property(
      rules,
      fc.array(fc.constantFrom('+', '-'), { minLength: 1, maxLength: 60 }),
      ({ rise, fall }, checks) => {
        const text = checks.join('');
        const states = statesAfter(text, { rise, fall });
        for (let i = 1; i < states.length; i++) {
          const past = text.slice(0, i + 1);
          const [up, down] = ['+'.repeat(rise), '-'.repeat(fall)];
          const [same, other] = states[i] === 'u' ? [up, down] : [down, up];
          if (states[i] !== states[i - 1]) assert.ok(past.endsWith(same), `${text} ${states} at ${i}`);
          else assert.ok(!past.slice(1).endsWith(other), `${text} ${states} at ${i}`);
        }
      },
    ),
  );
});
