/** What a reload changes while the program serves: listeners, services, threads, bounds, logs; and what it leaves alone. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasSystemCalls } from '../../src/control/system-calls.ts';
import { failures, load, loadSeconds, NO_FAILURES } from './autocannon.ts';
import {
  awakeClock,
  eventually,
  exchange,
  get,
  namedBackend,
  PLAIN_LISTENER,
  type Program,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { newSite } from './site.ts';
import { visit } from './tls-client.ts';

/** Each thread keeps its sockets to itself then. */
const skip = hasSystemCalls() ? false : 'this Node has no node:ffi';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

test('an address that is added is served, one that is taken out is not, and its open connections go on', async (t) => {
  const { address } = await namedBackend(t);
  const folder = temporaryFolder(t);
  const path = join(folder, 'edge.sock');
  const program = await startProgram(t, simpleConfig([address], { workers: 2 }));
  const open = await connection(program.port);
  const withUnix = simpleConfig([address], { workers: 2 }).replace(
    ONE_LISTENER,
    `listeners: [{address: "unix:${path}", service: web}]`,
  );
  await program.reload(withUnix);
  for (let i = 0; i < 8; i++) assert.equal(await getOverUnix(path), address);
  await eventually(() => refuses(program.port), 'the address that was taken out is closed');
  assert.match(await open.ask(), /^HTTP\/1\.1 200 /);
  await program.reload(simpleConfig([address], { workers: 2 }));
  assert.equal(existsSync(path), false);
  open.socket.destroy();
});

test('a listener goes from plain to TLS and back, and a connection of before goes on as it is', async (t) => {
  const { address } = await namedBackend(t);
  const plain = simpleConfig([address], { workers: 2 });
  const program = await startProgram(t, plain);
  const open = await connection(program.port);
  await program.reload(plain.replace(ONE_LISTENER, `listeners: [${newSite(t).listener()}]`));
  const { answer } = await visit(program.port, { version: 'TLSv1.3' });
  assert.match(answer, new RegExp(address));
  assert.match(await open.ask(), /^HTTP\/1\.1 200 /);
  await program.reload(plain);
  assert.equal((await get(program.port)).body, address);
  assert.match(await open.ask(), /^HTTP\/1\.1 200 /);
  open.socket.destroy();
});

test('services, their pools and hosts change for open connections at their next request', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const program = await startProgram(t, simpleConfig([a.address]));
  const open = await connection(program.port);
  assert.match(await open.ask(), new RegExp(a.address));
  await program.reload(
    simpleConfig([a.address])
      .replace('pools: {demo:', `pools: {other: {nodes: ["${b.address}"]}, demo:`)
      .replace('    pool: demo', '    pool: demo\n  second:\n    pool: other')
      .replace('service: web}', 'service: web, hosts: {a: second}}'),
  );
  assert.match(await open.ask(), new RegExp(b.address));
  open.socket.destroy();
});

test('more and fewer threads: connections that are open go on, and threads that are too many end with them', async (t) => {
  const { address } = await namedBackend(t);
  const yaml = (workers: number) => simpleConfig([address], { workers, top: [ADMIN] });
  const program = await startProgram(t, yaml(1));
  await program.reload(yaml(4));
  const clients: Awaited<ReturnType<typeof connection>>[] = [];
  // the kernel deals connections out by a hash of their ports, and may leave a thread out: then there come more
  while ((await workers(program)).some(({ connections }) => connections === 0)) {
    assert.ok(clients.length < 640, 'a thread has none');
    const more = await Promise.all(Array.from({ length: 16 }, () => connection(program.port)));
    for (const { ask } of more) assert.match(await ask(), /^HTTP\/1\.1 200 /);
    clients.push(...more);
  }
  await program.reload(yaml(1));
  const retiring = (await workers(program)).filter(({ state }) => state === 'retiring');
  assert.equal(retiring.length, 3);
  const answers = await Promise.all(clients.map(({ ask }) => ask()));
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /);
  // those of threads that end are told that theirs was the last answer
  assert.ok(answers.some((answer) => answer.includes('Connection: close')));
  assert.ok(answers.some((answer) => !answer.includes('Connection: close')));
  await eventually(async () => (await workers(program)).length === 1, 'the other threads have ended');
  for (const { socket } of clients) socket.destroy();
});

test('bounds, the log level and the access log are as the file says from then on', async (t) => {
  const { address } = await namedBackend(t);
  const accessLog = join(temporaryFolder(t), 'access.log');
  const program = await startProgram(t, simpleConfig([address]));
  const long = { path: `/${'x'.repeat(200)}` };
  assert.equal((await get(program.port, long)).status, 200);
  await program.reload(
    simpleConfig([address], { top: ['limits: {max_target_size: 64B}', `access_log: ${accessLog}`] }),
  );
  assert.equal((await get(program.port, long)).status, 414);
  await get(program.port);
  await eventually(() => /"status":200/.test(readFileSync(accessLog, 'utf8')), 'a line of the access log');
  writeFileSync(program.configFile, simpleConfig([address], { top: ['log_level: error'] }));
  program.child.kill('SIGHUP');
  await eventually(async () => (await get(program.port, long)).status === 200, 'the bound is gone');
  const lines = program.log.length;
  assert.equal((await exchange(program.port, 'nonsense\r\n\r\n')).slice(9, 12), '400');
  assert.equal(program.log.length, lines);
});

