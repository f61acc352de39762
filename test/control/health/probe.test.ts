/** One check against real servers, good and hostile. */

import assert from 'node:assert/strict';
import dns from 'node:dns';
import { once } from 'node:events';
import type net from 'node:net';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { HealthCheckConfig, HttpCheckConfig } from '../../../src/config/config.ts';
import { type CheckResult, probeWith } from '../../../src/control/health/probe.ts';
import { type Backend, DEAD_ADDRESSES, deafAddress, httpBackend, rawBackend } from '../../e2e/harness.ts';

const startProbe = probeWith(dns.lookup as net.LookupFunction);

const HTTP: HttpCheckConfig = { method: 'GET', path: '/', host: null, expectedStatus: [{ from: 200, to: 399 }] };
const CHECK: HealthCheckConfig = {
  http: HTTP,
  port: null,
  intervalMs: 2_000,
  jitter: 0,
  timeoutMs: 1_000,
  rise: 2,
  fall: 3,
};
const PASSED: CheckResult = { result: 'passed', reason: '' };

const targetAt = (port: number, host = '127.0.0.1') => ({ address: `node.example:${port}`, host, port });

function probe(port: number, check: Partial<HealthCheckConfig> = {}, host = '127.0.0.1'): Promise<CheckResult> {
  return new Promise((resolve) => startProbe(targetAt(port, host), { ...CHECK, ...check }, resolve));
}

/** A backend that answers each connection with `bytes` once it has been asked. */
function answering(t: TestContext, bytes: string) {
  return rawBackend(t, (socket) => socket.once('data', () => socket.end(bytes, 'latin1')));
}

/** Resolves when the prober has ended the connection that it made first, one way or the other. */
async function ended(backend: Backend): Promise<void> {
  if (backend.connections.length === 0) await once(backend.server, 'connection');
  const [socket] = backend.connections as [net.Socket];
  socket.resume();
  if (!socket.readableEnded && !socket.destroyed) await once(socket, 'end').catch(() => {});
}

test('HTTP: the request is what the configuration says, on a connection that is not kept', async (t) => {
  const asked: string[] = [];
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', (chunk) => asked.push(chunk.toString('latin1')));
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n'));
  });
  assert.deepEqual(await probe(backend.port), PASSED);
  const http: HttpCheckConfig = { ...HTTP, method: 'OPTIONS', path: '/healthz?full=1', host: 'www.example:8080' };
  assert.deepEqual(await probe(backend.port, { http }), PASSED);
  const [plain = '', other = ''] = asked;
  assert.match(plain, new RegExp(`^GET / HTTP/1.1\r\nHost: node.example:${backend.port}\r\nUser-Agent: stekbal\r\n`));
  assert.match(plain, /\r\nConnection: close\r\n/);
  assert.match(other, /^OPTIONS \/healthz\?full=1 HTTP\/1.1\r\nHost: www.example:8080\r\n/);
});

test('HTTP: the status decides', async (t) => {
  let status = 200;
  const backend = await httpBackend(t, (_, response) => response.writeHead(status).end('body'));
  const http = { ...HTTP, expectedStatus: [204, 301].map((code) => ({ from: code, to: code })) };
  for (const [code, byDefault, byList] of [
    [200, true, false],
    [204, true, true],
    [301, true, true],
    [399, true, false],
    [400, false, false],
    [503, false, false],
  ] as const) {
    status = code;
    const failed = { result: 'answer', reason: `status ${code}` };
    assert.deepEqual(await probe(backend.port), byDefault ? PASSED : failed);
    assert.deepEqual(await probe(backend.port, { http }), byList ? PASSED : failed);
  }
});

