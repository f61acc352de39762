/** The canary against TLS servers in this process. */

import assert from 'node:assert/strict';
import type net from 'node:net';
import { test } from 'node:test';
import { Canary } from '../../src/control/canary.ts';
import type { ProbeTarget } from '../../src/control/resumption-probe.ts';
import { eventually } from '../e2e/harness.ts';
import { recordingLog } from './new-edge.ts';
import { OTHER_KEYS, SHARED_KEYS, startSilentServer, startTlsServer } from './tls-servers.ts';

interface Options {
  random?: () => number;
  serverNames?: string[];
  intervalMs?: number;
}

function newCanary(targets: ProbeTarget[], { random = () => 0, serverNames = [], intervalMs = 10_000 }: Options = {}) {
  const { log, lines } = recordingLog();
  const canary = new Canary({ config: { targets, intervalMs, serverNames }, log, random });
  return { canary, lines };
}

test('a round tries both versions from one target to another, under one of the names', async (t) => {
  const [a, b] = [await startTlsServer(t), await startTlsServer(t)];
  const { canary, lines } = newCanary([a.target, b.target], { serverNames: ['a.example', 'b.example'] });
  await canary.runRound();
  assert.deepEqual(canary.status, {
    isFailing: false,
    ok: { 'TLSv1.2': 1, 'TLSv1.3': 1 },
    failed: { 'TLSv1.2': 0, 'TLSv1.3': 0 },
  });
  assert.deepEqual([a.names, b.names.length], [['a.example', 'a.example'], 2]);
  assert.deepEqual(lines, []);
});

test('a target is never tried at itself', async (t) => {
  const [a, b] = [await startTlsServer(t), await startTlsServer(t)];
  for (const random of [() => 0, () => 0.999]) {
    await newCanary([a.target, b.target], { random }).canary.runRound();
  }
  assert.deepEqual([a.names.length, b.names.length], [4, 4]);
});

test('it warns once when it begins to fail, and says when it is well again', async (t) => {
  const [a, b] = [await startTlsServer(t), await startTlsServer(t, { ticketKeys: OTHER_KEYS })];
  const { canary, lines } = newCanary([a.target, b.target]);
  await canary.runRound();
  await canary.runRound();
  const [warning] = lines;
  assert.deepEqual(
    [lines.length, warning?.level, warning?.from, warning?.to, warning?.protocol, warning?.outcome],
    [1, 40, `127.0.0.1:${a.target.port}`, `127.0.0.1:${b.target.port}`, 'TLSv1.2', 'full'],
  );
  assert.ok(canary.status.isFailing);
  b.server.setTicketKeys(SHARED_KEYS);
  await canary.runRound();
  await canary.runRound();
  assert.deepEqual([lines.length, lines[1]?.level], [2, 30]);
  // what had failed was tried again besides the random pair
  assert.deepEqual(canary.status, {
    isFailing: false,
    ok: { 'TLSv1.2': 3, 'TLSv1.3': 3 },
    failed: { 'TLSv1.2': 3, 'TLSv1.3': 3 },
  });
});

test('one bad edge of many is tried again until it is well, whatever chance chooses', async (t) => {
  const [a, b, bad] = [await startTlsServer(t), await startTlsServer(t), await startTlsServer(t)];
  await bad.close();
  // from the first target to the last one, from then on to the second
  let calls = 0;
  const { canary, lines } = newCanary([a.target, b.target, bad.target], { random: () => (++calls === 2 ? 0.999 : 0) });
  for (let round = 0; round < 4; round++) await canary.runRound();
  assert.ok(canary.status.isFailing);
  assert.equal(lines.length, 1);
  assert.match(String(lines[0]?.reason), /ECONNREFUSED/);
  assert.deepEqual(canary.status.failed, { 'TLSv1.2': 4, 'TLSv1.3': 4 });
});

test('a fleet that speaks TLS 1.3 alone is well, one of which a part does is not', async (t) => {
  const only13 = { minVersion: 'TLSv1.3' } as const;
  const [a, b, c] = [await startTlsServer(t, only13), await startTlsServer(t, only13), await startTlsServer(t)];
  const well = newCanary([a.target, b.target]).canary;
  await well.runRound();
  assert.deepEqual([well.status.ok, well.status.isFailing], [{ 'TLSv1.2': 0, 'TLSv1.3': 1 }, false]);
  const { canary, lines } = newCanary([c.target, a.target]);
  await canary.runRound();
  assert.deepEqual([canary.status.failed, canary.status.isFailing], [{ 'TLSv1.2': 1, 'TLSv1.3': 0 }, true]);
  assert.match(String(lines[0]?.reason), /does not speak TLSv1\.2/);
});

test('rounds follow one another and never overlap, until it is stopped', async (t) => {
  const [a, b] = [await startTlsServer(t), await startTlsServer(t)];
  let [open, openMax] = [0, 0];
  for (const { server } of [a, b]) {
    server.on('connection', (socket: net.Socket) => {
      openMax = Math.max(openMax, ++open);
      socket.on('close', () => open--);
    });
  }
  const { canary } = newCanary([a.target, b.target], { intervalMs: 1 });
  canary.start();
  await eventually(() => canary.status.ok['TLSv1.3'] >= 5, 'five rounds');
  await canary.stop();
  const { ok } = canary.status;
  assert.ok(openMax <= 2, `${openMax} connections at once: one, and one whose end is on its way`);
  await eventually(() => open === 0, 'the end of the last connection');
  assert.deepEqual([canary.status.ok, canary.status.isFailing], [ok, false]);
});

test('it stops in the middle of a round, which counts nothing then', async (t) => {
  const [a, silent] = [await startTlsServer(t), await startSilentServer(t)];
  const { canary, lines } = newCanary([silent.target, a.target], { intervalMs: 1 });
  canary.start();
  await silent.connected;
  await canary.stop();
  await silent.ended;
  assert.deepEqual([canary.status.isFailing, canary.status.failed['TLSv1.2'], lines], [false, 0, []]);
});
