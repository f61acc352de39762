/** The commands of the ticket keys as log entries: what is read, and what is refused at either end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { decodeCommand, encodeCommand, type StateCommand } from '../../src/control/state-command.ts';
import { isTicketKey, type KeyCommand } from '../../src/stek/key-ring.ts';
import { TICKET_KEY_BYTES } from '../../src/stek/ticket-key.ts';
import { keyName, ticketKey } from '../stek/fixtures.ts';

const AT_MS = 1_700_000_000_000;
const KEY = ticketKey(1);
const NAME = keyName(1);

const keys = fc.uint8Array({ minLength: TICKET_KEY_BYTES, maxLength: TICKET_KEY_BYTES });
const names = keys.map((key) => Buffer.from(key.subarray(0, 16)).toString('hex'));
const times = fc.nat({ max: 8.64e15 });
const keyCommandArbitrary: fc.Arbitrary<KeyCommand> = fc.oneof(
  fc.tuple(keys, times).map(([key, atMs]) => ({ kind: 'key-mint' as const, key, atMs })),
  fc.tuple(names, times).map(([name, atMs]) => ({ kind: 'key-activate' as const, name, atMs })),
  names.map((name) => ({ kind: 'key-retire' as const, name })),
  fc.constant({ kind: 'key-rotate' as const }),
  fc.tuple(keys, times).map(([key, atMs]) => ({ kind: 'key-revoke' as const, key, atMs })),
);

test('a key command is decoded to what was encoded', () => {
  fc.assert(
    fc.property(keyCommandArbitrary, (command) => assert.deepEqual(decodeCommand(encodeCommand(command)), command)),
  );
});

test('the bytes of a command are those that its table draws', () => {
  const drawn: [StateCommand, unknown[]][] = [
    [{ kind: 'key-mint', key: KEY, atMs: AT_MS }, [1, 'key-mint', KEY, AT_MS]],
    [{ kind: 'key-activate', name: NAME, atMs: AT_MS }, [1, 'key-activate', NAME, AT_MS]],
    [{ kind: 'key-retire', name: NAME }, [1, 'key-retire', NAME]],
    [{ kind: 'key-rotate' }, [1, 'key-rotate']],
    [
      { kind: 'node', pool: 'p', address: 'a:1', edit: { kind: 'changed', weight: null, drain: true } },
      [1, 'node', 'p', 'a:1', null, true, false],
    ],
    [{ kind: 'key-revoke', key: KEY, atMs: AT_MS }, [1, 'key-revoke', KEY, AT_MS]],
  ];
  for (const [command, fields] of drawn) assert.deepEqual(decode(encodeCommand(command)), fields);
});

test('an entry that is a Buffer is read as any other', () => {
  const command = decodeCommand(Buffer.from(encodeCommand({ kind: 'key-mint', key: KEY, atMs: AT_MS })));
  assert.ok(command?.kind === 'key-mint' && isTicketKey(command.key));
  assert.deepEqual(new Uint8Array(command.key), KEY);
});

/** The fields after the version. */
const MALFORMED: Record<string, unknown[]> = {
  'a key of 47 bytes': ['key-mint', KEY.subarray(1), AT_MS],
  'a key of 49 bytes': ['key-revoke', new Uint8Array(49), AT_MS],
  'a key that is text': ['key-mint', 'k'.repeat(48), AT_MS],
  'a key that is a list': ['key-mint', [...KEY], AT_MS],
  'no key': ['key-revoke', null, AT_MS],
  'no time': ['key-mint', KEY],
  'a negative time': ['key-mint', KEY, -1],
  'a time between two milliseconds': ['key-activate', NAME, 0.5],
  'a time that is no number': ['key-revoke', KEY, '0'],
  'a time beyond what is counted exactly': ['key-activate', NAME, 2 ** 53],
  'a name that is not hex': ['key-activate', 'x'.repeat(32), AT_MS],
  'a name in upper case': ['key-retire', NAME.toUpperCase().replace(/\d/g, 'A')],
  'half a name': ['key-retire', NAME.slice(16)],
  'a name and a line': ['key-retire', `${NAME}\n`],
  'a name that is bytes': ['key-activate', KEY.subarray(0, 16), AT_MS],
  'a mint with a field more': ['key-mint', KEY, AT_MS, 0],
  'an activation with a field more': ['key-activate', NAME, AT_MS, null],
  'a retirement with a field more': ['key-retire', NAME, AT_MS],
  'a wish with a field more': ['key-rotate', null],
  'a revocation with a field more': ['key-revoke', KEY, AT_MS, true],
  'a change of a node that adds it': ['node', 'p', 'a:1', 1, true, true],
  'a change of a node with a field more': ['node', 'p', 'a:1', 1, true, false, null],
  'a kind that there is not': ['key-forget', NAME],
  'a kind that there is not, with the fields of a mint': ['key-stage', KEY, AT_MS],
};

for (const [what, fields] of Object.entries(MALFORMED)) {
  test(`${what} is no command`, () => assert.equal(decodeCommand(encode([1, ...fields])), null));
}

test('a key command of another version is none of this one', () => {
  for (const version of [0, 2, '1', null]) assert.equal(decodeCommand(encode([version, 'key-rotate'])), null);
});

/** What the types allow, and apply would ignore. */
const UNFIT: Record<string, KeyCommand> = {
  'a key of 47 bytes': { kind: 'key-mint', key: KEY.subarray(1), atMs: AT_MS },
  'a revoking key of 49 bytes': { kind: 'key-revoke', key: new Uint8Array(49), atMs: AT_MS },
  'a negative time': { kind: 'key-mint', key: KEY, atMs: -1 },
  'a time between two milliseconds': { kind: 'key-activate', name: NAME, atMs: 0.5 },
  'no time at all': { kind: 'key-revoke', key: KEY, atMs: Number.NaN },
  'a name that is not hex': { kind: 'key-activate', name: 'x'.repeat(32), atMs: AT_MS },
  'the id in place of the name': { kind: 'key-retire', name: NAME.slice(0, 8) },
};

for (const [what, command] of Object.entries(UNFIT)) {
  test(`${what} cannot be encoded, and the error holds no byte of a key`, () => {
    assert.throws(
      () => encodeCommand(command),
      (error: Error) =>
        error instanceof RangeError && error.message === `not a command that could be applied: ${command.kind}`,
    );
  });
}
