/** Health checks and shared marks in the running program: a backend killed under load, and what all threads make of it. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { EdgeStatus, NodeStatus } from '../../src/control/status.ts';
import { freePort } from './cluster-network.ts';
import {
  awakeClock,
  DEAD_ADDRESSES,
  eventually,
  get,
  httpBackend,
  namedBackend,
  simpleConfig,
  startProgram,
  startSound,
  temporaryFolder,
} from './harness.ts';

const INTERVAL_MS = 200;
const [RISE, FALL] = [2, 3];
const CHECK = `{interval: ${INTERVAL_MS}ms, rise: ${RISE}, fall: ${FALL}}`;
/** For a machine that is busy with other things. */
const SLACK_MS = 1_000;
const CONNECTIONS = 16;

interface Options {
  readonly check?: string | null;
  readonly workers?: number;
  readonly service?: readonly string[];
}

/** The YAML of one pool, and a way to ask for what the edge says of its nodes. */
function setup(t: TestContext, { check = CHECK, workers = 2, service = [] }: Options = {}) {
  const socketPath = join(temporaryFolder(t), 'admin.sock');
  const top = [`admin: {address: "unix:${socketPath}"}`];
  const yaml = (nodes: readonly string[], healthCheck = check) => {
    const pool = healthCheck === null ? [] : [`health_check: ${healthCheck}`];
    return simpleConfig(nodes, { service, pool, top, workers });
  };
  const node = async (address: string): Promise<NodeStatus> => {
    const { pools } = await askStatus(socketPath);
    const found = pools[0]?.nodes.find((one) => one.address === address);
    assert.ok(found !== undefined, `no node ${address}`);
    return found;
  };
  const becomes = (address: string, state: string) =>
    eventually(async () => (await node(address)).health.state === state, `${address} ${state}`);
  return { yaml, node, becomes };
}

function askStatus(socketPath: string): Promise<EdgeStatus> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: '/status', agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(JSON.parse(body) as EdgeStatus));
    });
    request.on('error', reject);
  });
}

