import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from '../../src/commands/table.ts';

test('columns are as wide as their widest cell, however many rows there are', () => {
  const rows = Array.from({ length: 300_000 }, (_, i) => [String(i), 'x']);
  const lines = table([['n', 'name'], ...rows], [0]);
  assert.deepEqual([lines[0], lines[1], lines.at(-1)], ['     n  name', '     0  x', '299999  x']);
});
