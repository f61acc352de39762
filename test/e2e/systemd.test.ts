/**
 * The program's life as systemd sees it: a real socket for NOTIFY_SOCKET, real passed sockets, systemd-socket-activate.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { askAdmin } from '../../src/admin/client.ts';
import { parseListenAddress } from '../../src/config/addresses.ts';
import type { EdgeStatus } from '../../src/control/status.ts';
import { duplicate, hasSystemCalls } from '../../src/control/system-calls.ts';
import { freePort } from './cluster-network.ts';
import {
  eventually,
  get,
  httpBackend,
  MAIN,
  namedBackend,
  requirePeer,
  runToEnd,
  servingPorts,
  simpleConfig,
  spawnProgram,
  temporaryFolder,
} from './harness.ts';
import { type Message, type NotifyReceiver, startReceiver } from './notify-receiver.ts';

/** Signs of life are due each second, and so come each half. */
const WATCHDOG = { WATCHDOG_USEC: '1000000' };

function writeConfig(t: TestContext, yaml: string): string {
  const file = join(temporaryFolder(t), 'edge.yaml');
  writeFileSync(file, yaml);
  return file;
}

const has = (name: string) => (message: Message) => name in message;

/** Resolves when `count` more messages of this kind have come. */
async function more({ messages }: NotifyReceiver, name: string, count: number): Promise<void> {
  const enough = messages.filter(has(name)).length + count;
  await eventually(() => messages.filter(has(name)).length >= enough, `${count} more messages with ${name}`);
}

/** A listening socket that nobody here accepts from. Null, and the test skipped, where Node cannot make one. */
async function listeningSocket(t: TestContext, port = 0): Promise<{ fd: number; port: number } | null> {
  if (!requirePeer(t, hasSystemCalls(), 'this Node has no node:ffi')) return null;
  const server = net.createServer().listen({ port, host: '127.0.0.1', reusePort: true });
  await once(server, 'listening');
  const fd = duplicate((server as unknown as { _handle: { fd: number } })._handle.fd) as number;
  t.after(() => closeSync(fd));
  const { port: bound } = server.address() as net.AddressInfo;
  server.close();
  return { fd, port: bound };
}

test('systemd sees READY, STATUS, WATCHDOG, RELOADING, READY and STOPPING, each at its time', async (t) => {
  const receiver = await startReceiver(t);
  if (receiver === null) return;
  const backend = await namedBackend(t);
  const yaml = simpleConfig([backend.address], { workers: 2 });
  const file = writeConfig(t, yaml);
  const program = spawnProgram(t, file, { env: { ...WATCHDOG, NOTIFY_SOCKET: receiver.path } });
  const ready = await receiver.received(has('READY'));
  // not a moment before it serves
  const [port = 0] = await servingPorts(program);
  assert.equal((await get(port)).status, 200);
  assert.deepEqual(receiver.messages[0], { STATUS: 'starting' });
  assert.deepEqual(ready, { READY: '1', STATUS: 'serving: 2 workers, 1 of 1 node up' });
  await more(receiver, 'WATCHDOG', 2);

  const before = process.hrtime.bigint() / 1_000n;
  let from = receiver.messages.length;
  program.child.kill('SIGHUP');
  const reloading = await receiver.received(has('RELOADING'), from);
  const micros = BigInt(reloading.MONOTONIC_USEC ?? '');
  assert.ok(before <= micros && micros <= process.hrtime.bigint() / 1_000n);
  assert.deepEqual(await receiver.received(has('READY'), from), ready);

  from = receiver.messages.length;
  writeFileSync(file, `${yaml}nonsense: 1\n`);
  program.child.kill('SIGHUP');
  await receiver.received(has('RELOADING'), from);
  const refused = await receiver.received(has('READY'), from);
  assert.match(
    refused.STATUS ?? '',
    /^serving: .*; reload failed, nothing was changed: .*edge\.yaml:\d+:1: unknown key/,
  );
  assert.equal((await get(port)).status, 200);

  from = receiver.messages.length;
  program.child.kill('SIGTERM');
  const stopping = await receiver.received(has('STOPPING'), from);
  assert.equal(stopping.EXTEND_TIMEOUT_USEC, '45000000');
  assert.equal(await program.exited, 0);
  assert.ok(receiver.messages.slice(from).every((message) => !('READY' in message)));
  const stray = program
    .text()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
  assert.deepEqual(stray, [], "Node's own warnings are not among the lines of the log");
});

