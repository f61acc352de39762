/** The server's end of TLS on its bare handle: what waits while a write is under way, and what is left of a connection's end. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createServer } from '../../workers/accept.ts';
import type { StreamOwner } from '../../workers/byte-stream.ts';
import type { HandleStream } from '../../workers/handle-stream.ts';
import type { StreamHandle } from '../../workers/stream-binding.ts';
import { TlsHandleStream } from '../../workers/tls-handle-stream.ts';
import { eventually, temporaryFolder } from '../e2e/harness.ts';
import { certificateFor, VERSIONS, type Version } from './tls-harness.ts';

const { cert, key } = certificateFor(['a.example']);
const secureContext = tls.createSecureContext({ cert, key });

/** A connection, and what is told of the server's end. */
interface Connected {
  readonly client: tls.TLSSocket;
  readonly stream: TlsHandleStream;
  /** 'bytes ...', 'end', 'close', 'close CODE' */
  readonly told: string[];
  /** Resolves when the server's end is closed. */
  readonly closed: Promise<void>;
}

async function connected(t: TestContext, version: Version, path?: string): Promise<Connected> {
  const told: string[] = [];
  const secure = Promise.withResolvers<void>();
  // not held on to in here
  let made: TlsHandleStream | null = null;
  const closed = Promise.withResolvers<void>();
  const owner: StreamOwner = {
    onBytes: (bytes, start, end) => told.push(`bytes ${bytes.toString('latin1', start, end)}`),
    onEnd: () => told.push('end'),
    onClose: (error) => {
      told.push(error === null ? 'close' : `close ${error.code ?? error.message}`);
      closed.resolve();
    },
  };
  const server = createServer((source) => ({
    onBytes(bytes, start, end) {
      const watcher = { ...owner, onSecure: () => secure.resolve() };
      const options = { secureContext, asksForCertificate: false, watcher, clientAddress: '127.0.0.1' };
      made = new TlsHandleStream((source as HandleStream).detach() as StreamHandle, options);
      made.receive(bytes.subarray(start, end));
    },
    onEnd() {},
    onClose() {},
  }));
  server.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const at = path === undefined ? { port: (server.address() as AddressInfo).port, host: '127.0.0.1' } : { path };
  const client = tls.connect({
    ...{ ...at, rejectUnauthorized: false, allowHalfOpen: true },
    ...{ minVersion: version, maxVersion: version },
  } as tls.ConnectionOptions);
  client.on('error', () => {});
  t.after(() => {
    client.destroy();
    server.close();
  });
  await secure.promise;
  const stream = made as unknown as TlsHandleStream;
  made = null;
  return { client, stream, told, closed: closed.promise };
}

/** All that the client receives until the server's end of TLS. */
async function received(client: tls.TLSSocket): Promise<string> {
  let text = '';
  client.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(client, 'end');
  return text;
}

/** As a native write that failed leaves it. */
function setLastWriteError(status: number): void {
  const { binding } = process as unknown as { binding: (name: string) => unknown };
  const parts = binding('stream_wrap') as { streamBaseState: Int32Array; kLastWriteErr: number };
  parts.streamBaseState[parts.kLastWriteErr] = status;
}

const MiB = 'x'.repeat(1024 * 1024);

for (const version of VERSIONS) {
  test(`${version}: writes that wait for one under way arrive whole and in order, the end behind them`, async (t) => {
    const { client, stream, told, closed } = await connected(t, version);
    const flushed: string[] = [];
    assert.equal(
      stream.write('a'.repeat(70_000), 'latin1', () => flushed.push('a')),
      true,
    );
    stream.write(Buffer.from('b\xff', 'latin1'), () => flushed.push('b'));
    stream.write('c\xff', 'latin1', () => flushed.push('c'));
    assert.equal(
      stream.write(MiB, 'latin1', () => flushed.push('d')),
      false,
    );
    assert.equal(stream.writableLength, 70_004 + MiB.length);
    stream.end();
    stream.write('nothing more', 'latin1');
    const text = await received(client);
    assert.ok(text === `${'a'.repeat(70_000)}b\xffc\xff${MiB}`, `${text.length} characters`);
    assert.deepEqual([flushed.join(''), stream.writableLength, stream.destroyed], ['abcd', 0, false]);
    client.end('bye');
    await closed;
    assert.deepEqual(told, ['bytes bye', 'end', 'close']);
  });

  test(`${version}: what is written when a write is done goes behind what waits`, async (t) => {
    const { client, stream } = await connected(t, version);
    stream.write('1', 'latin1', () => stream.write('3', 'latin1', () => stream.end()));
    stream.write('2', 'latin1');
    assert.equal(await received(client), '123');
  });

  test(`${version}: that another connection's write has failed meanwhile is nothing to one that waits`, async (t) => {
    const { client, stream } = await connected(t, version);
    stream.write('1', 'latin1');
    setLastWriteError(-32);
    stream.write('2', 'latin1', () => stream.end());
    assert.equal(await received(client), '12');
  });

  test(`${version}: once less than half of the watermark waits, it is told, and not before`, async (t) => {
    const { client, stream } = await connected(t, version);
    for (let i = 0; i < 16; i++) stream.write(MiB, 'latin1');
    assert.equal(stream.writableNeedDrain, true);
    const drained = new Promise<number>((resolve) => stream.once('drain', () => resolve(stream.writableLength)));
    client.resume();
    assert.ok((await drained) <= 64 * 1024);
  });

  test(`${version}: destroyed with writes under way, each of them is told, then the owner, once`, async (t) => {
    const { stream, told, closed } = await connected(t, version);
    for (let i = 0; i < 24; i++) stream.write(MiB, 'latin1', () => told.push('flushed'));
    stream.end();
    stream.destroy();
    stream.destroy();
    stream.resetAndDestroy();
    stream.write('x', 'latin1', () => told.push('refused'));
    await closed;
    assert.deepEqual(told, ['refused', ...Array(24).fill('flushed'), 'close']);
    assert.equal(stream.writableLength, 0);
  });

  test(`${version}: a client that breaks off under a write is the cause of the close`, async (t) => {
    const { client, stream, told, closed } = await connected(t, version);
    for (let i = 0; i < 24; i++) stream.write(MiB, 'latin1');
    // with bytes unread: a RST
    client.destroy();
    await closed;
    assert.match(told.join(), /^close (ECONNRESET|EPIPE)$/);
  });

  test(`${version}: a connection that nobody holds on to outlives the collector`, async (t) => {
    const { client, told } = await connected(t, version);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    // what the handshake left on the stack is gone in a later turn
    for (let i = 0; i < 3; i++) {
      await new Promise(setImmediate);
      collect();
    }
    client.end('still there');
    await eventually(() => told.includes('end'), 'its end');
    assert.deepEqual(told, ['bytes still there', 'end']);
    client.destroy();
  });
}

test('a reset closes a unix socket, which knows none', { timeout: 30_000 }, async (t) => {
  const { stream, told, closed } = await connected(t, 'TLSv1.3', join(temporaryFolder(t), 'socket'));
  stream.resetAndDestroy();
  await closed;
  assert.deepEqual(told, ['close']);
});
