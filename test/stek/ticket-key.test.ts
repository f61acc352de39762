/** The layout of a ticket key, and what it is called. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyId, nameOf, partsOf, TICKET_KEY_BYTES } from '../../src/stek/ticket-key.ts';

const NAME = '000102030405060708090a0b0c0d0e0f';
const HMAC = '101112131415161718191a1b1c1d1e1f';
const AES = '202122232425262728292a2b2c2d2e2f';
const KEY = new Uint8Array(Buffer.from(NAME + HMAC + AES, 'hex'));

test('the 48 bytes of a key are its name, its HMAC key and its AES key, as views', () => {
  const { name, hmac, aes } = partsOf(KEY);
  assert.deepEqual(
    [name, hmac, aes].map((part) => Buffer.from(part).toString('hex')),
    [NAME, HMAC, AES],
  );
  assert.ok([name, hmac, aes].every(({ buffer }) => buffer === KEY.buffer));
});

test('people see the first 8 hex digits of a name, programs tell keys apart by all 32', () => {
  assert.deepEqual([keyId(KEY), nameOf(KEY)], ['00010203', NAME]);
});

test('a key that is a view of a larger buffer has its own name, not that of what stands before it', () => {
  const room = new Uint8Array(7 + TICKET_KEY_BYTES).fill(0xee);
  room.set(KEY, 7);
  assert.deepEqual([keyId(room.subarray(7)), nameOf(room.subarray(7))], ['00010203', NAME]);
});
