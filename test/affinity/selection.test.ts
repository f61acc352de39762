/** Choosing by position and by weight: lists in their order, and each node's exact share of a cycle. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type OpenNodes,
  openNodeAt,
  openNodeOfWeight,
  readOpenNodes,
  sortedNodeAt,
} from '../../src/affinity/selection.ts';
import type { RouteBoard } from '../../src/boards/route-board.ts';
import { boardOf, node } from './fixtures.ts';

const found = { slot: 0, generation: 0, flags: 0 };
const open: OpenNodes = { count: 0, totalWeight: 0, stride: 0 };

test('open nodes stand in configuration order, without those that drain', () => {
  const board = boardOf([node({ slot: 9 }), node({ slot: 2, drain: true }), node({ slot: 5 }), node({ slot: 0 })]);
  assert.deepEqual(slots(board, openNodeAt), [9, 5, 0]);
});

test('sorted nodes stand in the order of their addresses as strings, those that drain with them', () => {
  const addresses = ['10.0.0.2:80', '10.0.0.10:80', '10.0.0.1:8080', '10.0.0.1:80'];
  const board = boardOf(addresses.map((address, slot) => node({ slot, address, drain: slot === 1 })));
  // "0" comes before ":"
  assert.deepEqual(slots(board, sortedNodeAt), [1, 3, 2, 0]);
});

test('in one cycle of round robin each open node has its share, exactly', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 256 }), fc.boolean()), { maxLength: 40 }), (pool) => {
      const board = boardOf(pool.map(([weight, drain], slot) => node({ slot, weight, drain })));
      const turns = cycle(board);
      const openWeights = pool.map(([weight, drain]) => (drain ? 0 : weight));
      const total = openWeights.reduce((a, b) => a + b, 0);
      pool.forEach((_, slot) => {
        const share = turns.filter((s) => s === slot).length;
        assert.equal(share * total, (openWeights[slot] as number) * turns.length);
      });
    }),
  );
});

test('nodes of one weight, whatever it is, take turns in order', () => {
  for (const weight of [1, 2, 3, 100, 256]) {
    assert.deepEqual(cycle(boardOf([0, 1, 2].map((slot) => node({ slot, weight })))).sort(), [0, 1, 2]);
    assert.equal(longestRun(cycle(boardOf([0, 1].map((slot) => node({ slot, weight }))))), 1);
  }
});

test('the turns of a heavy node are spread over the cycle', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(weights, (pool) => {
      const board = boardOf(pool.map((weight, slot) => node({ slot, weight })));
      const turns = cycle(board);
      // with 3, 4 or 6 units a cycle there is no step but 1 and -1, and the burst is at most 5 long
      if (turns.length <= 6) return;
      const heaviest = Math.max(...pool) / (pool.reduce((a, b) => a + b) / turns.length);
      const evenly = Math.ceil(heaviest / (turns.length - heaviest));
      const run = longestRun(turns);
      assert.ok(run <= 3 * evenly, `${run} turns in a row, ${evenly} would be even: ${pool}`);
    }),
    { numRuns: 500, examples: [[[5, 1, 1]], [[3, 3]], [[256, 1]], [[10, 1, 1, 1, 1, 1]], [[7, 7, 1]]] },
  );
});

test('beyond the last node, and beyond the whole weight, there is none', () => {
  const board = boardOf([node({ slot: 4, weight: 3 }), node({ slot: 5, weight: 2 }), node({ slot: 6, drain: true })]);
  readOpenNodes(board, open);
  assert.deepEqual({ ...open, stride: 0 }, { count: 2, totalWeight: 5, stride: 0 });
  assert.equal(openNodeAt(board, 2, found), false);
  assert.equal(sortedNodeAt(board, 3, found), false);
  assert.equal(openNodeOfWeight(board, 5, found), false);
  assert.ok(openNodeOfWeight(board, 4, found));
  assert.equal(found.slot, 5);
});

test('a pool of draining nodes has no open node', () => {
  const board = boardOf([node({ slot: 0, drain: true, weight: 7 })]);
  readOpenNodes(board, open);
  assert.deepEqual([open.count, open.totalWeight], [0, 0]);
  assert.equal(openNodeOfWeight(board, 0, found), false);
});

function slots(board: RouteBoard, at: typeof openNodeAt): number[] {
  const all: number[] = [];
  for (let i = 0; at(board, i, found); i++) all.push(found.slot);
  return all;
}

/** The slots that one cycle of round robin meets. */
function cycle(board: RouteBoard): number[] {
  readOpenNodes(board, open);
  const turns: number[] = [];
  for (let i = 0, unit = 0; i < open.totalWeight; i++, unit = (unit + open.stride) % open.totalWeight) {
    assert.ok(openNodeOfWeight(board, unit, found));
    turns.push(found.slot);
  }
  return turns;
}

/** Most turns of one node in a row, the cycle being repeated. */
function longestRun(turns: readonly number[]): number {
  let run = 0;
  let longest = 0;
  let last = -1;
  for (const slot of [...turns, ...turns]) {
    run = slot === last ? run + 1 : 1;
    last = slot;
    longest = Math.max(longest, run);
  }
  return longest;
}
