import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddressBoard, networkOf } from '../../src/boards/address-board.ts';

function boardOf(threads: number): AddressBoard {
  const board = AddressBoard.create(threads);
  for (let thread = 0; thread < threads; thread++) board.clear(thread);
  return board;
}

test('an address counts over all threads', () => {
  const board = boardOf(3);
  board.add(0, '192.0.2.1', 1);
  board.add(2, '192.0.2.1', 1);
  board.add(2, '192.0.2.1', 1);
  board.add(2, '192.0.2.1', -1);
  assert.equal(board.count('192.0.2.1'), 2);
  assert.equal(board.count('192.0.2.2'), 0);
});

test('a count is never too low, and with 100,000 connections from as many addresses too high by a few', () => {
  const board = boardOf(2);
  const addresses = Array.from({ length: 100_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  for (const [i, address] of addresses.entries()) board.add(i & 1, address, 1);
  const counts = addresses.map((address) => board.count(address));
  assert.ok(counts.every((count) => count >= 1));
  assert.ok(counts.reduce((sum, count) => sum + count, 0) / counts.length < 4);
  assert.ok(counts.every((count) => count < 20));
});

test('what is opened and closed in any order comes back to nothing', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(fc.array(address, { maxLength: 50 }), (addresses) => {
      const board = boardOf(1);
      for (const one of addresses) board.add(0, one, 1);
      for (const one of addresses) assert.ok(board.count(one) >= addresses.filter((other) => other === one).length);
      for (const one of addresses.toReversed()) board.add(0, one, -1);
      assert.ok(addresses.every((one) => board.count(one) === 0));
    }),
    { numRuns: 50 },
  );
});

test('what a thread that has ended left open is forgotten, and nothing else', () => {
  const board = boardOf(2);
  board.add(0, '192.0.2.1', 1);
  board.add(1, '192.0.2.1', 1);
  board.clear(1);
  assert.equal(board.count('192.0.2.1'), 1);
});

test('a thread attaches to what another has made', () => {
  const board = boardOf(2);
  new AddressBoard(board.buffer).add(1, '192.0.2.7', 1);
  assert.equal(board.count('192.0.2.7'), 1);
  assert.equal(board.partsInUse, 2);
  assert.throws(() => new AddressBoard(new SharedArrayBuffer(64)), RangeError);
  assert.throws(() => board.add(2, '192.0.2.7', 1), RangeError);
});

test('an IPv6 client is its /64, however the address is written', () => {
  for (const address of ['2001:db8:1:2::5', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2:ffff::']) {
    assert.equal(networkOf(address), '2001:db8:1:2');
  }
  assert.equal(networkOf('::1'), '0:0:0:0');
  assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0');
  assert.equal(networkOf('2001::db8:1:2:3:4:5'), '2001:0:db8:1');
  assert.equal(networkOf('192.0.2.1'), '192.0.2.1');
});
