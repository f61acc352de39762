/**
 * Large bodies, slow readers and tunnels through the running program: nothing is lost, nothing changes, and neither side
 * can make the program hold more than its watermarks. Memory is that of the whole process, as the kernel counts it.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type WebSocket as Socket, WebSocket, WebSocketServer } from 'ws';
import { httpBackend, openClient, type Program, rawBackend, simpleConfig, startSound } from './harness.ts';

const MIB = 1024 * 1024;
const BODY_BYTES = 100 * MIB;
const GROWTH_BYTES_MAX = 64 * MIB;
const PIECE_BYTES = 64 * 1024;

/** The body's pieces: no two alike, so that none can be lost, doubled or moved unseen. */
function* pieces(bytes = BODY_BYTES): Generator<Buffer> {
  const ground = createHash('sha512')
    .update('ground')
    .digest('hex')
    .repeat(PIECE_BYTES / 128);
  for (let i = 0; i < bytes / PIECE_BYTES; i++) {
    const piece = Buffer.from(ground, 'latin1');
    piece.writeUInt32LE(i, (i * 8) % (PIECE_BYTES - 4));
    yield piece;
  }
}

const BODY_SHA256 = (() => {
  const hash = createHash('sha256');
  for (const piece of pieces()) hash.update(piece);
  return hash.digest('hex');
})();

/** Writes the body as fast as the sink takes it, and ends it. */
async function writeBody(sink: Writable): Promise<void> {
  for (const piece of pieces()) if (!sink.write(piece)) await once(sink, 'drain');
  sink.end();
}

/** How a body is read: `stalled` waits until its writer can write no more, and reads on from there. */
type Pace = 'fast' | 'slow' | 'stalled';

async function hashBody(source: Readable, pace: Pace, sentBytes: () => number): Promise<string> {
  if (pace === 'stalled') {
    for (let before = -1; before !== sentBytes(); await sleep(100)) before = sentBytes();
    // what lies between the ends: the kernel's buffers, and the program's watermarks
    assert.ok(sentBytes() < BODY_BYTES / 2, `${sentBytes()} bytes were taken of which none was read`);
  }
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source) {
    hash.update(chunk as Buffer);
    const mark = Math.floor(bytes / MIB);
    bytes += (chunk as Buffer).length;
    // the last part is read fast: what had piled up comes all at once
    if (pace === 'slow' && bytes < BODY_BYTES / 2 && Math.floor(bytes / MIB) > mark) {
      for (let turn = 0; turn < 20; turn++) await nextTurn();
    }
  }
  assert.equal(bytes, BODY_BYTES);
  return hash.digest('hex');
}

/** The most that the program's memory grows while `work` runs. */
async function growthDuring(program: Program, work: () => Promise<void>): Promise<number> {
  const before = program.rss();
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, program.rss());
  }, 10);
  await work().finally(() => clearInterval(sampling));
  return Math.max(most, program.rss()) - before;
}

function request(port: number, options: http.RequestOptions): http.ClientRequest {
  return http.request({ port, host: '127.0.0.1', agent: false, ...options });
}

