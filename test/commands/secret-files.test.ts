/** Files of keys: for their owner alone, whole, and gone when their keys are. */

import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeOtherKeyFiles, writeSecretFile } from '../../src/commands/secret-files.ts';
import { temporaryFolder } from '../e2e/harness.ts';

test('a file is for its owner alone, also where it replaces one that was not', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'keys');
  writeFileSync(file, 'an older and longer text', { mode: 0o644 });
  assert.equal(writeSecretFile(file, 'new'), file);
  assert.deepEqual([readFileSync(file, 'utf8'), statSync(file).mode & 0o777], ['new', 0o600]);
  assert.deepEqual(readdirSync(folder), ['keys']);
});

test('a link stays as it is, and so does what it leads to', (t) => {
  const folder = temporaryFolder(t);
  const [link, target] = [join(folder, 'link'), join(folder, 'target')];
  writeFileSync(target, 'theirs');
  symlinkSync(target, link);
  assert.throws(() => writeSecretFile(link, 'ours'), /link is there, and is not a regular file/);
  assert.deepEqual([lstatSync(link).isSymbolicLink(), readFileSync(target, 'utf8')], [true, 'theirs']);
});

test('where it cannot be written, the system says why, and nothing is left behind', (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'taken'));
  assert.throws(() => writeSecretFile(join(folder, 'taken'), 'x'), { code: 'EEXIST' });
  assert.throws(() => writeSecretFile(join(folder, 'none', 'keys'), 'x'), { code: 'ENOENT' });
  assert.deepEqual(readdirSync(folder), ['taken']);
});

test('files of other keys are removed, and nothing else', (t) => {
  const folder = temporaryFolder(t);
  const [kept, gone] = ['a'.repeat(32), 'b'.repeat(32)].map((name) => join(folder, `${name}.key`)) as [string, string];
  const others = ['site.key', `${'c'.repeat(31)}.key`, `${'d'.repeat(32)}.key.old`].map((name) => join(folder, name));
  for (const file of [kept, gone, ...others]) writeFileSync(file, '');
  removeOtherKeyFiles(folder, [kept]);
  assert.deepEqual(
    readdirSync(folder)
      .map((name) => join(folder, name))
      .sort(),
    [kept, ...others].sort(),
  );
});
