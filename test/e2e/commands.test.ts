import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, MAIN, namedBackend, runToEnd, simpleConfig, startProgram, temporaryFolder } from './harness.ts';

test('check prints every error with its place and exits 78', async (t) => {
  const file = join(temporaryFolder(t), 'bad.yaml');
  writeFileSync(file, 'workers: many\nlisteners: [{address: "127.0.0.1:80", service: web}]\nservces: {}\n');
  const { code, stderr } = await runToEnd(['check', '-c', file]);
  assert.equal(code, 78);
  const lines = stderr.trim().split('\n');
  assert.ok(lines.every((line) => line.startsWith(`${file}:`)));
  assert.ok(lines.some((line) => line.startsWith(`${file}:1:10: `)));
  assert.match(stderr, /servces.*services/);
});

test('run refuses a configuration with errors before it listens', async (t) => {
  const file = join(temporaryFolder(t), 'bad.yaml');
  writeFileSync(file, 'listeners: []\n');
  const { code, stderr } = await runToEnd(['run', '-c', file]);
  assert.equal(code, 78);
  assert.match(stderr, /bad\.yaml:1:\d+: /);
});

test('an address in use is said with its place in the file, and the exit code is 1', async (t) => {
  const taken = await namedBackend(t);
  const file = join(temporaryFolder(t), 'taken.yaml');
  writeFileSync(file, simpleConfig([taken.address]).replace('127.0.0.1:0', taken.address));
  const { code, stderr } = await runToEnd(['run', '-c', file]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /taken\.yaml:2:\d+: cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE: another program listens there/,
  );
});

test('a socket that was not passed is refused with 78, not opened otherwise', async (t) => {
  const file = join(temporaryFolder(t), 'fd.yaml');
  writeFileSync(file, simpleConfig(['127.0.0.1:1']).replace('127.0.0.1:0', 'fd:web'));
  const { code, stderr } = await runToEnd(['run', '-c', file]);
  assert.equal(code, 78);
  assert.match(stderr, /fd\.yaml:2:\d+: fd:web: (no socket of this name was passed|socket activation needs)/);
});

test('a full disk under stderr costs log lines, not the program', async (t) => {
  const file = join(temporaryFolder(t), 'full.yaml');
  const path = join(temporaryFolder(t), 'http.sock');
  writeFileSync(file, simpleConfig(['127.0.0.1:1']).replace('"127.0.0.1:0"', `"unix:${path}"`));
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', 'ignore', full] });
  t.after(() => child.kill('SIGKILL'));
  closeSync(full);
  const exited = once(child, 'exit');
  let status: number | undefined;
  await eventually(async () => {
    status = await statusFrom(path).catch(() => undefined);
    return status !== undefined;
  }, 'a listening socket');
  assert.equal(status, 502);
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});

function statusFrom(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    http.get({ socketPath, path: '/', agent: false }, ({ statusCode }) => resolve(statusCode)).on('error', reject);
  });
}

test('a reader that leaves ends a command quietly, and a full disk with a sentence', async () => {
  const shell = (line: string) =>
    new Promise<{ code: number | null; stderr: string }>((resolve) => {
      const child = spawn('bash', ['-c', line, 'bash', process.execPath, MAIN], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text) => {
        stderr += text;
      });
      child.on('close', (code) => resolve({ code, stderr }));
    });
  const [left, full] = await Promise.all([
    // it begins when the reader has gone: what is written before fills the pipe, and fails then
    shell(`set -o pipefail
      { trap '' PIPE; while printf . 2> /dev/null; do :; done; trap - PIPE; exec "$1" "$2" completion bash; } | true`),
    shell('"$1" "$2" completion bash > /dev/full'),
  ]);
  assert.deepEqual(left, { code: 141, stderr: '' });
  assert.equal(full.code, 1);
  assert.match(full.stderr, /^the output could not be written: ENOSPC[^\n]*\n$/);
});

test('a wrong command line exits 64 with a hint, help and version exit 0', async () => {
  const wrong = await runToEnd(['chekc']);
  assert.equal(wrong.code, 64);
  assert.match(wrong.stderr, /Did you mean check/);
  assert.equal((await runToEnd(['run'])).code, 64);
  const help = await runToEnd(['--help']);
  assert.equal(help.code, 0);
  for (const command of ['run', 'quickstart', 'check']) assert.match(help.stdout, new RegExp(`^  ${command} `, 'm'));
  assert.match((await runToEnd(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('a unix socket serves, and an abandoned one is taken over', async (t) => {
  const backend = await namedBackend(t);
  const path = join(temporaryFolder(t), 'http.sock');
  const yaml = simpleConfig([backend.address], { workers: 2 }).replace('"127.0.0.1:0"', `"unix:${path}"`);
  const fetch = () =>
    new Promise<string>((resolve, reject) => {
      const request = http.get({ socketPath: path, path: '/', agent: false }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      });
      request.on('error', reject);
    });
  const first = await startProgram(t, yaml);
  assert.equal(await fetch(), backend.address);
  first.child.kill('SIGKILL');
  await first.exited;
  assert.ok(statSync(path).isSocket());
  const second = await startProgram(t, yaml);
  assert.equal(await fetch(), backend.address);
  second.child.kill('SIGTERM');
  assert.equal(await second.exited, 0);
  assert.ok(!existsSync(path));
});
