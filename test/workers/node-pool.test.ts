/** A pool as one thread uses it: what it counts on the board, what it leaves out, and what it tells of that. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRouteImage, type RouteNode } from '../../src/affinity/route-table.ts';
import { publish } from '../../src/boards/epoch.ts';
import type { ServiceSettings } from '../../src/boards/listener-task.ts';
import { dimensionsFor, NODE_DOWN, NODE_FAILING, NODE_UP, RouteBoard } from '../../src/boards/route-board.ts';
import { NodePool } from '../../workers/node-pool.ts';
import type { UpstreamNode } from '../../workers/upstream-node.ts';
import { boardOf, idWords, node } from '../affinity/fixtures.ts';
import { fakeContext } from './fake-context.ts';

const ROUTE = 7;
const SERVICE = { name: 's', maxFails: 2, failTimeoutMs: 5_000, persistBackend: false } as ServiceSettings;
const NODES = [0, 1].map((slot) => node({ slot }));

function newPool(thread = 0, board = boardOf(NODES, '', 2)) {
  const fake = fakeContext(thread);
  const pool = new NodePool(ROUTE, board, fake.context);
  const at = (slot: number, generation = slot + 1): UpstreamNode => {
    const found = pool.resolve({ slot, generation, flags: 0 });
    assert.ok(found !== null);
    return found;
  };
  return { ...fake, pool, board, at };
}

const republish = (board: RouteBoard, nodes: readonly RouteNode[], salt = '') =>
  publish(board, buildRouteImage(nodes, salt, board.dimensions));

function leaveOut(target: UpstreamNode): void {
  for (let i = 0; i < SERVICE.maxFails; i++) target.failed('ECONNREFUSED', SERVICE);
}

const mark = (slot: number, isOut: boolean, reason = '', generation = slot + 1) => ({
  type: 'node-mark',
  route: ROUTE,
  slot,
  generation,
  isOut,
  reason,
});

test('requests are counted as in flight and as begun, each thread in its own cells', () => {
  const board = boardOf(NODES, '', 2);
  const [one, other] = [newPool(0, board), newPool(1, board)];
  one.at(0).begin();
  one.at(0).begin();
  other.at(0).begin();
  one.at(0).end();
  assert.deepEqual([board.inFlight(0), board.requests(0)], [2, 3]);
  assert.deepEqual([board.inFlight(1), board.requests(1)], [0, 0]);
  assert.equal(board.words[board.requestsRow(1)], 1);
});

test('a node that was found by its id is found no more once it has left the pool, nor under a new salt', () => {
  const { pool, board, at } = newPool();
  const found = { slot: 0, generation: 0, flags: 0 };
  const id = (slot: number, salt = '') => idWords((NODES[slot] as RouteNode).address, salt);
  for (let i = 0; i < 2; i++) assert.equal(pool.byId(id(0), found), at(0));
  assert.equal(pool.byId(id(0, 'other'), found), null);
  republish(board, [NODES[1] as RouteNode]);
  assert.equal(pool.byId(id(0), found), null);
  assert.equal(pool.byId(id(1), found), at(1));
  republish(
    board,
    NODES.map((one) => ({ ...one, generation: one.generation + 10 })),
    'salt',
  );
  assert.equal(pool.byId(id(1), found), null);
  assert.equal(pool.byId(id(1, 'salt'), found), at(1, 12));
});

test('a thread in place of a dead one has nothing in flight, and goes on with the count of its requests', () => {
  const { board, at } = newPool(1);
  for (let i = 0; i < 3; i++) at(1).begin();
  newPool(1, board);
  assert.deepEqual([board.inFlight(1), board.requests(1)], [0, 3]);
});

test('what a thread counts goes with it to a board of more nodes and threads', () => {
  const { board, pool, at } = newPool(1);
  const [a, b] = [at(0), at(1)];
  a.begin();
  b.begin();
  b.begin();
  const larger = RouteBoard.create(dimensionsFor(500, 10_000, board.dimensions), 5);
  republish(larger, NODES);
  pool.moveTo(larger.buffer);
  b.end();
  a.begin();
  assert.deepEqual(
    [0, 1].map((slot) => [larger.inFlight(slot), larger.requests(slot)]),
    [
      [2, 2],
      [1, 2],
    ],
  );
  assert.equal(at(1), b);
  const cells = larger.words.subarray(larger.inFlightRow(0), larger.requestsRow(4) + larger.dimensions.capacity);
  assert.equal(
    cells.reduce((sum, n) => sum + n, 0),
    3 + 4,
  );
});

test('a board without a row for the thread is refused: another one counts there', () => {
  const narrow = boardOf(NODES, '', 1);
  assert.throws(() => newPool(1, narrow), RangeError);
  assert.throws(() => newPool(1).pool.moveTo(narrow.buffer), RangeError);
});

test('a node that keeps failing is left out and all are told; an answer brings it back and all are told', () => {
  const { pool, at, sent, armed } = newPool();
  at(0).failed('ECONNRESET', SERVICE);
  assert.deepEqual([sent, pool.isUsable(at(0))], [[], true]);
  at(0).failed('ECONNREFUSED', SERVICE);
  at(0).failed('ECONNREFUSED', SERVICE);
  assert.deepEqual(sent, [mark(0, true, 'ECONNREFUSED')]);
  assert.deepEqual([pool.isUsable(at(0)), pool.isUsable(at(1)), armed.size], [false, true, 1]);
  at(0).answered();
  assert.deepEqual(sent.slice(1), [mark(0, false)]);
  assert.deepEqual([pool.isUsable(at(0)), armed.size], [true, 0]);
});

test('its own mark on the board does not keep a thread from using the node again', () => {
  const { pool, board, at } = newPool();
  leaveOut(at(0));
  board.setState(0, NODE_FAILING);
  assert.equal(pool.isUsable(at(0)), false);
  at(0).answered();
  assert.equal(at(0).isLeftOut(NODE_FAILING), false);
  board.setState(0, NODE_UP);
  assert.equal(pool.isUsable(at(0)), true);
});

test('a node that another thread leaves out, or that is down, is not usable here', () => {
  const { pool, board, at } = newPool();
  for (const state of [NODE_FAILING, NODE_DOWN] as const) {
    board.setState(0, state);
    assert.equal(pool.isUsable(at(0)), false);
  }
});

test('a node that its checks found down as well is used again when they pass, without a wait', () => {
  const { pool, board, at, armed } = newPool();
  leaveOut(at(0));
  board.setState(0, NODE_FAILING);
  pool.isUsable(at(0));
  board.setState(0, NODE_UP);
  assert.equal(pool.isUsable(at(0)), false, 'the checks never failed: what they say is no news');
  board.setState(0, NODE_DOWN);
  pool.isUsable(at(0));
  board.setState(0, NODE_UP);
  assert.equal(pool.isUsable(at(0)), true);
  assert.equal(armed.size, 0);
  at(0).failed('ECONNREFUSED', SERVICE);
  assert.equal(pool.isUsable(at(0)), true, 'it begins anew');
});

test('the mark of a node that has another id since is withdrawn under that; of one that has left nothing is said', () => {
  const { board, at, sent, armed } = newPool();
  const [resalted, gone] = [at(0), at(1)];
  leaveOut(resalted);
  leaveOut(gone);
  republish(
    board,
    [node({ slot: 0, generation: 9 }), node({ slot: 1, generation: 10, address: '10.9.9.9:80' })],
    'salt',
  );
  for (const timed of [...armed.keys()]) timed.onDeadline();
  assert.deepEqual(sent.slice(2), [mark(0, false, '', 9)]);
});

test('a pool that is out of use takes back what it told of its nodes, and says no more', () => {
  const { pool, at, sent, armed } = newPool();
  leaveOut(at(0));
  pool.close();
  assert.deepEqual(sent, [mark(0, true, 'ECONNREFUSED'), mark(0, false)]);
  assert.equal(armed.size, 0);
  leaveOut(at(1));
  assert.equal(sent.length, 2);
  assert.equal(at(1).isInPool, false);
});
