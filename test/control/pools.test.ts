/** The pools as they are in force: what the file says, with the edits over it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { buildRouteImage } from '../../src/affinity/route-table.ts';
import { countNodes } from '../../src/affinity/selection.ts';
import { RouteBoard } from '../../src/boards/route-board.ts';
import { parseNodeAddress } from '../../src/config/addresses.ts';
import type { NodeConfig, PoolConfig } from '../../src/config/config.ts';
import { Helper } from '../../src/control/helper.ts';
import { LocalEdits } from '../../src/control/local-edits.ts';
import { Pools } from '../../src/control/pools.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { encodeCommand } from '../../src/control/state-command.ts';
import type { Route } from '../../src/control/thread-settings.ts';
import { recordingLog } from './new-edge.ts';

test('the nodes are worked out once for each change: of the file, the group, this edge, or all of the state', async (t) => {
  const state = new ReplicatedState();
  const local = new LocalEdits(null, recordingLog().log);
  const helper = new Helper();
  t.after(() => helper.close());
  const pools = new Pools({ pools: [poolOf('a:1')], threads: 1, state, local, helper, onOutgrown: () => {} });
  state.onChange = (change) => void pools.stateChanged(change);
  local.onChange = (pool) => void pools.stateChanged({ kind: 'pool', pool });
  const shown = () => pools.nodes('web')?.map(({ address, drain }) => `${address}${drain ? ' draining' : ''}`);
  const drain = { kind: 'changed', weight: null, drain: true } as const;
  const changes: [change: () => unknown, nodes: readonly string[]][] = [
    [() => state.apply(encodeCommand({ kind: 'node', pool: 'web', address: 'a:1', edit: drain })), ['a:1 draining']],
    [() => local.set('web', 'a:1', { ...drain, drain: false }), ['a:1']],
    [() => pools.configure([poolOf('a:1', 'b:1')]), ['a:1', 'b:1']],
    [() => local.set('web', 'a:1', null), ['a:1 draining', 'b:1']],
    [() => state.restore(new ReplicatedState().snapshot()), ['a:1', 'b:1']],
    [() => pools.configure([poolOf('b:1')]), ['b:1']],
  ];
  assert.deepEqual(shown(), ['a:1']);
  for (const [change, expected] of changes) {
    await change();
    assert.deepEqual(shown(), expected);
    const nodes = pools.nodes('web');
    state.apply(encodeCommand({ kind: 'node', pool: 'other', address: 'a:1', edit: drain }));
    assert.equal(pools.nodes('web'), nodes, "another pool's edit costs nothing here");
  }
  assert.equal(pools.nodes('none'), null);
});

test('a change that cannot be published, as no thread can be started to build its table, is as soon as one can', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let failures = 0;
  const built: number[] = [];
  const helper = {
    async buildRoutes(...[nodes, salt, dimensions]: Parameters<Helper['buildRoutes']>) {
      if (failures-- > 0) throw new Error('no helper thread: EMFILE');
      built.push(nodes.length);
      return buildRouteImage(nodes, salt, dimensions);
    },
  } as Helper;
  const addresses = Array.from({ length: 3_001 }, (_, i) => `a${i}:1`);
  const local = new LocalEdits(null, recordingLog().log);
  const state = new ReplicatedState();
  const fewer = [poolOf(...addresses.slice(1))];
  const pools = new Pools({ pools: fewer, threads: 1, state, local, helper, onOutgrown: () => {} });
  pools.open([{ pool: 'web', salt: '' }]);
  await pools.publish();
  pools.configure([poolOf(...addresses)]);
  failures = 2;
  await assert.rejects(pools.publish(), /EMFILE/);
  while (failures > -1) {
    const attempted = new Promise<void>((resolve) => {
      pools.onPublished = () => resolve();
    });
    t.mock.timers.tick(1_000);
    await attempted;
    await setImmediate();
  }
  assert.deepEqual(built, [3_000, 3_001]);
  t.mock.timers.tick(10_000);
  await setImmediate();
  assert.deepEqual(built, [3_000, 3_001]);
});

test('of many small pools each is published, and the event loop turns between them', async (t) => {
  const helper = new Helper();
  t.after(() => helper.close());
  const local = new LocalEdits(null, recordingLog().log);
  const addresses = Array.from({ length: 500 }, (_, i) => `a${i}:1`);
  const configured = Array.from({ length: 100 }, (_, i) => ({ ...poolOf(...addresses), name: `p${i}` }));
  const state = new ReplicatedState();
  const pools = new Pools({ pools: configured, threads: 1, state, local, helper, onOutgrown: () => {} });
  const boards = pools.open(configured.map(({ name }) => ({ pool: name, salt: '' })));
  let isDone = false;
  const published = pools.publish().then(() => {
    isDone = true;
  });
  let turns = 0;
  for (; !isDone; turns++) await setImmediate();
  await published;
  for (const { buffer } of boards) assert.equal(countNodes(new RouteBoard(buffer)), 500);
  // 2,000 nodes a turn
  assert.ok(turns >= 25, `the event loop turned ${turns} times`);
});

test('one publication that fails does not keep the other pools from theirs', async () => {
  const helper = { buildRoutes: () => Promise.reject(new Error('no helper thread: EMFILE')) } as unknown as Helper;
  const local = new LocalEdits(null, recordingLog().log);
  const large = { ...poolOf(...Array.from({ length: 2_001 }, (_, i) => `a${i}:1`)), name: 'large' };
  const state = new ReplicatedState();
  const pools = new Pools({ pools: [large, poolOf('a:1')], threads: 1, state, local, helper, onOutgrown: () => {} });
  const [, small] = pools.open(['large', 'web'].map((pool) => ({ pool, salt: '' })));
  const published: string[] = [];
  pools.onPublished = (pool) => published.push(pool);
  await assert.rejects(pools.publish(), /EMFILE/);
  assert.deepEqual(published, ['large', 'web']);
  assert.equal(countNodes(new RouteBoard(small?.buffer as SharedArrayBuffer)), 1);
});

test('a route that is not retained is forgotten, and the other one of its pool is not', async (t) => {
  const helper = new Helper();
  t.after(() => helper.close());
  const local = new LocalEdits(null, recordingLog().log);
  const options = { pools: [poolOf('a:1')], threads: 1, state: new ReplicatedState(), local, helper };
  const pools = new Pools({ ...options, onOutgrown: () => {} });
  const [plain, salted] = ['', 'salt'].map((salt) => ({ pool: 'web', salt }));
  const boards = pools.open([plain, salted] as Route[]);
  assert.deepEqual(pools.open([salted, plain] as Route[]), boards.toReversed());
  await pools.publish();
  for (const { buffer } of boards) {
    const board = new RouteBoard(buffer);
    board.words[board.inFlightRow(0)] = 1;
  }
  assert.equal(pools.activity('web', 'a:1').inFlight, 2);
  pools.retain(boards.slice(1));
  assert.equal(pools.activity('web', 'a:1').inFlight, 1);
  assert.deepEqual(pools.open([salted] as Route[]), boards.slice(1));
  pools.retain([]);
  assert.equal(pools.activity('web', 'a:1').inFlight, 0);
  assert.notEqual(pools.open([salted] as Route[])[0]?.id, boards[1]?.id);
});

function poolOf(...addresses: string[]): PoolConfig {
  return { name: 'web', nodes: addresses.map(nodeOf), healthCheck: null };
}

function nodeOf(text: string): NodeConfig {
  const parsed = parseNodeAddress(text);
  assert.ok(parsed.ok);
  return { ...parsed.value, weight: 1, drain: false };
}
