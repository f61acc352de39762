/** Clients that are slow, broken or hostile, against the running program: it ends them in time and leaks nothing. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import {
  type Backend,
  eventually,
  exchange,
  get,
  namedBackend,
  openClient,
  rawBackend,
  simpleConfig,
  startSound,
} from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n';

/** Not events.once, to which a reset is a failure. */
function closeOf(socket: net.Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** A backend that reads and never answers, and the next connection to it. */
async function silentBackend(t: TestContext): Promise<Backend & { next(): Promise<net.Socket> }> {
  const backend = await rawBackend(t, (socket) => {
    socket.resume();
    socket.on('end', () => socket.end());
  });
  return Object.assign(backend, {
    next: async () => (await once(backend.server, 'connection'))[0] as net.Socket,
  });
}

test('a head that is not whole within header_timeout is 408, however steadily it comes', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(t, simpleConfig([backend.address], { top: ['limits: {header_timeout: 1s}'] }));
  const silent = openClient(t, program.port);
  const partial = openClient(t, program.port, 'GET / HTTP/1.1\r\nHost: a\r\n');
  const second = openClient(t, program.port, `${GET}GET /`);
  const dripping = openClient(t, program.port, 'GET / HTTP/1.1\r\n');
  // whole lines: each of them makes the program look at the head again
  const drip = setInterval(() => dripping.socket.write('X: y\r\n'), 50);
  t.after(() => clearInterval(drip));
  // one that sent nothing asked for nothing
  assert.deepEqual([await silent.ended, silent.received], ['FIN', '']);
  for (const client of [partial, second, dripping]) {
    assert.equal(await client.ended, 'FIN');
    assert.match(
      client.received,
      /HTTP\/1.1 408 Request Timeout\r\n.*Connection: close\r\n\r\n408 Request Timeout\n$/s,
    );
  }
  const { reason, client } = await program.logged((line) => line.msg === 'request refused');
  assert.deepEqual([reason, client], ['head not received in time', '127.0.0.1']);
});

test('an idle connection is closed after persist_client_idle_timeout', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(
    t,
    simpleConfig([backend.address], { service: ['persist_client_idle_timeout: 100ms'] }),
  );
  const client = openClient(t, program.port, GET);
  assert.equal(await client.ended, 'FIN');
  assert.match(client.received, /^HTTP\/1.1 200 OK\r\n/);
  assert.doesNotMatch(client.received, /HTTP\/1\.1 408/);
});

test('a client that stops sending its body is 408 after body_timeout, and its backend connection goes', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1', 0, 3) === 'GET') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    socket.on('end', () => socket.end());
  });
  const program = await startSound(
    t,
    simpleConfig([backend.address], { service: ['body_timeout: 200ms', 'persist_client_idle_timeout: 1h'] }),
  );
  for (const body of ['', 'some']) {
    for (const first of [GET, '']) {
      const client = openClient(t, program.port, first);
      if (first !== '') await client.until((r) => r.endsWith('ok'));
      client.socket.write(POST + body);
      assert.match(await client.until((r) => r.endsWith('\n')), /HTTP\/1.1 408 .*\r\nConnection: close\r\n/s);
      assert.equal(await client.ended, 'FIN');
    }
  }
  await eventually(() => backend.connections.every((socket) => socket.destroyed), 'no backend connection is left');
  const { reason } = await program.logged((line) => line.msg === 'request failed');
  assert.equal(reason, 'client does not send the request body');
});

test('a client that goes away, in an upload or in a download, frees its backend connection', async (t) => {
  const upload = await silentBackend(t);
  const program = await startSound(t, simpleConfig([upload.address]));
  for (const leave of ['resetAndDestroy', 'destroy', 'end'] as const) {
    const accepted = upload.next();
    const client = openClient(t, program.port, `${POST}some of it`);
    const upstream = await accepted;
    const closed = closeOf(upstream);
    await once(upstream, 'data');
    client.socket[leave]();
    await closed;
  }
  const download = await rawBackend(t, (socket) => {
    socket.once('data', () => {
      const more = () => {
        while (socket.writable && socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', more);
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n');
      more();
    });
  });
  const other = await startSound(t, simpleConfig([download.address]));
  for (const leave of ['resetAndDestroy', 'destroy'] as const) {
    const accepted = once(download.server, 'connection');
    const client = net.connect(other.port, '127.0.0.1');
    client.write(GET);
    const [upstream] = (await accepted) as [net.Socket];
    await once(client, 'data');
    client[leave]();
    await closeOf(upstream);
  }
});

test('thousands of connections, opened and dropped in every state, leave nothing behind', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(t, simpleConfig([backend.address], { service: ['backend_idle_timeout: 100ms'] }));
  await get(program.port);
  const before = program.openFiles();
  const beginnings = [
    '',
    'GET',
    'GET / HTTP/1.1\r\nHost: a\r\n',
    GET,
    GET + GET + GET,
    `${POST}body`,
    `${GET}GE`,
    '\x16\x03',
  ];
  for (let batch = 0; batch < 30; batch++) {
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const socket = net.connect(program.port, '127.0.0.1').on('error', () => {});
        await once(socket, 'connect');
        const bytes = beginnings[i % beginnings.length] as string;
        const closed = closeOf(socket);
        if (bytes === '') socket.destroy();
        else socket.write(bytes, 'latin1', () => (i % 3 === 0 ? socket.resetAndDestroy() : socket.destroy()));
        await closed;
      }),
    );
  }
  await eventually(() => program.openFiles() <= before, `no more than ${before} descriptors`);
  assert.equal((await get(program.port)).status, 200);
});

test('TLS and garbage on a plain port are refused, and the program serves on', async (t) => {
  const backend = await namedBackend(t);
  const program = await startSound(t, simpleConfig([backend.address]));
  const secure = tls.connect({ port: program.port, host: '127.0.0.1', rejectUnauthorized: false });
  const [error] = (await once(secure, 'error')) as [NodeJS.ErrnoException];
  assert.match(error.code ?? '', /^ERR_SSL_/);
  let seed = 20_260_101;
  for (let i = 0; i < 200; i++) {
    const bytes = Array.from({ length: 1 + (i % 64) }, () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return String.fromCharCode(seed >>> 24);
    }).join('');
    const answer = await exchange(program.port, bytes, { halfClose: true });
    assert.match(answer, /^(HTTP\/1.1 (400|505) |$)/, `garbage ${i}`);
  }
  assert.equal((await get(program.port)).status, 200);
});
