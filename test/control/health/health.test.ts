/** Checks and marks together: what the boards, the log, status and metrics are told. Probes and time are the test's. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { NODE_DOWN, NODE_FAILING, NODE_UP, type NodeState } from '../../../src/boards/route-board.ts';
import type { HealthCheckConfig, NodeConfig } from '../../../src/config/config.ts';
import { Health } from '../../../src/control/health/health.ts';
import type { CheckResult } from '../../../src/control/health/probe.ts';
import { recordingLog } from '../new-edge.ts';

const CHECK: HealthCheckConfig = {
  http: null,
  port: null,
  intervalMs: 1_000,
  jitter: 0,
  timeoutMs: 500,
  rise: 2,
  fall: 3,
};
const [A, B, C] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] as const;
const REFUSED: CheckResult = { result: 'unreachable', reason: 'ECONNREFUSED' };
const PASSED: CheckResult = { result: 'passed', reason: '' };

function nodesAt(...addresses: string[]): NodeConfig[] {
  return addresses.map((address) => {
    const [host = '', port] = address.split(':');
    return { address, host, port: Number(port), weight: 1, drain: false };
  });
}

function newHealth(t: TestContext, check: HealthCheckConfig | null = CHECK, addresses: string[] = [A, B]) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  const { log, lines } = recordingLog();
  const dead = new Map<string, CheckResult>();
  const boards = new Map<string, NodeState>();
  const probed: string[] = [];
  let nodes = nodesAt(...addresses);
  const health = new Health({
    pools: {
      nodes: (pool) => (pool === 'web' ? nodes : null),
      setState: (pool, address, state) => void (pool === 'web' && boards.set(address, state)),
    },
    log,
    random: () => 0,
    startProbe: ({ address }, _, onDone) => {
      probed.push(address);
      const pending = setImmediate(() => onDone(dead.get(address) ?? PASSED));
      return { cancel: () => clearImmediate(pending) };
    },
  });
  t.after(() => health.stop());
  const configure = (healthCheck: HealthCheckConfig | null) =>
    health.configure([{ name: 'web', nodes, healthCheck, pipelining: 1 }]);
  /** As when a reload or an edit changes the pool. */
  const setNodes = (...after: string[]) => {
    for (const { address } of nodes) if (!after.includes(address)) boards.delete(address);
    nodes = nodesAt(...after);
    health.poolChanged('web');
  };
  const pass = async (ms: number) => {
    for (; ms >= 0; ms -= 1_000) {
      t.mock.timers.tick(Math.min(ms, 1_000));
      for (let i = 0; i < 4; i++) await turn();
    }
  };
  configure(check);
  return {
    health,
    lines,
    dead,
    boards,
    probed,
    configure,
    setNodes,
    pass,
    state: (address: string) => health.status('web', address).state,
    told: () => lines.map(({ msg, node, from, to, reason }) => ({ msg, node, from, to, reason })),
  };
}

test('checks that this machine could not make say nothing of a node, and are said once', async (t) => {
  const { health, lines, dead, boards, pass } = newHealth(t);
  await pass(0);
  for (const address of [A, B]) dead.set(address, { result: 'local', reason: 'EMFILE' });
  await pass(20_000);
  assert.deepEqual([boards.size, health.counts[0]?.nodes.up], [0, 2]);
  assert.ok((health.counts[0]?.checks.local ?? 0) > 10);
  dead.clear();
  await pass(2_000);
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [
      [40, 'health checks cannot be made here: nodes stay as they were'],
      [30, 'health checks can be made again'],
    ],
  );
});

test('where some checks can be made and others cannot, that is said once, and its end when all have been made again', async (t) => {
  const { lines, dead, pass } = newHealth(t);
  dead.set(A, { result: 'local', reason: 'EMFILE' });
  await pass(20_000);
  assert.equal(lines.length, 1);
  dead.clear();
  await pass(2_000);
  assert.equal(lines.length, 2);
});

test('a node whose checks fail is put out after fall of them and back after rise, with a line and a time for each', async (t) => {
  const { health, lines, dead, boards, pass } = newHealth(t);
  await pass(0);
  assert.deepEqual(health.status('web', A), { state: 'up', isChecked: true, reason: '', changedAtMs: null });
  dead.set(A, REFUSED);
  await pass(2_999);
  assert.equal(boards.get(A), undefined);
  await pass(1);
  assert.equal(boards.get(A), NODE_DOWN);
  assert.deepEqual(health.status('web', A), {
    state: 'down',
    isChecked: true,
    reason: 'ECONNREFUSED',
    changedAtMs: Date.now(),
  });
  dead.delete(A);
  await pass(1_999);
  assert.equal(boards.get(A), NODE_DOWN);
  await pass(1);
  assert.equal(boards.get(A), NODE_UP);
  assert.deepEqual(
    lines.map(({ level, msg, pool, node, from, to, reason }) => [level, msg, pool, node, from, to, reason]),
    [
      [40, 'node is down', 'web', A, 'up', 'down', 'ECONNREFUSED'],
      [30, 'node is up', 'web', A, 'down', 'up', undefined],
    ],
  );
  assert.equal(boards.get(B), undefined);
});

