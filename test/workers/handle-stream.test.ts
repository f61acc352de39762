/** HandleStream over real sockets: what it reads and writes, both its ends, resets, and that it is closed exactly once. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type AcceptedStream, createServer, reset } from '../../workers/accept.ts';
import { HIGH_WATERMARK } from '../../workers/byte-stream.ts';
import { HandleStream } from '../../workers/handle-stream.ts';
import { STREAM_BINDING } from '../../workers/stream-binding.ts';
import { eventually } from '../e2e/harness.ts';

/** Longer than any socket buffer of the loopback's. */
const MUCH = 32 * 1024 * 1024;

interface Pair {
  readonly stream: AcceptedStream;
  readonly client: net.Socket;
  /** What the stream told its owner, in order; reads that follow one another are one. */
  readonly told: readonly string[];
}

async function connected(t: TestContext, path?: string): Promise<Pair> {
  const told: string[] = [];
  let stream: AcceptedStream | null = null;
  const server = createServer((accepted) => {
    stream = accepted;
    return {
      onBytes: (bytes, start, end) => {
        const text = bytes.toString('latin1', start, end);
        if (told.at(-1)?.startsWith('bytes ')) told[told.length - 1] += text;
        else told.push(`bytes ${text}`);
      },
      onEnd: () => told.push('end'),
      onClose: (error) => told.push(`close ${error?.code ?? ''}`),
    };
  });
  server.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const options = path === undefined ? { port: (server.address() as AddressInfo).port } : { path };
  const client = net.connect({ ...options, allowHalfOpen: true });
  client.on('error', () => {});
  t.after(() => {
    server.close();
    client.destroy();
    (stream as AcceptedStream | null)?.destroy();
  });
  await eventually(() => stream !== null, 'nothing was accepted');
  return { stream: stream as unknown as AcceptedStream, client, told };
}

test('this Node has the binding, and accepted connections stand on their handles', async (t) => {
  assert.notEqual(STREAM_BINDING, null);
  const { stream } = await connected(t);
  assert.ok(stream instanceof HandleStream);
});

test('bytes go both ways, text and buffers in order, and the addresses are those of the socket', async (t) => {
  const { stream, client, told } = await connected(t);
  assert.deepEqual(
    [stream.remoteAddress, stream.localAddress, stream.localPort],
    ['127.0.0.1', '127.0.0.1', client.remotePort],
  );
  client.write('hello');
  await eventually(() => told.length > 0, 'nothing came');
  assert.deepEqual(told, ['bytes hello']);
  let received = '';
  client.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
  });
  stream.write('one\xff ', 'latin1');
  stream.write(Buffer.from('two '));
  stream.write('three', 'latin1');
  await eventually(() => received === 'one\xff two three', 'not all came');
});

test('what the kernel does not take at once waits, is counted, and is sent in order', async (t) => {
  const { stream, client } = await connected(t);
  client.pause();
  let flushed = 0;
  const parts = [Buffer.alloc(MUCH, 'a'), 'b'.repeat(70_000), Buffer.from('c')];
  assert.equal(
    stream.write(parts[0] as Buffer, () => flushed++),
    false,
  );
  stream.write(parts[1] as string, 'latin1', () => flushed++);
  stream.write(parts[2] as Buffer, () => flushed++);
  assert.equal(stream.writableLength, MUCH + 70_000 + 1);
  assert.ok(stream.writableNeedDrain);
  assert.equal(flushed, 0);
  let drained = 0;
  stream.once('drain', () => drained++);
  let length = 0;
  let tail = '';
  client.on('data', (bytes: Buffer) => {
    length += bytes.length;
    tail = (tail + bytes.toString('latin1')).slice(-70_002);
  });
  client.resume();
  await eventually(() => length === MUCH + 70_001, 'not all came');
  assert.equal(tail, `a${'b'.repeat(70_000)}c`);
  await eventually(() => flushed === 3 && drained === 1, 'not told of it');
  assert.equal(stream.writableLength, 0);
  assert.ok(MUCH > HIGH_WATERMARK);
});

test('text waits for the end of the turn, and goes in one write with all that comes meanwhile', async (t) => {
  const { stream, client } = await connected(t);
  const received: string[] = [];
  client.on('data', (bytes: Buffer) => received.push(bytes.toString()));
  const other = await connected(t);
  other.client.write('x');
  let turnEnded = false;
  await eventually(() => other.told.length > 0, 'the other one was not read');
  setImmediate(() => {
    turnEnded = true;
  });
  stream.write('one ', 'latin1');
  stream.write('two', 'latin1');
  assert.deepEqual([stream.writableLength, turnEnded], [7, false]);
  await eventually(() => received.length > 0, 'nothing came');
  assert.deepEqual([received, stream.writableLength, turnEnded], [['one two'], 0, true]);
});

test('what waits for the end of the turn goes before bytes, an end, a close and a reset', async (t) => {
  const enders: ((stream: AcceptedStream) => void)[] = [
    (stream) => stream.write(Buffer.from('!')),
    (stream) => stream.write('!', 'latin1', () => {}),
    (stream) => stream.end(),
    (stream) => stream.destroy(),
    (stream) => stream.resetAndDestroy(),
  ];
  for (const ends of enders) {
    const { stream, client } = await connected(t);
    let received = '';
    client.on('data', (bytes: Buffer) => {
      received += bytes.toString();
    });
    stream.write('all of it', 'latin1');
    ends(stream);
    assert.equal(stream.writableLength, 0);
    await eventually(() => received.startsWith('all of it'), 'it did not come');
  }
});

