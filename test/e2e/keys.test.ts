/** `stekbal keys` on real clusters: through the admin API, and from the log that a running edge is writing. */

import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KeysStatus } from '../../src/control/status.ts';
import { type ClusterHarness, clusterTest, STEADY } from './cluster-harness.ts';
import { eventually, runToEnd, simpleConfig, temporaryFolder } from './harness.ts';

const ALONE = { servers: 1 };
const SECRET = /[0-9a-f]{32}|[A-Za-z0-9+/]{40}/;

// an election would have a command refused
clusterTest(
  'list, rotate and revoke say what the ring is after them',
  { servers: 3, stekShare: STEADY },
  async (_, cluster) => {
    await cluster.startAll();
    await cluster.settled();
    await eventually(async () => (await keys(cluster, 1)).keys.length === 2, 'an active key and a staged one');
    const before = await keys(cluster, 1);
    const [active, staged] = ['active', 'staged'].map((stage) => before.keys.find((key) => key.stage === stage)?.id);
    const list = await keysCommand(cluster, 2, 'list');
    assert.match(list, new RegExp(`^key +stage +since +age\n${staged}  staged  .*\n${active}  active  .*\n$`));
    const rotated = await keysCommand(cluster, 2, 'rotate');
    assert.match(rotated, new RegExp(`^${staged}  active  .*\n${active}  retiring  `, 'm'));
    const revoked = JSON.parse(await keysCommand(cluster, 3, 'revoke', '--json')) as KeysStatus;
    const left = revoked.keys.map(({ id }) => id).filter((id) => id === active || id === staged);
    assert.deepEqual([left, revoked.isIssuing], [[], true]);
    for (const text of [list, rotated, JSON.stringify(revoked)]) assert.doesNotMatch(text, SECRET);
  },
);

clusterTest('a group without a leader changes no keys, and says so', { servers: 3 }, async (_, cluster) => {
  await cluster.startAll();
  await cluster.settled();
  await cluster.kill(2);
  await cluster.kill(3);
  for (const verb of ['rotate', 'revoke']) {
    const { code, stderr } = await runToEnd(['keys', verb, '-c', cluster.file(1, 'stekbal.yaml')]);
    assert.equal(code, 1);
    assert.match(stderr, /^refused with 50[34]: /);
  }
});

clusterTest('keys are exported for each program while the edge runs, and after', ALONE, async (_, cluster) => {
  await cluster.start(1);
  await eventually(async () => (await keys(cluster, 1)).keys.length === 2, 'an active key and a staged one');
  await keysCommand(cluster, 1, 'rotate');
  await eventually(async () => (await keys(cluster, 1)).keys.length === 3, 'three keys');
  await cluster.settled();
  const { keys: ring } = await keys(cluster, 1);
  const idOf = (stage: string) => ring.find((key) => key.stage === stage)?.id;
  const [active, staged, retiring] = ['active', 'staged', 'retiring'].map(idOf);

  const haproxy = await exported(cluster, 'haproxy');
  const lines = haproxy.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => Buffer.from(line, 'base64')).map((key) => [key.length, key.toString('hex', 0, 4)]),
    [retiring, active, staged].map((id) => [48, id]),
  );

  const ats = cluster.file(1, 'ats.keys');
  writeFileSync(ats, 'old', { mode: 0o644 });
  assert.equal(await exported(cluster, 'ats', '--out', ats), '');
  const blocks = readFileSync(ats);
  assert.deepEqual([blocks.length, statSync(ats).mode & 0o777], [3 * 48, 0o600]);
  assert.deepEqual(
    [0, 48, 96].map((at) => blocks.toString('hex', at, at + 4)),
    [active, staged, retiring],
  );

  const folder = cluster.file(1, 'peer-key.pem').replace(/peer-key\.pem$/, '');
  const directives = await exported(cluster, 'nginx', '--out', folder);
  const files = [...directives.matchAll(/^ssl_session_ticket_key (\S+);$/gm)].map(([, file]) => file as string);
  assert.deepEqual(
    files.map((file) => file.slice(folder.length, folder.length + 8)),
    [active, staged, retiring],
  );
  for (const file of files) assert.deepEqual([statSync(file).size, statSync(file).mode & 0o777], [48, 0o600]);

  // what is gone is gone from the folder too
  await keysCommand(cluster, 1, 'revoke');
  await eventually(async () => (await keys(cluster, 1)).keys.length === 2, 'the replacement and a staged key');
  await exported(cluster, 'nginx', '--out', folder);
  const left = readdirSync(folder).filter((name) => /^[0-9a-f]{32}\.key$/.test(name));
  assert.deepEqual([left.length, left.filter((name) => files.includes(join(folder, name)))], [2, []]);

  await cluster.stop(1);
  const after = await runToEnd(['keys', 'export', '-f', 'haproxy', '-c', cluster.file(1, 'stekbal.yaml')]);
  assert.equal(after.code, 0);
  assert.match(after.stderr, /^exported as the log has it, which may be behind the cluster: no answer/);
  assert.equal(after.stdout.trimEnd().split('\n').length, 3);
});