test('the first check of a node decides alone', async (t) => {
  const { dead, boards, setNodes, pass, state } = newHealth(t);
  dead.set(C, REFUSED);
  await pass(0);
  setNodes(A, B, C);
  assert.equal(state(C), 'up');
  await pass(10);
  assert.deepEqual([state(C), boards.get(C)], ['down', NODE_DOWN]);
});

test('while it is down the reason is that of the last check', async (t) => {
  const { health, dead, lines, pass } = newHealth(t);
  dead.set(A, REFUSED);
  await pass(0);
  dead.set(A, { result: 'answer', reason: 'status 503' });
  await pass(1_000);
  assert.equal(health.status('web', A).reason, 'status 503');
  assert.equal(lines.length, 1);
});

test('a node that any thread leaves out is failing until the last of them uses it again', async (t) => {
  const { health, boards, state, told } = newHealth(t, null);
  health.mark(0, 'web', A, true, 'ECONNRESET');
  assert.deepEqual([state(A), boards.get(A)], ['failing', NODE_FAILING]);
  assert.equal(health.status('web', A).reason, 'ECONNRESET');
  health.mark(1, 'web', A, true, 'ECONNREFUSED');
  health.mark(0, 'web', A, false, '');
  assert.deepEqual([state(A), health.status('web', A).reason], ['failing', 'ECONNREFUSED']);
  health.mark(0, 'web', A, false, '');
  health.mark(2, 'web', A, false, '');
  assert.equal(state(A), 'failing');
  health.mark(1, 'web', A, false, '');
  assert.deepEqual([state(A), boards.get(A)], ['up', NODE_UP]);
  assert.deepEqual(told(), [
    { msg: 'node is failing', node: A, from: 'up', to: 'failing', reason: 'ECONNRESET' },
    { msg: 'node is up', node: A, from: 'failing', to: 'up', reason: undefined },
  ]);
  assert.deepEqual(health.status('web', A), { state: 'up', isChecked: false, reason: '', changedAtMs: 1_000_000 });
});

test('the marks of a thread end with it', (t) => {
  const { health, state } = newHealth(t, null);
  health.mark(0, 'web', A, true, 'x');
  health.mark(1, 'web', A, true, 'x');
  health.mark(1, 'web', B, true, 'x');
  health.withdraw(1);
  assert.deepEqual([state(A), state(B)], ['failing', 'up']);
  health.withdraw(0);
  assert.equal(state(A), 'up');
});

test('checks weigh more than marks: down wins, and checks that pass again end the marks of before', async (t) => {
  const { health, dead, pass, state, told } = newHealth(t);
  await pass(0);
  health.mark(0, 'web', A, true, 'ECONNREFUSED');
  assert.equal(state(A), 'failing');
  dead.set(A, REFUSED);
  await pass(3_000);
  assert.equal(state(A), 'down');
  health.mark(1, 'web', A, true, 'ECONNREFUSED');
  dead.delete(A);
  await pass(2_000);
  assert.equal(state(A), 'up');
  health.mark(0, 'web', A, false, '');
  assert.deepEqual(
    told().map(({ from, to }) => `${from} ${to}`),
    ['up failing', 'failing down', 'down up'],
  );
});

test('checks that never failed do not end a mark: the thread that set it does', async (t) => {
  const { health, pass, state } = newHealth(t);
  health.mark(0, 'web', A, true, 'ECONNRESET');
  await pass(10_000);
  assert.equal(state(A), 'failing');
  health.mark(0, 'web', A, false, '');
  assert.equal(state(A), 'up');
});

test('the boards are told anew of nodes that are not up when the pool is published; what leaves is forgotten', async (t) => {
  const { health, dead, boards, setNodes, pass, probed } = newHealth(t);
  dead.set(A, REFUSED);
  await pass(0);
  health.mark(0, 'web', B, true, 'x');
  boards.clear();
  setNodes(A, B, C);
  assert.deepEqual(
    [...boards],
    [
      [A, NODE_DOWN],
      [B, NODE_FAILING],
    ],
  );
  setNodes(C);
  dead.clear();
  probed.length = 0;
  await pass(3_000);
  assert.deepEqual(new Set(probed), new Set([C]));
  setNodes(A, B, C);
  assert.deepEqual(health.status('web', A), { state: 'up', isChecked: true, reason: '', changedAtMs: null });
  assert.equal(boards.size, 0);
});

