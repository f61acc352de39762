/** Requests of several clients on one backend connection: who gets which answer, whatever the backend and the clients do. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HIGH_WATERMARK } from '../../workers/byte-stream.ts';
import type { NodePipelines } from '../../workers/node-pipelines.ts';
import type { UpstreamConnection } from '../../workers/upstream-connection.ts';
import { type PipelineUser, UpstreamPipeline } from '../../workers/upstream-pipeline.ts';
import { type Client, eventually } from '../e2e/harness.ts';
import { fakeContext } from './fake-context.ts';
import { type Asked, answer, answerTo, get, gets, servePipelined } from './pipeline-harness.ts';

const [A, B, C] = ['/a', '/b', '/c'] as const;
const HEAD = 'HTTP/1.1 200 OK\r\n';

/** What is at hand goes out in a packet of its own. */
function pass(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

test('requests of several clients wait on one connection, and each gets its own answer, wherever their bytes are cut', async (t) => {
  const site = await servePipelined(t);
  // nobody's patience ends
  site.context.wheel.stop();
  const { clients, line } = await site.inLine(A, B, C);
  const all = line.map(answerTo).join('');
  const length = all.length / line.length;
  for (let at = 1; at < all.length; at++) {
    line[0]?.socket.write(all.slice(0, at), 'latin1');
    await pass();
    line[0]?.socket.write(all.slice(at), 'latin1');
    for (const [i, client] of clients.entries()) {
      const text = await client.until((received) => received.length >= at * length);
      assert.equal(text.slice(-length), answerTo(line[i] as Asked), `cut at ${at}`);
    }
    for (const [i, asked] of line.entries()) {
      clients[i]?.socket.write(get(asked.path), 'latin1');
      await site.backend.next(1, 1 + at * line.length + i);
    }
  }
  assert.equal(site.backend.sockets.length, 1);
  assert.equal(site.count('pipelinesBroken'), 0);
});

test('what is not safe, has a body, or asks for more than an answer, has a connection to itself', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A);
  site.backend.onAsked = (asked) => {
    if (asked.method === 'HEAD') asked.socket.write(`${HEAD}Content-Length: 5\r\n\r\n`);
    else answer(asked);
  };
  const others = [
    'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    'POST /p HTTP/1.1\r\nHost: a\r\n\r\n',
    'PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    'DELETE /p HTTP/1.1\r\nHost: a\r\n\r\n',
    'TRACE /p HTTP/1.1\r\nHost: a\r\n\r\n',
    'HEAD /p HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    'GET /p HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    'GET /p HTTP/1.0\r\n\r\n',
  ];
  for (const [i, request] of others.entries()) {
    const client = site.client(request);
    const [asked] = await site.backend.next(1, 2 + i);
    await client.until((text) => text.startsWith(HEAD));
    assert.notEqual(asked?.connection, line[0]?.connection, request);
  }
  answer(line[0] as Asked);
  await gets(clients[0] as Client, A);
  // the last of them are idle now, and safe requests take them
  const before = site.count('upstreamsPipelined');
  const from = site.backend.asked.length;
  site.backend.onAsked = () => {};
  const waiting = site.askFor(B);
  const [second] = await site.backend.next(1, from);
  const options = site.client('OPTIONS /o HTTP/1.1\r\nHost: a\r\n\r\n');
  const [third] = await site.backend.next(1, from + 1);
  assert.equal(third?.connection, second?.connection);
  assert.equal(site.count('upstreamsPipelined'), before + 2);
  second?.socket.write(answerTo({ path: B }) + answerTo({ path: '/o' }));
  await gets(waiting[0] as Client, B);
  await gets(options, '/o');
});

