/** Appending to what is no plain file, or is not there. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileAppender } from '../../workers/file-appender.ts';
import { eventually, temporaryFolder } from '../e2e/harness.ts';

const LINE = `${'x'.repeat(99)}\n`;

test('a pipe whose reader does not keep up: what it does not take waits, and nothing comes twice', async (t) => {
  const path = join(temporaryFolder(t), 'pipe');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(reader));
  const file = new FileAppender(path);
  // twice what a pipe holds, in two batches
  for (let i = 0; i < 1_300; i++) file.append(LINE);
  let text = '';
  await eventually(() => {
    file.flush();
    text += readNow(reader);
    return text.length === 1_300 * LINE.length;
  }, 'all that was appended');
  assert.equal(text, LINE.repeat(1_300));
  assert.deepEqual([file.dropped, file.lost, file.failure], [0, 0, null]);
  for (let i = 0; i < 1_300; i++) file.append(LINE);
  // nobody reads any more
  await file.close();
});

test('a file that cannot be opened costs lines, which are counted, until it can', async (t) => {
  const folder = join(temporaryFolder(t), 'mounted-later');
  const path = join(folder, 'access.log');
  const file = new FileAppender(path);
  assert.equal(file.failure, 'ENOENT');
  file.append(LINE);
  file.flush();
  assert.deepEqual([file.lost, file.failure], [1, 'ENOENT']);
  mkdirSync(folder);
  await eventually(() => {
    file.append(LINE);
    file.flush();
    return file.failure === null;
  }, 'the file is opened');
  await file.close();
  assert.match(readFileSync(path, 'latin1'), /^x{99}\n/);
});

test('a full disk: lines that could not be written are counted', async () => {
  const file = new FileAppender('/dev/full');
  file.append(LINE.repeat(3));
  file.flush();
  await eventually(() => file.failure === 'ENOSPC', 'the failure');
  assert.equal(file.lost, 3);
  await file.close();
});

test('a FIFO without a reader is an error at once', (t) => {
  const path = join(temporaryFolder(t), 'pipe');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  assert.equal(new FileAppender(path).failure, 'ENXIO');
});

function readNow(fd: number): string {
  const buffer = Buffer.alloc(1 << 20);
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    return '';
  }
}
