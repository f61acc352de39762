/** Too many connections to the admin API, and slow ones: whoever asks is answered, at the cost of those who don't. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { limitConnections } from '../../src/admin/connections.ts';
import { type Client, eventually, exchange, openClient } from '../e2e/harness.ts';
import { startAdmin } from './admin-harness.ts';

const CONNECTIONS_MAX = 128;
const LARGE = 64 * 1024 * 1024;

const HOLDERS: Readonly<Record<string, string>> = {
  'that say nothing': '',
  'of a head that never ends': 'GET /status HTTP/1.1\r\nHost: localhost\r\nX: ',
  'of a body that never ends':
    'POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n',
};

for (const [what, bytes] of Object.entries(HOLDERS)) {
  test(`three hundred connections ${what} keep nobody out`, async (t) => {
    const { port, ask, lines } = await startAdmin(t);
    const holders = Array.from({ length: 300 }, () => openClient(t, port, bytes));
    let gone = 0;
    for (const { ended } of holders) void ended.then(() => gone++);
    await Promise.all(holders.map(({ socket }) => once(socket, 'connect')));
    for (let i = 0; i < 20; i++) assert.equal((await ask('GET', '/healthz')).status, 200);
    await eventually(() => gone >= 300 - CONNECTIONS_MAX, 'room');
    const said = lines.filter(({ reason }) => reason === 'too-many-connections');
    assert.ok(said.length > 0 && said.length < 10, `${said.length} lines`);
  });
}

/** A server with two places and a spare one, whose answers are in the test's hands. */
async function serveTwo(t: TestContext, onRequest: http.RequestListener) {
  const refused: string[] = [];
  const server = http.createServer((request, response) => {
    if (admits(request, response)) onRequest(request, response);
  });
  const admits = limitConnections(server, {
    connectionsMax: 3,
    isQuick: (url) => url === '/quick',
    onRefused: (address) => refused.push(address),
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, refused };
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** On a connection of its own. */
function ask(port: number, path: string): Promise<string> {
  return exchange(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
}

test('those who are being answered stay; who asks then has to go, but for what is answered at once', async (t) => {
  const waiting: http.ServerResponse[] = [];
  const { port, refused } = await serveTwo(t, ({ url }, response) => {
    if (url === '/quick') response.end('quick');
    else waiting.push(response);
  });
  const clients: Client[] = [openClient(t, port, GET), openClient(t, port, GET)];
  await eventually(() => waiting.length === 2, 'two requests');
  for (let i = 0; i < 20; i++) assert.match(await ask(port, '/quick'), /quick/);
  assert.deepEqual(refused, []);
  await openClient(t, port, GET).ended;
  assert.deepEqual(refused, ['127.0.0.1']);
  assert.equal(waiting.length, 2);
  for (const response of waiting) response.end('done');
  await Promise.all(clients.map((client) => client.until((received) => received.includes('done'))));
});

test('who does not take its answer makes way', async (t) => {
  let answered = 0;
  const { port, refused } = await serveTwo(t, ({ url }, response) => {
    response.end(Buffer.alloc(url === '/large' ? LARGE : 1));
    answered++;
  });
  const slow = Array.from({ length: 2 }, () => openClient(t, port));
  for (const { socket } of slow) {
    socket.pause();
    socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
  }
  await eventually(() => answered === 2, 'two answers');
  assert.match(await ask(port, '/'), /^HTTP\/1\.1 200 /);
  assert.deepEqual(refused, ['127.0.0.1']);
});

test('connections that are gone take no places', async (t) => {
  const { port, refused } = await serveTwo(t, (_request, response) => response.end('done'));
  for (let i = 0; i < 20; i++) {
    assert.match(await ask(port, '/'), /done/);
  }
  assert.deepEqual(refused, []);
});

test('a head, and a body, that do not come whole in time are answered with 408', async (t) => {
  const { port } = await startAdmin(t, { limits: { headTimeoutMs: 300, requestTimeoutMs: 600 } });
  const [head, body] = Object.values(HOLDERS)
    .slice(1)
    .map((bytes) => openClient(t, port, bytes)) as [Client, Client];
  // never quiet for long enough to count as idle
  const timer = setInterval(() => {
    head.socket.write('x');
    body.socket.write(' ');
  }, 100);
  t.after(() => clearInterval(timer));
  assert.match(await head.until((received) => received.includes('}')), /^HTTP\/1\.1 408 /);
  await head.ended;
  await body.ended;
  assert.match(body.received, /^(?:HTTP\/1\.1 (?:408|400) .*)?$/s);
});

test('more than one Host header is refused', async (t) => {
  const { port } = await startAdmin(t);
  for (const [first, second] of [
    ['localhost', 'localhost'],
    ['localhost', 'attacker.example'],
    ['attacker.example', 'localhost'],
  ]) {
    const answer = await exchange(port, `GET /status HTTP/1.1\r\nHost: ${first}\r\nHOST: ${second}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /more than one Host header/);
  }
});