test('a request that is not safe never goes where others wait, nor others where it does', async (t) => {
  const site = await servePipelined(t);
  await site.inLine();
  const post = site.client('POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
  const [posted] = await site.backend.next(1, 1);
  site.backend.onAsked = answer;
  const [client] = site.askFor(A);
  await gets(client as Client, A);
  assert.notEqual(site.backend.asked[2]?.connection, posted?.connection);
  answer(posted as Asked);
  await gets(post, '/p');
});

test('one more than may wait on a connection takes another', async (t) => {
  const site = await servePipelined(t, { pipelining: 2 });
  const { clients, line } = await site.inLine(A, B);
  const [third] = site.askFor(C);
  const [asked] = await site.backend.next(1, 3);
  assert.notEqual(asked?.connection, line[0]?.connection);
  for (const one of [...line, asked as Asked]) answer(one);
  for (const [i, path] of [A, B, C].entries()) await gets([...clients, third as Client][i] as Client, path);
});

test('a backend that has not shown that it keeps its connections open in HTTP/1.1 gets one request a connection', async (t) => {
  const heads = ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n', `${HEAD}Connection: close\r\n`];
  for (const head of heads) {
    const site = await servePipelined(t);
    site.backend.onAsked = ({ socket, path }) => socket.write(`${head}Content-Length: ${path.length}\r\n\r\n${path}`);
    const [first] = site.askFor('/proof');
    await first?.until((text) => text.endsWith('/proof'));
    const held = await (async () => {
      site.backend.onAsked = () => {};
      site.askFor(A, B);
      return site.backend.next(2, 1);
    })();
    assert.notEqual(held[0]?.connection, held[1]?.connection);
    assert.equal(site.count('upstreamsPipelined'), 0);
  }
});

test('a service that may not send a request again does not pipeline', async (t) => {
  const site = await servePipelined(t, { retries: 0 });
  await site.inLine();
  site.askFor(A, B);
  const [first, second] = await site.backend.next(2, 1);
  assert.notEqual(first?.connection, second?.connection);
});

/** What becomes of the client whose answer the backend spoils. */
type Fate = 'own' | 'refused' | 'cut';

/** What the backend sends in place of the first of three answers, and of all that follow. */
const SPOILS: readonly (readonly [string, (line: readonly Asked[]) => string, Fate])[] = [
  ['its end', () => '', 'own'],
  ['garbage', () => 'garbage\r\n\r\n', 'own'],
  ['a byte behind the answer', () => `${answerTo({ path: A })}x`, 'own'],
  ['an empty line behind the answer', () => `${answerTo({ path: A })}\r\n`, 'own'],
  ['content past the length', () => `${HEAD}Content-Length: 1\r\n\r\n${A}${answerTo({ path: B })}`, 'own'],
  ['an answer that says it is longer', (l) => l.map((o) => answerTo(o).replace('h: 2', 'h: 20')).join(''), 'own'],
  ['204 with content', () => `HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n${A}`, 'own'],
  ['304 with content', () => `HTTP/1.1 304 Not Modified\r\n\r\n${A}`, 'own'],
  [
    '101 that nobody asked for',
    () => 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    'own',
  ],
  ['100 without end', () => 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20), 'refused'],
  ['both framings', () => `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n${A}`, 'own'],
  ['a chunk size that is none', () => `${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 'own'],
  [
    'an answer in place of the last chunk',
    (l) => `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n${A}\r\n${l.slice(1).map(answerTo).join('')}`,
    'own',
  ],
  ['something past the last chunk', () => `${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n2\r\n${A}\r\n`, 'own'],
  ['half an answer', () => `${HEAD}Content-Length: 20\r\n\r\n${A}`, 'cut'],
  ['half a head', () => HEAD, 'refused'],
];

for (const isReset of [false, true]) {
  for (const [name, bytes, fate] of SPOILS) {
    test(`${name}, and ${isReset ? 'a reset' : 'the end'}: those behind get their own answers`, async (t) => {
      const site = await servePipelined(t);
      const { clients, line } = await site.inLine(A, B, C);
      site.backend.onAsked = answer;
      const { socket } = line[0] as Asked;
      socket.write(bytes(line), 'latin1');
      await pass();
      if (isReset) socket.resetAndDestroy();
      else socket.end();
      const [first, second, third] = clients as [Client, Client, Client];
      await gets(second, B);
      await gets(third, C);
      if (fate === 'own') await gets(first, A);
      else {
        if (fate === 'cut') await first.ended;
        else await first.until((text) => /^HTTP\/1.1 502 /m.test(text));
        assert.doesNotMatch(first.received, /\/[bc]/);
      }
      assert.ok(site.backend.asked.slice(4).every(({ connection }) => connection !== line[0]?.connection));
    });
  }
}

test('bytes that come before a request was written are no answer to it: it is moved off, and never written', async () => {
  const told: string[] = [];
  const user = {
    onTurn: () => told.push('turn'),
    onMovedOff: () => told.push('moved off'),
    onUpstreamBytes: () => told.push('bytes'),
  } as unknown as PipelineUser;
  const connection = {
    stream: { writableLength: 0, write: () => told.push('written') },
    destroy: () => told.push('closed'),
  } as unknown as UpstreamConnection;
  const owner = { remove() {}, onBroken() {} } as unknown as NodePipelines;
  const pipeline = new UpstreamPipeline(connection, owner, fakeContext().context);
  pipeline.join(user, get(A));
  const early = Buffer.from(answerTo({ path: A }));
  pipeline.onUpstreamBytes(early, 0, early.length);
  await pass();
  assert.deepEqual(told, ['turn', 'closed', 'moved off']);
});

test('those that still wait to be sent when the first is answered stay in line', async (t) => {
  const site = await servePipelined(t, { pipelining: 10_000 });
  // nobody's patience ends
  site.context.wheel.stop();
  await site.inLine();
  site.backend.onAsked = answer;
  const { socket } = site.backend.asked[0] as Asked;
  socket.pause();
  const clients: Client[] = [];
  const fields = `Host: a\r\nX-Much: ${'x'.repeat(15_000)}\r\n`;
  // until one finds the line full: the kernel takes no more
  for (let i = 0; site.count('upstreamsPipelined') === i; i++) {
    clients.push(site.client(`GET /${i} HTTP/1.1\r\n${fields}\r\n`));
    await eventually(() => site.count('requestsTotal') === i + 2, 'no request came');
  }
  socket.resume();
  for (const [i, client] of clients.entries()) await gets(client, `/${i}`);
  assert.equal(site.count('pipelinesBroken'), 0);
  assert.equal(site.backend.sockets.length, 2);
});

test('interim responses go to the client whose answer they announce', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A, B, C);
  line[0]?.socket.write(
    line.map((one) => `HTTP/1.1 103 Early Hints\r\nLink: ${one.path}\r\n\r\n${answerTo(one)}`).join(''),
  );
  for (const [i, path] of [A, B, C].entries()) {
    const text = (await clients[i]?.until((received) => received.endsWith(`\r\n\r\n${path}`))) as string;
    assert.ok(text.startsWith(`HTTP/1.1 103 Early Hints\r\nLink: ${path}\r\n\r\n`), text);
  }
});

test('an answer that is the last on its connection moves those behind it at once, and comes whole', async (t) => {
  for (const framing of [
    '',
    'Connection: close\r\nContent-Length: 7\r\n',
    'Connection: close\r\nTransfer-Encoding: chunked\r\n',
  ]) {
    const site = await servePipelined(t);
    // nobody's patience ends
    site.context.wheel.stop();
    const { clients, line } = await site.inLine(A, B, C);
    site.backend.onAsked = answer;
    const { socket } = line[0] as Asked;
    socket.write(`${HEAD}${framing}\r\n${framing.includes('chunked') ? '3\r\nfir\r\n' : 'fir'}`);
    await gets(clients[1] as Client, B);
    await gets(clients[2] as Client, C);
    assert.ok(!socket.closed);
    socket.end(framing.includes('chunked') ? '4\r\nst/a\r\n0\r\n\r\n' : 'st/a');
    const text = (await clients[0]?.until((received) => /\/a(\r\n)?(0\r\n\r\n)?$/.test(received))) as string;
    assert.doesNotMatch(text, /\/[bc]/);
  }
});

test('a second answer to the last that waits is thrown away with its connection', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A);
  line[0]?.socket.write(answerTo({ path: A }) + answerTo({ path: '/poison' }));
  await gets(clients[0] as Client, A);
  site.backend.onAsked = answer;
  clients[0]?.socket.write(get(B));
  const text = (await clients[0]?.until((received) => received.endsWith(B))) as string;
  assert.doesNotMatch(text, /poison/);
  assert.notEqual(site.backend.asked.at(-1)?.connection, line[0]?.connection);
});

test('content behind a 204 or 304 that has a length is not taken for the next answer, were it one', async (t) => {
  for (const status of ['204 No Content', '304 Not Modified']) {
    const site = await servePipelined(t);
    const { clients, line } = await site.inLine(A, B);
    site.backend.onAsked = answer;
    const content = answerTo({ path: '/poison' });
    line[0]?.socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${content.length}\r\n\r\n${content}`);
    await gets(clients[1] as Client, B);
    assert.match(
      (await clients[0]?.until((text) => text.endsWith('\r\n\r\n'))) as string,
      new RegExp(`^HTTP/1.1 ${status}\r`),
    );
  }
});

