/** What no library sends, at a TLS listener: it is refused or ended, and nobody else notices. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { createAuthority } from '../cluster/certificates.ts';
import { eventually, httpBackend, openClient, rawBackend } from '../e2e/harness.ts';
import { extension, hello, serverName, vector } from './hello-bytes.ts';
import { connectRecords, KEY_UPDATE, RECORD_TYPE, type RecordClient } from './record-client.ts';
import { connectTls, helloOf, type Served, serveTls, tlsSettings, type Version } from './tls-harness.ts';

const { alert, applicationData, changeCipherSpec, handshake } = RECORD_TYPE;
const EMPTY = Buffer.alloc(0);
const REQUEST = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';

function repeat(times: number, make: () => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: times }, make));
}

/** A handshake message of `type` with `length` bytes announced. */
function message(type: number, length: number, body: Buffer = EMPTY): Buffer {
  return Buffer.concat([Buffer.from([type, length >> 16, (length >> 8) & 0xff, length & 0xff]), body]);
}

type Attack = readonly [what: string, version: Version, bytes: (client: RecordClient) => Buffer];

/** Each ends the connection. */
const ATTACKS: readonly Attack[] = [
  ['empty records', 'TLSv1.3', (c) => repeat(1_000, () => c.seal(applicationData, EMPTY))],
  ['empty records', 'TLSv1.2', (c) => repeat(1_000, () => c.seal(applicationData, EMPTY))],
  ['warnings', 'TLSv1.3', (c) => repeat(1_000, () => c.seal(alert, Buffer.from([1, 90])))],
  ['warnings', 'TLSv1.2', (c) => repeat(1_000, () => c.seal(alert, Buffer.from([1, 90])))],
  ['change_cipher_spec', 'TLSv1.3', () => repeat(1_000, () => plainRecord(Buffer.from([1]), changeCipherSpec))],
  ['change_cipher_spec', 'TLSv1.2', (c) => repeat(1_000, () => c.seal(changeCipherSpec, Buffer.from([1])))],
  ['hellos, to renegotiate', 'TLSv1.2', (c) => repeat(100, () => c.seal(handshake, helloMessage()))],
  ['hellos, past the handshake', 'TLSv1.3', (c) => repeat(100, () => c.seal(handshake, helloMessage()))],
  ['a certificate that nobody asked for', 'TLSv1.3', (c) => c.seal(handshake, message(11, 4, Buffer.alloc(4)))],
  ['a demand for a certificate', 'TLSv1.3', (c) => c.seal(handshake, message(13, 3, Buffer.alloc(3)))],
  ['a ticket for the server', 'TLSv1.3', (c) => c.seal(handshake, message(4, 0))],
  [
    'a handshake message of 16 MiB',
    'TLSv1.3',
    (c) =>
      Buffer.concat([
        c.seal(handshake, message(24, 0xffffff)),
        repeat(300, () => c.seal(handshake, Buffer.alloc(16_000))),
      ]),
  ],
  [
    'a record of more than 2^14 bytes',
    'TLSv1.3',
    () => Buffer.concat([Buffer.from([23, 3, 3, 0x48, 0]), Buffer.alloc(0x4800)]),
  ],
  ['a record of padding alone', 'TLSv1.3', (c) => c.seal(0, Buffer.alloc(16_000))],
  ['a heartbeat', 'TLSv1.2', (c) => c.seal(24, Buffer.from([1, 0x40, 0, 65]))],
  ['a record of no known type', 'TLSv1.3', (c) => c.seal(99, Buffer.from('x'))],
  ['a record that comes twice', 'TLSv1.3', (c) => repeat(2, constant(c.seal(applicationData, Buffer.from('GET'))))],
  ['a record that was changed on its way', 'TLSv1.2', (c) => flipped(c.seal(applicationData, Buffer.from(REQUEST)))],
  ['a record in the clear', 'TLSv1.3', () => plainRecord(Buffer.from(REQUEST), applicationData)],
];

for (const [what, version, bytes] of ATTACKS) {
  test(`${version}: ended, and no harm to others: ${what}`, async (t) => {
    const { served, other } = await servedWithOther(t);
    const client = await connectRecords(t, served.port, version);
    client.socket.resume();
    void client.send(bytes(client));
    await client.ended;
    await eventually(() => served.connections.size === 1, 'its end');
    assert.equal(served.count('requestsTotal'), 0);
    assert.match(await other.get(), /here$/);
  });
}

