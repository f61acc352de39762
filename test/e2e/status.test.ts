/** The admin API and `stekbal status` on the real program: a group of one. */

import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EdgeStatus } from '../../src/control/status.ts';
import {
  eventually,
  get,
  namedBackend,
  type Program,
  runToEnd,
  servicesConfig,
  simpleConfig,
  startSound,
  temporaryFolder,
} from './harness.ts';

const ADMIN = 'admin: {address: "127.0.0.1:0"}';

test('status shows a group of one, its pools and nodes, and exits 0', async (t) => {
  const nodes = ['127.0.0.1:1', '{address: "[::1]:8080", weight: 2, drain: yes}'];
  const program = await startSound(t, simpleConfig(nodes, { top: [ADMIN, 'limits: {max_connections: 50}'] }));
  const address = await adminAddress(program);
  await eventually(async () => (await askStatus(address)).keys.keys.length === 2, 'a leader that has made the keys');
  const { code, stdout, stderr } = await runToEnd(['status', '--admin', address]);
  assert.deepEqual([code, stderr], [0, '']);
  const shown = stdout
    .replace(/^stekbal \d\S+, pid \d+, up \d+s: /, 'HEAD: ')
    .replace(/^cluster .*$/m, 'CLUSTER')
    .replace(/term \d+/, 'term T')
    .replace(/committed (\d+), applied \1/, 'LOG')
    .replace(/^(1 \(this\)) {2}\S+ +voter( +)leader( +)\d+ +\d+ +0 ms$/m, 'MEMBER')
    .replace(/^server {4}.*$/m, 'COLUMNS')
    .replace(/^ {2}[0-9a-f]{8} {2}(staged|active) +\d+s$/gm, '  ID $1');
  assert.equal(
    shown,
    [
      'HEAD: no trouble',
      '',
      '1 listener thread, 0 of 50 connections',
      '  thread  state    connections  requests',
      '  0       serving            0         0',
      '',
      'server 1: leader, term T, leader is server 1',
      'CLUSTER',
      'LOG',
      '',
      'COLUMNS',
      'MEMBER',
      '',
      '2 ticket keys, a new one every 1h, tickets last 1d',
      '  ID staged',
      '  ID active',
      '',
      'pool demo: 2 nodes',
      '  node         state     weight  in flight  requests  share  set by',
      '  127.0.0.1:1  up             1          0         0      -',
      '  [::1]:8080   draining       2          0         0      -',
      '',
    ].join('\n'),
  );
  const json = await runToEnd(['status', '--json', '--admin', address]);
  const status = JSON.parse(json.stdout) as EdgeStatus;
  assert.deepEqual([json.code, status.pid, status.cluster.members.length], [0, program.pid, 1]);
});

test('status asks where the configuration says, with its token, which a reload reads again', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'token'), 'edge-token\n');
  const socket = join(folder, 'admin.sock');
  const admin = `admin: {address: "unix:${socket}", token_file: ${join(folder, 'token')}}`;
  const yaml = simpleConfig(['127.0.0.1:1'], { top: [admin] });
  const program = await startSound(t, yaml);
  const { code, stdout } = await runToEnd(['status', '-c', program.configFile]);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`pid ${program.pid}, `));
  const refused = await runToEnd(['status', '--admin', `unix:${socket}`]);
  assert.deepEqual([refused.code, refused.stderr.includes('refused with 401: send "Authorization: Bearer')], [1, true]);
  assert.equal(statSync(socket).mode & 0o777, 0o660);
  writeFileSync(join(folder, 'token'), 'second');
  await program.reload(yaml);
  const { status } = await ask(`unix:${socket}`, 'GET', '/status', undefined, { authorization: 'Bearer second' });
  assert.equal(status, 200);
});

test('status says what to check where nothing answers, or something else does', async (t) => {
  const backend = await namedBackend(t);
  const none = await runToEnd(['status', '--admin', '127.0.0.1:1']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /no answer from the admin API at 127\.0\.0\.1:1: ECONNREFUSED; is stekbal running.*admin/);
  const other = await runToEnd(['status', '--admin', backend.address]);
  assert.deepEqual([other.code, other.stderr.includes("is not stekbal's admin API")], [1, true]);
});

test('a wrong command line exits 64, a configuration without admin 78', async (t) => {
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, simpleConfig(['127.0.0.1:1']));
  const none = await runToEnd(['status', '-c', file]);
  assert.deepEqual([none.code, /the admin API is off; write admin:/.test(none.stderr)], [78, true]);
  const wrong = [['--admin', '9900'], ['--admin', 'fd:x'], ['-c', file, '--admin', 'localhost:1'], ['--jsn']];
  for (const { code, stderr } of await Promise.all(wrong.map((args) => runToEnd(['status', ...args])))) {
    assert.equal(code, 64, stderr);
  }
});

