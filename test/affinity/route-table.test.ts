/** The route table against a plain Map: every node is found, and nothing else is. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildRouteImage, findById, type RouteNode } from '../../src/affinity/route-table.ts';
import { addressOf, countNodes, idOf, weightOf } from '../../src/affinity/selection.ts';
import { publish } from '../../src/boards/epoch.ts';
import { FLAG_DRAIN, FLAG_PRESENT, type RouteBoard } from '../../src/boards/route-board.ts';
import { boardOf, idWords, loadsOf, node } from './fixtures.ts';

const found = { slot: 0, generation: 0, flags: 0 };
const SALT = 'salt';

test('every node of a pool is found by its id, with its slot, generation and flags, and no other id is', () => {
  fc.assert(
    fc.property(pools(), pools(), (before, after) => {
      const slots = Math.max(64, ...before.map((n) => n.slot + 1), ...after.map((n) => n.slot + 1));
      const board = boardOf([...before, ...spare(before, slots)], SALT);
      publish(board, buildRouteImage(before, SALT, board.dimensions));
      assertHolds(board, before);
      publish(board, buildRouteImage(after, SALT, board.dimensions));
      assertHolds(board, after);
      const stay = new Set(after.map((n) => n.address));
      for (const { address } of before)
        if (!stay.has(address)) assert.ok(!findById(board, idWords(address, SALT), found));
    }),
    { numRuns: 60 },
  );
});

test('an id is known under its own salt alone', () => {
  const board = boardOf([node({ slot: 3 })], SALT);
  assert.ok(findById(board, idWords('10.0.0.3:80', SALT), found));
  assert.ok(!findById(board, idWords('10.0.0.3:80'), found));
});

test('an id that shares four of its five words with a node is not that node', () => {
  const board = boardOf(Array.from({ length: 50 }, (_, slot) => node({ slot })));
  for (let word = 0; word < 5; word++) {
    const id = idWords('10.0.0.7:80');
    id[word] = (id[word] as number) ^ 0x10000;
    assert.ok(!findById(board, id, found));
  }
});

test('a slot whose generation has changed gives neither address nor id any more', () => {
  const board = boardOf([node({ slot: 0, generation: 1, address: 'old.example:80' })]);
  assert.equal(addressOf(board, 0, 1), 'old.example:80');
  publish(board, buildRouteImage([node({ slot: 0, generation: 2, address: 'new.example:80' })], '', board.dimensions));
  assert.equal(addressOf(board, 0, 1), null);
  assert.equal(idOf(board, 0, 1, new Int32Array(5)), false);
  assert.equal(addressOf(board, 0, 2), 'new.example:80');
});

test('an empty pool has no nodes and finds nothing', () => {
  const board = boardOf([]);
  assert.equal(countNodes(board), 0);
  assert.ok(!findById(board, new Int32Array(5), found));
});

test('100,000 nodes: each is found, and 100,000 other ids are not', () => {
  const nodes = Array.from({ length: 100_000 }, (_, slot) =>
    node({ slot, address: `10.${slot >> 16}.${(slot >> 8) & 255}.${slot & 255}:80` }),
  );
  const board = boardOf(nodes);
  for (const { slot, address } of nodes) {
    assert.ok(findById(board, idWords(address), found));
    assert.equal(found.slot, slot);
  }
  const unknown = randomBytes(100_000 * 20);
  for (let i = 0; i < 100_000; i++) {
    assert.ok(!findById(board, new Int32Array(unknown.buffer, unknown.byteOffset + i * 20, 5), found));
  }
});

test('an id is looked up in as few steps among 100,000 nodes as among 10, known or not', () => {
  const meanOf = (size: number, ids: readonly Int32Array[]) => {
    const nodes = Array.from({ length: size }, (_, slot) => node({ slot, address: `10.0.0.1:${slot}` }));
    const board = boardOf(nodes);
    return (
      loadsOf(() => {
        for (const id of ids) findById(board, id, found);
      }) / ids.length
    );
  };
  const known = (size: number) => Array.from({ length: 1_000 }, (_, i) => idWords(`10.0.0.1:${(i * 97) % size}`));
  const unknown = Array.from({ length: 1_000 }, (_, i) => idWords(`10.0.0.2:${i}`));
  // two looks at the epoch; of the node five words of its id and two more; and the probes, 1.5 or 2.5 on average, of two loads
  for (const size of [10, 100_000]) {
    const [hit, miss] = [meanOf(size, known(size)), meanOf(size, unknown)];
    assert.ok(hit < 2 + 7 + 2 * 1.5 + 1, `${hit} loads among ${size} nodes`);
    assert.ok(miss < 2 + 2 * 2.5 + 1, `${miss} loads among ${size} nodes`);
  }
});

test('an image is refused where it does not fit the board', () => {
  const { dimensions } = boardOf([]);
  const refused = (nodes: RouteNode[], reason: RegExp) =>
    assert.throws(() => buildRouteImage(nodes, '', dimensions), reason);
  refused([node({ slot: 1 }), node({ slot: 1, address: 'b:80' })], /two nodes on slot 1/);
  refused([node({ slot: dimensions.capacity })], /no slot 64/);
  refused([node({ slot: -1 })], /no slot -1/);
  refused([node({ slot: 0, address: `${'x'.repeat(dimensions.textBytes)}:80` })], /do not fit/);
  refused(
    Array.from({ length: 65 }, (_, slot) => node({ slot })),
    /more nodes than/,
  );
  assert.throws(() => buildRouteImage([], '', dimensions, new Int32Array(16)), /not a half long/);
});

function assertHolds(board: RouteBoard, nodes: readonly RouteNode[]): void {
  const id = new Int32Array(5);
  assert.equal(countNodes(board), nodes.length);
  for (const { slot, generation, address, weight, drain } of nodes) {
    const expected = { slot, generation, flags: FLAG_PRESENT | (drain ? FLAG_DRAIN : 0) };
    assert.ok(findById(board, idWords(address, SALT), found), address);
    assert.deepEqual(found, expected);
    assert.equal(addressOf(board, slot, generation), address);
    assert.equal(weightOf(board, slot), weight);
    assert.ok(idOf(board, slot, generation, id));
    assert.deepEqual(id, idWords(address, SALT));
  }
}

/** Pools of unique addresses on unique slots, in any order. */
function pools(): fc.Arbitrary<RouteNode[]> {
  const address = fc.oneof(
    fc
      .tuple(fc.nat(3), fc.nat(255), fc.integer({ min: 1, max: 65535 }))
      .map(([a, b, port]) => `10.0.${a}.${b}:${port}`),
    fc.stringMatching(/^[a-z][a-z0-9-]{0,20}\.example:80$/),
    fc.nat(0xffff).map((n) => `[2001:db8::${n.toString(16)}]:443`),
  );
  return fc
    .uniqueArray(
      fc.record({
        slot: fc.nat(299),
        generation: fc.integer(),
        address,
        weight: fc.integer({ min: 1, max: 256 }),
        drain: fc.boolean(),
      }),
      { maxLength: 200, selector: (n) => n.slot, size: 'max' },
    )
    .map((nodes) => [...new Map(nodes.map((n) => [n.address, n])).values()]);
}

/** Nothing but room: makes a board of at least `slots` slots. */
function spare(taken: readonly RouteNode[], slots: number): RouteNode[] {
  const last = slots - 1;
  return taken.some((n) => n.slot === last) ? [] : [node({ slot: last, address: `${'x'.repeat(8_000)}:1` })];
}