test('a handshake message may come in pieces, and requests go on after it', async (t) => {
  const { served } = await servedWithOther(t);
  const client = await connectRecords(t, served.port, 'TLSv1.3');
  client.socket.resume();
  const pieces = Array.from(KEY_UPDATE, (byte) => client.seal(handshake, Buffer.from([byte])));
  await client.send(Buffer.concat(pieces));
  client.useNextKeys();
  await client.send(client.seal(applicationData, Buffer.from(REQUEST)));
  await eventually(() => served.count('requestsTotal') === 1, 'the request');
});

test('a hello cut at any place, and into records at any place, is served', async (t) => {
  const { served } = await servedWithOther(t);
  const first = await helloOf({ servername: 'a.example', ecdhCurve: 'X25519' });
  const body = first.subarray(5);
  const knock = async (...pieces: Buffer[]) => {
    const socket = net.connect({ port: served.port, host: '127.0.0.1', noDelay: true });
    t.after(() => socket.destroy());
    for (const piece of pieces) await new Promise<void>((resolve) => socket.write(piece, () => setImmediate(resolve)));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return answer[0] === handshake && answer[5] === 2;
  };
  for (let at = 1; at < first.length; at++) {
    assert.ok(await knock(first.subarray(0, at), first.subarray(at)), `cut at ${at}`);
    if (at >= body.length) continue;
    const records = [body.subarray(0, at), body.subarray(at)].map((part) => plainRecord(part));
    assert.ok(await knock(Buffer.concat(records)), `records cut at ${at}`);
  }
});

test('names that are no host names are answered by a handshake or an alert, and harm nobody', async (t) => {
  const { served, other } = await servedWithOther(t);
  const label = 'x'.repeat(63);
  const names = [
    'a\0.example',
    'b\u00fccher.example',
    '127.0.0.1',
    '::1',
    'a.example.',
    '.',
    '..',
    `${label}.`.repeat(4),
    'x'.repeat(255),
  ];
  for (const name of [...names, '', '%0d%0a', '../../etc/passwd', 'a.example\r\nX: y']) {
    const socket = net.connect({ port: served.port, host: '127.0.0.1' });
    t.after(() => socket.destroy());
    socket.write(plainRecord(helloMessage(EMPTY, name)));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    // a ServerHello, or OpenSSL's alert; nothing of ours breaks
    assert.ok(answer[0] === handshake || answer[0] === alert, name);
    socket.destroy();
  }
  assert.match(await other.get(), /here$/);
});

test('tickets that are garbage, of any size, cost a full handshake and nothing else', async (t) => {
  const { served, other } = await servedWithOther(t);
  const sizes = [0, 1, 15, 16, 31, 32, 47, 48, 63, 64, 65, 80, 100, 1_000, 10_000];
  for (const size of sizes) {
    const socket = net.connect({ port: served.port, host: '127.0.0.1' });
    t.after(() => socket.destroy());
    socket.write(plainRecord(helloMessage(randomBytes(size))));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.deepEqual([answer[0], answer[5]], [handshake, 2], `${size} bytes`);
    socket.destroy();
  }
  assert.equal(served.count('ticketsOpenedActive'), 0);
  assert.ok(served.count('ticketsUnknownKey') > 0);
  assert.match(await other.get(), /here$/);
});

test('a TLS 1.3 ticket that is shown again and again resumes: there are no early data that could be replayed', async (t) => {
  const { served, other } = await servedWithOther(t);
  await other.get();
  const { session } = other;
  assert.ok(session !== null);
  for (let i = 0; i < 5; i++) {
    const client = await connectTls(t, served.port, { version: 'TLSv1.3', session });
    assert.equal(client.socket.isSessionReused(), true);
    assert.match(await client.get(), /here$/);
  }
});

