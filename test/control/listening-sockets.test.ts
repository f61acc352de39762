/** Which thread serves which socket, with real sockets and descriptors. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, fstatSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BindAddress, OpenedSocket } from '../../src/boards/listener-task.ts';
import { ListeningSockets, type SocketPlan } from '../../src/control/listening-sockets.ts';
import { hasSystemCalls } from '../../src/control/system-calls.ts';
import type { ListenerPlan } from '../../src/control/thread-settings.ts';
import { temporaryFolder } from '../e2e/harness.ts';

const TCP: BindAddress = { kind: 'tcp', host: '127.0.0.1', port: 8080 };
const skip = hasSystemCalls() ? false : 'this Node has no node:ffi';

test('at first each thread opens a socket of its own, and one opens a unix socket for all', () => {
  const sockets = new ListeningSockets(new Map(), true);
  const plan = sockets.plan([listener(TCP), listener({ kind: 'unix', path: '/a.sock' })], [0, 1, 2]);
  assert.deepEqual(dealt(plan), [[[0], [1], [2]], [[0, 1, 2]]]);
  assert.deepEqual(sockets.pathsToOpen(plan, 0), [{ path: '/a.sock', listener: 1 }]);
  assert.deepEqual(sockets.pathsToOpen(plan, 1), []);
});

test('fewer threads: those that are left serve every socket; more threads: each has one', { skip }, async (t) => {
  const sockets = new ListeningSockets(new Map());
  const four = sockets.plan([listener(TCP)], [0, 1, 2, 3]);
  await openAll(t, sockets, four);
  sockets.adopt(four);
  const two = sockets.plan([listener(TCP)], [1, 3]);
  assert.deepEqual(dealt(two), [[[1], [3], [1], [3]]]);
  assert.deepEqual(two.created, []);
  sockets.adopt(two);
  const five = sockets.plan([listener(TCP)], [1, 3, 0, 2, 4]);
  const [threads = []] = dealt(five);
  assert.equal(threads.length, 5);
  assert.deepEqual([...new Set(threads.flat())].sort(), [0, 1, 2, 3, 4]);
  sockets.close();
});

test('a socket that cannot be shared is an error, and what was made for the thread before it is closed', {
  skip,
}, async (t) => {
  const fd = await listeningFd(t);
  // no descriptor of this process
  const sockets = new ListeningSockets(new Map([['http', [fd, 1_000_000]]]));
  const plan = sockets.plan([listener({ kind: 'fd', name: 'http' })], [0]);
  const before = readdirSync('/proc/self/fd').length;
  assert.throws(() => sockets.settingsFor(plan, 0, () => false), { code: 'EMFILE', listener: 0 });
  assert.equal(readdirSync('/proc/self/fd').length, before);
});

test('sockets that were passed are dealt out: none without a thread, and no thread without one', {
  skip,
}, async (t) => {
  for (const [count, threads] of [
    [1, [0, 1, 2]],
    [3, [0, 1]],
    [2, [0, 1, 2]],
  ] as const) {
    const fds = await Promise.all(Array.from({ length: count }, () => listeningFd(t)));
    const sockets = new ListeningSockets(new Map([['http', fds]]));
    const plan = sockets.plan([listener({ kind: 'fd', name: 'http' })], threads);
    const [serving = []] = dealt(plan);
    assert.equal(serving.length, count);
    assert.ok(serving.every((list) => list.length > 0));
    assert.deepEqual([...new Set(serving.flat())].sort(), [...threads]);
    const [settings] = sockets.settingsFor(plan, 0, () => false);
    for (const { fd } of settings?.sockets ?? [])
      assert.ok(fd !== null && !fds.includes(fd), 'a descriptor of its own');
    sockets.adopt(plan);
    sockets.close();
    for (const fd of fds) assert.ok(fstatSync(fd).isSocket(), 'what was passed is not closed');
  }
});

test('a thread is given what it does not serve yet, and the port that was taken', { skip }, async (t) => {
  const sockets = new ListeningSockets(new Map());
  const plan = sockets.plan([listener({ ...TCP, port: 0 })], [0, 1]);
  const [first] = sockets.settingsFor(plan, 0, () => false);
  assert.deepEqual([first?.sockets.length, first?.sockets[0]?.fd], [1, null]);
  const bound = { ...TCP, port: 4711 };
  sockets.opened(plan, 0, [
    { listener: 0, socket: first?.sockets[0]?.id ?? -1, fd: await listeningFd(t), address: bound },
  ]);
  const [second] = sockets.settingsFor(plan, 1, () => false);
  assert.deepEqual(second?.address, bound);
  assert.deepEqual(ListeningSockets.addresses(plan), [bound]);
  const [again] = sockets.settingsFor(plan, 0, () => true);
  assert.deepEqual(again?.sockets, [{ id: first?.sockets[0]?.id, fd: null }]);
  const [replacement] = sockets.settingsFor(plan, 0, () => false);
  assert.equal(typeof replacement?.sockets[0]?.fd, 'number', 'the socket outlives its thread');
  sockets.adopt(plan);
  sockets.close();
});

test('plain and TLS on one address are two listeners of one set of sockets', { skip }, async (t) => {
  const sockets = new ListeningSockets(new Map());
  const plain = sockets.plan([listener(TCP)], [0]);
  await openAll(t, sockets, plain);
  sockets.adopt(plain);
  const secure = sockets.plan([{ ...listener(TCP), tls: {} as ListenerPlan['tls'] }], [0]);
  assert.notEqual(secure.listeners[0]?.id, plain.listeners[0]?.id);
  assert.deepEqual(secure.created, []);
  assert.equal(sockets.plan([listener(TCP)], [0]).listeners[0]?.id, plain.listeners[0]?.id);
  sockets.close();
});

test('two listeners on port 0 stay two, in their order', () => {
  const sockets = new ListeningSockets(new Map(), true);
  const free = listener({ ...TCP, port: 0 });
  const ids = () => sockets.plan([free, free], [0]).listeners.map(({ id }) => id);
  assert.deepEqual(ids(), [0, 1]);
  assert.deepEqual(ids(), [0, 1]);
});

test('an address that goes is closed, and the path of a unix socket removed; one that stays is not touched', {
  skip,
}, async (t) => {
  const path = join(temporaryFolder(t), 'a.sock');
  const sockets = new ListeningSockets(new Map());
  const both = sockets.plan([listener(TCP), listener({ kind: 'unix', path })], [0]);
  await openAll(t, sockets, both);
  sockets.adopt(both);
  const fds = both.listeners.map(({ set }) => set.sockets[0]?.fd as number);
  writeFileSync(path, '');
  sockets.adopt(sockets.plan([listener(TCP)], [0]));
  assert.ok(fstatSync(fds[0] as number).isSocket());
  assert.throws(() => fstatSync(fds[1] as number), /EBADF/);
  assert.equal(existsSync(path), false);
  sockets.close();
  assert.throws(() => fstatSync(fds[0] as number), /EBADF/);
});

test('what is abandoned is closed again, and nothing else', { skip }, async (t) => {
  const sockets = new ListeningSockets(new Map());
  const one = sockets.plan([listener(TCP)], [0]);
  await openAll(t, sockets, one);
  sockets.adopt(one);
  const two = sockets.plan([listener(TCP), listener({ ...TCP, port: 8081 })], [0, 1]);
  await openAll(t, sockets, two);
  const created = two.created.map(({ fd }) => fd as number);
  assert.equal(created.length, 3);
  sockets.abandon(two);
  for (const fd of created) assert.throws(() => fstatSync(fd), /EBADF/);
  assert.ok(fstatSync(one.listeners[0]?.set.sockets[0]?.fd as number).isSocket());
  sockets.close();
});

test('where descriptors cannot be duplicated, each socket stays with its thread and goes with it', () => {
  const sockets = new ListeningSockets(new Map(), false);
  const three = sockets.plan([listener(TCP), listener({ kind: 'unix', path: '/a.sock' })], [0, 1, 2]);
  assert.deepEqual(dealt(three), [[[0], [1], [2]], [[0]]]);
  sockets.adopt(three);
  const one = sockets.plan([listener(TCP), listener({ kind: 'unix', path: '/a.sock' })], [1]);
  assert.deepEqual(dealt(one), [[[1]], [[1]]]);
  sockets.adopt(one);
  const [tcp] = sockets.settingsFor(one, 1, () => false);
  assert.deepEqual(
    tcp?.sockets.map(({ fd }) => fd),
    [null],
    'a replacement opens it anew',
  );
});

function listener(address: BindAddress): ListenerPlan {
  return { address, service: 0, hosts: [], tls: null };
}

/** For each listener, the threads of each of its sockets. */
function dealt({ listeners }: SocketPlan): (readonly number[])[][] {
  return listeners.map(({ threads }) => [...threads.values()]);
}

/** As the threads would: every socket that has an opener is open then. */
async function openAll(t: TestContext, sockets: ListeningSockets, plan: SocketPlan): Promise<void> {
  for (const { id: listener, set } of plan.listeners) {
    for (const { id: socket, fd, opener } of set.sockets) {
      if (fd !== null || opener === null) continue;
      const opened: OpenedSocket = { listener, socket, fd: await listeningFd(t), address: set.address };
      sockets.opened(plan, opener, [opened]);
    }
  }
}

/** A descriptor of a socket that listens, until the test's end. */
async function listeningFd(t: TestContext): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}
