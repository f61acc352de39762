/** What `stekbal keys list` prints, and the keys' block of a status. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyLines, renderKeys } from '../../src/commands/keys-text.ts';
import type { KeysStatus } from '../../src/control/status.ts';

const NOW_MS = Date.UTC(2027, 0, 15, 8, 0, 0);
const HOUR_MS = 3_600_000;
const STATUS: KeysStatus = {
  keys: [
    { id: '00000001', stage: 'retiring', sinceMs: NOW_MS - 2 * HOUR_MS },
    { id: '00000002', stage: 'retiring', sinceMs: NOW_MS - HOUR_MS - 250 },
    { id: '00000003', stage: 'active', sinceMs: NOW_MS - 61_000 },
    { id: '00000004', stage: 'staged', sinceMs: NOW_MS - 1_000 },
  ],
  isIssuing: true,
  activeAgeMs: 61_000,
  lifetimeMs: 24 * HOUR_MS,
  intervalMs: HOUR_MS,
};

test('keys are listed as they live, the youngest of a stage first', () => {
  assert.equal(
    renderKeys(STATUS, NOW_MS),
    `key       stage     since                 age
00000004  staged    2027-01-15T07:59:59Z  1s
00000003  active    2027-01-15T07:58:59Z  1m 1s
00000002  retiring  2027-01-15T06:59:59Z  1h
00000001  retiring  2027-01-15T06:00:00Z  2h
`,
  );
});

test('it says where no tickets are issued, and why', () => {
  const none = { ...STATUS, keys: [], isIssuing: false, activeAgeMs: null };
  assert.equal(renderKeys(none, NOW_MS), 'no keys yet\nnot issuing tickets: no key is active\n');
  const stale = { ...STATUS, isIssuing: false };
  assert.match(renderKeys(stale, NOW_MS), /\nnot issuing tickets: the active key is too old, and the cluster makes no/);
});

test('a status shows the youngest keys, and how many more there are', () => {
  const old = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, stage: 'retiring' as const, sinceMs: i }));
  const lines = keyLines({ ...STATUS, keys: [...old, ...STATUS.keys] }, NOW_MS);
  assert.deepEqual(
    lines.map((line) => line.split('  ').slice(0, 2).join('  ').trimEnd()),
    [
      '24 ticket keys, a new one every 1h, tickets last 1d',
      '  00000004',
      '  00000003',
      '  00000002',
      '  00000001',
      '  19',
      '  and 19 more, retiring',
    ],
  );
});
