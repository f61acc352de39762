/** The byte queue: bytes come out as they went in, and memory is bounded by what it holds. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../../workers/byte-queue.ts';

test('what was appended and not used up is what it holds, for any sizes', () => {
  const step = fc.record({ added: fc.nat(5_000), used: fc.double({ min: 0, max: 1, noNaN: true }), lead: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 50 }), (steps) => {
      let next = 0;
      const bytes = (length: number) => Buffer.from(Array.from({ length }, () => next++ & 255));
      const first = bytes(10);
      const queue = new ByteQueue(first, 2, 8);
      let model = first.subarray(2, 8);
      for (const { added, used, lead } of steps) {
        const more = bytes(lead + added + lead);
        queue.append(more, lead, lead + added);
        model = Buffer.concat([model, more.subarray(lead, lead + added)]);
        const taken = Math.floor(used * queue.length);
        queue.start += taken;
        model = model.subarray(taken);
        assert.equal(queue.length, model.length);
        assert.ok(queue.buffer.subarray(queue.start, queue.end).equals(model));
        assert.ok(0 <= queue.start && queue.start <= queue.end && queue.end <= queue.buffer.length);
      }
    }),
  );
});

test('a queue that is used up as fast as it fills does not grow', () => {
  const piece = Buffer.alloc(700, 'x');
  const queue = new ByteQueue(piece, 0, 700);
  for (let i = 0; i < 10_000; i++) {
    queue.append(piece, 0, 700);
    queue.start += 700;
  }
  assert.equal(queue.length, 700);
  assert.ok(queue.buffer.length <= 4 * 1024, `${queue.buffer.length} bytes for 700`);
});

test('bytes handed out before it grew stay readable where they were', () => {
  const queue = new ByteQueue(Buffer.from('abc'), 0, 3);
  const { buffer } = queue;
  queue.append(Buffer.alloc(5_000), 0, 5_000);
  assert.notEqual(queue.buffer, buffer);
  assert.equal(buffer.toString('latin1', 0, 3), 'abc');
});

test('appending one byte at a time copies each byte a few times at most', () => {
  const queue = new ByteQueue(Buffer.alloc(1), 0, 1);
  const one = Buffer.alloc(1);
  let buffers = 0;
  for (let i = 0; i < 100_000; i++) {
    const before = queue.buffer;
    queue.append(one, 0, 1);
    if (queue.buffer !== before) buffers++;
  }
  assert.ok(buffers <= 8, `${buffers} new buffers`);
});
