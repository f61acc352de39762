/** The stream of snapshots over real HTTP, in front of an edge that the test plays. */

import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import fastify from 'fastify';
import { type EventLimits, EventStreams, type EventsPort, type Snapshot } from '../../src/admin/events.ts';
import { eventually, exchange, openClient } from '../e2e/harness.ts';

const READY = { isReady: true, reasons: [] };
const ASK = 'GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

test('a stream begins with a snapshot, and brings a new one at every tick', async (t) => {
  const { port, made } = await serve(t);
  const client = openClient(t, port, ASK);
  await client.until(() => snapshotsOf(client.received).length >= 3);
  assert.match(client.received, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(client.received, /^content-type: text\/event-stream\r$/im);
  const [first, second, third] = snapshotsOf(client.received) as [Snapshot, Snapshot, Snapshot];
  assert.deepEqual([first.uptimeS, second.uptimeS, third.uptimeS], [1, 2, 3], 'the number of the snapshot');
  assert.deepEqual(first.readiness, READY);
  assert.ok(Math.abs(first.atMs - Date.now()) < 60_000);
  assert.ok(first.clockMs < second.clockMs && second.clockMs < third.clockMs);
  assert.ok(made() >= 3);
});

test('a snapshot is made once for all streams, and none where nobody listens', async (t) => {
  const [armed, cleared] = [t.mock.method(globalThis, 'setInterval'), t.mock.method(globalThis, 'clearInterval')];
  const { port, made, streams } = await serve(t);
  assert.equal(made(), 0);
  const clients = [1, 2, 3, 4].map(() => openClient(t, port, ASK));
  const seen = await Promise.all(
    clients.map(async (client) => {
      await client.until(() => snapshotsOf(client.received).length >= 5);
      return snapshotsOf(client.received).slice(0, 5);
    }),
  );
  const numbers = new Set(seen.flat().map(({ uptimeS }) => uptimeS));
  assert.ok(numbers.size <= made() && made() < 12, `${made()} snapshots for 20 that were received`);
  for (const { socket } of clients) socket.destroy();
  await eventually(() => streams.size === 0, 'all streams are gone');
  assert.deepEqual(
    cleared.mock.calls.map(({ arguments: [timer] }) => timer),
    armed.mock.calls.map(({ result }) => result),
    'a timer was left behind',
  );
});

test('who comes and goes again and again gets the snapshot that there is', async (t) => {
  const { port, made } = await serve(t, { intervalMs: 60_000 });
  for (let i = 0; i < 20; i++) {
    const client = openClient(t, port, ASK);
    await client.until(() => snapshotsOf(client.received).length === 1);
    client.socket.destroy();
  }
  assert.equal(made(), 1);
});

test('a snapshot that took long is followed by a rest, in which streams are kept alive', async (t) => {
  const slow: Partial<EventsPort> = {
    readiness: () => {
      const end = performance.now() + 20;
      while (performance.now() < end);
      return READY;
    },
  };
  const { port } = await serve(t, {}, slow);
  const client = openClient(t, port, ASK);
  const rests = () => client.received.split('event: snapshot\n').slice(1, -1);
  // of a rest in which this process stood still there are fewer
  await client.until(() => rests().some((rest) => rest.split('\n:\n').length > 3));
});

test('a snapshot in which the machine stood still is followed by no longer a rest than any', async (t) => {
  const now = performance.now.bind(performance);
  let stoodMs = 0;
  t.mock.method(performance, 'now', () => now() + stoodMs);
  const readiness = () => {
    stoodMs ||= 6_000;
    return READY;
  };
  const { port } = await serve(t, {}, { readiness });
  const client = openClient(t, port, ASK);
  await client.until(() => snapshotsOf(client.received).length >= 2);
});

test('streams are counted, and one too many is told so', async (t) => {
  const { port, streams } = await serve(t, { streamsMax: 2 });
  const clients = [openClient(t, port, ASK), openClient(t, port, ASK)];
  await Promise.all(clients.map((client) => client.until(() => client.received.includes('snapshot'))));
  const refused = await exchange(port, ASK);
  assert.match(refused, /^HTTP\/1\.1 503 /);
  assert.match(refused, /"code":"too-many-streams"/);
  clients[0]?.socket.destroy();
  await eventually(() => streams.size === 1, 'the place of one that is gone is free');
  const next = openClient(t, port, ASK);
  await next.until(() => next.received.includes('snapshot'));
});

test('a client that does not read is dropped, and the others get theirs', async (t) => {
  // more than the kernel takes for a client that does not read
  // and as many ticks as a busy machine takes for one that does
  const { port, streams } = await serve(t, { stalledTicksMax: 25 }, { status: () => statusOf('x'.repeat(8_000_000)) });
  const stalled = net.connect(port, '127.0.0.1');
  t.after(() => stalled.destroy());
  stalled.on('error', () => {});
  stalled.pause().write(ASK);
  await eventually(() => streams.size === 1, 'the stalled stream is open');
  let readBytes = 0;
  const reader = http.get({ port, host: '127.0.0.1', path: '/events', agent: false }, (response) => {
    response
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        readBytes += chunk.length;
      });
  });
  t.after(() => reader.destroy());
  await eventually(() => streams.size === 2, 'both are open');
  await eventually(() => streams.size === 1, 'one of them is dropped');
  const before = readBytes;
  await eventually(() => readBytes > before + 8_000_000, 'the other one goes on');
});

