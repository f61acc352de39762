/** The log's writer, on a pipe (mkfifo) with a reader that the test holds. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LogWriter } from '../../src/control/log-writer.ts';
import { hasSystemCalls } from '../../src/control/system-calls.ts';
import { eventually, temporaryFolder } from '../e2e/harness.ts';

const skip = hasSystemCalls() ? false : 'this Node has no node:ffi';
/** More than a pipe and the writer hold together. */
const LINES = 4_000;
const line = (i: number) => `${String(i).padStart(6, '0')} ${'x'.repeat(192)}\n`;

test('a line is with its reader when write returns', { skip }, (t) => {
  const { writer, read } = pipe(t);
  writer.write('one\n');
  assert.equal(read(), 'one\n');
  writer.write(`${'long '.repeat(4_000)}\n`);
  assert.equal(read().length, 20_001);
});

test('a line longer than all that may wait is no reason to blame its reader', { skip }, async (t) => {
  const { writer, read } = pipe(t);
  writer.onCaughtUp = () => assert.fail('nothing was dropped');
  const long = `${'long '.repeat(100_000)}\n`;
  writer.write(long);
  let text = '';
  await eventually(() => {
    text += read();
    return text.length === long.length;
  }, 'all of it');
  writer.write('after\n');
  assert.equal(read(), 'after\n');
});

test('a pipe that nobody reads holds nobody up: lines wait, later ones are dropped and counted', {
  skip,
}, async (t) => {
  const { writer, read } = pipe(t);
  const dropped: number[] = [];
  writer.onCaughtUp = (count) => dropped.push(count);
  for (let i = 0; i < LINES; i++) writer.write(line(i));
  assert.deepEqual(dropped, []);
  let text = '';
  await eventually(() => {
    text += read();
    return dropped.length > 0;
  }, 'the reader has caught up');
  text += read();
  const lines = text.split('\n').slice(0, -1);
  assert.equal(lines.length + (dropped[0] ?? 0), LINES);
  assert.deepEqual(
    lines,
    lines.map((_, i) => line(i).trimEnd()),
  );
  writer.write('after\n');
  assert.equal(read(), 'after\n');
});

test('the end of the process writes what waits, as far as it is read', { skip }, (t) => {
  const { writer, read } = pipe(t);
  for (let i = 0; i < LINES; i++) writer.write(line(i));
  const before = read().length;
  writer.finish();
  assert.ok(read().length > 0, `${before} bytes were in the pipe`);
});

function pipe(t: TestContext): { writer: LogWriter; read: () => string } {
  const path = join(temporaryFolder(t), 'pipe');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // blocking, as stderr is
  const fd = openSync(path, 'w');
  t.after(() => {
    closeSync(fd);
    closeSync(reader);
  });
  return { writer: new LogWriter(fd), read: () => readAll(reader) };
}

/** All that is there. */
function readAll(fd: number): string {
  const buffer = Buffer.alloc(1 << 20);
  let length = 0;
  try {
    for (;;) length += readSync(fd, buffer, length, buffer.length - length, null);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
  return buffer.toString('latin1', 0, length);
}
