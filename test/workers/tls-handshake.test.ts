/** The way from accepted to secure: what is chosen by the hello, what fails, what is not TLS at all, and what is left of it. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { eventually, namedBackend, openClient, temporaryFolder } from '../e2e/harness.ts';
import {
  AUTHORITY,
  certificateFor,
  connectTls,
  helloOf,
  serveTls,
  tlsSettings,
  VERSIONS,
  visit,
} from './tls-harness.ts';

const A = certificateFor(['a.example', '*.wild.example']);
const B = certificateFor(['b.example']);
const A_RSA = certificateFor(['a.example', '*.wild.example'], { keyType: 'rsa' });

for (const ownsHandles of [true, false]) {
  const how = ownsHandles ? '' : 'without owned handles: ';
  const means = { ownsHandles };

  for (const version of VERSIONS) {
    test(`${how}${version}: the certificate is chosen by the server name`, async (t) => {
      const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A, B] })], means });
      for (const [servername, common] of [
        ['a.example', 'a.example'],
        ['b.example', 'b.example'],
        ['B.Example', 'b.example'],
        ['x.wild.example', 'a.example'],
        ['elsewhere.example', 'a.example'],
        [undefined, 'a.example'],
      ] as const) {
        const options = { version, ca: AUTHORITY.certificate, checkServerIdentity: () => undefined };
        const seen = await visit(t, served.port, { ...options, ...(servername && { servername }) });
        assert.equal(seen.common, common, String(servername));
      }
    });
  }

  test(`${how}a hello that comes byte by byte, and one in many records, is served`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A, B] })], means });
    for (const cut of [byteByByte, inRecords]) {
      const port = await relay(t, served.port, cut);
      assert.equal((await visit(t, port, { servername: 'b.example' })).common, 'b.example');
    }
  });

  test(`${how}HTTP on a TLS port is told so, and the connection closed`, async (t) => {
    const served = await serveTls(t, { means });
    for (const request of [
      'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n',
      'p',
      `POST / HTTP/1.1\r\n\r\n${'x'.repeat(99_999)}`,
    ]) {
      const client = openClient(t, served.port, request);
      assert.equal(await client.ended, 'FIN');
      assert.match(client.received, /^HTTP\/1.1 400 Bad Request\r\n(.+\r\n)+\r\nthis port speaks TLS\n$/);
      client.socket.end();
      await once(client.socket, 'close');
    }
    const { level, fields } = await served.logged('TLS handshake failed');
    assert.deepEqual([level, fields.client, fields.reason], ['info', '127.0.0.1', 'plain HTTP']);
    assert.equal(served.count('handshakesFailed'), 3);
  });

  test(`${how}a client that spoke HTTP and then does nothing is closed in time`, async (t) => {
    const served = await serveTls(t, { means });
    const client = openClient(t, served.port, 'GET / HTTP/1.1\r\n\r\n');
    await client.ended;
    client.socket.on('error', () => {});
    await eventually(() => {
      client.socket.write('x');
      return client.socket.destroyed;
    }, 'the connection is still open');
  });

  test(`${how}anything else on a TLS port is closed without an answer`, async (t) => {
    const served = await serveTls(t, { means });
    for (const garbage of ['\0\0\0\0', '\x16\x02\x00\x00\x05', '\x80\x2e\x01\x00\x02', '\x16\x03\x01\x00\x00']) {
      const client = openClient(t, served.port, garbage);
      await client.ended;
      assert.equal(client.received, '');
    }
    assert.equal((await served.logged('TLS handshake failed')).fields.reason, 'not TLS');
    assert.equal(served.count('handshakesFailed'), 4);
  });

  test(`${how}a malformed hello is answered with OpenSSL's alert`, async (t) => {
    const served = await serveTls(t, { means });
    const client = openClient(t, served.port, '\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00');
    await client.ended;
    assert.ok(client.received.startsWith('\x15\x03'), JSON.stringify(client.received));
    await served.logged('TLS handshake failed');
  });

  test(`${how}a handshake that takes too long is closed, wherever it stands`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ handshakeTimeoutMs: 300 })], means });
    const hello = await helloBytes();
    const clients = ['', '\x16', hello.subarray(0, 40).toString('latin1'), hello.toString('latin1')].map((bytes) =>
      openClient(t, served.port, bytes),
    );
    await Promise.all(clients.map(({ ended }) => ended));
    assert.equal(served.count('handshakesFailed'), 4);
    assert.equal((await served.logged('TLS handshake failed')).fields.reason, 'timeout');
  });

  test(`${how}a client that leaves within the handshake is counted, one that never began is not`, async (t) => {
    const served = await serveTls(t, { means });
    const hello = await helloBytes();
    for (const bytes of ['', hello.subarray(0, 40).toString('latin1'), hello.toString('latin1')]) {
      const client = openClient(t, served.port, bytes);
      if (bytes.length === hello.length) await client.until((received) => received.length > 0);
      client.socket.end();
      await client.ended;
    }
    await eventually(() => served.count('handshakesFailed') === 2, 'two handshakes failed');
    assert.equal((await served.logged('TLS handshake failed')).fields.reason, 'client left');
  });

  test(`${how}a client that resets the connection within the handshake is counted, with its address`, async (t) => {
    const served = await serveTls(t, { means });
    const client = openClient(t, served.port, (await helloBytes()).toString('latin1'));
    await client.until((received) => received.length > 0);
    client.socket.resetAndDestroy();
    const { fields } = await served.logged('TLS handshake failed');
    assert.deepEqual([fields.client, fields.reason], ['127.0.0.1', 'ECONNRESET']);
  });

  test(`${how}a drain ends what has not said hello, lets handshakes go on, and counts none as failed`, async (t) => {
    const served = await serveTls(t, { means });
    const hello = (await helloBytes()).toString('latin1');
    const [silent, begun, late] = ['', '\x16', hello].map((bytes) => openClient(t, served.port, bytes));
    await late?.until((received) => received.length > 0);
    const { length } = late?.received ?? '';
    served.listeners.drain();
    await Promise.all([silent?.ended, begun?.ended]);
    assert.equal(served.listeners.handshakes, 1);
    // the server's flight is answered by nonsense: it is still there to say so
    late?.socket.write(Buffer.from('170303001100112233445566778899aabbccddeeff00', 'hex'));
    await late?.until((received) => received.length > length);
    served.listeners.cut();
    await late?.ended;
    assert.equal(served.listeners.handshakes, 0);
  });

  test(`${how}of a first read that nearly fills its buffer no byte is taken that did not come`, async (t) => {
    const served = await serveTls(t, { means });
    // a hello of 65,000 bytes in four records that lacks its last 500
    const message = Buffer.alloc(65_004 - 500, 1);
    message.writeUInt32BE(0x0100_0000 + 65_000, 0);
    const records = Array.from({ length: 4 }, (_, i) => {
      const fragment = message.subarray(i * 16_384, (i + 1) * 16_384);
      return Buffer.concat([Buffer.from([0x16, 3, 1, fragment.length >> 8, fragment.length & 0xff]), fragment]);
    });
    const client = openClient(t, served.port, Buffer.concat(records).toString('latin1'));
    await eventually(() => client.socket.writableLength === 0, 'all of it to be sent');
    client.socket.end();
    const { fields } = await served.logged('TLS handshake failed');
    assert.equal(fields.reason, 'client left', 'it would be "not TLS" with more bytes');
  });

  test(`${how}an offer of protocols without http/1.1 is refused with the alert for it`, async (t) => {
    const served = await serveTls(t, { means });
    await assert.rejects(connectTls(t, served.port, { ALPNProtocols: ['h2'] }), /no application protocol/i);
    assert.equal((await served.logged('TLS handshake failed')).fields.reason, 'no application protocol');
    for (const offer of [['h2', 'http/1.1'], ['http/1.1']]) {
      const { socket } = await connectTls(t, served.port, { ALPNProtocols: offer });
      assert.equal(socket.alpnProtocol, 'http/1.1');
    }
  });

  test(`${how}versions below min_version are refused`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ minVersion: 'TLSv1.3' })], means });
    await assert.rejects(connectTls(t, served.port, { version: 'TLSv1.2' }), /protocol version/i);
    await connectTls(t, served.port, { version: 'TLSv1.3' });
  });

  test(`${how}a unix socket speaks TLS too`, async (t) => {
    const path = join(temporaryFolder(t), 'tls.sock');
    const backend = await namedBackend(t);
    const served = await serveTls(t, { listen: { path }, backend, means });
    const client = await connectTls(t, 0, { path });
    assert.match(await client.get(), /^HTTP\/1.1 200 /);
    assert.equal(served.count('handshakesFull13'), 1);
    const plain = net.connect({ path });
    t.after(() => plain.destroy());
    plain.write('GET / HTTP/1.1\r\n\r\n');
    const [answer] = (await once(plain, 'data')) as [Buffer];
    assert.match(answer.toString(), /this port speaks TLS/);
  });

  test(`${how}a request that comes with the client's last flight is not lost`, async (t) => {
    const backend = await namedBackend(t);
    const served = await serveTls(t, { backend, means });
    const { session } = await visit(t, served.port, { version: 'TLSv1.2' });
    for (const [options, records] of [
      [{ version: 'TLSv1.2', ...(session !== null && { session }) }, 1],
      [{ version: 'TLSv1.3' }, 2],
    ] as const) {
      const port = await relay(t, served.port, holdingUntil(records));
      const { version, ...rest } = options;
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: version, ...rest });
      t.after(() => socket.destroy());
      socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1.1 200 /);
    }
    assert.equal(served.count('handshakesResumed12'), 1);
  });

  test(`${how}certificates of both types serve one name, as the client can verify`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A_RSA, A] })], means });
    for (const [sigalgs, type] of [
      ['ECDSA+SHA256', 'id-ecPublicKey'],
      ['RSA-PSS+SHA256', 'rsaEncryption'],
    ] as const) {
      for (const version of VERSIONS) {
        const { socket } = await connectTls(t, served.port, { version, sigalgs });
        const certificate = socket.getPeerX509Certificate();
        assert.equal(certificate?.publicKey.asymmetricKeyType, type === 'rsaEncryption' ? 'rsa' : 'ec');
      }
    }
  });

  test(`${how}a faulty record past the handshake closes the connection`, async (t) => {
    const served = await serveTls(t, { means });
    const sockets: net.Socket[] = [];
    const port = await relay(t, served.port, (chunk, send, socket) => {
      sockets.push(socket);
      send(chunk);
    });
    const client = await connectTls(t, port, {});
    await eventually(() => served.connections.size === 1, 'no connection');
    sockets[0]?.write("\x17\x03\x03\x00\x20 these bytes are nobody's cipher", 'latin1');
    await client.ended;
    await eventually(() => served.connections.size === 0, 'the connection is still there');
    assert.equal(served.count('connectionsOpen'), 0);
  });
}

test('HTTP on a TLS port that has been refused, and then makes room for another, has failed once', async (t) => {
  const served = await serveTls(t, { limits: { handshakesMax: 1 } });
  const client = openClient(t, served.port, 'GET / HTTP/1.1\r\n\r\n');
  await client.until((received) => received.includes('this port speaks TLS'));
  openClient(t, served.port);
  await eventually(() => served.count('handshakesEvicted') === 1, 'it does not make room');
  assert.equal(served.count('handshakesFailed'), 1);
});

test('renegotiation is refused', async (t) => {
  const served = await serveTls(t);
  const { socket, ended } = await connectTls(t, served.port, { version: 'TLSv1.2' });
  const refused = new Promise<unknown>((resolve) => {
    socket.renegotiate({}, (error) => resolve(error));
    socket.on('error', resolve);
    void ended.then(resolve);
  });
  assert.notEqual(await refused, null);
});

test('the post-quantum group is used with clients that have it', async (t) => {
  const ecdhCurve = 'X25519MLKEM768:X25519';
  try {
    tls.createSecureContext({ ecdhCurve });
  } catch {
    return t.skip('this OpenSSL has no ML-KEM');
  }
  const served = await serveTls(t);
  const client = openClient(t, served.port, (await helloOf({ ecdhCurve })).toString('latin1'));
  const answer = await client.until((received) => received.length > 0);
  // the ServerHello's key_share: extension 51, its length, the group (RFC 8446 section 4.2.8)
  assert.match(Buffer.from(answer, 'latin1').toString('hex'), /^16.*0033[0-9a-f]{4}11ec/);
});

for (const [ecdhCurve, expected] of [
  ['X25519', 'X25519'],
  ['P-384', 'secp384r1'],
] as const) {
  test(`clients that have ${ecdhCurve} alone are served`, async (t) => {
    const served = await serveTls(t);
    const { socket } = await connectTls(t, served.port, { version: 'TLSv1.3', ecdhCurve });
    assert.equal((socket.getEphemeralKeyInfo() as { name?: string }).name, expected);
  });
}

/** What is done with a client's bytes on their way. */
type Cut = (chunk: Buffer, send: (bytes: Buffer) => void, upstream: net.Socket) => void;

