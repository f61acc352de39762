/** `balance` over a real board and node pool. Shares are exact, or within bounds under a printed seed. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RouteNode } from '../../src/affinity/route-table.ts';
import type { ServiceSettings } from '../../src/boards/listener-task.ts';
import { NODE_DOWN, NODE_FAILING, NODE_UP } from '../../src/boards/route-board.ts';
import { Balancer } from '../../workers/balancer.ts';
import { NodePool } from '../../workers/node-pool.ts';
import type { UpstreamNode } from '../../workers/upstream-node.ts';
import { boardOf, loadsOf, node } from '../affinity/fixtures.ts';
import { fakeContext } from './fake-context.ts';

type Balance = ConstructorParameters<typeof Balancer>[0];

test('round robin gives each node exactly its weight in every cycle, wherever it begins', (t) => {
  seedRandom(t);
  const { choose } = newPool('round_robin', [
    node({ slot: 0, weight: 5 }),
    node({ slot: 1 }),
    node({ slot: 2, weight: 2 }),
  ]);
  for (let cycle = 0; cycle < 5; cycle++) assert.deepEqual(shares(choose, 8), { 0: 5, 1: 1, 2: 2 });
});

test('round robin over nodes of one weight takes them in turn', (t) => {
  seedRandom(t);
  const { choose } = newPool(
    'round_robin',
    [3, 3, 3].map((weight, slot) => node({ slot, weight })),
  );
  for (let cycle = 0; cycle < 20; cycle++) assert.equal(new Set([choose(), choose(), choose()]).size, 3);
});

test('random gives each node its weight, as far as chance allows', (t) => {
  const weights = [1, 2, 4, 9];
  const seed = seedRandom(t);
  const { choose } = newPool(
    'random',
    weights.map((weight, slot) => node({ slot, weight })),
  );
  assertWithin(shares(choose, 16_000), weights, 16_000, seed);
});

test('least_conn chooses the node with the fewest requests in flight for its weight, whoever began them', () => {
  const { choose, pool } = newPool(
    'least_conn',
    [2, 1, 1].map((weight, slot) => node({ slot, weight })),
  );
  const otherThread = pool.board.inFlightRow(1);
  pool.board.words.set([8, 3, 5], otherThread);
  assert.equal(choose()?.slot, 1, '9/2, 4/1, 6/1');
  pool.begin(1);
  assert.equal(choose()?.slot, 0, '9/2, 5/1, 6/1');
});

test('least_conn keeps requests that never end in the proportion of the weights', (t) => {
  const weights = [6, 3, 2, 1];
  seedRandom(t);
  const { choose, pool } = newPool(
    'least_conn',
    weights.map((weight, slot) => node({ slot, weight })),
  );
  for (let i = 0; i < 1_200; i++) choose()?.begin();
  for (const [slot, weight] of weights.entries()) {
    assert.ok(Math.abs(pool.board.inFlight(slot) - weight * 100) <= 6, `${pool.board.inFlight(slot)} on slot ${slot}`);
  }
});

test('least_conn over idle nodes shares new clients by weight: they do not pile on the heaviest', (t) => {
  seedRandom(t);
  const { choose } = newPool(
    'least_conn',
    [5, 1, 2].map((weight, slot) => node({ slot, weight })),
  );
  assert.deepEqual(shares(choose, 8 * 50), { 0: 5 * 50, 1: 50, 2: 2 * 50 });
});

test('least_conn over idle nodes, more than it looks at one by one, shares new clients by weight', (t) => {
  const weights = Array.from({ length: 40 }, (_, slot) => (slot < 20 ? 1 : 3));
  const seed = seedRandom(t);
  const { choose } = newPool(
    'least_conn',
    weights.map((weight, slot) => node({ slot, weight })),
  );
  assertWithin(shares(choose, 40_000), weights, 40_000, seed);
});

test('least_conn over 1,000 nodes stays nearly even: the power of a few choices', (t) => {
  const seed = seedRandom(t);
  const { choose, pool } = newPool(
    'least_conn',
    Array.from({ length: 1_000 }, (_, slot) => node({ slot })),
  );
  for (let i = 0; i < 20_000; i++) choose()?.begin();
  const loads = Array.from({ length: 1_000 }, (_, slot) => pool.board.inFlight(slot));
  // one random choice would put 40 and more on the fullest
  assert.ok(Math.max(...loads) <= 25, `${Math.max(...loads)} on the fullest, seed ${seed}`);
});

test('a node is chosen in a few steps among 100,000: those of a binary search are all that grows', (t) => {
  seedRandom(t);
  const many = Array.from({ length: 100_000 }, (_, slot) => node({ slot, address: `10.0.0.1:${slot}` }));
  for (const balance of ['least_conn', 'round_robin', 'random'] as const) {
    const stepsOf = (nodes: readonly RouteNode[]) => {
      const { choose } = newPool(balance, nodes);
      choose()?.begin();
      return loadsOf(() => {
        for (let i = 0; i < 200; i++) choose()?.begin();
      });
    };
    const [few, all] = [stepsOf(many.slice(0, 100)), stepsOf(many)];
    // log2(100,000 / 100) more steps of a search; what a node met for the first time costs, its text and id, comes on top
    const met = 2 * ('10.0.0.1:99999'.length + 32);
    const draws = balance === 'least_conn' ? 4 : 1;
    assert.ok(all - few < 200 * draws * (11 + met), `${balance}: ${few / 200} and ${all / 200} loads a choice`);
  }
});

for (const balance of ['least_conn', 'round_robin', 'random'] as const) {
  test(`${balance}: a node that drains, is down or was tried is not chosen`, (t) => {
    seedRandom(t);
    const { choose, pool } = newPool(balance, [
      node({ slot: 0, drain: true }),
      ...[1, 2, 3].map((slot) => node({ slot })),
    ]);
    pool.board.setState(2, NODE_DOWN);
    assert.deepEqual(Object.keys(shares(choose, 100)), ['1', '3']);
    const one = choose() as UpstreamNode;
    for (let i = 0; i < 50; i++) assert.equal(choose([one])?.slot, 4 - one.slot);
    assert.equal(choose([one, choose([one]) as UpstreamNode]), null);
  });

  test(`${balance}: a node left out after failures is chosen only where there is no other`, (t) => {
    seedRandom(t);
    const { choose } = newPool(balance, [node({ slot: 0 }), node({ slot: 1 })]);
    const failed = choose() as UpstreamNode;
    leaveOut(failed);
    for (let i = 0; i < 50; i++) assert.notEqual(choose(), failed);
    leaveOut(choose() as UpstreamNode);
    assert.notEqual(choose(), null);
    failed.answered();
    for (let i = 0; i < 50; i++) assert.equal(choose(), failed);
  });

  test(`${balance}: a node whose requests fail elsewhere is chosen only where there is no other, one that is down never`, (t) => {
    seedRandom(t);
    const { choose, pool } = newPool(
      balance,
      [0, 1, 2].map((slot) => node({ slot })),
    );
    pool.board.setState(0, NODE_DOWN);
    pool.board.setState(1, NODE_FAILING);
    assert.deepEqual(Object.keys(shares(choose, 50)), ['2']);
    leaveOut(choose() as UpstreamNode);
    assert.deepEqual(Object.keys(shares(choose, 50)), ['1', '2']);
    pool.board.setState(2, NODE_DOWN);
    assert.deepEqual(Object.keys(shares(choose, 50)), ['1']);
    pool.board.setState(1, NODE_DOWN);
    assert.equal(choose(), null);
  });

  test(`${balance}: the one node that is up among a thousand is found`, (t) => {
    seedRandom(t);
    const { choose, pool } = newPool(
      balance,
      Array.from({ length: 1_000 }, (_, slot) => node({ slot })),
    );
    for (let slot = 0; slot < 1_000; slot++) if (slot !== 777) pool.board.setState(slot, NODE_DOWN);
    for (let i = 0; i < 5; i++) assert.equal(choose()?.slot, 777);
    pool.board.setState(777, NODE_DOWN);
    assert.equal(choose(), null);
  });

  test(`${balance}: an empty pool has no node`, () => {
    assert.equal(newPool(balance, []).choose(), null);
  });
}

function newPool(balance: Balance, nodes: readonly RouteNode[]) {
  const board = boardOf(nodes, '', 2);
  const pool = new NodePool(0, board, fakeContext().context);
  const balancer = new Balancer(balance, pool);
  const choose = (tried: readonly UpstreamNode[] = []) => balancer.choose(tried);
  return { pool, choose };
}

function shares(choose: () => UpstreamNode | null, draws: number): Record<number, number> {
  const counts: Record<number, number> = {};
  for (let i = 0; i < draws; i++) {
    const slot = choose()?.slot ?? -1;
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  return counts;
}

function assertWithin(counts: Record<number, number>, weights: readonly number[], draws: number, seed: number): void {
  const total = weights.reduce((a, b) => a + b);
  for (const [slot, weight] of weights.entries()) {
    const share = weight / total;
    const deviation = Math.abs((counts[slot] ?? 0) - draws * share) / Math.sqrt(draws * share * (1 - share));
    assert.ok(deviation <= 5.5, `slot ${slot}: ${counts[slot]} of ${draws}, ${deviation} deviations, seed ${seed}`);
  }
}

/** Makes Math.random a generator (mulberry32) under a seed, printed, until the test ends. */
function seedRandom(t: TestContext): number {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  t.mock.method(Math, 'random', () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  });
  return seed;
}

function leaveOut(node: UpstreamNode): void {
  const service = { name: 's', maxFails: 3, failTimeoutMs: 1_000 } as ServiceSettings;
  for (let i = 0; i < 3; i++) {
    assert.equal(node.isLeftOut(NODE_UP), false);
    node.failed('ECONNREFUSED', service);
  }
  assert.equal(node.isLeftOut(NODE_UP), true);
}