test('the answer to a client that has left is read and thrown away, wherever it stood in line', async (t) => {
  const site = await servePipelined(t);
  // nobody's patience ends
  site.context.wheel.stop();
  for (const leaver of [0, 1, 2]) {
    const { clients, line } = await site.inLine(A, B, C);
    const left = site.count('clientAborts');
    clients[leaver]?.socket.resetAndDestroy();
    await eventually(() => site.count('clientAborts') > left, 'the client has not left');
    line[0]?.socket.write(line.map(answerTo).join(''));
    for (const [i, path] of [A, B, C].entries()) if (i !== leaver) await gets(clients[i] as Client, path);
  }
  assert.equal(site.count('pipelinesBroken'), 0);
  assert.equal(site.backend.sockets.length, 1);
});

test('a connection is not held up by an answer that nobody waits for any more', async (t) => {
  for (const leavers of [[0, 1], [1]]) {
    const site = await servePipelined(t, { responseTimeoutMs: 60_000 });
    const { clients, line } = await site.inLine(A, B);
    for (const leaver of leavers) clients[leaver]?.socket.resetAndDestroy();
    await eventually(() => site.count('clientAborts') === leavers.length, 'they have not left');
    if (!leavers.includes(0)) {
      answer(line[0] as Asked);
      await gets(clients[0] as Client, A);
    }
    site.context.wheel.advance(site.context.wheel.now + 3_000);
    await eventually(() => line[0]?.socket.readableEnded === true, 'the connection is still open');
    assert.equal(site.count('upstreamsOpen'), 0);
  }
});