test('an edit moves requests at once, and survives a reload of the file', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const yaml = simpleConfig([a.address], { top: [ADMIN], workers: 2 });
  const program = await startSound(t, yaml);
  const address = await adminAddress(program);
  const servedBy = async () => (await get(program.port)).body;
  assert.equal(await servedBy(), a.address);
  assert.equal((await ask(address, 'POST', '/pools/demo/nodes', { address: b.address })).status, 200);
  assert.equal((await ask(address, 'DELETE', `/pools/demo/nodes/${a.address}`)).status, 200);
  for (let i = 0; i < 8; i++) assert.equal(await servedBy(), b.address);
  await program.reload(`${yaml}# changed\n`);
  for (let i = 0; i < 8; i++) assert.equal(await servedBy(), b.address);
});

test('two services without a salt of their own hand out the same cookie for the same node', async (t) => {
  const { address } = await namedBackend(t);
  const service = { nodes: [address], lines: ['affinity: yes', 'affinity_use_salt: yes'] };
  const program = await startSound(t, servicesConfig({ a: service, b: service }));
  const cookies = await Promise.all(
    ['a', 'b'].map(async (host) => (await get(program.port, { headers: { host } })).headers['set-cookie']),
  );
  assert.match(cookies[0]?.[0] ?? '', /=[0-9a-f]{40};/);
  assert.deepEqual(cookies[0], cookies[1]);
});

test('without admin nothing listens but the listeners', async (t) => {
  const { address } = await namedBackend(t);
  const program = await startSound(t, simpleConfig([address]));
  assert.equal((await get(program.port)).body, address);
  assert.ok(!program.log.some(({ msg }) => msg === 'admin API'));
});

test('the admin API answers while the listeners drain, and ends with the program', async (t) => {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'admin.sock');
  const backend = await namedBackend(t);
  backend.server.removeAllListeners('request');
  const arrived = new Promise<http.ServerResponse>((resolve) => {
    backend.server.once('request', (_request, response: http.ServerResponse) => resolve(response));
  });
  const program = await startSound(t, simpleConfig([backend.address], { top: [`admin: {address: "unix:${socket}"}`] }));
  const answer = get(program.port);
  const response = await arrived;
  program.child.kill('SIGTERM');
  await eventually(async () => (await askStatus(`unix:${socket}`)).isDraining, 'a draining edge');
  response.end('late');
  assert.equal((await answer).body, 'late');
  assert.equal(await program.exited, 0);
  assert.ok(!existsSync(socket));
});

test('an admin address that is taken ends the start with 1, a socket from systemd with 78', async (t) => {
  const backend = await namedBackend(t);
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, simpleConfig(['127.0.0.1:1'], { top: [`admin: {address: "${backend.address}"}`] }));
  const taken = await runToEnd(['run', '-c', file]);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /stekbal\.yaml: admin: cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE: another program/);
  writeFileSync(
    file,
    simpleConfig(['127.0.0.1:1'], { top: ['admin: {address: "fd:admin", token_file: stekbal.yaml}'] }),
  );
  const fd = await runToEnd(['run', '-c', file]);
  assert.deepEqual(
    [fd.code, /admin: fd:admin: (no socket of this name|socket activation needs)/.test(fd.stderr)],
    [78, true],
  );
});

test('a member that cannot start ends the start with 1 and the reason', async (t) => {
  const folder = temporaryFolder(t);
  const pem = join(folder, 'any.pem');
  writeFileSync(pem, 'no certificate');
  writeFileSync(join(folder, 'list.yaml'), '- {server_id: 1, address: 127.0.0.1, port: 10001}\n');
  writeFileSync(
    join(folder, 'stekbal.yaml'),
    `${simpleConfig(['127.0.0.1:1'])}
stek_share:
  server_id: 1
  address: 127.0.0.1
  port: 10001
  key_update_interval: 3600
  server_list_file: list.yaml
  root_cert_file: any.pem
  server_cert_file: any.pem
  server_key_file: any.pem
`,
  );
  const { code, stderr } = await runToEnd(['run', '-c', join(folder, 'stekbal.yaml')]);
  assert.equal(code, 1);
  assert.match(stderr, /stekbal\.yaml: .*any\.pem/);
});

async function adminAddress(program: Program): Promise<string> {
  return String((await program.logged(({ msg }) => msg === 'admin API')).address);
}

async function askStatus(address: string): Promise<EdgeStatus> {
  return (await ask(address, 'GET', '/status')).body as EdgeStatus;
}

function ask(
  address: string,
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const port = address.slice(address.lastIndexOf(':') + 1);
  const target = address.startsWith('unix:') ? { socketPath: address.slice(5) } : { host: '127.0.0.1', port };
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const options = { ...target, method, path, agent: false, headers: { ...type, ...headers } };
    const request = http.request(options, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }));
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
