/** Ticket key files of nginx, HAProxy and Traffic Server: which key is taken, and how its parts are put in order. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type ImportFormat, importTicketKey } from '../../src/stek/import-formats.ts';
import { partsOf } from '../../src/stek/ticket-key.ts';

const [name, aes, hmac] = [randomBytes(16), randomBytes(16), randomBytes(16)] as const;
const nameAesHmac = Buffer.concat([name, aes, hmac]);
const nameHmacAes = Buffer.concat([name, hmac, aes]);
const line = (bytes = randomBytes(48)) => bytes.toString('base64');

test("nginx's key is its file, with aes before hmac", () => {
  assertTaken(nameAesHmac, 'nginx');
});

test("Traffic Server's key is the first of its file, in the order used here", () => {
  assertTaken(nameHmacAes, 'ats');
  assertTaken(Buffer.concat([nameHmacAes, randomBytes(96)]), 'ats');
});

test("HAProxy's key is the last but one of its file, or the only one, with aes before hmac", () => {
  const own = line(nameAesHmac);
  assertTaken(Buffer.from(own), 'haproxy');
  assertTaken(Buffer.from(`${own}\n${line()}\n`), 'haproxy');
  assertTaken(Buffer.from(`${line()}\r\n${own}\r\n\r\n${line()}\r\n`), 'haproxy');
});

test('the key is a copy: the file can be erased', () => {
  for (const format of ['nginx', 'ats'] as const) {
    const file = randomBytes(48);
    const imported = importTicketKey(file, format);
    file.fill(0);
    assert.ok(imported.ok && imported.key.every((byte) => byte === 0) === false);
    assert.equal(imported.key.length, 48);
  }
});

test('keys for AES-256 are refused, and named so', () => {
  assertRefused(
    randomBytes(80),
    'nginx',
    /holds an AES-256 key of nginx's; only AES-128 keys, of 48 bytes, can be used/,
  );
  const lines = Buffer.from([line(), line(randomBytes(80)), line()].join('\n'));
  assertRefused(lines, 'haproxy', /holds AES-256 keys of HAProxy's; only AES-128 keys/);
});

test('files of another length or form are refused', () => {
  for (const length of [0, 47, 49, 96])
    assertRefused(randomBytes(length), 'nginx', new RegExp(`^has ${length} bytes; `));
  for (const length of [0, 47, 49, 80, 95])
    assertRefused(randomBytes(length), 'ats', new RegExp(`^has ${length} bytes`));
  assertRefused(Buffer.from('\n\n'), 'haproxy', /^is empty; /);
  assertRefused(Buffer.from(`${line()}\nno key\n`), 'haproxy', /^has no key in line 2 of those with text; /);
  assertRefused(randomBytes(48).fill(0xff, 0, 1), 'haproxy', /^has no key in line 1 /);
});

test('no refusal holds anything of the file', () => {
  const secret = line(randomBytes(47));
  const imported = importTicketKey(Buffer.from(`${line()}\n${secret}\n`), 'haproxy');
  assert.ok(!imported.ok && !imported.message.includes(secret));
});

function assertTaken(file: Uint8Array, format: ImportFormat): void {
  const imported = importTicketKey(file, format);
  assert.ok(imported.ok, JSON.stringify(imported));
  const parts = partsOf(imported.key);
  assert.deepEqual([parts.name, parts.hmac, parts.aes].map(hex), [name, hmac, aes].map(hex));
}

function assertRefused(file: Uint8Array, format: ImportFormat, message: RegExp): void {
  const imported = importTicketKey(file, format);
  assert.ok(!imported.ok);
  assert.match(imported.message, message);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