test('a reload keeps what is known of nodes that stay; another check goes on from there', async (t) => {
  const { dead, boards, configure, pass, state, lines } = newHealth(t);
  dead.set(A, REFUSED);
  await pass(0);
  configure({ ...CHECK });
  await pass(1_000);
  assert.equal(state(A), 'down');
  configure({ ...CHECK, intervalMs: 5_000 });
  assert.deepEqual([state(A), state(B), lines.length], ['down', 'up', 1]);
  dead.clear();
  await pass(10);
  assert.deepEqual([state(A), boards.get(A)], ['up', NODE_UP]);
});

test('without a check any more, a node that was down is up', async (t) => {
  const { dead, boards, configure, pass, state, probed, health } = newHealth(t);
  dead.set(A, REFUSED);
  await pass(0);
  configure(null);
  assert.deepEqual([state(A), boards.get(A)], ['up', NODE_UP]);
  probed.length = 0;
  await pass(5_000);
  assert.deepEqual(probed, []);
  assert.equal(health.status('web', A).isChecked, false);
});

test('a pool whose nodes are all down is an error, said once, and its return is said too', async (t) => {
  const { dead, pass, told, lines, setNodes } = newHealth(t);
  dead.set(A, REFUSED).set(B, REFUSED);
  await pass(2_000);
  const [, , all] = lines;
  assert.deepEqual(
    [all?.level, all?.msg, all?.pool, all?.nodes],
    [50, 'all nodes of the pool are down: requests get 503', 'web', 2],
  );
  assert.equal(lines.length, 3);
  setNodes(A, B, C);
  await pass(2_000);
  assert.deepEqual(
    told()
      .slice(3)
      .map(({ msg }) => msg),
    ['the pool has a live node again'],
  );
});

test('marks alone never make a pool be all down: failing nodes are used where there is nothing better', (t) => {
  const { health, lines } = newHealth(t, null);
  for (const address of [A, B]) health.mark(0, 'web', address, true, 'x');
  assert.ok(lines.every(({ level }) => level < 50));
});

test('checks and changes are counted, nodes by state', async (t) => {
  const { health, dead, pass } = newHealth(t, CHECK, [A, B, C]);
  dead.set(A, REFUSED).set(B, { result: 'timeout', reason: 'no answer within 500 ms' });
  await pass(0);
  await pass(1_000);
  health.mark(0, 'web', C, true, 'x');
  assert.deepEqual(health.counts, [
    {
      pool: 'web',
      checks: { passed: 2, unreachable: 2, timeout: 2, answer: 0, local: 0 },
      changes: { up: 0, down: 2, failing: 1 },
      nodes: { up: 0, down: 2, failing: 1 },
    },
  ]);
});

test("a pool or node that is not there is up, and marks of it are nobody else's", (t) => {
  const { health, state } = newHealth(t, null);
  health.mark(0, 'gone', A, true, 'x');
  assert.equal(health.status('gone', A).state, 'up');
  assert.equal(state(A), 'up');
});

test('intervals are shortened by jitter, never stretched; of many nodes few begin at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let random = 0;
  let starts = 0;
  const nodes = nodesAt(...Array.from({ length: 10_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:80`));
  const health = new Health({
    pools: { nodes: () => nodes, setState() {} },
    log: recordingLog().log,
    random: () => (random = (random + 0.618_033_99) % 1),
    startProbe: (_, __, onDone) => {
      starts++;
      setImmediate(onDone, PASSED);
      return { cancel() {} };
    },
  });
  t.after(() => health.stop());
  health.configure([{ name: 'web', nodes, healthCheck: { ...CHECK, intervalMs: 2_000, jitter: 0.5 }, pipelining: 1 }]);
  let most = 0;
  for (let ms = 0; ms < 2_000; ms += 10) {
    const before = starts;
    t.mock.timers.tick(10);
    for (let i = 0; i < 8; i++) await turn();
    most = Math.max(most, starts - before);
  }
  assert.ok(starts >= 10_000 && starts <= 20_000, `${starts} checks`);
  assert.ok(most <= 150, `${most} began within 10 ms`);
});

test('many nodes are taken over in slices, and what has changed meanwhile after them', async (t) => {
  const many = Array.from({ length: 5_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}:80`);
  const { health, setNodes, probed, pass } = newHealth(t, CHECK, many);
  setNodes(...many.slice(2_500));
  setNodes(A);
  for (let turns = 0; turns < 50; turns++) await turn();
  probed.length = 0;
  await pass(1_000);
  await pass(1_000);
  assert.deepEqual([...new Set(probed)], [A]);
  assert.deepEqual(health.counts[0]?.nodes, { up: 1, down: 0, failing: 0 });
});

test('after stop nothing is checked, whatever is said', async (t) => {
  const { health, configure, setNodes, pass, probed } = newHealth(t);
  await pass(0);
  health.stop();
  probed.length = 0;
  configure({ ...CHECK, intervalMs: 3_000 });
  setNodes(A, B, C);
  await pass(10_000);
  assert.deepEqual(probed, []);
});
