/** `stekbal completion`: what bash itself then completes, and whether zsh and fish can read their scripts. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { allCommands, readCompletable } from '../../src/commands/completion-model.ts';
import { createProgram } from '../../src/commands/program.ts';
import { requirePeer, runToEnd, temporaryFolder } from '../e2e/harness.ts';

const FIXTURES = fileURLToPath(new URL('../config/fixtures/', import.meta.url));

test('bash completes commands, subcommands, options, their words, and files', async (t) => {
  const complete = await bash(t);
  assert.ok(complete('').includes('run') && complete('').includes('completion'));
  assert.deepEqual(complete('qui'), ['quickstart']);
  assert.deepEqual(complete('keys', 're'), ['revoke']);
  assert.deepEqual(complete('keys', 'r'), ['revoke', 'rotate']);
  assert.deepEqual(complete('help', 'ver'), ['verify']);
  assert.deepEqual(complete('check', '--q'), ['--quiet']);
  assert.deepEqual(complete('keys', 'export', '--format', ''), ['ats', 'haproxy', 'nginx']);
  assert.deepEqual(complete('keys', 'export', '--format', 'n'), ['nginx']);
  assert.deepEqual(complete('pool', 'web', 'dr'), ['drain']);
  assert.deepEqual(complete('completion', ''), ['bash', 'fish', 'zsh']);
  assert.deepEqual(complete('run', '-c', `${FIXTURES}ba`), [`${FIXTURES}bad`]);
  assert.deepEqual(complete('convert', '--strict', `${FIXTURES}ba`), [`${FIXTURES}bad`]);
});

test('bash knows where an option takes a value, also behind an equals sign', async (t) => {
  const complete = await bash(t);
  assert.deepEqual(complete('keys', 'export', '-o', '/x', '-f', 'h'), ['haproxy']);
  assert.deepEqual(complete('keys', 'export', '--format', '=', 'h'), ['haproxy']);
  assert.deepEqual(complete('keys', 'export', '--format', '='), ['ats', 'haproxy', 'nginx']);
  assert.deepEqual(complete('status', '--admin', ''), []);
  assert.deepEqual(complete('pool', '--config', 'keys', 'web', 'un'), ['undrain']);
});

test('every command and option that help shows can be completed', async (t) => {
  const complete = await bash(t);
  for (const { path, subcommands, options } of allCommands(readCompletable(await createProgram()))) {
    for (const sub of subcommands) assert.ok(complete(...path, '').includes(sub.path.at(-1) as string));
    const flags = options.flatMap((option) => option.flags);
    if (flags.length > 0) assert.deepEqual(complete(...path, '-'), flags.toSorted());
  }
});

for (const shell of ['zsh', 'fish']) {
  test(`${shell} can read its script`, async (t) => {
    if (!requirePeer(t, spawnSync(shell, ['--version']).status === 0, `${shell} is not installed`)) return;
    const file = join(temporaryFolder(t), 'script');
    writeFileSync(file, await script(shell));
    const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });
}

test('fish completes subcommands, their options and words', async (t) => {
  if (!requirePeer(t, spawnSync('fish', ['--version']).status === 0, 'fish is not installed')) return;
  const file = join(temporaryFolder(t), 'stekbal.fish');
  writeFileSync(file, await script('fish'));
  const complete = (line: string) => {
    const program = `source ${file}; complete -C ${JSON.stringify(line)}`;
    const text = execFileSync('fish', ['--no-config', '-c', program], { encoding: 'utf8' });
    return text.split('\n').flatMap((found) => found.split('\t')[0] || []);
  };
  assert.deepEqual(complete('stekbal qui'), ['quickstart']);
  assert.deepEqual(complete('stekbal keys r'), ['revoke', 'rotate']);
  assert.deepEqual(complete('stekbal keys export --format n'), ['nginx']);
  assert.deepEqual(complete('stekbal check --q'), ['--quiet']);
});

test('a shell that is not known is refused with the ones that are', async () => {
  const { code, stderr } = await runToEnd(['completion', 'tcsh']);
  assert.equal(code, 64);
  assert.match(stderr, /bash, zsh, fish/);
});

async function script(shell: string): Promise<string> {
  const { code, stdout } = await runToEnd(['completion', shell]);
  assert.equal(code, 0);
  return stdout;
}

/** What a real bash offers behind these words, sorted; the last one is being typed. */
async function bash(t: TestContext): Promise<(...words: string[]) => string[]> {
  const file = join(temporaryFolder(t), 'stekbal.bash');
  writeFileSync(file, await script('bash'));
  const program = `set -u; source "$1"; shift; COMP_WORDS=(stekbal "$@"); COMP_CWORD=$#; _stekbal 2>&1
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return (...words) => {
    const text = execFileSync('bash', ['--norc', '-c', program, 'bash', file, ...words], { encoding: 'utf8' });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  };
}
