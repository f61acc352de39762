/** TLS records that bring no data: how many a connection may send, and what becomes of it then. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { IDLE_BYTES_MAX, LOOKS_A_ROUND, RecordWatch, WIRE_BYTES_A_BYTE } from '../../workers/record-watch.ts';
import type { TlsStream } from '../../workers/tls-stream.ts';
import { eventually, httpBackend } from '../e2e/harness.ts';
import { connectRecords, RECORD_TYPE, type RecordClient } from './record-client.ts';
import { connectTls, serveTls } from './tls-harness.ts';

/** 540 kB on the wire. */
const FLOOD = 20_000;

function repeat(times: number, make: () => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: times }, make));
}

const request = (client: RecordClient, text = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n') =>
  client.seal(RECORD_TYPE.applicationData, Buffer.from(text));

for (const ownsHandles of [true, false]) {
  const way = ownsHandles ? 'a handle' : 'a socket';
  test(`KeyUpdates without end are ended, on a stream that owns ${way}; others are served meanwhile`, async (t) => {
    const { address } = await httpBackend(t, (_request, response) => response.end('here'));
    const served = await serveTls(t, { backend: { address }, means: { ownsHandles } });
    const client = await connectRecords(t, served.port, 'TLSv1.3');
    const other = await connectTls(t, served.port);
    client.socket.resume();
    void client.send(repeat(FLOOD, () => client.keyUpdate()));
    assert.match(await other.get(), /here$/);
    await client.ended;
    const { level, fields } = await served.logged('TLS connection ended');
    assert.deepEqual([level, fields.client, fields.reason], ['info', '127.0.0.1', 'records without data']);
    assert.match(await other.get(), /here$/);
    assert.equal(served.connections.size, 1);
  });
}

test('a client that renews its keys between requests, pads each record to the full, or sends a byte a record is served', async (t) => {
  const { address } = await httpBackend(t, (_request, response) => response.end('here'));
  const served = await serveTls(t, { backend: { address } });
  const client = await connectRecords(t, served.port, 'TLSv1.3');
  const text = `GET / HTTP/1.1\r\nHost: a.example\r\nX: ${'x'.repeat(80)}\r\n\r\n`;
  const padded = () => {
    const inner = Buffer.alloc(2 ** 14, 0);
    inner.write(text);
    inner[text.length] = RECORD_TYPE.applicationData;
    // the type that is sealed last is a zero: one more of the padding
    return client.seal(0, inner);
  };
  const requests = [
    () => Buffer.concat([repeat(20, () => client.keyUpdate()), request(client)]),
    () => Buffer.concat(Array.from(text, (one) => request(client, one))),
    padded,
  ];
  client.socket.resume();
  for (let i = 0; i < 90; i++) await client.send((requests[i % 3] as () => Buffer)());
  // all of them were read, and more than a round of looks has passed since
  await eventually(() => served.count('requestsTotal') === 90, 'all requests');
  const before = served.count('heartbeat');
  await eventually(() => served.count('heartbeat') > before + 20, 'ticks');
  assert.equal(served.connections.size, 1);
});

/** What of a stream is looked at. */
interface Seen {
  bytesOnWire: number;
  bytesRead: number;
  bytesSealed: number;
  writableLength: number;
}

async function watching(t: TestContext, count = 1) {
  const { context, logged } = await serveTls(t);
  const watch = new RecordWatch(context);
  const streams = Array.from({ length: count }, () => {
    const seen: Seen = { bytesOnWire: 5_000, bytesRead: 0, bytesSealed: 0, writableLength: 0 };
    const stream = { ...seen, destroyed: false, destroy: () => (stream.destroyed = true), remoteAddress: '::1' };
    watch.add(stream as unknown as TlsStream);
    return stream;
  });
  const round = () => {
    for (let i = 0; i < LOOKS_A_ROUND + 1; i++) watch.onDeadline();
  };
  const left = () => streams.filter(({ destroyed }) => !destroyed).length;
  return { streams: streams as [Seen, ...typeof streams], round, left, logged };
}

test("a byte of data excuses a record's overhead, and what came before is no credit", async (t) => {
  const { streams, round, left } = await watching(t);
  const [stream] = streams;
  stream.bytesOnWire += 100_000_000;
  stream.bytesRead += 100_000_000;
  round();
  stream.bytesOnWire += IDLE_BYTES_MAX;
  round();
  stream.bytesOnWire += WIRE_BYTES_A_BYTE * 1_000;
  stream.bytesRead += 1_000;
  round();
  assert.equal(left(), 1);
  stream.bytesOnWire += 1;
  round();
  assert.equal(left(), 0);
});

test('answers of OpenSSL that wait for a client that does not read are bounded, whatever data it sends', async (t) => {
  const { streams, round, left, logged } = await watching(t);
  const [stream] = streams;
  for (let i = 0; i < 20; i++) {
    stream.bytesOnWire += 100_000;
    stream.bytesRead += 10_000;
    stream.bytesSealed = 50_000 * i;
    round();
  }
  assert.equal(left(), 1);
  stream.bytesSealed += 200_000;
  // that much was written by us
  stream.writableLength = 128 * 1024;
  round();
  assert.equal(left(), 1);
  stream.writableLength = 0;
  round();
  assert.equal(left(), 0);
  assert.equal((await logged('TLS connection ended')).fields.reason, 'answers to KeyUpdates unread');
});

test('a round reaches every connection, while others come and go', async (t) => {
  const { streams, round, left } = await watching(t, 1_000);
  for (const [i, stream] of streams.entries()) if (i % 3 === 0) stream.bytesOnWire += 2 * IDLE_BYTES_MAX;
  round();
  assert.equal(left(), 666);
  for (const stream of streams) stream.bytesOnWire += 2 * IDLE_BYTES_MAX;
  // those that are gone take their turn once more
  round();
  round();
  assert.equal(left(), 0);
});
