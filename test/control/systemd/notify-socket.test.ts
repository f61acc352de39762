import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sendDatagram } from '../../../src/control/system-calls.ts';
import { DirectSocket, ProgramSocket } from '../../../src/control/systemd/notify-socket.ts';
import { eventually, requirePeer, temporaryFolder } from '../../e2e/harness.ts';
import { startReceiver } from '../../e2e/notify-receiver.ts';
import { recordingLog } from '../new-edge.ts';

test('a message reaches a socket with a path and one with an abstract name, whole', async (t) => {
  for (const path of [undefined, `@stekbal-test-${randomBytes(8).toString('hex')}`]) {
    const receiver = await startReceiver(t, path === undefined ? {} : { path });
    if (receiver === null) return;
    const { log, lines } = recordingLog();
    new DirectSocket(receiver.path, log).send(['READY=1', 'STATUS=all is well: ä = 1']);
    const message = await receiver.received(() => true);
    assert.deepEqual(message, { READY: '1', STATUS: 'all is well: ä = 1' });
    assert.deepEqual(lines, []);
  }
});

test('a path that a socket cannot have, and one that leads nowhere, are errors by name', (t) => {
  assert.equal(sendDatagram(`/${'x'.repeat(107)}`, 'READY=1'), 'ENAMETOOLONG');
  assert.equal(sendDatagram(`/${'x'.repeat(106)}`, 'READY=1'), 'ENOENT');
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, '');
  assert.equal(sendDatagram(file, 'READY=1'), 'ECONNREFUSED');
  assert.equal(sendDatagram(`@stekbal-nobody-${randomBytes(8).toString('hex')}`, 'READY=1'), 'ECONNREFUSED');
});

test('a service manager that is gone costs one line of the log', () => {
  const { log, lines } = recordingLog();
  const socket = new DirectSocket('/nonexistent/notify', log);
  for (let i = 0; i < 3; i++) socket.send(['WATCHDOG=1']);
  assert.deepEqual(
    lines.map(({ msg, error }) => [msg, error]),
    [['the service manager cannot be told how this program is', 'ENOENT']],
  );
});

test('what a busy service manager cannot take yet reaches it later, in order', async (t) => {
  const receiver = await startReceiver(t, { isHeld: true });
  if (receiver === null) return;
  const { log, lines } = recordingLog();
  const results: (string | null)[] = [];
  const socket = new DirectSocket(receiver.path, log, (path, text) => {
    const result = sendDatagram(path, text);
    results.push(result);
    return result;
  });
  for (let i = 0; i < 40; i++) socket.send([`STATUS=${i}`]);
  if (results.includes(null) && !results.includes('EAGAIN'))
    return t.skip('the queue of a datagram socket is long here');
  socket.send(['READY=1']);
  receiver.release();
  await receiver.received(({ READY }) => READY === '1');
  assert.deepEqual(
    receiver.messages.map(({ STATUS }) => STATUS),
    [...Array.from({ length: 40 }, (_, i) => String(i)), undefined],
  );
  assert.deepEqual(lines, []);
});

test('for a service manager that stands still no more than 64 messages are kept, the newest', () => {
  const { log } = recordingLog();
  const sent: string[] = [];
  let isBusy = true;
  const socket = new DirectSocket('/x', log, (_, text) => {
    if (isBusy) return 'EAGAIN';
    sent.push(text);
    return null;
  });
  for (let i = 0; i < 100; i++) socket.send([`STATUS=${i}`]);
  isBusy = false;
  return eventually(() => sent.length > 0, 'messages sent').then(() => {
    assert.deepEqual([sent.length, sent[0], sent.at(-1)], [64, 'STATUS=36', 'STATUS=99']);
    socket.close();
  });
});

test('where Node cannot, systemd-notify says it, one message after the other', async (t) => {
  const receiver = await startReceiver(t);
  if (receiver === null) return;
  const { log, lines } = recordingLog();
  const socket = new ProgramSocket(receiver.path, log);
  socket.send(['STATUS=first']);
  socket.send(['READY=1', 'STATUS=second = last']);
  await eventually(() => receiver.messages.some(({ READY }) => READY) || lines.length > 0, 'messages, or a warning');
  if (!requirePeer(t, lines.length === 0, 'systemd-notify is not installed')) return;
  // it sends BARRIER=1 besides
  const said = receiver.messages.filter((message) => 'STATUS' in message);
  assert.equal(said[0]?.STATUS, 'first');
  assert.equal(said[1]?.STATUS, 'second = last');
  assert.equal(said[1]?.READY, '1');
});

test('where there is no systemd-notify either, that is said once', async () => {
  const { log, lines } = recordingLog();
  const socket = new ProgramSocket('/x', log, '/nonexistent/systemd-notify');
  socket.send(['READY=1']);
  socket.send(['WATCHDOG=1']);
  await eventually(() => lines.length > 0, 'a warning');
  assert.match(String(lines[0]?.error), /systemd-notify: ENOENT/);
});

test('a systemd-notify that fails is one line, however often', async (t) => {
  const program = join(temporaryFolder(t), 'notify');
  writeFileSync(program, '#!/bin/sh\nexit 3\n');
  chmodSync(program, 0o755);
  const { log, lines } = recordingLog();
  const socket = new ProgramSocket('/x', log, program);
  for (let i = 0; i < 3; i++) socket.send(['WATCHDOG=1']);
  await eventually(() => lines.length > 0, 'a warning');
  assert.match(String(lines[0]?.error), /: 3$/);
});
