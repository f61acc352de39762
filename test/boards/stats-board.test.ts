/** The stats board: a row a thread, apart from the others, counters that wrap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STAT, StatsBoard } from '../../src/boards/stats-board.ts';

test('each thread counts in a row of its own, 128 bytes of nobody around it, wherever the board begins', () => {
  const board = StatsBoard.create(3);
  assert.equal(board.buffer.byteLength, 128 + 3 * (256 + 128));
  let end = 0;
  for (let t = 0; t < 3; t++) {
    const row = board.row(t);
    assert.ok(row.byteOffset - end >= 128, `row ${t} begins ${row.byteOffset - end} bytes behind the one before`);
    end = row.byteOffset + row.byteLength;
    row[STAT.requestsTotal] = 10 ** t;
    row.fill(-1, 32);
  }
  assert.ok(board.buffer.byteLength - end >= 128);
  assert.equal(board.read(1, 'requestsTotal'), 10);
  assert.equal(board.read(2, 'requestsTotal'), 100);
});

test('no two counters share a word', () => {
  const words = Object.values(STAT);
  assert.equal(new Set(words).size, words.length);
});

test('a counter is read without its sign', () => {
  const board = StatsBoard.create(1);
  board.row(0)[STAT.clientAborts] = -1;
  assert.equal(board.read(0, 'clientAborts'), 2 ** 32 - 1);
});

test('another view reads the same rows; a buffer that is not whole rows is refused', () => {
  const board = StatsBoard.create(2);
  board.row(1)[STAT.heartbeat] = 5;
  assert.equal(new StatsBoard(board.buffer).read(1, 'heartbeat'), 5);
  for (const bytes of [0, 4, 128, 256, 508, 516]) {
    assert.throws(() => new StatsBoard(new SharedArrayBuffer(bytes)), /not a stats board/);
  }
});