test('a drain is told of at the end of the turn, where the kernel takes all of it then', async (t) => {
  const { stream, client } = await connected(t);
  client.resume();
  assert.equal(stream.write('x'.repeat(HIGH_WATERMARK), 'latin1'), false);
  await new Promise<void>((resolve) => stream.once('drain', resolve));
  assert.ok(stream.writableLength <= HIGH_WATERMARK / 2);
});

test('a write that the kernel takes at once says so before it returns', async (t) => {
  const { stream } = await connected(t);
  let flushed = false;
  assert.ok(
    stream.write('x', 'latin1', () => {
      flushed = true;
    }),
  );
  assert.ok(flushed);
});

test('while it is paused nothing is read, neither bytes nor the end', async (t) => {
  const { stream, client, told } = await connected(t);
  stream.pause();
  client.end('late');
  await once(client, 'finish');
  // a request of another connection goes around the same loop meanwhile
  const other = await connected(t);
  other.client.write('x');
  await eventually(() => other.told.length > 0, 'the other one was not read');
  assert.deepEqual(told, []);
  stream.resume();
  await eventually(() => told.length === 2, 'not read on');
  assert.deepEqual(told, ['bytes late', 'end']);
});

test('the ends come one by one: after both the connection is gone', async (t) => {
  const { stream, client, told } = await connected(t);
  client.end();
  await eventually(() => told.includes('end'), 'no end');
  let received = '';
  client.on('data', (bytes: Buffer) => {
    received += bytes.toString();
  });
  stream.write('still here', 'latin1');
  assert.equal(stream.destroyed, false);
  stream.end();
  await once(client, 'close');
  assert.equal(received, 'still here');
  await eventually(() => told.length > 1, 'not closed');
  assert.deepEqual(told, ['end', 'close ']);
  assert.ok(stream.destroyed);
});

test('our end first: what was written before it arrives, what is written after it does not', async (t) => {
  const { stream, client, told } = await connected(t);
  let received = 0;
  client.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  stream.write(Buffer.alloc(MUCH));
  stream.end();
  stream.end();
  stream.write('nothing of this', 'latin1');
  await once(client, 'end');
  assert.equal(received, MUCH);
  assert.equal(told.length, 0);
  client.end('bye');
  await eventually(() => told.includes('close '), 'not closed');
  assert.deepEqual(told, ['bytes bye', 'end', 'close ']);
});

test('a reset is told with its code, once, and by whatever meets it first', async (t) => {
  const { stream, client, told } = await connected(t);
  client.resetAndDestroy();
  await eventually(() => told.length > 0, 'nothing told');
  assert.deepEqual(told, ['close ECONNRESET']);
  stream.write('x', 'latin1');
  stream.end();
  stream.destroy();
  assert.deepEqual([stream.destroyed, stream.remoteAddress], [true, undefined]);
});

test('destroyed twice, with a write under way, it is closed once, and the write is told of', async (t) => {
  const { stream, client, told } = await connected(t);
  client.pause();
  let flushed = 0;
  stream.write(Buffer.alloc(MUCH), () => flushed++);
  stream.destroy();
  stream.destroy();
  assert.deepEqual([flushed, told.length], [0, 0]);
  await eventually(() => told.length > 0, 'not closed');
  assert.deepEqual([flushed, told], [1, ['close ']]);
});

test('a stream that is destroyed as it is accepted tells its owner of its close', async (t) => {
  const told: string[] = [];
  const server = createServer((accepted) => {
    accepted.destroy();
    return { onBytes: () => {}, onEnd: () => {}, onClose: () => told.push('close') };
  });
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const client = net.connect({ port: (server.address() as AddressInfo).port });
  t.after(() => server.close());
  client.on('error', () => {});
  client.resume();
  await once(client, 'close');
  await eventually(() => told.length === 1, 'not told');
});

test('resetAndDestroy sends a RST, and closes where a FIN waits to be sent', async (t) => {
  for (const endsFirst of [false, true]) {
    const { stream, client, told } = await connected(t);
    const failed = once(client, 'error').then(([error]) => (error as NodeJS.ErrnoException).code);
    client.resume();
    if (endsFirst) {
      client.pause();
      stream.write(Buffer.alloc(MUCH));
      stream.end();
    }
    reset(stream);
    if (endsFirst) client.resume();
    const outcome = await Promise.race([failed, once(client, 'end').then(() => 'FIN')]);
    assert.equal(outcome, endsFirst ? 'FIN' : 'ECONNRESET');
    await eventually(() => told.includes('close '), 'not closed');
  }
});

test('a unix socket has no addresses, and is cut by a close', async (t) => {
  const path = `\0stekbal-${process.pid}`;
  const { stream, client, told } = await connected(t, path);
  assert.deepEqual([stream.remoteAddress, stream.localAddress, stream.localPort], [undefined, undefined, undefined]);
  client.resume();
  reset(stream);
  await once(client, 'end');
  await eventually(() => told.includes('close '), 'not closed');
});

test('text that is taken back is not sent, and what was sent is not taken back', async (t) => {
  const { stream, client } = await connected(t);
  let received = '';
  client.on('data', (bytes: Buffer) => {
    received += bytes.toString();
  });
  stream.write('no', 'latin1');
  assert.equal(stream.takeBack?.(), true);
  stream.write('yes', 'latin1');
  await eventually(() => received !== '', 'nothing came');
  assert.equal(stream.takeBack?.(), false);
  stream.end();
  await once(client, 'end');
  assert.equal(received, 'yes');
});