test('a stream ends after its time: its client has to come back with the token that is in force', async (t) => {
  const { port, streams } = await serve(t, { lifeTicksMax: 3 });
  const answer = await exchange(port, ASK);
  assert.ok(snapshotsOf(answer).length >= 3 && answer.endsWith('\r\n0\r\n\r\n'), 'a whole answer');
  await eventually(() => streams.size === 0, 'nothing is left');
});

test('where the program stops, streams end with a word of it, and none begins', async (t) => {
  const { port, streams } = await serve(t);
  const client = openClient(t, port, ASK);
  await client.until(() => client.received.includes('snapshot'));
  streams.close();
  await client.until(() => client.received.includes('event: end\n'));
  assert.match(await exchange(port, ASK), /^HTTP\/1\.1 503 /);
  await eventually(() => streams.size === 0, 'nothing is left');
});

test('a status that fails is reported, and ends neither the program nor the stream', async (t) => {
  let isBroken = true;
  const faults: Error[] = [];
  const broken: Partial<EventsPort> = {
    readiness: () => {
      if (isBroken) throw new TypeError('planted');
      return READY;
    },
  };
  const { port } = await serve(t, {}, broken, (error) => faults.push(error));
  const client = openClient(t, port, ASK);
  await client.until(() => client.received.includes('\n:\n'));
  assert.match(String(faults[0]), /planted/);
  isBroken = false;
  await client.until(() => snapshotsOf(client.received).length > 0);
});

test('HEAD opens no stream', async (t) => {
  const { port, streams } = await serve(t);
  assert.match(await exchange(port, 'HEAD /events HTTP/1.0\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 404 /);
  assert.equal(streams.size, 0);
});

async function serve(
  t: TestContext,
  limits: Partial<EventLimits> = {},
  port: Partial<EventsPort> = {},
  reportFault: (error: Error) => void = assert.ifError,
) {
  let made = 0;
  const counted: EventsPort = {
    status: () => {
      made++;
      return { ...(port.status?.() ?? statusOf('')), uptimeS: made };
    },
    readiness: port.readiness ?? (() => READY),
  };
  const streams = new EventStreams(counted, reportFault, { intervalMs: 20, ...limits });
  const app = fastify();
  streams.define(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  t.after(() => {
    streams.close();
    app.server.closeAllConnections();
    return app.close();
  });
  return { port: (app.server.address() as AddressInfo).port, streams, made: () => made };
}

/** Only what these tests look at. */
function statusOf(version: string): ReturnType<EventsPort['status']> {
  return { version } as ReturnType<EventsPort['status']>;
}

/** Those that are whole. */
function snapshotsOf(received: string): Snapshot[] {
  return [...received.matchAll(/^event: snapshot\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data as string));
}
