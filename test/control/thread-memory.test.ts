import assert from 'node:assert/strict';
import { test } from 'node:test';
import { thisMachine, threadHeapMib } from '../../src/control/thread-memory.ts';

const GIB = 1024 ** 3;

test('all threads together have half of the memory, none more than Node would give it, each enough to serve', () => {
  const heapOf = (memory: number, processors: number) =>
    threadHeapMib({ memory: memory * GIB, processors, heapDefault: Math.min(4, memory / 4) * GIB });
  assert.equal(heapOf(16, 16), 512);
  assert.equal(heapOf(64, 2), 4096);
  assert.equal(heapOf(2, 1), 512);
  assert.equal(heapOf(8, 64), 256);
});

test('the machine is known', () => {
  const { memory, processors, heapDefault } = thisMachine();
  assert.ok(memory > 0 && Number.isFinite(memory) && processors >= 1 && heapDefault > 0);
});