/** A port that passes on what comes, the client's bytes through `cut`. */
async function relay(t: TestContext, port: number, cut: Cut): Promise<number> {
  const server = net.createServer((client) => {
    const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
    client.on('data', (chunk: Buffer) => cut(chunk, (bytes) => upstream.write(bytes), upstream));
    client.on('end', () => upstream.end());
    upstream.pipe(client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => client.destroy());
      t.after(() => socket.destroy());
    }
  });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as net.AddressInfo).port;
}

const byteByByte: Cut = (chunk, send) => {
  let delay = Promise.resolve();
  for (const byte of chunk) {
    delay = delay.then(() => new Promise((resolve) => setImmediate(resolve)));
    void delay.then(() => send(Buffer.from([byte])));
  }
};

/** The first flight's one record as records of 100 bytes. */
const inRecords: Cut = (chunk, send) => {
  if (chunk[0] !== 22 || chunk[5] !== 1) return send(chunk);
  const end = 5 + chunk.readUInt16BE(3);
  for (let at = 5; at < end; at += 100) {
    const fragment = chunk.subarray(at, Math.min(at + 100, end));
    send(Buffer.concat([Buffer.from([22, 3, 1, 0, fragment.length]), fragment]));
  }
  if (end < chunk.length) send(chunk.subarray(end));
};

/** Holds what follows the hello until `records` of application data are among it. In TLS 1.3 a Finished is such a one. */
function holdingUntil(records: number): Cut {
  let held: Buffer | null = null;
  return (chunk, send) => {
    if (held === null) {
      held = Buffer.alloc(0);
      send(chunk);
      return;
    }
    held = Buffer.concat([held, chunk]);
    let found = 0;
    for (let at = 0; at + 5 <= held.length; at += 5 + held.readUInt16BE(at + 3)) found += Number(held[at] === 23);
    if (found < records) return;
    send(held);
    held = Buffer.alloc(0);
  };
}

/** Of a client that offers both versions. */
function helloBytes(): Promise<Buffer> {
  return helloOf({ rejectUnauthorized: false });
}
