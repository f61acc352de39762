/** The service board: what a thread writes there, word by word. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BLOCK,
  CONNECTS,
  DURATIONS,
  NO_SERVICE,
  SERVICES_MAX,
  ServiceBoard,
  sumWord,
} from '../../src/boards/service-board.ts';
import { ServiceCounts } from '../../workers/service-counts.ts';

test('each service has a block of its own, of whole cache lines', () => {
  const board = ServiceBoard.create();
  assert.equal(board.buffer.byteLength, (SERVICES_MAX + 1) * 2_304);
  for (const service of [0, 1, SERVICES_MAX - 1, NO_SERVICE]) {
    const block = board.block(service);
    assert.equal(block.length, 576);
    assert.equal(block.byteOffset % 64, 0);
    block.fill(service + 1);
  }
  assert.deepEqual([...new Set(board.block(1))], [2]);
  assert.deepEqual([...new Set(board.block(2))], [0]);
  for (const service of [-1, 0.5, Number.NaN, SERVICES_MAX + 1]) assert.throws(() => board.block(service), RangeError);
});

test('a block is as its header draws it', () => {
  assert.deepEqual([DURATIONS.first, DURATIONS.boundsUs.length, sumWord(DURATIONS)], [512, 16, 529]);
  assert.deepEqual([CONNECTS.first, CONNECTS.boundsUs.length, sumWord(CONNECTS)], [544, 15, 560]);
  for (const { boundsUs } of [DURATIONS, CONNECTS]) {
    assert.deepEqual(
      boundsUs,
      boundsUs.toSorted((a, b) => a - b),
    );
  }
  assert.deepEqual([DURATIONS.boundsUs[0], DURATIONS.boundsUs.at(-1)], [500, 60e6]);
});

test('another view reads the same words; a buffer of another size is refused', () => {
  const board = ServiceBoard.create();
  board.block(3)[7] = 5;
  assert.equal(new ServiceBoard(board.buffer).block(3)[7], 5);
  for (const bytes of [0, 4, board.buffer.byteLength - 4]) {
    assert.throws(() => new ServiceBoard(new SharedArrayBuffer(bytes)), /not a service board/);
  }
});

test('a request is counted by its code, and in the smallest bucket that holds its duration', () => {
  const { block, counts } = newCounts();
  counts.finished(200, 0);
  counts.finished(200, 0.5);
  counts.finished(503, 0.501);
  counts.finished(200, 60_000);
  counts.finished(200, 60_001);
  assert.deepEqual(written(block), {
    [BLOCK.codes + 100]: 4,
    [BLOCK.codes + 403]: 1,
    [BLOCK.durations]: 2,
    [BLOCK.durations + 1]: 1,
    [BLOCK.durations + 15]: 1,
    [BLOCK.durations + 16]: 1,
    [sumWord(DURATIONS)]: 120_002_001,
  });
});

test('what has no duration is counted by its code alone; codes that HTTP does not know share a word', () => {
  const { block, counts } = newCounts();
  for (const code of [100, 101, 599, 600, 999]) counts.answered(code);
  assert.deepEqual(written(block), { 0: 1, 1: 1, 499: 1, 500: 2 });
});

test('retries, connections and failures to connect have words of their own', () => {
  const { block, counts } = newCounts();
  counts.retried();
  counts.connectFailed();
  counts.connectFailed();
  counts.connected(0.1);
  counts.connected(7_000);
  assert.deepEqual(written(block), {
    [BLOCK.retries]: 1,
    [BLOCK.connectFailures]: 2,
    [BLOCK.connects]: 1,
    [BLOCK.connects + 15]: 1,
    [sumWord(CONNECTS)]: 7_000_100,
  });
});

test('a sum goes on past 32 bits', () => {
  const { block, counts } = newCounts();
  const low = sumWord(DURATIONS);
  block[low] = -1; // 2^32 - 1
  counts.finished(200, 0.002);
  assert.deepEqual([block[low], block[low + 1]], [1, 1]);
  // three days: more than 32 bits hold
  counts.finished(200, 3 * 86_400e3);
  const sum = (block[low + 1] as number) * 2 ** 32 + ((block[low] as number) >>> 0);
  assert.equal(sum, 2 ** 32 + 1 + 3 * 86_400e6);
});

test('a clock that went back counts as no time', () => {
  const { block, counts } = newCounts();
  counts.finished(200, -5);
  assert.deepEqual(written(block), { [BLOCK.codes + 100]: 1, [BLOCK.durations]: 1 });
});

function newCounts() {
  const block = ServiceBoard.create().block(9);
  return { block, counts: new ServiceCounts(block) };
}

/** The words that are not zero. */
function written(block: Int32Array): Record<number, number> {
  return Object.fromEntries([...block.entries()].filter(([, value]) => value !== 0));
}