test('a client that leaves within its answer, or before a long one, takes the connection with it, and the others get theirs', async (t) => {
  for (const isBegun of [true, false]) {
    const site = await servePipelined(t);
    const { clients, line } = await site.inLine(A, B, C);
    site.backend.onAsked = answer;
    const { socket } = line[0] as Asked;
    const begin = () => socket.write(`${HEAD}Content-Length: 60000\r\n\r\n${'x'.repeat(100)}`);
    if (isBegun) {
      begin();
      await clients[0]?.until((text) => text.endsWith('xx'));
    }
    clients[0]?.socket.resetAndDestroy();
    await eventually(() => site.count('clientAborts') > 0, 'the client has not left');
    if (!isBegun) socket.write(`${HEAD}Content-Length: 200000\r\n\r\n${'x'.repeat(100_000)}`);
    await gets(clients[1] as Client, B);
    await gets(clients[2] as Client, C);
    await eventually(() => socket.destroyed || socket.readableEnded, 'the connection is still open');
  }
});

test('whoever waits longer than a second for others is answered on another connection; the slow one comes whole', async (t) => {
  const site = await servePipelined(t);
  // a connection that has carried as much may break for other reasons
  for (let i = 0; i < 40; i++) await gets(site.client(get(A)), A);
  const { clients, line } = await site.inLine(A, B, C);
  site.backend.onAsked = answer;
  await gets(clients[1] as Client, B);
  await gets(clients[2] as Client, C);
  assert.equal(clients[0]?.received, '');
  assert.equal(site.count('pipelinesBroken'), 1);
  const { socket } = line[0] as Asked;
  answer(line[0] as Asked);
  await gets(clients[0] as Client, A);
  // the answers that nobody waits for any more may still come
  await eventually(() => socket.readableEnded, 'the connection is still open');
  // the node may be slow again
  const before = site.count('upstreamsPipelined');
  const [next] = site.askFor(A);
  await gets(next as Client, A);
  assert.equal(site.count('upstreamsPipelined'), before);
});

