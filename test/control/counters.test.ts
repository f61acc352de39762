/** Counters of the stats board as numbers that do not wrap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STAT, StatsBoard } from '../../src/boards/stats-board.ts';
import { Counters } from '../../src/control/counters.ts';

test('a counter is the sum over all threads, read as often as one likes', () => {
  const board = StatsBoard.create(3);
  const counters = new Counters(board, () => 3);
  assert.equal(counters.read('handshakesFull13'), 0);
  for (const thread of [0, 1, 2]) board.row(thread)[STAT.handshakesFull13] = 10 + thread;
  assert.equal(counters.read('handshakesFull13'), 33);
  assert.equal(counters.read('handshakesFull13'), 33);
  assert.deepEqual(counters.readThreads('handshakesFull13'), [10, 11, 12]);
  assert.equal(counters.read('handshakesFull12'), 0);
});

test('a word that goes around 2^32 goes on counting', () => {
  const board = StatsBoard.create(2);
  const counters = new Counters(board, () => 2);
  const row = board.row(1);
  row[STAT.ticketsIssued] = -6; // 2^32 - 6
  assert.equal(counters.read('ticketsIssued'), 2 ** 32 - 6);
  row[STAT.ticketsIssued] = 4;
  assert.equal(counters.read('ticketsIssued'), 2 ** 32 + 4);
  row[STAT.ticketsIssued] = 3;
  assert.equal(counters.read('ticketsIssued'), 2 ** 33 + 3);
});

test('threads that come are counted, those that have gone keep what they counted, and no other row is read', () => {
  const board = StatsBoard.create(256);
  const read = new Set<number>();
  let threads = 1;
  const watched: Pick<StatsBoard, 'read'> = {
    read: (thread, stat) => {
      read.add(thread);
      return board.read(thread, stat);
    },
  };
  const counters = new Counters(watched, () => threads);
  board.row(0)[STAT.requestsTotal] = 5;
  assert.equal(counters.read('requestsTotal'), 5);
  assert.deepEqual([...read], [0]);
  threads = 2;
  board.row(1)[STAT.requestsTotal] = 7;
  assert.equal(counters.read('requestsTotal'), 12);
  assert.deepEqual([...read], [0, 1]);
});

test('what is open is summed over all threads, and nothing is open on one that has ended', () => {
  const board = StatsBoard.create(2);
  const counters = new Counters(board, () => 2);
  for (const thread of [0, 1]) board.row(thread)[STAT.connectionsOpen] = 3 + thread;
  board.row(0)[STAT.tunnelsOpen] = 1;
  board.row(0)[STAT.connectionsTotal] = 9;
  assert.deepEqual([counters.gauge('connectionsOpen'), counters.gauge('tunnelsOpen')], [7, 1]);
  board.clearGauges(0);
  assert.deepEqual([counters.gauge('connectionsOpen'), counters.gauge('tunnelsOpen')], [4, 0]);
  assert.equal(counters.read('connectionsTotal'), 9);
});
