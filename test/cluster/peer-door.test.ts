/** Who may begin a handshake at the port for peers, by a clock of the test's own. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerDoor } from '../../src/cluster/peer-door.ts';

const LIMITS = { peerRate: { perSecond: 2, burst: 4 }, strangerRate: { perSecond: 5, burst: 10 } };

function newDoor() {
  const clock = { nowMs: 1_000 };
  const door = new PeerDoor(LIMITS, () => clock.nowMs);
  /** How many of a hundred at once are let in. */
  const admitted = (address: string) => Array.from({ length: 100 }, () => door.admits(address)).filter(Boolean).length;
  return { door, clock, admitted };
}

test('strangers have one rate together, from however many addresses they come', () => {
  const { door, clock, admitted } = newDoor();
  let sum = 0;
  for (let i = 0; i < 100; i++) sum += Number(door.admits(`10.9.9.${i}`));
  assert.equal(sum, 10);
  clock.nowMs += 1_000;
  assert.equal(admitted('10.8.8.8'), 5);
  clock.nowMs += 3_600_000;
  assert.equal(admitted('10.8.8.8'), 10);
});

test("strangers do not use up a listed server's rate, nor it theirs", () => {
  const { door, clock, admitted } = newDoor();
  door.dialled(1, '10.0.0.1');
  door.dialled(2, '10.0.0.2');
  assert.equal(admitted('10.9.9.9'), 10);
  assert.equal(admitted('10.0.0.1'), 4);
  assert.equal(admitted('10.0.0.2'), 4);
  clock.nowMs += 500;
  assert.deepEqual([admitted('10.0.0.1'), admitted('10.9.9.9')], [1, 2]);
});

test('servers that are dialled at one address have their rates there together', () => {
  const { door, admitted } = newDoor();
  for (const serverId of [1, 2, 3]) door.dialled(serverId, '127.0.0.1');
  assert.equal(admitted('127.0.0.1'), 12);
});

test('a server that moves is expected where it is now, and to dial it again and again refills nothing', () => {
  const { door, admitted } = newDoor();
  door.dialled(1, '10.0.0.1');
  assert.equal(admitted('10.0.0.1'), 4);
  door.dialled(1, '10.0.0.5');
  assert.deepEqual([door.expects('10.0.0.1'), door.expects('10.0.0.5')], [false, true]);
  assert.equal(admitted('10.0.0.5'), 0);
});

test('a server that has come in from another address may come from both', () => {
  const { door, clock, admitted } = newDoor();
  door.dialled(1, '10.0.0.1');
  assert.equal(admitted('10.9.9.9'), 10);
  assert.equal(admitted('192.168.0.1'), 0);
  door.heard(1, '192.168.0.1');
  assert.equal(admitted('192.168.0.1'), 4);
  clock.nowMs += 1_000;
  assert.deepEqual([admitted('10.0.0.1'), admitted('192.168.0.1')], [2, 0]);
});

test('a server that is taken off the list is a stranger', () => {
  const { door } = newDoor();
  door.dialled(1, '10.0.0.1');
  door.dialled(2, '10.0.0.2');
  door.keep(new Set([2]));
  assert.deepEqual([door.expects('10.0.0.1'), door.expects('10.0.0.2')], [false, true]);
});

test('an address is the same however it is written', () => {
  const { door } = newDoor();
  door.dialled(1, '10.0.0.1');
  door.dialled(2, 'FD00:0:0::0001');
  assert.ok(door.expects('::ffff:10.0.0.1'));
  assert.ok(door.expects('fd00::1'));
  assert.ok(!door.expects('fd00::2'));
});