test('nobody joins behind an answer that has been long in coming, of which much is to come, or that is the last', async (t) => {
  for (const fields of ['Content-Length: 100000', 'Connection: close\r\nContent-Length: 2', null]) {
    const site = await servePipelined(t);
    const { clients, line } = await site.inLine(A);
    site.backend.onAsked = answer;
    const { socket } = line[0] as Asked;
    if (fields !== null) {
      socket.write(`${HEAD}${fields}\r\n\r\nx`);
      await clients[0]?.until((text) => text.endsWith('x'));
    } else site.context.wheel.advance(site.context.wheel.now + 400);
    const [other] = site.askFor(B);
    await gets(other as Client, B);
    assert.ok(site.backend.asked.slice(2).every((asked) => asked.socket !== socket));
  }
});

test('a client that does not read a large answer holds up nobody for more than a second', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A, B);
  clients[0]?.socket.pause();
  site.backend.onAsked = answer;
  const { socket } = line[0] as Asked;
  socket.write(`${HEAD}Content-Length: 60000000\r\n\r\n`);
  const flood = Buffer.alloc(60_000_000, 'x');
  socket.write(flood);
  socket.write(answerTo({ path: B }));
  await gets(clients[1] as Client, B);
  assert.notEqual(site.backend.asked.at(-1)?.socket, socket);
});

test('a client that is slow to read an answer which is whole holds up nobody', async (t) => {
  const site = await servePipelined(t);
  // nobody's patience ends
  site.context.wheel.stop();
  const { clients, line } = await site.inLine(A, B);
  const [, slow] = [...site.connections];
  const waiting = () => slow?.stream.writableLength ?? 0;
  clients[0]?.socket.pause();
  const { socket } = line[0] as Asked;
  socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
  const chunk = (bytes: number) => `${bytes.toString(16).padStart(6, '0')}\r\n${'x'.repeat(bytes)}\r\n`;
  while (waiting() === 0) {
    await new Promise((resolve) => socket.write(chunk(10_000), resolve));
    // what is under way has to have come before more is sent
    for (let i = 0; i < 5; i++) await pass();
  }
  let before = -1;
  await eventually(async () => {
    const stands = before === waiting();
    before = waiting();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return stands && before === waiting();
  }, 'the kernel takes more and more');
  // its last bytes are those at which reading stops
  const end = '0\r\n\r\n';
  socket.write(chunk(HIGH_WATERMARK - waiting() - chunk(0).length - end.length) + end);
  await eventually(() => waiting() >= HIGH_WATERMARK, 'reading goes on');
  answer(line[1] as Asked);
  await gets(clients[1] as Client, B);
  assert.equal(site.count('pipelinesBroken'), 0);
});

test('an answer that does not come in response_timeout is 504, and those behind it get theirs', async (t) => {
  const site = await servePipelined(t, { responseTimeoutMs: 300 });
  const { clients } = await site.inLine(A, B);
  site.backend.onAsked = answer;
  await clients[0]?.until((text) => /^HTTP\/1.1 504 /.test(text));
  await gets(clients[1] as Client, B);
});

test('after a connection broke that had carried little, requests go alone for a while', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A, B);
  site.backend.onAsked = answer;
  line[0]?.socket.end();
  await gets(clients[0] as Client, A);
  await gets(clients[1] as Client, B);
  const before = site.count('upstreamsPipelined');
  const ask = async () => {
    const [client] = site.askFor(C);
    await gets(client as Client, C);
  };
  await ask();
  assert.equal(site.count('upstreamsPipelined'), before);
  site.context.wheel.advance(site.context.wheel.now + 5_100);
  await ask();
  assert.equal(site.count('upstreamsPipelined'), before + 1);
});

test('answers that wait when the pool closes are still read, and the connection closes behind them', async (t) => {
  const site = await servePipelined(t);
  const { clients, line } = await site.inLine(A, B);
  site.pool.close();
  line[0]?.socket.write(line.map(answerTo).join(''));
  await gets(clients[0] as Client, A);
  await gets(clients[1] as Client, B);
  await eventually(() => line[0]?.socket.readableEnded === true, 'the connection is still open');
  assert.equal(site.count('upstreamsOpen'), 0);
});
