/** Bugs of the data path that were found by attacking the running program. Each of these failed before its fix. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  exchange,
  get,
  httpBackend,
  namedBackend,
  openClient,
  rawBackend,
  simpleConfig,
  startSound,
  temporaryFolder,
} from '../e2e/harness.ts';

const MIB = 1024 * 1024;
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n';

test('the time that a backend takes to become ready is not counted as the time of the client: 504, not 408', async (t) => {
  const backend = await rawBackend(t, (socket) => socket.resume());
  const program = await startSound(
    t,
    simpleConfig([backend.address], {
      service: ['verify_backend: yes', 'connect_timeout: 1s'],
      top: ['limits: {header_timeout: 500ms}'],
    }),
  );
  assert.match(await exchange(program.port, `${POST}some`, { isWhole: (r) => r.endsWith('\n') }), /^HTTP\/1.1 504 /);
  const { reason } = await program.logged((line) => line.msg === 'request failed');
  assert.equal(reason, 'verification timed out');
});

test('a client that sends requests and reads no answers is not waited on in memory', async (t) => {
  const requests = 4000;
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n${'x'.repeat(16_384)}`;
  let asked = 0;
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', (chunk) => {
      const heads = chunk.toString('latin1').split('\r\n\r\n').length - 1;
      asked += heads;
      socket.write(answer.repeat(heads));
    });
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  await get(program.port);
  const before = program.rss();
  const client = net.connect(program.port, '127.0.0.1').pause();
  t.after(() => client.destroy());
  client.write(GET.repeat(requests));
  for (let seen = -1; seen !== asked; await sleep(200)) seen = asked;
  assert.ok(asked < requests / 2, `${asked} of ${requests} requests were forwarded, of whose answers none was read`);
  assert.ok(program.rss() - before < 32 * MIB, `memory grew by ${program.rss() - before} bytes`);
  // it was only slow: the rest comes when it reads
  let bytes = 0;
  for await (const chunk of client) {
    bytes += (chunk as Buffer).length;
    if (bytes === requests * answer.length) break;
  }
  assert.equal(bytes, requests * answer.length);
});

test('a response under way when a drain begins is the last of its connection, though it did not say so', async (t) => {
  const backend = await httpBackend(t, (incoming) => incoming.resume());
  const program = await startSound(t, simpleConfig([backend.address], { top: ['drain_timeout: 1h'] }));
  const client = openClient(t, program.port, GET);
  const [, response] = await once(backend.server, 'request');
  response.setHeader('Content-Length', 8).write('half');
  await client.until((r) => r.endsWith('half'));
  const idle = openClient(t, program.port);
  program.child.kill('SIGTERM');
  // the drain has begun
  await idle.ended;
  idle.socket.end();
  response.end('half');
  assert.equal(await client.ended, 'FIN');
  assert.ok(client.received.endsWith('halfhalf'));
  client.socket.end();
  assert.equal(await program.exited, 0);
});

test('an answer that comes before the end of the request body is not destroyed by a reset while the client still sends', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nhello'));
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const client = openClient(t, program.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 40}\r\n\r\n`);
  await client.until((r) => r.endsWith('hello'));
  const piece = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 256; i++) await new Promise((resolve) => client.socket.write(piece, resolve));
  assert.equal(await client.ended, 'FIN');
});

test('a response that breaks off, to an HTTP/1.0 client on a unix socket, does not end the listener thread', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.0 200 OK\r\n\r\npart'));
  });
  const path = join(temporaryFolder(t), 'socket');
  const program = await startSound(t, simpleConfig([backend.address]).replace('127.0.0.1:0', `unix:${path}`));
  const client = net.connect(path);
  client.write('GET / HTTP/1.0\r\n\r\n');
  const closed = new Promise((resolve) => client.once('close', resolve));
  await once(client, 'data');
  backend.connections[0]?.resetAndDestroy();
  await program.logged((line) => line.msg === 'response cut short');
  await closed;
  // the thread lives: it takes another
  const next = net.connect(path);
  await once(next, 'connect');
  next.destroy();
});

test('the log does not name a node for a request that had none', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(t, simpleConfig([backend.address]));
  const client = openClient(t, program.port, GET);
  await client.until((r) => r.endsWith(backend.address));
  await program.reload(simpleConfig([]));
  client.socket.write(GET);
  await client.until((r) => r.endsWith('503 Service Unavailable\n'));
  const { node, reason } = await program.logged((line) => line.msg === 'request failed');
  assert.deepEqual([node, reason], ['', 'no live node']);
});

test('a tunnel whose backend is gone does not keep the connection of a client that never ends', async (t) => {
  let upstream: net.Socket | null = null;
  const backend = await rawBackend(t, (socket) => {
    upstream = socket;
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello');
    });
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
  const client = openClient(t, program.port, upgrade);
  await client.until((r) => r.endsWith('hello'));
  (upstream as net.Socket | null)?.destroy();
  assert.equal(await client.ended, 'FIN');
  const closed = new Promise((resolve) => client.socket.once('close', resolve));
  const sending = setInterval(() => client.socket.write('anyone?'), 20);
  await closed.finally(() => clearInterval(sending));
});
