/** Flow: the source is paused while the sink is full, and resumed at half. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ByteStream, Flow, HIGH_WATERMARK, READ_BUFFER, writeWhole } from '../../workers/byte-stream.ts';

/** A stream that takes what it is told to take, like a socket whose peer reads by hand. */
class FakeStream implements ByteStream {
  writableLength = 0;
  destroyed = false;
  readonly calls: string[] = [];
  readonly taken: Buffer[] = [];
  readonly #pending: { bytes: Buffer; view: Uint8Array | null; onFlushed: () => void }[] = [];

  write(data: string | Uint8Array, ...rest: ('latin1' | (() => void) | undefined)[]): boolean {
    const onFlushed = rest.find((r) => typeof r === 'function') ?? (() => {});
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : Buffer.from(data);
    this.writableLength += bytes.length;
    this.#pending.push({ bytes, view: typeof data === 'string' ? null : data, onFlushed });
    return this.writableLength < HIGH_WATERMARK;
  }

  /** What is kept for all that waits, bytes. */
  get memoryHeld(): number {
    return this.#pending.reduce((sum, { bytes, view }) => sum + (view?.buffer ?? bytes).byteLength, 0);
  }

  /** The kernel takes the oldest write. False where there is none. */
  flush(): boolean {
    const write = this.#pending.shift();
    if (write === undefined) return false;
    if (write.view !== null) assert.ok(write.bytes.equals(write.view), 'the bytes were changed before they were sent');
    this.writableLength -= write.bytes.length;
    this.taken.push(write.bytes);
    write.onFlushed();
    return true;
  }

  pause(): void {
    this.calls.push('pause');
  }
  resume(): void {
    this.calls.push('resume');
  }
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}

const KIB16 = Buffer.alloc(16 * 1024, 'x');

test('the source is paused when the sink is full, and resumed once when it is half empty', () => {
  const { source, sink, flow } = newFlow();
  for (let i = 1; i <= 7; i++) flow.forward(KIB16, 0, KIB16.length);
  assert.deepEqual([source.calls, flow.isPaused], [[], false]);
  flow.forward(KIB16, 0, KIB16.length);
  assert.deepEqual([source.calls, flow.isPaused], [['pause'], true]);
  while (sink.writableLength > HIGH_WATERMARK / 2 + KIB16.length) sink.flush();
  assert.deepEqual([source.calls, flow.isPaused], [['pause'], true]);
  sink.flush();
  assert.equal(sink.writableLength, HIGH_WATERMARK / 2);
  assert.deepEqual([source.calls, flow.isPaused], [['pause', 'resume'], false]);
  while (sink.flush());
  assert.deepEqual(source.calls, ['pause', 'resume']);
});

test('a source that its owner resumed is paused again at the next write to a full sink', () => {
  const { source, sink, flow } = newFlow();
  flow.forwardText('x'.repeat(HIGH_WATERMARK));
  source.resume();
  flow.forward(KIB16, 0, 1);
  assert.deepEqual(source.calls, ['pause', 'resume', 'pause']);
  while (sink.flush());
  assert.deepEqual(source.calls, ['pause', 'resume', 'pause', 'resume']);
});

test('a head as text counts like bytes', () => {
  const { source, flow } = newFlow();
  flow.forwardText('x'.repeat(HIGH_WATERMARK));
  assert.deepEqual(source.calls, ['pause']);
});

test('what the sink takes is what was forwarded, though the buffer is read into again at once', () => {
  const pieces = fc.array(fc.tuple(fc.nat(READ_BUFFER.length - 4), fc.nat(3), fc.boolean()), { maxLength: 20 });
  fc.assert(
    fc.property(pieces, (sizes) => {
      const { sink, flow } = newFlow();
      const buffer = Buffer.alloc(READ_BUFFER.length);
      const sent: Buffer[] = [];
      sizes.forEach(([length, start, flushes], i) => {
        buffer.fill(i + 128);
        buffer.write('edge', start, 'latin1');
        sent.push(Buffer.from(buffer.subarray(start, start + length)));
        flow.forward(buffer, start, start + length);
        buffer.fill(0);
        if (flushes) sink.flush();
      });
      while (sink.flush());
      assert.ok(Buffer.concat(sink.taken).equals(Buffer.concat(sent)));
    }),
    { numRuns: 30 },
  );
});

test('more than a read buffer at once is copied whole', () => {
  const { sink, flow } = newFlow();
  const large = Buffer.alloc(3 * READ_BUFFER.length, 'large');
  flow.forward(large, 0, large.length);
  assert.ok(sink.flush());
  assert.ok(sink.taken[0]?.equals(large));
});

test('a whole message of any size is one write, and is copied', () => {
  const sink = new FakeStream();
  const buffer = Buffer.alloc(2 * READ_BUFFER.length);
  const sizes = [0, 1, 1024, 1025, 2048, 2049, 16 * 1024, 16 * 1024 + 1, READ_BUFFER.length, READ_BUFFER.length + 1];
  const sent = [...sizes, ...sizes].map((size, i) => {
    buffer.fill(i + 128);
    writeWhole(sink, buffer, 3, 3 + size);
    buffer.fill(0);
    // the second time around with what the first time has given back
    if (i >= sizes.length) sink.flush();
    return Buffer.alloc(size, i + 128);
  });
  while (sink.flush());
  assert.equal(sink.taken.length, sent.length);
  for (const [i, bytes] of sent.entries()) assert.ok(sink.taken[i]?.equals(bytes), `write ${i}`);
});

test('what waits keeps no more memory than twice its length, however small the writes are', () => {
  const buffer = Buffer.alloc(READ_BUFFER.length);
  for (const size of [1025, 2049, 4 * 1024 + 1, 8 * 1024 + 1, 16 * 1024 + 1, 32 * 1024 + 1]) {
    const { sink, flow } = newFlow();
    while (sink.writableLength < HIGH_WATERMARK) {
      writeWhole(sink, buffer, 0, size);
      flow.forward(buffer, 0, size);
    }
    assert.ok(sink.memoryHeld <= 2 * sink.writableLength, `${sink.memoryHeld} bytes for writes of ${size}`);
  }
});

test('every flush is progress, and nothing is written to a sink that is gone', () => {
  const { sink, flow, progress } = newFlow();
  flow.forward(KIB16, 0, 10);
  flow.forward(KIB16, 5, 5);
  sink.flush();
  assert.equal(progress.count, 1);
  sink.destroy();
  flow.forward(KIB16, 0, 10);
  flow.forwardText('x');
  assert.equal(sink.writableLength, 0);
});

test('a source that is gone is not resumed', () => {
  const { source, sink, flow } = newFlow();
  flow.forwardText('x'.repeat(HIGH_WATERMARK));
  source.destroy();
  sink.flush();
  assert.deepEqual(source.calls, ['pause']);
});

function newFlow() {
  const source = new FakeStream();
  const sink = new FakeStream();
  const progress = { count: 0 };
  const flow = new Flow(source, sink, () => progress.count++);
  return { source, sink, flow, progress };
}
