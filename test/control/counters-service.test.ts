/** What the service boards of all threads come to, in numbers that do not wrap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK, DURATIONS, ServiceBoard, sumWord } from '../../src/boards/service-board.ts';
import { NodeTotals } from '../../src/control/node-totals.ts';
import { ReloadCounts } from '../../src/control/reload-counts.ts';
import { ServiceCounters } from '../../src/control/service-counters.ts';
import { ServiceCounts } from '../../workers/service-counts.ts';

test('a service is what all threads counted of it, and no other service', () => {
  const boards = [ServiceBoard.create(), ServiceBoard.create()];
  const counters = new ServiceCounters(() => boards);
  const [a, b] = boards.map((board) => new ServiceCounts(board.block(4))) as [ServiceCounts, ServiceCounts];
  a.finished(200, 3);
  b.finished(200, 300);
  b.finished(502, 90_000);
  b.answered(101);
  b.answered(777);
  a.connected(0.3);
  a.retried();
  b.retried();
  b.connectFailed();
  const read = counters.read(4);
  assert.deepEqual(read.codes, [
    ['101', 1],
    ['200', 2],
    ['502', 1],
    ['other', 1],
  ]);
  assert.deepEqual([read.retries, read.connectFailures], [2, 1]);
  assert.deepEqual(read.durations.bounds.slice(0, 4), [0.0005, 0.001, 0.0025, 0.005]);
  assert.deepEqual(read.durations.counts, [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
  assert.equal(read.durations.sum, 90.303);
  assert.equal(read.connects.counts[2], 1);
  assert.equal(read.connects.sum, 0.0003);
  assert.deepEqual(counters.read(4), read, 'read as often as one likes');
  assert.deepEqual(counters.read(5).codes, []);
});

test('a thread that comes later is counted from its beginning', () => {
  const boards = [ServiceBoard.create()];
  const counters = new ServiceCounters(() => boards);
  assert.deepEqual(counters.read(0).codes, []);
  boards.push(ServiceBoard.create());
  new ServiceCounts((boards[1] as ServiceBoard).block(0)).answered(404);
  assert.deepEqual(counters.read(0).codes, [['404', 1]]);
});

test('counts go on past 2^32', () => {
  const board = ServiceBoard.create();
  const counters = new ServiceCounters(() => [board]);
  const block = board.block(0);
  block[BLOCK.retries] = -1; // 2^32 - 1
  assert.equal(counters.read(0).retries, 2 ** 32 - 1);
  block[BLOCK.retries] = 1;
  assert.equal(counters.read(0).retries, 2 ** 32 + 1);
});

test('a sum that is read between its words is never too much, and right at the next reading', () => {
  const board = ServiceBoard.create();
  const counters = new ServiceCounters(() => [board]);
  const [block, low] = [board.block(0), sumWord(DURATIONS)];
  block[low] = -1_000; // 2^32 - 1,000 us
  const before = counters.read(0).durations.sum;
  block[low] = 500; // and the carry is yet to come
  assert.equal(counters.read(0).durations.sum, before);
  block[low + 1] = 1;
  assert.equal(counters.read(0).durations.sum, (2 ** 32 + 500) / 1e6);
});

test("a node's requests do not wrap; one that is put back into its pool begins anew", () => {
  const totals = new NodeTotals();
  const fold = (count: number | null, others = 0) =>
    totals
      .fold(new Map([['web', new Map([...(count === null ? [] : ([['a:80', count]] as const)), ['b:80', others]])]]))
      .get('web');
  assert.equal(fold(2 ** 32 - 3)?.get('a:80'), 2 ** 32 - 3);
  assert.equal(fold(4)?.get('a:80'), 2 ** 32 + 4);
  assert.equal(fold(10, 2)?.get('a:80'), 2 ** 32 + 10);
  assert.equal(fold(null, 2)?.get('a:80'), undefined);
  assert.equal(fold(3, 5)?.get('a:80'), 3);
  // gone and back between two readings
  assert.equal(fold(1, 6)?.get('a:80'), 1);
  assert.equal(fold(2, 7)?.get('b:80'), 7);
});

test('reloads are counted by result; what was read last and well is in force', () => {
  let nowMs = 1_000;
  const reloads = new ReloadCounts(() => nowMs);
  assert.deepEqual(reloads.status, { ok: 0, failed: 0, isLastOk: true, lastOkAtMs: 1_000 });
  nowMs = 2_000;
  reloads.record(false);
  assert.deepEqual(reloads.status, { ok: 0, failed: 1, isLastOk: false, lastOkAtMs: 1_000 });
  nowMs = 3_000;
  reloads.record(true);
  assert.deepEqual(reloads.status, { ok: 1, failed: 1, isLastOk: true, lastOkAtMs: 3_000 });
});
