import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { socketInfo } from '../../../src/control/system-calls.ts';
import { adminSocket, explainUnservable, unservedNames } from '../../../src/control/systemd/passed-sockets.ts';
import { temporaryFolder } from '../../e2e/harness.ts';

const TAIL = 'pools: {p: {nodes: ["127.0.0.1:1"]}}\nservices: {web: {pool: p}}\n';

function configured(t: TestContext, head: string, folder = temporaryFolder(t)) {
  const file = join(folder, 'edge.yaml');
  writeFileSync(file, head + TAIL);
  const { config, diagnostics } = loadConfig(file);
  assert.ok(config, JSON.stringify(diagnostics));
  assert.deepEqual(diagnostics, []);
  return config;
}

const LISTENERS = 'listeners: [{address: "fd:http", service: web}, {address: "fd:https", service: web}]\n';
const LOOPBACK = 'listeners: [{address: "127.0.0.1:0", service: web}]\n';

async function listening(t: TestContext, ...where: [path: string] | [port: number, host: string]) {
  const server = net.createServer().listen(...(where as [number, string]));
  t.after(() => server.close());
  await once(server, 'listening');
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

test('what a descriptor is shows: its kind, and where it listens', async (t) => {
  const path = join(temporaryFolder(t), 'http.sock');
  const at = async (...where: [string] | [number, string]) => socketInfo(await listening(t, ...where));
  assert.deepEqual(await at(path), { isStream: true, isListening: true, address: { kind: 'unix', path } });
  const v4 = await at(0, '127.0.0.1');
  assert.equal(v4?.address?.kind === 'tcp' && v4.address.host, '127.0.0.1');
  const v6 = await at(0, '::1');
  assert.equal(v6?.address?.kind === 'tcp' && v6.address.host, '::1');
  const any = await at(0, '::');
  assert.equal(any?.address?.kind === 'tcp' && any.address.host, '::');
  const file = openSync('/dev/null', 'r');
  assert.equal(socketInfo(file), null);
  closeSync(file);
  assert.equal(socketInfo(1_000_000), null);
});

test('a connection is a stream that does not listen', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const info = socketInfo(fd);
  assert.deepEqual([info?.isStream, info?.isListening], [true, false]);
  const config = configured(t, 'listeners: [{address: "fd:http", service: web}]\n');
  assert.match(
    explainUnservable(config, new Map([['http', [fd]]]))[0] ?? '',
    /edge\.yaml:1:13: fd:http: descriptor \d+ is no listening stream socket; use ListenStream= and Accept=no/,
  );
});

test('sockets that were passed, one or several under a name, are served', async (t) => {
  const sockets = [await listening(t, 0, '127.0.0.1'), await listening(t, 0, '::1')];
  const config = configured(t, LISTENERS);
  const passed = new Map([
    ['http', sockets],
    ['https', [await listening(t, join(temporaryFolder(t), 'https.sock'))]],
    ['smtp', [0]],
  ]);
  assert.deepEqual(explainUnservable(config, passed), []);
  assert.deepEqual(unservedNames(config, passed), ['smtp']);
});

test('each name that was not passed is an error at its place, with the names that there are', async (t) => {
  const config = configured(t, LISTENERS);
  const passed = new Map([['web', [await listening(t, 0, '127.0.0.1')]]]);
  const errors = explainUnservable(config, passed);
  assert.equal(errors.length, 2);
  assert.match(
    errors[0] ?? '',
    /edge\.yaml:1:13: fd:http: no socket of this name was passed \(there is web\); set FileDescriptorName=http /,
  );
  assert.match(errors[1] ?? '', /edge\.yaml:1:49: fd:https: /);
  assert.match(explainUnservable(config, new Map())[0] ?? '', /\(there is none at all\)/);
});

test('without node:ffi no passed socket can be served, and the Node that can is named', (t) => {
  const config = configured(t, LISTENERS);
  const errors = explainUnservable(config, new Map([['http', [3]]]), {
    hasSystemCalls: () => false,
    socketInfo: () => null,
  });
  assert.equal(errors.length, 2);
  assert.match(errors[0] ?? '', /needs node:ffi, which Node 26\.10 has, and this is v\d+/);
  assert.deepEqual(
    explainUnservable(configured(t, LOOPBACK), new Map(), { hasSystemCalls: () => false, socketInfo }),
    [],
  );
});

test('an admin socket that others can reach needs a token', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'token'), 'a-long-enough-token-for-anyone\n', { mode: 0o600 });
  const open = configured(t, `${LOOPBACK}admin: {address: "fd:admin"}\n`);
  const guarded = configured(t, `${LOOPBACK}admin: {address: "fd:admin", token_file: token}\n`, folder);
  const everywhere = new Map([['admin', [await listening(t, 0, '0.0.0.0')]]]);
  assert.match(
    explainUnservable(open, everywhere)[0] ?? '',
    /edge\.yaml: admin: fd:admin: others can reach this socket; bind it to 127\.0\.0\.1, \[::1\] or a path, or give a tok/,
  );
  assert.deepEqual(explainUnservable(guarded, everywhere), []);
  for (const host of ['127.0.0.1', '::1']) {
    assert.deepEqual(explainUnservable(open, new Map([['admin', [await listening(t, 0, host)]]])), []);
  }
  const path = join(folder, 'admin.sock');
  const fd = await listening(t, path);
  assert.deepEqual(explainUnservable(open, new Map([['admin', [fd]]])), []);
  assert.deepEqual(adminSocket(open, new Map([['admin', [fd]]])), { fd, address: { kind: 'unix', path } });
  assert.equal(adminSocket(configured(t, LOOPBACK), new Map()), null);
});

test('the admin API is served on one socket alone', async (t) => {
  const config = configured(t, `${LOOPBACK}admin: {address: "fd:admin"}\n`);
  const sockets = [await listening(t, 0, '127.0.0.1'), await listening(t, 0, '127.0.0.1')];
  assert.match(explainUnservable(config, new Map([['admin', sockets]]))[0] ?? '', /2 sockets of this name were passed/);
});