test('HTTP: HEAD has no body, whatever its length says', async (t) => {
  const backend = await answering(t, 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
  assert.deepEqual(await probe(backend.port, { http: { ...HTTP, method: 'HEAD' } }), PASSED);
});

test('HTTP: interim answers are passed over, but not without end', async (t) => {
  const early = 'HTTP/1.1 103 Early Hints\r\n\r\n';
  const few = await answering(t, `${early.repeat(3)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`);
  assert.deepEqual(await probe(few.port), PASSED);
  const many = await answering(t, `${early.repeat(100)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`);
  assert.deepEqual(await probe(many.port), {
    result: 'answer',
    reason: 'it sends interim answers without end',
  });
});

const MALFORMED: Record<string, [answer: string, reason: RegExp]> = {
  'an SSH server': ['SSH-2.0-OpenSSH_9.2p1\r\n', /^its answer is not HTTP: HPE_/],
  'a head without end': [
    `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}`,
    /^the head of its answer is longer than 16384 /,
  ],
  'an end before the answer': ['', /^it closed the connection without an answer$/],
  'an end within the head': ['HTTP/1.1 200 OK\r\nContent-Le', /^it closed the connection without an answer$/],
  'another protocol': ['HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n', /^status 101$/],
  'an odd status': ['HTTP/1.1 99 x\r\n\r\n', /^its answer is not HTTP: HPE_|^status 99$/],
};
for (const [name, [answer, reason]] of Object.entries(MALFORMED)) {
  test(`HTTP: ${name} does not pass`, async (t) => {
    const result = await probe((await answering(t, answer)).port);
    assert.equal(result.result, 'answer');
    assert.match(result.reason, reason);
  });
}

test('HTTP: a reset does not pass', async (t) => {
  const backend = await rawBackend(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  assert.deepEqual(await probe(backend.port), { result: 'answer', reason: 'ECONNRESET' });
});

test('HTTP: the whole answer has one deadline, however it trickles', async (t) => {
  const timers = new Set<NodeJS.Timeout>();
  t.after(() => timers.forEach(clearInterval));
  const backend = await rawBackend(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    timers.add(setInterval(() => socket.write('X: y\r\n'), 5));
  });
  assert.deepEqual(await probe(backend.port, { timeoutMs: 50 }), {
    result: 'timeout',
    reason: 'no answer within 50 ms',
  });
});

for (const body of ['without end', 'that stalls'] as const) {
  test(`HTTP: a body ${body} does not hold a check up, and its connection is closed`, async (t) => {
    const backend = await rawBackend(t, (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        if (body === 'that stalls') return;
        const more = () => void (!socket.destroyed && socket.write('x'.repeat(65_536), more));
        more();
      });
    });
    assert.deepEqual(await probe(backend.port), PASSED);
    await ended(backend);
  });
}

test('TCP: a connection will do, and is closed at once', async (t) => {
  let bytes = 0;
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
  });
  assert.deepEqual(await probe(backend.port, { http: null }), PASSED);
  await ended(backend);
  assert.equal(bytes, 0);
});

test('where nothing listens it is unreachable, for both', async () => {
  const port = Number(DEAD_ADDRESSES[0]?.split(':')[1]);
  for (const http of [null, HTTP]) {
    assert.deepEqual(await probe(port, { http }), { result: 'unreachable', reason: 'ECONNREFUSED' });
  }
});

test('a name that cannot be found is unreachable', async () => {
  for (const http of [null, HTTP]) {
    // a resolver may ask several name servers in vain
    const { result, reason } = await probe(80, { http, timeoutMs: 60_000 }, 'no-such-host.invalid');
    assert.equal(result, 'unreachable');
    assert.match(reason, /^(ENOTFOUND|EAI_AGAIN)$/);
  }
});

test('what opens no connection, or takes one and says nothing, is a timeout', async (t) => {
  const silent = await rawBackend(t, () => {});
  assert.deepEqual(await probe(silent.port, { timeoutMs: 50 }), {
    result: 'timeout',
    reason: 'no answer within 50 ms',
  });
  const port = Number((await deafAddress(t)).split(':')[1]);
  for (const http of [null, HTTP]) {
    const result = await probe(port, { http, timeoutMs: 50 });
    assert.deepEqual(result, { result: 'timeout', reason: 'no connection within 50 ms' });
  }
});

test('a pause of this thread is not held against the node', async (t) => {
  const worker = new Worker(
    `const server = require('node:http').createServer((_, response) => response.end());
    server.listen(0, '127.0.0.1', () => require('node:worker_threads').parentPort.postMessage(server.address().port));`,
    { eval: true },
  );
  t.after(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  for (const http of [HTTP, null]) {
    const result = probe(port, { http, timeoutMs: 450 });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    assert.deepEqual(await result, PASSED);
  }
});

test('the port of the check is asked in place of the node', async (t) => {
  const backend = await httpBackend(t, (_, response) => response.end());
  for (const http of [null, HTTP]) assert.deepEqual(await probe(1, { http, port: backend.port }), PASSED);
});

test('a check that is cancelled says nothing any more, and its connection is closed', async (t) => {
  const backend = await rawBackend(t, () => {});
  for (const http of [HTTP, null]) {
    let said = 0;
    const running = startProbe(targetAt(backend.port), { ...CHECK, http, timeoutMs: 60_000 }, () => void said++);
    if (http !== null) await once(backend.server, 'connection');
    running.cancel();
    running.cancel();
    if (http !== null) await ended(backend);
    assert.equal(said, 0);
  }
});