/** A backend in a process of its own, which answers with its process id after a few milliseconds. */
async function startBackend(
  t: TestContext,
  port: number,
): Promise<{ child: ChildProcess; address: string; name: string }> {
  const script = `
    const server = require('node:http').createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      setTimeout(() => response.end(String(process.pid)), request.url === '/' ? 5 : 0);
    });
    server.listen(${port}, '127.0.0.1', () => process.send('listening'));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return { child, address: `127.0.0.1:${port}`, name: String(child.pid) };
}

interface Answer {
  readonly connection: number;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly status: number;
  readonly body: string;
}

/** Clients that each send one request after another on a connection of their own, and so at one thread. */
class Load {
  readonly answers: Answer[] = [];
  readonly #now: () => number;
  #isOver = false;
  readonly #clients: Promise<void>[];

  /** `now`: a clock for the answers' times. */
  constructor(port: number, now: () => number) {
    this.#now = now;
    this.#clients = Array.from({ length: CONNECTIONS }, (_, connection) => this.#run(port, connection));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  /** Resolves when as many more requests have been answered. */
  async more(count: number): Promise<void> {
    const wanted = this.answers.length + count;
    await eventually(() => this.answers.length >= wanted, 'requests are answered');
  }

  async #run(port: number, connection: number): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.#isOver) {
      const beganMs = this.#now();
      const answer = await ask(port, agent);
      this.answers.push({ connection, beganMs, endedMs: this.#now(), ...answer });
    }
    agent.destroy();
  }
}

function ask(port: number, agent: http.Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const request = http.get({ port, host: '127.0.0.1', agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', (error) => resolve({ status: 0, body: error.message }));
  });
}

const isNodeUp = ({ health }: NodeStatus) => health.state === 'up';

for (const [name, service] of [
  ['with max_fails', []],
  ['without', ['max_fails: 0']],
] as const) {
  test(`a backend killed under load (${name}): no request of after it fails, it is out and back in time on all threads`, async (t) => {
    const { yaml, node } = setup(t, { service });
    const ports = [await freePort(), await freePort(), await freePort()];
    const backends = await Promise.all(ports.map((port) => startBackend(t, port)));
    const [victim] = backends as [(typeof backends)[number]];
    const program = await startSound(t, yaml(backends.map(({ address }) => address)));
    const now = awakeClock(t);
    const load = new Load(program.port, now);
    await load.more(500);
    // on a machine that is too busy to answer, a first check may fail
    const isUp = async () => (await Promise.all(backends.map(({ address }) => node(address)))).every(isNodeUp);
    await eventually(isUp, 'all are up');
    const lines = program.log.length;

    victim.child.kill('SIGKILL');
    await once(victim.child, 'exit');
    const killedMs = now();
    await eventually(async () => (await node(victim.address)).health.state === 'down', 'it is down');
    const outMs = now() - killedMs;
    const { requests, health } = await node(victim.address);
    assert.equal(health.reason, 'ECONNREFUSED');
    await load.more(500);
    assert.equal((await node(victim.address)).requests, requests, 'no thread sends anything there');

    const { name: reborn } = await startBackend(t, ports[0] as number);
    const rebornMs = now();
    const met = (connection: number) =>
      load.answers.find((answer) => answer.connection === connection && answer.body === reborn);
    const clients = Array.from({ length: CONNECTIONS }, (_, i) => i);
    await eventually(() => clients.every((i) => met(i) !== undefined), 'every connection meets it again');
    const backMs = Math.max(...clients.map((i) => met(i)?.endedMs ?? Number.POSITIVE_INFINITY)) - rebornMs;
    await load.stop();

    t.diagnostic(`out after ${Math.round(outMs)} ms, back on every connection after ${Math.round(backMs)} ms`);
    assert.ok(outMs <= FALL * INTERVAL_MS + SLACK_MS, `out after ${outMs} ms`);
    assert.ok(backMs <= RISE * INTERVAL_MS + SLACK_MS, `back after ${backMs} ms`);
    const failed = load.answers.filter(({ status }) => status !== 200);
    t.diagnostic(`${failed.length} of ${load.answers.length} requests failed`);
    assert.deepEqual(
      failed.filter(({ beganMs }) => beganMs > killedMs),
      [],
    );
    assert.ok(failed.length <= CONNECTIONS);
    await program.logged(
      (line) => line.node === victim.address && line.to === 'up' && program.log.indexOf(line) >= lines,
    );
    const told = program.log.slice(lines).filter((line) => /^node is /.test(line.msg) && line.node === victim.address);
    const all = told.map(({ from, to }) => `${from} ${to}`);
    // on a machine that is too busy to answer, later checks may fail
    const changes = all.slice(0, all.indexOf('down up') + 1);
    const expected = service.length > 0 ? ['up down', 'down up'] : ['up failing', 'failing down', 'down up'];
    // the checks may be the first to see it
    assert.ok(
      [expected, ['up down', 'down up']].some((one) => one.join() === changes.join()),
      changes.join(),
    );
  });
}

test('a node that keeps failing on one thread is left out by all, and used again when that thread has probed it', async (t) => {
  const service = ['max_fails: 2', 'fail_timeout: 200ms', 'balance: round_robin'];
  const { yaml, node, becomes } = setup(t, { check: null, service });
  const [flaky, sound] = [await namedBackend(t), await namedBackend(t)];
  await flaky.close();
  const program = await startSound(t, yaml([flaky.address, sound.address]));
  const isOut = async () => {
    assert.equal((await get(program.port)).status, 200);
    return (await node(flaky.address)).health.state === 'failing';
  };
  await eventually(isOut, 'it is failing');
  const { health, requests } = await node(flaky.address);
  assert.deepEqual([health.reason, health.isChecked], ['ECONNREFUSED', false]);
  // each on a connection of its own: about half of them on the other thread
  for (let i = 0; i < 20; i++) assert.equal((await get(program.port)).body, sound.address);
  assert.equal((await node(flaky.address)).requests, requests);
  assert.equal(program.log.filter(({ msg }) => msg === 'node left out').length, 1);
  await flaky.reopen();
  await becomes(flaky.address, 'up');
  await eventually(async () => (await get(program.port)).body === flaky.address, 'it is used again');
});

test('what a thread said of a node ends with the thread', async (t) => {
  const { yaml, becomes } = setup(t, { check: null, workers: 1, service: ['max_fails: 1', 'fail_timeout: 1h'] });
  const [dead = ''] = DEAD_ADDRESSES;
  const program = await startProgram(t, yaml([dead]), true);
  assert.equal((await get(program.port)).status, 502);
  await becomes(dead, 'failing');
  program.chaos('terminate');
  await becomes(dead, 'up');
});

test('where all nodes are down requests get 503 and the log says so once; a reload forgets nothing of that', async (t) => {
  const { yaml, node, becomes } = setup(t, { check: `{path: /healthz, interval: 100ms}` });
  let status = 503;
  const backend = await httpBackend(t, ({ url }, response) => {
    response.writeHead(url === '/healthz' ? status : 200).end();
  });
  const nodes = [backend.address];
  const program = await startSound(t, yaml(nodes));
  const { level, pool } = await program.logged(({ msg }) => /^all nodes of the pool are down/.test(msg));
  assert.deepEqual([level, pool], [50, 'demo']);
  assert.equal((await get(program.port)).status, 503);
  // on a machine that is too busy to answer, a check may say so
  await eventually(async () => (await node(backend.address)).health.reason === 'status 503', 'a check is answered');
  const { health } = await node(backend.address);
  assert.deepEqual([health.state, health.isChecked], ['down', true]);

  await program.reload(yaml(nodes));
  await program.reload(yaml([...nodes, '127.0.0.1:1'], `{path: /healthz, interval: 150ms}`));
  await becomes('127.0.0.1:1', 'down');
  assert.deepEqual(
    [(await node(backend.address)).health.changedAtMs, (await get(program.port)).status],
    [health.changedAtMs, 503],
  );
  status = 204;
  await eventually(async () => (await get(program.port)).status === 200, 'it serves again');
  await program.logged(({ msg }) => msg === 'the pool has a live node again');
  const told = program.log.map(({ msg }) => msg).filter((msg) => /the pool/.test(msg));
  assert.match(told[0] ?? '', /^all nodes of the pool are down/);
  assert.equal(told[1], 'the pool has a live node again');
  assert.equal((await node('127.0.0.1:1')).health.state, 'down');

  status = 503;
  await becomes(backend.address, 'down');
  await program.reload(yaml([backend.address], null));
  await becomes(backend.address, 'up');
  assert.equal((await get(program.port)).status, 200);
});