test('100 MiB down, in every framing and at every pace: hash-equal, in bounded memory', async (t) => {
  let socket: net.Socket | null = null;
  let base = 0;
  const backend = await httpBackend(t, (incoming, response) => {
    socket = incoming.socket;
    base = incoming.socket.bytesWritten;
    if (incoming.url === '/warm') return void response.end('warm');
    if (incoming.url === '/length') response.setHeader('Content-Length', BODY_BYTES);
    if (incoming.url === '/close') {
      response.shouldKeepAlive = false;
      response.useChunkedEncodingByDefault = false;
    }
    // a body until close, in HTTP/1.1: Node adds neither a length nor chunks
    if (incoming.url === '/close') response.removeHeader('Transfer-Encoding');
    void writeBody(response);
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const download = async (path: string, pace: Pace) => {
    const [response] = (await once(request(program.port, { path }).end(), 'response')) as [http.IncomingMessage];
    assert.equal('content-length' in response.headers, path === '/length');
    return await hashBody(response, pace, () => (socket?.bytesWritten ?? 0) - base);
  };
  const [warm] = (await once(request(program.port, { path: '/warm' }).end(), 'response')) as [http.IncomingMessage];
  warm.resume();
  const growth = await growthDuring(program, async () => {
    const cases = [
      ['/length', 'fast'],
      ['/length', 'slow'],
      ['/chunked', 'stalled'],
      ['/close', 'slow'],
    ] as const;
    for (const [path, pace] of cases) assert.equal(await download(path, pace), BODY_SHA256, `${path} ${pace}`);
  });
  t.diagnostic(`memory grew by ${Math.round(growth / MIB)} MiB`);
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${growth} bytes`);
});

test('100 MiB up, with a length and in chunks and at every pace: hash-equal, in bounded memory', async (t) => {
  let sent: http.ClientRequest | null = null;
  const backend = await httpBackend(t, (incoming, response) => {
    const pace = (incoming.url ?? '').slice(1) as Pace;
    const sentBytes = () => sent?.socket?.bytesWritten ?? 0;
    if (incoming.method === 'GET') response.end('warm');
    else void hashBody(incoming, pace, sentBytes).then((hash) => response.end(hash));
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const [warm] = (await once(request(program.port, {}).end(), 'response')) as [http.IncomingMessage];
  warm.resume();
  const growth = await growthDuring(program, async () => {
    const cases = [
      [true, 'fast'],
      [true, 'stalled'],
      [false, 'slow'],
    ] as const;
    for (const [hasLength, pace] of cases) {
      const headers = hasLength ? { 'Content-Length': BODY_BYTES } : {};
      const outgoing = request(program.port, { method: 'POST', path: `/${pace}`, headers });
      sent = outgoing;
      const answered = once(outgoing, 'response');
      await writeBody(outgoing);
      const [response] = (await answered) as [http.IncomingMessage];
      assert.equal((await response.setEncoding('utf8').toArray()).join(''), BODY_SHA256, `${hasLength} ${pace}`);
    }
  });
  t.diagnostic(`memory grew by ${Math.round(growth / MIB)} MiB`);
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${growth} bytes`);
});

test('chunks of one byte pass both ways', async (t) => {
  const chunks = 20_000;
  const backend = await httpBackend(t, (incoming, response) => {
    incoming.on('data', (bytes: Buffer) => {
      for (const byte of bytes) response.write(Buffer.of(byte));
    });
    incoming.on('end', () => response.end());
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const outgoing = request(program.port, { method: 'POST' });
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const answered = once(outgoing, 'response');
  for (let i = 0; i < chunks; i++) {
    const byte = Buffer.of((i * i) & 255);
    sent.update(byte);
    if (!outgoing.write(byte)) await once(outgoing, 'drain');
  }
  outgoing.end();
  const [response] = (await answered) as [http.IncomingMessage];
  let bytes = 0;
  for await (const chunk of response) {
    got.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  assert.equal(bytes, chunks);
  assert.equal(got.digest('hex'), sent.digest('hex'));
});

test('a response that comes byte by byte, hints and trailers and all, passes unchanged', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n';
  const answer = `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n${head}3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n`;
  const backend = await rawBackend(t, (socket) => {
    socket.setNoDelay(true);
    socket.once('data', async () => {
      for (const byte of answer) await new Promise((sent) => socket.write(byte, () => setImmediate(sent)));
    });
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const client = openClient(t, program.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(await client.until((r) => r.endsWith('X-Sum: 1\r\n\r\n')), answer);
});

/** A WebSocket server behind the program that hands each of its sockets to `onSocket`; resolves to the program. */
async function webSockets(t: TestContext, onSocket: (socket: Socket) => void): Promise<Program> {
  const backend = await httpBackend(t, (_, response) => response.end());
  const server = new WebSocketServer({ server: backend.server as http.Server });
  server.on('connection', onSocket);
  return await startSound(t, simpleConfig([backend.address]));
}

test('a WebSocket echoes messages of 1 MiB to a client that reads none until it has sent all', async (t) => {
  const program = await webSockets(t, (socket) => {
    socket.on('message', (data, isBinary) => {
      // a server that keeps to back-pressure itself: no next message before this one is sent
      socket.pause();
      socket.send(data, { binary: isBinary }, () => socket.resume());
    });
  });
  const client = new WebSocket(`ws://127.0.0.1:${program.port}/`);
  await once(client, 'open');
  const messages = Array.from({ length: 48 }, (_, i) => Buffer.alloc(MIB, `message ${i} `));
  const received: Buffer[] = [];
  const all = new Promise<void>((resolve) => {
    client.on('message', (data: Buffer) => {
      if (received.push(data) === messages.length) resolve();
    });
  });
  const growth = await growthDuring(program, async () => {
    client.pause();
    for (const message of messages) client.send(message);
    // until nothing moves: the tunnel is full in both directions
    for (let before = -1; before !== client.bufferedAmount; await sleep(100)) before = client.bufferedAmount;
    assert.ok(client.bufferedAmount > 0, 'the tunnel took it all');
    client.resume();
    await all;
  });
  assert.ok(received.every((data, i) => data.equals(messages[i] as Buffer)));
  assert.ok(growth < GROWTH_BYTES_MAX, `memory grew by ${growth} bytes`);
  client.close();
  await once(client, 'close');
});

test('the close codes of a WebSocket pass both ways, and a cut is seen as one', async (t) => {
  const sockets: Socket[] = [];
  const program = await webSockets(t, (socket) => {
    sockets.push(socket);
    socket.on('message', () => socket.close(4002, 'from the server'));
  });
  const open = async () => {
    const client = new WebSocket(`ws://127.0.0.1:${program.port}/`);
    await once(client, 'open');
    return [client, sockets.at(-1) as Socket] as const;
  };
  const [one, served] = await open();
  const closed = once(served, 'close');
  one.close(4001, 'from the client');
  assert.deepEqual((await closed).map(String), ['4001', 'from the client']);

  const [two] = await open();
  two.send('');
  assert.deepEqual((await once(two, 'close')).map(String), ['4002', 'from the server']);

  const [three, servedThree] = await open();
  three.terminate();
  assert.equal((await once(servedThree, 'close'))[0], 1006);

  const [four, servedFour] = await open();
  servedFour.terminate();
  assert.equal((await once(four, 'close'))[0], 1006);
});

const UPGRADE = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: raw/1\r\n\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw/1\r\n\r\n';

test('any other protocol is a tunnel, in which each side ends by itself', async (t) => {
  let upstream: { socket: net.Socket; tunnelled: Promise<string> } | null = null;
  const backend = await rawBackend(t, (socket) => {
    let got = '';
    socket.on('data', (chunk) => {
      // the first bytes of the new protocol come with the 101
      if (got === '') socket.write(`${SWITCHED}hello`);
      got += chunk.toString('latin1');
    });
    const tunnelled = once(socket, 'end').then(() => got.slice(got.indexOf('\r\n\r\n') + 4));
    upstream = { socket, tunnelled };
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const open = async () => {
    // and the client's with its request
    const client = openClient(t, program.port, `${UPGRADE}early`);
    assert.equal(await client.until((r) => r.endsWith('hello')), `${SWITCHED}hello`);
    return { client, ...(upstream as unknown as { socket: net.Socket; tunnelled: Promise<string> }) };
  };
  // the client ends first, and is still sent to
  const a = await open();
  a.client.socket.end('last words');
  assert.equal(await a.tunnelled, 'earlylast words');
  a.socket.write('still here');
  await a.client.until((r) => r.endsWith('still here'));
  a.socket.end('bye');
  assert.equal(await a.client.ended, 'FIN');
  assert.ok(a.client.received.endsWith('still herebye'));
  // the backend ends first, and is still sent to
  const b = await open();
  b.socket.end('bye');
  assert.equal(await b.client.ended, 'FIN');
  b.client.socket.end('still here');
  assert.equal(await b.tunnelled, 'earlystill here');
});

test('an Upgrade that the backend does not take is a request like any other, and the connection goes on', async (t) => {
  const backend = await httpBackend(t, (incoming, response) => {
    response.end(`<${incoming.url} ${incoming.headers.upgrade} ${incoming.headers.connection}>`);
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const client = openClient(t, program.port, UPGRADE.replace('/', '/1') + UPGRADE.replace('/', '/2'));
  await client.until((r) => r.includes('</1 raw/1 upgrade>') && r.includes('</2 raw/1 upgrade>'));
  // a client that offers cleartext HTTP/2 would speak it to a backend that nobody here listens to
  client.socket.write(
    'GET /3 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
  );
  await client.until((r) => r.includes('</3 undefined undefined>'));
});
