/** Counters of the stats board as numbers that do not wrap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STAT, StatsBoard } from '../../src/boards/stats-board.ts';
import { Counters } from '../../src/control/counters.ts';

test('a counter is the sum over all threads, read as often as one likes', () => {
  const board = StatsBoard.create(3);
  const counters = new Counters(board);
  assert.equal(counters.read('handshakesFull13'), 0);
  for (const thread of [0, 1, 2]) board.row(thread)[STAT.handshakesFull13] = 10 + thread;
  assert.equal(counters.read('handshakesFull13'), 33);
  assert.equal(counters.read('handshakesFull13'), 33);
  assert.equal(counters.read('handshakesFull12'), 0);
});

test('a word that goes around 2^32 goes on counting', () => {
  const board = StatsBoard.create(2);
  const counters = new Counters(board);
  const row = board.row(1);
  row[STAT.ticketsIssued] = -6; // 2^32 - 6
  assert.equal(counters.read('ticketsIssued'), 2 ** 32 - 6);
  row[STAT.ticketsIssued] = 4;
  assert.equal(counters.read('ticketsIssued'), 2 ** 32 + 4);
  row[STAT.ticketsIssued] = 3;
  assert.equal(counters.read('ticketsIssued'), 2 ** 33 + 3);
});
