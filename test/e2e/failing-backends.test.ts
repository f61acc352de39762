/** Backends that are slow rather than broken, through the running program: how long anyone waits for them at most. */

import assert from 'node:assert/strict';
import type net from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Client, eventually, openClient, rawBackend, simpleConfig, startSound } from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const CUT_SHORT = 'response cut short';

/** A backend that sends `first` and then `drop`, again and again, 20 ms apart, until its connection is closed. */
function tricklingBackend(t: TestContext, first: string, drop: string) {
  return rawBackend(t, (socket) => {
    let drops: NodeJS.Timeout | undefined;
    socket.once('data', () => {
      socket.write(first);
      if (drop !== '') drops = setInterval(() => socket.write(drop), 20);
    });
    socket.on('end', () => socket.end()).once('close', () => clearInterval(drops));
  });
}

/** Resolves when the program has let go of each of them. */
function gone(connections: readonly net.Socket[]): Promise<unknown> {
  return Promise.all(connections.map((s) => s.closed || new Promise((resolve) => s.once('close', resolve))));
}

/** The longest time without bytes so far, ms. */
function longestPause({ socket, ended }: Client): () => number {
  let [longestMs, lastMs] = [0, performance.now()];
  const look = () => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  socket.on('data', look);
  void ended.then(look);
  return () => longestMs;
}

test('a head that trickles is 504 after response_timeout, however steadily it comes', async (t) => {
  const backend = await tricklingBackend(t, 'HTTP/1.1 200 OK\r\n', 'X: y\r\n');
  const program = await startSound(t, simpleConfig([backend.address], { service: ['response_timeout: 300ms'] }));
  const answer = await openClient(t, program.port, GET).until((r) => r.endsWith('Timeout\n'));
  assert.match(answer, /^HTTP\/1.1 504 /);
  assert.equal((await program.logged(({ msg }) => msg === 'request failed')).reason, 'no response in time');
  await gone(backend.connections);
});

test('a body that trickles passes as long as it comes, and one that stops is cut off after body_timeout', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n';
  const service = ['body_timeout: 300ms'];
  const [slow, stopping] = [await tricklingBackend(t, head, 'x'), await tricklingBackend(t, `${head}some`, '')];
  const [first, second] = [
    await startSound(t, simpleConfig([slow.address], { service })),
    await startSound(t, simpleConfig([stopping.address], { service })),
  ];
  await eventually(async () => {
    const client = openClient(t, first.port, GET);
    const pause = longestPause(client);
    // 25 drops take longer than body_timeout
    const isCut = await client
      .until((r) => r.endsWith('x'.repeat(25)))
      .then(
        () => false,
        () => true,
      );
    // on a machine that stands still they do not come for a while
    if (isCut) assert.ok(pause() > 150, `cut off though drops came, ${pause()} ms apart at most`);
    return !isCut;
  }, 'a body that trickles');
  const client = openClient(t, second.port, GET);
  assert.equal(await client.ended, 'FIN');
  assert.match(client.received, /\r\n\r\nsome$/);
  assert.equal((await second.logged(({ msg }) => msg === CUT_SHORT)).reason, 'backend stopped sending');
  await gone(stopping.connections);
});

test('a client that ends its side waits on a silent backend no longer than response_timeout, and then all of it goes', async (t) => {
  const backend = await tricklingBackend(t, '', '');
  const program = await startSound(t, simpleConfig([backend.address], { service: ['response_timeout: 300ms'] }));
  const client = openClient(t, program.port, GET);
  client.socket.end();
  assert.equal(await client.ended, 'FIN');
  assert.match(client.received, /^HTTP\/1.1 504 /);
  await gone(backend.connections);
});
