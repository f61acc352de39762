import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeServiceEnvironment } from '../../../src/control/systemd/environment.ts';

const PID = 4711;
const take = (env: NodeJS.ProcessEnv) => takeServiceEnvironment(env, PID);
const passed = (env: NodeJS.ProcessEnv) => take({ LISTEN_PID: String(PID), ...env });

test('no variable is left for children, and no other one is touched', () => {
  const env = {
    NOTIFY_SOCKET: '/run/systemd/notify',
    WATCHDOG_USEC: '30000000',
    WATCHDOG_PID: '1',
    LISTEN_FDS: '1',
    LISTEN_PID: '1',
    LISTEN_FDNAMES: 'http',
    PATH: '/bin',
  };
  take(env);
  assert.deepEqual(env, { PATH: '/bin' });
});

test('without any of them there is nobody to tell, no watchdog and no socket', () => {
  assert.deepEqual(take({}), { notifySocket: null, watchdogMs: null, sockets: new Map(), problems: [] });
  assert.deepEqual(take({ NOTIFY_SOCKET: '', WATCHDOG_USEC: '', LISTEN_FDS: '' }).problems, []);
});

test('the socket to report to is a path or an abstract name', () => {
  assert.equal(take({ NOTIFY_SOCKET: '/run/notify' }).notifySocket, '/run/notify');
  assert.equal(take({ NOTIFY_SOCKET: '@notify' }).notifySocket, '@notify');
  for (const NOTIFY_SOCKET of ['notify', 'vsock:2:1234', '/', '@']) {
    const { notifySocket, problems } = take({ NOTIFY_SOCKET });
    assert.deepEqual([notifySocket, problems.length], [null, 1], NOTIFY_SOCKET);
  }
});

test('the watchdog is for the process that it names, or for any', () => {
  assert.equal(take({ WATCHDOG_USEC: '30000000' }).watchdogMs, 30_000);
  assert.equal(take({ WATCHDOG_USEC: '1500', WATCHDOG_PID: '4711' }).watchdogMs, 1.5);
  assert.equal(take({ WATCHDOG_USEC: '1500', WATCHDOG_PID: '4712' }).watchdogMs, null);
});

test('a watchdog time that is none is said to be so', () => {
  for (const WATCHDOG_USEC of ['0', '-1', '1e6', 'soon', '99999999999999999999']) {
    const { watchdogMs, problems } = take({ WATCHDOG_USEC });
    assert.deepEqual([watchdogMs, problems.length], [null, 1], WATCHDOG_USEC);
  }
});

test('sockets are found by their names, several under one name too', () => {
  const { sockets, problems } = passed({ LISTEN_FDS: '4', LISTEN_FDNAMES: 'http:https:http:' });
  assert.deepEqual(
    [...sockets],
    [
      ['http', [3, 5]],
      ['https', [4]],
      ['unknown', [6]],
    ],
  );
  assert.deepEqual(problems, []);
});

test('sockets without names are unknown, as to systemd', () => {
  assert.deepEqual([...passed({ LISTEN_FDS: '2' }).sockets], [['unknown', [3, 4]]]);
});

test('no socket passed is no fault', () => {
  const { sockets, problems } = passed({ LISTEN_FDS: '0' });
  assert.deepEqual([sockets.size, problems], [0, []]);
});

test('sockets for another process are left alone', () => {
  for (const LISTEN_PID of ['4712', undefined, '', '4711x']) {
    const { sockets, problems } = take({ LISTEN_FDS: '1', LISTEN_PID });
    assert.equal(sockets.size, 0);
    assert.match(problems[0] ?? '', /this one is 4711: start it directly/);
  }
});

test('a number of sockets that is none, or not that of their names, is said to be so', () => {
  for (const LISTEN_FDS of ['-1', 'x', '1.5', '4097', '9'.repeat(400)]) {
    const { sockets, problems } = passed({ LISTEN_FDS });
    assert.deepEqual([sockets.size, problems.length], [0, 1], LISTEN_FDS);
  }
  const { sockets, problems } = passed({ LISTEN_FDS: '2', LISTEN_FDNAMES: 'http' });
  assert.deepEqual([sockets.size, problems], [0, ['LISTEN_FDNAMES has 1 names for 2 sockets']]);
});