test('a listener thread that hangs and is replaced does not stop the watchdog', async (t) => {
  const receiver = await startReceiver(t);
  if (receiver === null) return;
  const yaml = simpleConfig(['127.0.0.1:1'], { workers: 2, top: ['worker_hang_timeout: 1s'] });
  const env = { ...WATCHDOG, NOTIFY_SOCKET: receiver.path };
  const program = spawnProgram(t, writeConfig(t, yaml), { chaos: true, env });
  await receiver.received(has('READY'));
  program.child.send('hang');
  await program.logged(({ msg }) => msg === 'listener thread hangs');
  await more(receiver, 'WATCHDOG', 1);
  await program.logged(({ msg }) => msg === 'listener thread replaced');
  await more(receiver, 'WATCHDOG', 2);
  assert.ok(program.log.every(({ msg }) => !msg.includes('signs of life')));
});

test('one passed socket is served by all threads, and the admin API on another, to this machine', async (t) => {
  const [socket, admin] = [await listeningSocket(t), await listeningSocket(t)];
  if (socket === null || admin === null) return;
  const backend = await namedBackend(t);
  const yaml = simpleConfig([backend.address], { workers: 3, top: ['admin: {address: "fd:admin"}'] });
  const file = writeConfig(t, yaml.replace('127.0.0.1:0', 'fd:http'));
  const sockets = [
    { name: 'http', fd: socket.fd },
    { name: 'admin', fd: admin.fd },
  ];
  const program = spawnProgram(t, file, { sockets });
  await program.logged(({ msg }) => msg === 'serving');
  const status = () => askStatus(`127.0.0.1:${admin.port}`);
  const served = async () => (await status()).workers.list.map(({ requests }) => requests > 0);
  await eventually(async () => {
    await Promise.all(Array.from({ length: 12 }, async () => assert.equal((await get(socket.port)).status, 200)));
    return (await served()).every(Boolean);
  }, 'requests on each of three threads');
  assert.equal((await status()).pid, program.pid);
  const foreign = await get(admin.port, { path: '/status', headers: { host: 'rebound.example' } });
  assert.equal(foreign.status, 403);
  program.child.kill('SIGTERM');
  assert.equal(await program.exited, 0);
});

test('several passed sockets of one name are all served, whatever the number of threads', async (t) => {
  const first = await listeningSocket(t);
  if (first === null) return;
  const others = [await listeningSocket(t, first.port), await listeningSocket(t, first.port)];
  const sockets = [first, ...others].map((socket) => ({ name: 'http', fd: socket?.fd as number }));
  const backend = await namedBackend(t);
  const file = writeConfig(t, simpleConfig([backend.address], { workers: 2 }).replace('127.0.0.1:0', 'fd:http'));
  const program = spawnProgram(t, file, { sockets });
  await program.logged(({ msg }) => msg === 'serving');
  // the kernel chooses among the three by the client's port: one that nobody serves would never answer
  const answers = await Promise.all(Array.from({ length: 60 }, () => get(first.port)));
  assert.ok(answers.every(({ status }) => status === 200));
});

