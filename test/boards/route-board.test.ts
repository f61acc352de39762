/** The route board's layout: sizes, alignment, and what is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publish } from '../../src/boards/epoch.ts';
import {
  dimensionsFor,
  HALF,
  halfLayout,
  NODE_DOWN,
  NODE_UP,
  NODES_MAX,
  RECORD,
  RouteBoard,
} from '../../src/boards/route-board.ts';

const LINE_WORDS = 16;
const PAIR_WORDS = 32;

test('a board is as large as its drawing says', () => {
  const dimensions = { capacity: 64, tableSize: 128, textBytes: 4096 };
  const layout = halfLayout(dimensions);
  assert.deepEqual(layout, {
    table: 16,
    records: 16 + 128,
    sorted: 16 + 128 + 64 * 16,
    open: 16 + 128 + 64 * 17,
    cumulative: 16 + 128 + 64 * 18,
    text: 16 + 128 + 64 * 19,
    words: 16 + 128 + 64 * 19 + 1024,
  });
  const board = RouteBoard.create(dimensions, 3);
  assert.equal(board.halvesIndex, 64 + (1 + 2 * 3) * (64 + 32));
  assert.equal(board.buffer.byteLength, (board.halvesIndex + 2 * layout.words) * 4);
  assert.equal(HALF.words, LINE_WORDS);
  assert.equal(RECORD.words, LINE_WORDS);
});

test('what one thread writes shares no pair of cache lines with what another writes, wherever the board begins', () => {
  for (const nodes of [0, 1, 65, 1_000]) {
    for (const threads of [1, 2, 7]) {
      const board = RouteBoard.create(dimensionsFor(nodes, nodes * 21), threads);
      const { capacity } = board.dimensions;
      // the states begin right behind the epoch's line; no other word of the board is found but by what it is for
      const rows = [board.epochIndex, board.epochIndex + PAIR_WORDS];
      for (let t = 0; t < threads; t++) rows.push(board.inFlightRow(t));
      for (let t = 0; t < threads; t++) rows.push(board.requestsRow(t));
      rows.push(board.halvesIndex);
      assert.ok(board.epochIndex >= PAIR_WORDS);
      for (const [i, row] of rows.entries()) {
        if (i < 2) continue;
        const end = (rows[i - 1] as number) + capacity;
        assert.ok(row - end >= PAIR_WORDS, `${threads} threads, ${nodes} nodes: part ${i} is ${row - end} words away`);
      }
      assert.equal(board.halvesIndex % LINE_WORDS, 0);
      assert.equal(board.halfWords % LINE_WORDS, 0);
    }
  }
});

test('dimensions leave room for half as many nodes again, and a table at most half full', () => {
  for (const nodes of [0, 1, 42, 43, 64, 1_000, 99_999, NODES_MAX]) {
    const { capacity, tableSize, textBytes } = dimensionsFor(nodes, nodes * 21);
    assert.ok(capacity >= nodes * 1.5 && capacity >= 64 && capacity % LINE_WORDS === 0);
    assert.ok(tableSize >= 2 * capacity && Number.isInteger(Math.log2(tableSize)));
    assert.ok(textBytes >= nodes * 21 * 1.5 && textBytes % 64 === 0);
  }
  assert.throws(() => dimensionsFor(NODES_MAX + 1, 0), /at most 1048576 nodes/);
});

test('dimensions are never below those of the board that is replaced', () => {
  const least = dimensionsFor(1_000, 20_000);
  assert.deepEqual(dimensionsFor(1, 1, least), least);
  const longer = dimensionsFor(1, 100_000, least);
  assert.deepEqual({ ...longer, textBytes: 0 }, { ...least, textBytes: 0 });
  assert.ok(longer.textBytes >= 150_000);
});

test('a second view of a board sees what the first wrote', () => {
  const board = RouteBoard.create(dimensionsFor(10, 210), 2);
  const view = new RouteBoard(board.buffer);
  assert.deepEqual(
    [view.dimensions, view.layout, view.threads, view.halvesIndex],
    [board.dimensions, board.layout, board.threads, board.halvesIndex],
  );
  board.setState(63, NODE_DOWN);
  assert.deepEqual([view.stateOf(62), view.stateOf(63)], [NODE_UP, NODE_DOWN]);
});

test('requests in flight and in all are summed over all threads, a slot each; a thread that ended has none in flight', () => {
  const board = RouteBoard.create(dimensionsFor(10, 210), 3);
  for (let thread = 0; thread < 3; thread++) {
    board.words[board.inFlightRow(thread) + 5] = 10 ** thread;
    board.words[board.requestsRow(thread) + 5] = 2 * 10 ** thread;
  }
  assert.deepEqual([board.inFlight(4), board.inFlight(5), board.inFlight(6)], [0, 111, 0]);
  assert.deepEqual([board.requests(4), board.requests(5), board.requests(6)], [0, 222, 0]);
  board.clearInFlight(1);
  assert.deepEqual([board.inFlight(5), board.requests(5)], [101, 222]);
  board.words[board.requestsRow(2) + 5] = -1;
  assert.equal(board.requests(5), 21, 'modulo 2^32');
});

test('a board of more nodes and threads goes on where the smaller one stood', () => {
  const small = RouteBoard.create(dimensionsFor(10, 210), 2);
  small.setState(7, NODE_DOWN);
  for (const thread of [0, 1]) {
    small.words[small.inFlightRow(thread) + 7] = 1;
    small.words[small.requestsRow(thread) + 7] = 5;
  }
  const large = RouteBoard.create(dimensionsFor(1_000, 21_000), 3);
  large.continueFrom(small);
  assert.deepEqual([large.stateOf(7), large.inFlight(7), large.requests(7)], [NODE_DOWN, 2, 10]);
  assert.deepEqual([large.stateOf(8), large.inFlight(8), large.requests(8)], [NODE_UP, 0, 0]);
});

test('a buffer that is no board of this layout is refused', () => {
  const foreign = /not a route board of this layout/;
  assert.throws(() => new RouteBoard(new SharedArrayBuffer(4096)), foreign);
  const sizes = /not aligned or not of the size/;
  const damaged = (word: number, value: number) => {
    const { words, buffer } = RouteBoard.create(dimensionsFor(10, 210), 2);
    words[word] = value;
    return () => new RouteBoard(buffer);
  };
  assert.throws(damaged(0, 1), foreign);
  assert.throws(damaged(1, 1), foreign);
  for (const [word, value] of [
    [2, 0],
    [2, 63],
    [2, 80],
    [3, 64],
    [3, 129],
    [4, 4098],
    [4, 8192],
    [5, 0],
    [5, 3],
  ] as const) {
    assert.throws(damaged(word, value), sizes, `word ${word} := ${value}`);
  }
  assert.throws(() => RouteBoard.create({ capacity: 64, tableSize: 100, textBytes: 4096 }, 1), sizes);
});

test('an image of another size is not published', () => {
  const board = RouteBoard.create(dimensionsFor(10, 210), 1);
  assert.throws(() => publish(board, new Int32Array(board.halfWords - 1)), /does not fit a half/);
});
