/** Signals, reloads and dying threads: what is in flight is finished, and what the operator asked for happens. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type Backend,
  type Client,
  eventually,
  get,
  httpBackend,
  namedBackend,
  openClient,
  type Program,
  simpleConfig,
  startProgram,
  startSound,
  waitingToBeAccepted,
} from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const affinity = { service: ['affinity: yes', 'balance: round_robin'] };

interface HoldingBackend extends Backend {
  /** Resolves to the next request's response, which the test ends. */
  next(): Promise<http.ServerResponse>;
}

async function holdingBackend(t: TestContext): Promise<HoldingBackend> {
  const backend = await httpBackend(t, (incoming) => incoming.resume());
  return Object.assign(backend, {
    next: async () => (await once(backend.server, 'request'))[1] as http.ServerResponse,
  });
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: idle connections close, what is in flight is answered, nothing new is taken, and the exit code is 0`, async (t) => {
    const backend = await holdingBackend(t);
    const program = await startSound(t, simpleConfig([backend.address], { workers: 2 }));
    const fresh = openClient(t, program.port);
    await once(fresh.socket, 'connect');
    const idle = openClient(t, program.port, GET);
    (await backend.next()).end('idle');
    await idle.until((r) => r.endsWith('idle'));
    const waiting = openClient(t, program.port, GET);
    const first = await backend.next();
    // its head is out already, and said nothing of an end
    const reading = openClient(t, program.port, GET + GET);
    const second = await backend.next();
    second.setHeader('Content-Length', 8).write('half');
    await reading.until((r) => r.endsWith('half'));
    await eventually(() => waitingToBeAccepted(program.port) === 0, 'all are accepted');

    program.child.kill(signal);
    assert.deepEqual(await Promise.all([fresh.ended, idle.ended]), ['FIN', 'FIN']);
    await eventually(() => isRefused(program.port), 'new connections are refused');
    first.end('first');
    assert.equal(await waiting.ended, 'FIN');
    assert.match(waiting.received, /^HTTP\/1.1 200 OK\r\n.*\r\nConnection: close\r\n\r\nfirst$/s);
    const third = backend.next();
    second.end('half');
    // sent before the end was known: it is answered too, and told
    (await third).end('third');
    assert.equal(await reading.ended, 'FIN');
    assert.match(reading.received, /halfhalfHTTP\/1.1 200 OK\r\n.*\r\nConnection: close\r\n\r\nthird$/s);
    for (const client of [fresh, idle, waiting, reading]) client.socket.end();
    assert.equal(await program.exited, 0);
    assert.ok(program.log.some((line) => line.msg === 'drained'));
    assert.ok(!program.log.some((line) => /cut/.test(line.msg)));
  });
}

async function webSocketProgram(t: TestContext, top: string[]): Promise<{ program: Program; client: WebSocket }> {
  const backend = await namedBackend(t);
  new WebSocketServer({ server: backend.server as http.Server });
  const program = await startSound(t, simpleConfig([backend.address], { top }));
  const client = new WebSocket(`ws://127.0.0.1:${program.port}/`);
  await once(client, 'open');
  return { program, client };
}

test('a connection whose first request is on its way when the drain begins is answered', async (t) => {
  const backend = await namedBackend(t);
  const program = await startProgram(t, simpleConfig([backend.address]));
  const client = openClient(t, program.port);
  await once(client.socket, 'connect');
  // accepted by now: connections are taken in their order
  assert.equal((await get(program.port)).status, 200);
  program.child.kill('SIGTERM');
  // the log is a moment ahead of the thread
  await eventually(() => isRefused(program.port), 'new connections are refused');
  client.socket.write(GET);
  await client.ended;
  client.socket.end();
  assert.match(client.received, /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n/s);
  client.socket.end();
  assert.equal(await program.exited, 0);
});

test('a WebSocket is cut at drain_timeout, and that is no failure', async (t) => {
  const { program, client } = await webSocketProgram(t, ['drain_timeout: 300ms']);
  program.child.kill('SIGTERM');
  assert.equal((await once(client, 'close'))[0], 1006);
  assert.equal(await program.exited, 0);
  const { connectionsCut } = await program.logged((line) => /connections were cut/.test(line.msg));
  assert.equal(connectionsCut, 1);
});

test('a second signal ends at once with 143', async (t) => {
  const { program, client } = await webSocketProgram(t, ['drain_timeout: 1h']);
  program.child.kill('SIGTERM');
  await program.logged((line) => /^draining/.test(line.msg));
  const closed = new Promise((resolve) => client.once('close', resolve).on('error', () => {}));
  program.child.kill('SIGINT');
  assert.equal(await program.exited, 143);
  assert.equal(await closed, 1006);
});

