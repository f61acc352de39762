/** The file on a real disk, its failures, and the lock on its folder. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Disk, FileDisk, lockFolder } from '../../src/cluster/disk.ts';
import { MemoryStorage } from '../../src/cluster/memory-storage.ts';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-disk-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function newDisk(t: TestContext, path: string): FileDisk {
  const disk = new FileDisk(path);
  t.after(() => disk.close());
  return disk;
}

function append(disk: Disk, text: string): Promise<Error | null> {
  return new Promise((resolve) => disk.append(Buffer.from(text), resolve));
}

function replace(disk: Disk, text: string): Promise<Error | null> {
  return new Promise((resolve) => disk.replace(Buffer.from(text), resolve));
}

/** Puts `replacement` in the place of a function of node:fs for the length of the test. */
function mockFs(t: TestContext, name: 'write' | 'fdatasync' | 'fsync', replacement: (...args: never[]) => void): void {
  t.mock.method(fs, name, replacement as never);
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

test('what was replaced and appended is read again, by this process and by the next', async (t) => {
  const path = join(temporaryFolder(t), 'wal');
  const disk = newDisk(t, path);
  assert.equal(disk.read(), null);
  assert.equal(await replace(disk, 'one,'), null);
  assert.equal(await append(disk, 'two,'), null);
  assert.equal(await append(disk, 'three'), null);
  assert.equal(disk.read()?.toString(), 'one,two,three');
  assert.equal(newDisk(t, path).read()?.toString(), 'one,two,three');
});

test('the folder and the file are for their owner alone, and a folder above is not made', async (t) => {
  const above = temporaryFolder(t);
  const folder = join(above, 'state');
  const disk = newDisk(t, join(folder, 'wal'));
  await replace(disk, 'secret');
  const modes = () => [statSync(folder).mode & 0o777, statSync(join(folder, 'wal')).mode & 0o777];
  assert.deepEqual(modes(), [0o700, 0o600]);
  disk.read();
  assert.deepEqual(modes(), [0o700, 0o600]);
  assert.throws(() => new FileDisk(join(above, 'not', 'there', 'wal')), /ENOENT/);
});

test('a temporary file that a crash left is overwritten', async (t) => {
  const folder = temporaryFolder(t);
  const disk = newDisk(t, join(folder, 'wal'));
  await replace(disk, 'old');
  writeFileSync(join(folder, 'wal.new'), 'half of something that is long');
  assert.equal(disk.read()?.toString(), 'old');
  writeFileSync(join(folder, 'wal.new'), 'half of something that is long');
  assert.equal(await replace(disk, 'new'), null);
  assert.deepEqual([disk.read()?.toString(), readdirSync(folder)], ['new', ['wal']]);
});

test('what an earlier process may have left unsynced is read only once it is a new, synced file', (t) => {
  const path = join(temporaryFolder(t), 'wal');
  writeFileSync(path, 'in the page cache');
  const before = statSync(path).ino;
  assert.equal(newDisk(t, path).read()?.toString(), 'in the page cache');
  assert.notEqual(statSync(path).ino, before);
});

test('an append before the first replace is refused, whatever has been read', async (t) => {
  const path = join(temporaryFolder(t), 'wal');
  const disk = newDisk(t, path);
  assert.match(String(await append(disk, 'more')), /before it has been replaced/);
  await replace(disk, 'old');
  disk.read();
  assert.match(String(await append(disk, 'more')), /before it has been replaced/);
  assert.equal(readFileSync(path, 'utf8'), 'old');
});

test('a replace on a full disk fails, leaves the old file and nothing else, and a later one succeeds', async (t) => {
  const folder = temporaryFolder(t);
  const disk = newDisk(t, join(folder, 'wal'));
  await replace(disk, 'old');
  symlinkSync('/dev/full', join(folder, 'wal.new'));
  assert.match(String(await replace(disk, 'new')), /ENOSPC/);
  assert.deepEqual([disk.read()?.toString(), readdirSync(folder)], ['old', ['wal']]);
  assert.match(String(await append(disk, 'more')), /before it has been replaced/);
  assert.equal(await replace(disk, 'new'), null);
  assert.equal(await append(disk, ' and more'), null);
  assert.equal(disk.read()?.toString(), 'new and more');
});

test('after a failed sync nothing is appended until a replace has succeeded', async (t) => {
  const disk = newDisk(t, join(temporaryFolder(t), 'wal'));
  await replace(disk, 'old');
  let failures = 1;
  mockFs(t, 'fdatasync', (fd: number, callback: (error: Error | null) => void) =>
    failures-- > 0 ? callback(new Error('EIO')) : fs.fsync(fd, callback),
  );
  assert.match(String(await append(disk, ' lost')), /EIO/);
  assert.match(String(await append(disk, ' refused')), /before it has been replaced/);
  assert.equal(await replace(disk, 'new'), null);
  assert.equal(await append(disk, ' and more'), null);
  assert.equal(disk.read()?.toString(), 'new and more');
});

test('a replace that could not be synced is not done', async (t) => {
  const disk = newDisk(t, join(temporaryFolder(t), 'wal'));
  await replace(disk, 'old');
  mockFs(t, 'fsync', (_fd: number, callback: (error: Error) => void) => callback(new Error('EIO')));
  assert.match(String(await replace(disk, 'new')), /EIO/);
  assert.equal(readFileSync(disk.path, 'utf8'), 'old');
});

test('short writes are continued', async (t) => {
  const disk = newDisk(t, join(temporaryFolder(t), 'wal'));
  const { write } = fs;
  mockFs(t, 'write', (fd: number, bytes: Uint8Array, start: number, length: number, _at: null, callback: never) =>
    write(fd, bytes, start, Math.min(length, 3), null, callback),
  );
  assert.equal(await replace(disk, 'twelve bytes'), null);
  assert.equal(await append(disk, ' and seventeen'), null);
  assert.equal(disk.read()?.toString(), 'twelve bytes and seventeen');
});

test('a folder that another process holds is refused, and is free once that one is killed', async (t) => {
  const folder = join(temporaryFolder(t), 'state');
  const module = new URL('../../src/cluster/disk.ts', import.meta.url).href;
  const script = `
    const { lockFolder } = await import(${JSON.stringify(module)});
    await lockFolder(${JSON.stringify(folder)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  await assert.rejects(lockFolder(folder), /state cannot be locked: another process uses it/);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  (await lockFolder(folder))();
});

test('a folder is locked under whatever path it is reached, apart from others, until it is let go', async (t) => {
  const above = temporaryFolder(t);
  const folder = join(above, 'state');
  const release = await lockFolder(folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  symlinkSync(folder, join(above, 'alias'));
  await assert.rejects(lockFolder(join(above, 'alias')), /another process uses it/);
  (await lockFolder(join(above, 'other')))();
  release();
  (await lockFolder(folder))();
});

test('a lock does not keep a process alive, nor leave a file', async (t) => {
  const folder = join(temporaryFolder(t), 'state');
  const module = new URL('../../src/cluster/disk.ts', import.meta.url).href;
  const script = `await (await import(${JSON.stringify(module)})).lockFolder(${JSON.stringify(folder)});`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.ok(existsSync(folder));
  assert.deepEqual(readdirSync(folder), []);
});

test('storage in memory is done at once and keeps nothing', () => {
  const storage = new MemoryStorage();
  const calls: unknown[] = [];
  storage.replace({ kind: 'fresh', legacy: null }, (error) => calls.push(error));
  storage.append({ hardState: null, entries: [] }, (error) => calls.push(error));
  assert.deepEqual(calls, [null, null]);
});
