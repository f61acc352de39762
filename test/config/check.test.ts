/** `stekbal check`, as its own process: what goes to which stream, and the exit code. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const quickstart = path('../../config/quickstart.yaml');
const unused = path('fixtures/bad/unused.conf');
const faulty = path('fixtures/bad/empty.conf');

test('a good file gives one line on stdout and exit code 0', () => {
  const { status, stdout, stderr } = check('-c', quickstart);
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(stdout, `${quickstart}: ok (1 listener, 1 pool, 3 nodes, 1 service)\n`);
});

test('warnings go to stderr and do not change the exit code', () => {
  const { status, stdout, stderr } = check('--config', unused);
  assert.equal(status, 0);
  assert.match(stdout, /: ok \(/);
  assert.match(stderr, /unused\.conf:4:3: warning: no listener names this service/);
});

test('an error gives exit code 78 and nothing on stdout', () => {
  const { status, stdout, stderr } = check('-c', faulty);
  assert.deepEqual([status, stdout], [78, '']);
  assert.ok(stderr.startsWith(`${faulty}:1:1: the file holds no configuration;`));
});

test('with --quiet only errors are printed', () => {
  assert.deepEqual(streams(check('-c', unused, '--quiet')), ['', '']);
  assert.match(check('-c', faulty, '--quiet').stderr, /holds no configuration/);
});

function check(...args: string[]) {
  const module = new URL('../../src/commands/check.ts', import.meta.url).href;
  const program = `import { checkCommand } from ${JSON.stringify(module)};
    checkCommand().parse(${JSON.stringify(args)}, { from: 'user' });`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
}

function streams(result: { stdout: string; stderr: string }): string[] {
  return [result.stdout, result.stderr];
}