test('a chain of certificates larger than 100 KiB is refused, and one below costs no more than a refusal', async (t) => {
  const clients = createAuthority('clients');
  const served = await serveTls(t, { settings: [tlsSettings({ clientCa: clients.certificate })] });
  let authority = createAuthority('of nobody');
  const chain: string[] = [];
  for (let i = 0; i < 80; i++) {
    authority = authority.issueAuthority(`link ${i}`);
    chain.unshift(authority.certificate);
  }
  const leaf = authority.issue('/CN=right');
  for (const [certificates, reason] of [
    [chain, /UNABLE_TO_|SELF_SIGNED/],
    [Array.from({ length: 6 }, () => chain).flat(), /excessive message size/],
  ] as const) {
    const client = await connectRecords(t, served.port, 'TLSv1.3', {
      cert: leaf.certificate + certificates.join(''),
      key: leaf.key,
    });
    client.socket.resume();
    await client.ended;
    await eventually(
      () => served.logs('TLS handshake failed').some((line) => reason.test(String(line.fields.reason))),
      String(reason),
    );
  }
  assert.equal(served.count('connectionsTotal'), 0);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const end of ['FIN', 'close_notify and FIN', 'close_notify'] as const) {
    for (const [framing, head, part] of [
      ['a length', 'Content-Length: 100', 'half'],
      ['chunks', 'Transfer-Encoding: chunked', '4\r\nhalf\r\n'],
    ] as const) {
      test(`${version}: a body with ${framing} that is cut by ${end} does not pass for a whole one`, async (t) => {
        let received = '';
        let isAborted = false;
        const backend = await rawBackend(t, (socket) => {
          socket.on('data', (chunk) => (received += chunk.toString('latin1')));
          socket.on('error', () => {}).on('close', () => (isAborted = true));
          socket.on('end', () => socket.end());
        });
        const served = await serveTls(t, { backend });
        const client = await connectRecords(t, served.port, version);
        client.socket.resume();
        await client.send(
          client.seal(applicationData, Buffer.from(`POST / HTTP/1.1\r\nHost: a.example\r\n${head}\r\n\r\n${part}`)),
        );
        await eventually(() => received.includes('half'), 'the part of the body');
        if (end !== 'FIN') await client.send(client.seal(alert, Buffer.from([1, 0])));
        if (end !== 'close_notify') client.socket.end();
        await client.ended;
        await eventually(() => isAborted, "the end of the backend's connection");
        assert.ok(!received.includes('\r\n0\r\n'), received);
        assert.equal(served.count('clientAborts'), 1);
        await eventually(() => served.connections.size === 0, 'its end');
      });
    }
  }
}

test('no key, ticket or certificate of an attack is in the log', async (t) => {
  const { served } = await servedWithOther(t);
  const client = await connectRecords(t, served.port, 'TLSv1.3');
  client.socket.resume();
  void client.send(repeat(1_000, () => client.seal(applicationData, EMPTY)));
  await client.ended;
  const garbage = openClient(t, served.port, '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00');
  await garbage.ended;
  await served.logged('TLS handshake failed');
  const text = JSON.stringify(served.logs());
  assert.doesNotMatch(text, /BEGIN|PRIVATE|[0-9a-f]{32}/i);
});

/** A listener in front of a backend that says "here", and a client of it that means well. */
async function servedWithOther(
  t: TestContext,
): Promise<{ served: Served; other: Awaited<ReturnType<typeof connectTls>> }> {
  const { address } = await httpBackend(t, (_request, response) => response.end('here'));
  const served = await serveTls(t, { backend: { address } });
  return { served, other: await connectTls(t, served.port, { version: 'TLSv1.3' }) };
}

/** Not sealed. */
function plainRecord(content: Buffer, type: number = handshake): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 1]), vector(2, content)]);
}

function constant(bytes: Buffer): () => Buffer {
  return () => bytes;
}

function flipped(bytes: Buffer): Buffer {
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] as number) ^ 1;
  return bytes;
}

/** A TLS 1.2 hello, with a session ticket and a server name where one is given. */
function helloMessage(ticket: Buffer = EMPTY, name: string | null = null): Buffer {
  return hello([
    extension(10, Buffer.from([0, 4, 0, 29, 0, 23])),
    extension(13, Buffer.from([0, 2, 4, 3])),
    extension(35, ticket),
    ...(name === null ? [] : [serverName(name)]),
  ]);
}
