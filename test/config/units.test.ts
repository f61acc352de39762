/** The scalar notations: durations, sizes, flags, numbers and text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseFlag,
  parseInteger,
  parseSize,
  parseText,
} from '../../src/config/units.ts';

const any = { min: 0, max: Number.MAX_SAFE_INTEGER };

test('a duration is read in each of its units', () => {
  const read = ['500ms', '30s', '10m', '12h', '1d', '1.5s', 0].map((raw) => parseDuration(raw, any));
  const values = [500, 30_000, 600_000, 43_200_000, 86_400_000, 1500, 0];
  assert.deepEqual(
    read,
    values.map((value) => ({ ok: true, value })),
  );
});

test('a size is read in each of its units', () => {
  const read = ['512B', '16KiB', '1MiB', '2GiB', 0].map((raw) => parseSize(raw, any));
  const values = [512, 16_384, 1_048_576, 2_147_483_648, 0];
  assert.deepEqual(
    read,
    values.map((value) => ({ ok: true, value })),
  );
});

test('a bare number is refused with the unit to add', () => {
  assert.match(message(parseDuration(30, any)), /^30 has no unit; write 30s for seconds or 30ms/);
  assert.match(message(parseDuration('30', any)), /^30 has no unit/);
  assert.match(message(parseSize(4096, any)), /^4096 has no unit; write 4096B for bytes/);
});

test('the notation of a foreign system is refused', () => {
  for (const raw of ['30 s', '30S', '1w', '-1s', 's', '1h30m', '', true, null, [], {}]) {
    assert.equal(parseDuration(raw, any).ok, false, JSON.stringify(raw));
  }
  for (const raw of ['1KB', '1k', '1 KiB', '-1B', '', false, null]) {
    assert.equal(parseSize(raw, any).ok, false, JSON.stringify(raw));
  }
});

test('both ends of a range belong to it', () => {
  const range = { min: 1000, max: 2000 };
  const read = ['999ms', '1s', '2s', '2001ms'].map((raw) => parseDuration(raw, range).ok);
  assert.deepEqual(read, [false, true, true, false]);
  assert.equal(message(parseDuration('3s', range)), '"3s" is too large; write 1s to 2s');
});

test('what a duration or size is shown as reads back as the same amount', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (amount) => {
      assert.deepEqual(parseDuration(formatDuration(amount), any), { ok: true, value: amount });
      assert.deepEqual(parseSize(formatSize(amount), any), { ok: true, value: amount });
    }),
  );
});

test('a flag is read in every spelling and letter case', () => {
  for (const raw of [true, 1, '1', 'yes', 'Yes', 'ON', 'true'])
    assert.deepEqual(parseFlag(raw), { ok: true, value: true });
  for (const raw of [false, 0, '0', 'no', 'NO', 'off', 'False']) {
    assert.deepEqual(parseFlag(raw), { ok: true, value: false });
  }
  for (const raw of [2, 'y', '', null, undefined, [], ['yes']]) assert.equal(parseFlag(raw).ok, false);
});

test('a whole number may stand in quotes, a fraction is refused', () => {
  assert.deepEqual(parseInteger('4', any), { ok: true, value: 4 });
  assert.deepEqual(parseInteger(4, any), { ok: true, value: 4 });
  for (const raw of [1.5, '1.5', '4x', '', Number.NaN, Number.POSITIVE_INFINITY, null]) {
    assert.equal(parseInteger(raw, any).ok, false);
  }
});

test('text that YAML took for a number is refused, not guessed at', () => {
  assert.match(message(parseText(7, { min: 1, max: 9 })), /put it in quotes/);
  assert.equal(parseText('a\nb', { min: 1, max: 9 }).ok, false);
  assert.deepEqual(parseText('007', { min: 1, max: 9 }), { ok: true, value: '007' });
});

function message(result: { ok: boolean; message?: string }): string {
  assert.equal(result.ok, false);
  return result.message ?? '';
}