test('a restart over the same sockets loses no connection', async (t) => {
  const socket = await listeningSocket(t);
  if (socket === null) return;
  const backend = await httpBackend(t, (request, response) => {
    request.resume();
    setTimeout(() => response.end('ok'), 5);
  });
  const file = writeConfig(t, simpleConfig([backend.address], { workers: 2 }).replace('127.0.0.1:0', 'fd:http'));
  const sockets = [{ name: 'http', fd: socket.fd }];
  const programs = [spawnProgram(t, file, { sockets })];
  await programs[0]?.logged(({ msg }) => msg === 'serving');
  let isOver = false;
  const statuses: number[] = [];
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) statuses.push((await get(socket.port)).status);
  });
  await eventually(() => statuses.length > 50, 'requests under way');
  programs[0]?.child.kill('SIGTERM');
  assert.equal(await programs[0]?.exited, 0);
  const atStop = statuses.length;
  programs.push(spawnProgram(t, file, { sockets }));
  await programs[1]?.logged(({ msg }) => msg === 'serving');
  await eventually(() => statuses.length > atStop + 50, 'requests after the restart');
  isOver = true;
  await Promise.all(clients);
  assert.ok(statuses.every((status) => status === 200));
});

test('a name that was not passed ends the start with 78, and names those that were', async (t) => {
  const socket = await listeningSocket(t);
  if (socket === null) return;
  const file = writeConfig(t, simpleConfig(['127.0.0.1:1']).replace('127.0.0.1:0', 'fd:http'));
  const program = spawnProgram(t, file, { sockets: [{ name: 'web', fd: socket.fd }] });
  assert.equal(await program.exited, 78);
  assert.match(program.text(), /edge\.yaml:2:\d+: fd:http: no socket of this name was passed \(there is web\)/);
  const none = await runToEnd(['run', '-c', file]);
  assert.deepEqual([none.code, /there is none at all/.test(none.stderr)], [78, true]);
});

test('a service manager that is gone, and a socket that nobody asked for, cost a line of the log each', async (t) => {
  const socket = await listeningSocket(t);
  const backend = await namedBackend(t);
  const env = { ...WATCHDOG, NOTIFY_SOCKET: '/nonexistent/notify' };
  const sockets = socket === null ? [] : [{ name: 'http', fd: socket.fd }];
  const program = spawnProgram(t, writeConfig(t, simpleConfig([backend.address])), { env, sockets });
  const [port = 0] = await servingPorts(program);
  assert.equal((await get(port)).status, 200);
  program.child.kill('SIGTERM');
  assert.equal(await program.exited, 0);
  assert.equal(program.log.filter(({ msg }) => msg.includes('service manager')).length, 1);
  const unserved = program.log.filter(({ msg }) => msg.includes('nobody serves them'));
  assert.deepEqual(
    unserved.map((line) => line.sockets),
    socket === null ? [] : [['http']],
  );
});

test('systemd-socket-activate starts it by the first connection, which it answers', async (t) => {
  const isThere = spawnSync('systemd-socket-activate', ['--version']).status === 0;
  if (!requirePeer(t, isThere, 'systemd-socket-activate is not installed')) return;
  if (!requirePeer(t, hasSystemCalls(), 'this Node has no node:ffi')) return;
  const receiver = await startReceiver(t);
  if (receiver === null) return;
  const backend = await namedBackend(t);
  const file = writeConfig(t, simpleConfig([backend.address], { workers: 2 }).replace('127.0.0.1:0', 'fd:http'));
  const port = await freePort();
  const options = ['-l', `127.0.0.1:${port}`, '--fdname=http', '-E', `NOTIFY_SOCKET=${receiver.path}`];
  const child = spawn('systemd-socket-activate', [...options, process.execPath, MAIN, 'run', '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  await eventually(() => said.includes('Listening on'), 'a listening socket');
  assert.deepEqual(receiver.messages, []);
  assert.equal((await get(port)).body, backend.address);
  await receiver.received(has('READY'));
  child.kill('SIGTERM');
  await receiver.received(has('STOPPING'));
  assert.deepEqual(await exited, [0, null]);
});

async function askStatus(address: string): Promise<EdgeStatus> {
  const parsed = parseListenAddress(address);
  assert.ok(parsed.ok);
  return (await askAdmin(parsed.value, null, { path: '/status' })).body as EdgeStatus;
}