test('an address that cannot be had: nothing changes, and the place in the file is named', async (t) => {
  const { address } = await namedBackend(t);
  const taken = await namedBackend(t);
  const program = await startProgram(t, simpleConfig([address], { workers: 2 }));
  const two = `listeners: [{address: "127.0.0.1:0", service: web}, {address: "127.0.0.1:${taken.port}", service: web}]`;
  writeFileSync(program.configFile, simpleConfig(['127.0.0.1:1'], { workers: 3 }).replace(ONE_LISTENER, two));
  program.child.kill('SIGHUP');
  const { msg } = await program.logged(({ msg }) => msg.includes('cannot listen'));
  assert.match(
    msg,
    /stekbal\.yaml:2:\d+: cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE: another program listens there/,
  );
  await program.logged(({ msg }) => msg.startsWith('reload refused'));
  for (let i = 0; i < 6; i++) assert.equal((await get(program.port)).body, address);
  await program.reload(simpleConfig([taken.address], { workers: 2 }));
  assert.equal((await get(program.port)).body, taken.address);
});

test('a WebSocket outlives every change, and the thread that serves it', async (t) => {
  const backend = http.createServer().listen(0, '127.0.0.1');
  await once(backend, 'listening');
  backend.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  t.after(() => backend.close());
  const address = `127.0.0.1:${(backend.address() as net.AddressInfo).port}`;
  const other = await namedBackend(t);
  const program = await startProgram(t, simpleConfig([address], { workers: 2 }));
  const tunnels = await Promise.all(Array.from({ length: 8 }, () => connection(program.port)));
  for (const { ask } of tunnels) {
    assert.match(await ask('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n'), / 101 /);
  }
  await program.reload(simpleConfig([other.address], { workers: 1 }));
  assert.equal((await get(program.port)).body, other.address);
  for (const { ask } of tunnels) assert.equal(await ask('echo'), 'echo');
  for (const { socket } of tunnels) socket.destroy();
});

test('what waits to be accepted is served where its thread dies', { skip }, async (t) => {
  const { address } = await namedBackend(t);
  const program = await startProgram(t, simpleConfig([address], { top: ['worker_hang_timeout: 2s'] }), true);
  program.chaos('hang');
  await program.logged(({ msg }) => msg === 'made to hang by the test');
  // the kernel takes these, and nobody accepts them until the thread is replaced
  const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(program.port, REQUEST, { isWhole })));
  await program.logged(({ msg }) => msg === 'listener thread replaced');
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /);
});

const SECONDS = loadSeconds(8);

test(`${SECONDS} s of load over HTTP and HTTPS while pools, certificates, listeners and threads change each second`, {
  skip,
}, async (t) => {
  const backends = await Promise.all(Array.from({ length: 4 }, () => namedBackend(t)));
  const yaml = (round: number) => {
    const nodes = backends.filter((_, i) => i !== round % backends.length).map(({ address }) => address);
    const extra = round % 2 === 0 ? '' : ', {address: "127.0.0.1:0", service: web}';
    const listeners = `listeners: [${PLAIN_LISTENER}, ${newSite(t).listener()}${extra}]`;
    const service = ['affinity: yes', `retries: ${round % 3}`];
    return simpleConfig(nodes, { workers: 1 + (round % 3), service }).replace(ONE_LISTENER, listeners);
  };
  const program = await startProgram(t, yaml(0));
  let rounds = 0;
  const now = awakeClock(t);
  // whether the one before is over or not: reloads follow one another
  const reloading = setInterval(() => {
    writeFileSync(`${program.configFile}.new`, yaml(++rounds));
    renameSync(`${program.configFile}.new`, program.configFile);
    program.child.kill('SIGHUP');
  }, 1_000);
  t.after(() => clearInterval(reloading));
  const [plain, secure] = program.ports;
  const results = await Promise.all([
    load(`http://127.0.0.1:${plain}/`, { seconds: SECONDS, connections: 32 }),
    load(`https://127.0.0.1:${secure}/`, { seconds: SECONDS, connections: 32 }),
    // a connection a request: what a listening socket that closes would lose
    load(`http://127.0.0.1:${plain}/`, { seconds: SECONDS, connections: 4, args: ['-H', 'Connection: close'] }),
  ]);
  clearInterval(reloading);
  const awakeMs = now();
  const reloads = () => program.log.filter(({ msg }) => msg === 'reloaded').length;
  await eventually(() => reloads() === rounds, `${rounds} reloads`);
  t.diagnostic(`${rounds} reloads; answers: ${results.map((one) => one['2xx']).join(', ')}`);
  for (const result of results) assert.deepEqual(failures(result), NO_FAILURES);
  assert.ok(rounds >= Math.floor(awakeMs / 1_000) - 1);
  assert.deepEqual(
    program.log.filter(({ level }) => level >= 40),
    [],
  );
});

const ONE_LISTENER = `listeners: [${PLAIN_LISTENER}]`;
const ADMIN = 'admin: {address: "127.0.0.1:0"}';

/** A kept connection. */
async function connection(port: number) {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const ask = async (bytes = REQUEST): Promise<string> => {
    socket.write(bytes);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString('latin1');
  };
  return { socket, ask };
}

function isWhole(received: string): boolean {
  return received.includes('\r\n\r\n') && !received.endsWith('\r\n\r\n');
}

async function refuses(port: number): Promise<boolean> {
  return await get(port).then(
    () => false,
    () => true,
  );
}

function getOverUnix(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, agent: false, headers: { host: 'a' } }, (response) => {
      response.on('data', (chunk) => resolve(String(chunk)));
    });
    request.on('error', reject);
  });
}

interface Worker {
  readonly state: string;
  readonly connections: number;
}

async function workers(program: Program): Promise<Worker[]> {
  const { address } = await program.logged(({ msg }) => msg === 'admin API');
  const { body } = await get(Number(String(address).split(':').at(-1)), { path: '/status' });
  return (JSON.parse(body) as { workers: { list: Worker[] } }).workers.list;
}