clusterTest('export says what is missing, and shows no key', ALONE, async (_, cluster) => {
  const file = cluster.write(1);
  const fails = async (message: RegExp, ...more: string[]) => {
    const { code, stdout, stderr } = await runToEnd(['keys', 'export', '-f', 'haproxy', '-c', file, ...more]);
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, SECRET);
  };
  await fails(/raft\.log cannot be read: ENOENT; .*the first start of the edge/);
  await cluster.start(1);
  await eventually(async () => (await keys(cluster, 1)).keys.length === 2, 'keys');
  await fails(/^cannot write to \/none\/keys: ENOENT/, '--out', '/none/keys');
  const whole = readFileSync(file, 'utf8');
  writeFileSync(file, whole.replace('state_dir: state\n', ''));
  await fails(/there is no state_dir/);
  await cluster.stop(1);
  const log = join(cluster.stateDir(1), 'raft.log');
  const bytes = readFileSync(log);
  writeFileSync(file, whole);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  writeFileSync(log, bytes);
  await fails(/raft\.log is damaged at byte \d+/);
  rmSync(log);
  chmodSync(cluster.stateDir(1), 0o700);
  await fails(/ENOENT/);
});

test('a wrong command line exits 64, a bad configuration 78, an edge without a group 1', async (t) => {
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, simpleConfig(['127.0.0.1:1']));
  const cases: [code: number, message: RegExp, args: string[]][] = [
    [64, /Usage: stekbal keys/, []],
    [64, /Did you mean revoke/, ['revok']],
    [64, /--config says where to ask/, ['list', '-c', file, '--admin', 'localhost:1']],
    [64, /Allowed choices are nginx, haproxy, ats/, ['export', '-c', file, '-f', 'apache']],
    [64, /name a folder for them with --out/, ['export', '-c', file, '-f', 'nginx']],
    [78, /the admin API is off/, ['rotate', '-c', file]],
    [78, /none\.yaml/, ['export', '-f', 'ats', '-c', join(file, '..', 'none.yaml')]],
    [1, /there is no stek_share/, ['export', '-f', 'haproxy', '-c', file]],
    [1, /no answer from the admin API at 127\.0\.0\.1:1/, ['revoke', '--admin', '127.0.0.1:1']],
  ];
  for (const [code, message, args] of cases) {
    const ended = await runToEnd(['keys', ...args]);
    assert.deepEqual([ended.code, ended.stdout], [code, ''], args.join(' '));
    assert.match(ended.stderr, message);
  }
});

async function keys(cluster: ClusterHarness, id: number): Promise<KeysStatus> {
  return (await cluster.ask<KeysStatus>(id, 'GET', '/keys')).body;
}

async function keysCommand(cluster: ClusterHarness, id: number, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runToEnd(['keys', ...args, '-c', cluster.file(id, 'stekbal.yaml')]);
  assert.deepEqual([code, stderr], [0, '']);
  return stdout;
}

async function exported(cluster: ClusterHarness, format: string, ...more: string[]): Promise<string> {
  return keysCommand(cluster, 1, 'export', '-f', format, ...more);
}