test('SIGHUP with a broken file changes nothing and says where it is broken', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(t, simpleConfig([backend.address]));
  writeFileSync(program.configFile, simpleConfig(['127.0.0.1:99999'], { service: ['balanse: random'] }));
  program.child.kill('SIGHUP');
  await program.logged((line) => /^reload refused/.test(line.msg));
  const places = program.log.filter((line) => line.msg.startsWith(`${program.configFile}:`)).map((line) => line.msg);
  assert.equal(places.length, 2);
  assert.match(places[0] ?? '', /:3:24: .*99999/);
  assert.match(places[1] ?? '', /:7:5: .*balance/);
  assert.equal((await get(program.port)).body, backend.address);
  // and again, with no file at all
  writeFileSync(program.configFile, '');
  program.child.kill('SIGHUP');
  await eventually(
    () => program.log.filter((line) => /^reload refused/.test(line.msg)).length === 2,
    'a second refusal',
  );
  assert.equal((await get(program.port)).body, backend.address);
  await program.reload(simpleConfig([]));
  assert.equal((await get(program.port)).status, 503);
});

test('a draining node keeps its sticky clients and gets no new ones', async (t) => {
  const [old, other] = [await namedBackend(t), await namedBackend(t)];
  const program = await startSound(t, simpleConfig([old.address, other.address], affinity));
  await program.reload(simpleConfig([`{address: "${old.address}", drain: yes}`, other.address], affinity));
  for (let i = 0; i < 6; i++) {
    const fresh = await get(program.port);
    assert.equal(fresh.body, other.address);
    const sticky = await get(program.port, { headers: { Cookie: `X-SERVERID=${sha1(old.address)}` } });
    assert.deepEqual([sticky.body, sticky.headers['set-cookie']], [old.address, undefined]);
  }
});

test('a request in flight on a node that leaves is finished; the next gets another node and a new cookie', async (t) => {
  const [leaving, other] = [await holdingBackend(t), await namedBackend(t)];
  const program = await startSound(t, simpleConfig([leaving.address], affinity));
  const sticky = `GET / HTTP/1.1\r\nHost: a\r\nCookie: X-SERVERID=${sha1(leaving.address)}\r\n\r\n`;
  const client = openClient(t, program.port, sticky);
  const response = await leaving.next();
  await program.reload(simpleConfig([other.address], affinity));
  response.end('finished');
  await client.until((r) => r.endsWith('finished'));
  assert.doesNotMatch(client.received, /Set-Cookie/);
  client.socket.write(sticky);
  await client.until((r) => r.endsWith(other.address));
  assert.match(client.received, new RegExp(`\r\nSet-Cookie: X-SERVERID=${sha1(other.address)}; path=/; HttpOnly\r\n`));
});

const ENDED = 'listener thread ended; another takes its place';

function deaths(program: Program): typeof program.log {
  return program.log.filter((line) => line.msg === ENDED);
}

/** Connections enough that each of two threads has some, each of which has been answered once. */
async function manyClients(t: TestContext, program: Program): Promise<Client[]> {
  return await Promise.all(
    Array.from({ length: 24 }, async () => {
      const client = openClient(t, program.port, GET);
      await client.until((r) => r.includes('127.0.0.1:'));
      return client;
    }),
  );
}

for (const action of ['throw', 'hang'] as const) {
  test(`a listener thread that ${action}s is replaced, and the other one's connections do not notice`, async (t) => {
    const backend = await namedBackend(t);
    const program = await startProgram(
      t,
      simpleConfig([backend.address], { workers: 2, top: action === 'hang' ? ['worker_hang_timeout: 2s'] : [] }),
      true,
    );
    const clients = await manyClients(t, program);
    const broken = new Set<Client>();
    for (const client of clients) void client.ended.then(() => broken.add(client));
    program.chaos(action);
    await program.logged((line) => line.msg === 'listener thread replaced');
    await eventually(() => broken.size > 0, 'the connections of the thread break');
    const others = clients.filter((client) => !broken.has(client));
    assert.ok(others.length > 0, 'the connections of both threads broke');
    for (const { socket, until } of others) {
      socket.write(GET);
      await until((r) => r.split('127.0.0.1:').length === 3);
    }
    const more = await manyClients(t, program);
    assert.equal(deaths(program).length, 1);
    assert.equal(
      program.log.some((line) => line.msg === 'listener thread hangs'),
      action === 'hang',
    );
    for (const { socket } of [...clients, ...more]) socket.destroy();
    // the door for chaos keeps the process from ending by itself
    program.child.disconnect();
    program.child.kill('SIGTERM');
    assert.equal(await program.exited, 0);
  });
}

test('a thread that dies again and again is replaced more and more slowly', async (t) => {
  const backend = await namedBackend(t);
  const program = await startProgram(t, simpleConfig([backend.address]), true);
  const replaced = () => program.log.filter((line) => line.msg === 'listener thread replaced').length;
  for (let death = 1; death <= 3; death++) {
    program.chaos('throw');
    await eventually(() => replaced() === death, `replacement ${death}`);
    assert.equal((await get(program.port)).status, 200);
  }
  assert.deepEqual(
    deaths(program).map((line) => line.waitMs),
    [100, 200, 400],
  );
  assert.match(JSON.stringify(deaths(program)[0]?.err), /made to fail by the test/);
});
