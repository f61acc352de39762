/** Which folders the compiled sources may come from. Each case in a process of its own: a cache is enabled once. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from './e2e/harness.ts';

const CODE = `
  const { keepCompiled } = await import('${new URL('../src/compile-cache.ts', import.meta.url)}');
  keepCompiled(process.argv[1]);
  process.stdout.write(process.env.NODE_COMPILE_CACHE ?? 'none');
  await import('${new URL('../src/commands/time-span.ts', import.meta.url)}');
`;

test("the cache's folder is made for this user alone, and threads use it too", (t) => {
  const folder = join(temporaryFolder(t), 'cache');
  assert.equal(cacheOf(folder), folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.ok(readdirSync(folder, { recursive: true }).length > 1, 'what was compiled is kept');
});

test('a folder that others can write to is not used', (t) => {
  const folder = join(temporaryFolder(t), 'cache');
  mkdirSync(folder);
  for (const mode of [0o777, 0o770, 0o707]) {
    chmodSync(folder, mode);
    assert.equal(cacheOf(folder), 'none', mode.toString(8));
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('where no folder can be made the program runs without', () => {
  assert.equal(cacheOf('/proc/no-such-folder/cache'), 'none');
});

function cacheOf(folder: string): string {
  const { NODE_COMPILE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...env } = process.env;
  const argv = ['--input-type=module', '--eval', CODE, '--', folder];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}
