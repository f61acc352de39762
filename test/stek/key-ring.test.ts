/** The ring of ticket keys: what each command does, and what holds after any sequence of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import {
  describeKey,
  isTicketKey,
  isTime,
  KEYS_MAX,
  type KeyCommand,
  KeyRing,
  type RingKey,
} from '../../src/stek/key-ring.ts';
import { nameOf, TICKET_KEY_BYTES } from '../../src/stek/ticket-key.ts';
import { keyName, ringOf, ticketKey } from './fixtures.ts';

const numbers = fc.integer({ min: 1, max: 6 });
const times = fc.integer({ min: 0, max: 1_000_000 });
const commandArbitrary: fc.Arbitrary<KeyCommand> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('key-mint' as const), key: numbers.map(ticketKey), atMs: times }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('key-activate' as const), name: numbers.map(keyName), atMs: times }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('key-retire' as const), name: numbers.map(keyName) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'key-rotate' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('key-revoke' as const), key: numbers.map(ticketKey), atMs: times }),
  },
);
const commandsArbitrary = fc.array(commandArbitrary, { maxLength: 60 });

// ---------------------------------------------------------------- each command

test('a minted key is staged, and no second one beside it', () => {
  const ring = new KeyRing();
  assert.equal(ring.apply({ kind: 'key-mint', key: ticketKey(1), atMs: 5 }), 'changed');
  assert.deepEqual(ring.staged, { bytes: ticketKey(1), stage: 'staged', sinceMs: 5, activeSinceMs: 0 });
  assert.equal(ring.active, null);
  assert.equal(ring.apply({ kind: 'key-mint', key: ticketKey(2), atMs: 6 }), 'none');
  assert.deepEqual(stages(ring), ['1 staged']);
});

test('only the staged key can be activated, and the one that was active retires then', () => {
  const ring = ringOf(1);
  for (const n of [1, 3]) assert.equal(ring.apply({ kind: 'key-activate', name: keyName(n), atMs: 9_000 }), 'none');
  assert.equal(ring.apply({ kind: 'key-activate', name: keyName(2), atMs: 9_000 }), 'changed');
  assert.deepEqual(ring.keys, [
    { bytes: ticketKey(1), stage: 'retiring', sinceMs: 9_000, activeSinceMs: 1_000 },
    { bytes: ticketKey(2), stage: 'active', sinceMs: 9_000, activeSinceMs: 9_000 },
  ]);
});

test('only a retiring key can be retired, and its bytes are zero then', () => {
  const ring = ringOf(2);
  for (const n of [2, 3, 4]) assert.equal(ring.apply({ kind: 'key-retire', name: keyName(n) }), 'none');
  const { bytes } = ring.find(keyName(1)) as RingKey;
  assert.equal(ring.apply({ kind: 'key-retire', name: keyName(1) }), 'erased');
  assert.deepEqual([stages(ring), bytes], [['2 active', '3 staged'], new Uint8Array(TICKET_KEY_BYTES)]);
});

test('a wish to rotate lasts until the next activation', () => {
  const ring = ringOf(1);
  assert.deepEqual([ring.isRotationWanted, ring.apply({ kind: 'key-rotate' })], [false, 'changed']);
  assert.deepEqual([ring.isRotationWanted, ring.apply({ kind: 'key-rotate' })], [true, 'none']);
  ring.apply({ kind: 'key-activate', name: keyName(2), atMs: 2_000 });
  assert.equal(ring.isRotationWanted, false);
});

test('a revocation leaves one key, which is active, and zeroes all others, whatever their stage', () => {
  const ring = ringOf(2);
  ring.apply({ kind: 'key-rotate' });
  const before = ring.keys.map(({ bytes }) => bytes);
  assert.equal(ring.apply({ kind: 'key-revoke', key: ticketKey(9), atMs: 7_000 }), 'erased');
  assert.deepEqual(ring.keys, [{ bytes: ticketKey(9), stage: 'active', sinceMs: 7_000, activeSinceMs: 7_000 }]);
  assert.equal(ring.isRotationWanted, false);
  assert.equal(before.length, 3);
  for (const bytes of before) assert.ok(bytes.every((byte) => byte === 0));
});

test('a revocation that comes a second time does not bring its key back to the front', () => {
  const ring = new KeyRing();
  const revoke: KeyCommand = { kind: 'key-revoke', key: ticketKey(9), atMs: 7_000 };
  ring.apply(revoke);
  ring.apply({ kind: 'key-mint', key: ticketKey(1), atMs: 8_000 });
  ring.apply({ kind: 'key-activate', name: keyName(1), atMs: 8_000 });
  assert.equal(ring.apply(revoke), 'none');
  assert.deepEqual(stages(ring), ['9 retiring', '1 active']);
});

test('a ring that is full takes no further key until one is retired', () => {
  const ring = fullRing();
  assert.equal(ring.keys.length, KEYS_MAX);
  assert.equal(ring.apply({ kind: 'key-mint', key: numbered(5_000), atMs: 0 }), 'none');
  ring.apply({ kind: 'key-retire', name: nameOf(numbered(0)) });
  assert.equal(ring.apply({ kind: 'key-mint', key: numbered(5_000), atMs: 0 }), 'changed');
});

test('an erased ring is empty, and all its keys are zero', () => {
  const ring = ringOf(3);
  const before = ring.keys.map(({ bytes }) => bytes);
  ring.erase();
  assert.deepEqual([ring.keys, ring.active, ring.staged], [[], null, null]);
  for (const bytes of before) assert.ok(bytes.every((byte) => byte === 0));
});

// ---------------------------------------------------------------- whose bytes

test("the bytes are the ring's own: what a command held can be erased, and is not when a key is retired", () => {
  for (const copy of [(bytes: Uint8Array) => bytes.slice(), (bytes: Uint8Array) => Buffer.from(bytes)]) {
    const ring = new KeyRing();
    const [minted, revoking] = [copy(ticketKey(1)), copy(ticketKey(2))];
    ring.apply({ kind: 'key-mint', key: minted, atMs: 0 });
    minted.fill(0xff);
    assert.deepEqual(new Uint8Array(ring.staged?.bytes ?? []), ticketKey(1));
    ring.apply({ kind: 'key-revoke', key: revoking, atMs: 0 });
    ring.erase();
    assert.deepEqual(new Uint8Array(revoking), ticketKey(2));
    assert.ok(minted.every((byte) => byte === 0xff));
  }
});

test('two rings of one snapshot share no bytes, with each other nor with the snapshot', () => {
  for (const data of [encode(ringOf(2).toSnapshot()), Buffer.from(encode(ringOf(2).toSnapshot()))]) {
    const [one, two] = [KeyRing.fromSnapshot(decode(data)), KeyRing.fromSnapshot(decode(data))];
    one.erase();
    assert.deepEqual(plain(two), plain(ringOf(2)));
    assert.deepEqual(plain(KeyRing.fromSnapshot(decode(data))), plain(ringOf(2)));
  }
});

// ---------------------------------------------------------------- any sequence of commands

test('after any commands at most one key is active, at most one staged, and no two have a name in common', () => {
  fc.assert(
    fc.property(commandsArbitrary, (commands) => {
      const ring = new KeyRing();
      for (const command of commands) {
        ring.apply(command);
        const count = (wanted: string) => ring.keys.filter(({ stage }) => stage === wanted).length;
        assert.ok(count('active') <= 1 && count('staged') <= 1);
        assert.equal(new Set(ring.keys.map(({ bytes }) => nameOf(bytes))).size, ring.keys.length);
        for (const { stage, activeSinceMs } of ring.keys) if (stage === 'staged') assert.equal(activeSinceMs, 0);
      }
    }),
  );
});

test('once there is an active key there always is one', () => {
  fc.assert(
    fc.property(commandsArbitrary, (commands) => {
      const ring = new KeyRing();
      for (const command of commands) {
        const hadOne = ring.active !== null;
        ring.apply(command);
        assert.ok(!hadOne || ring.active !== null);
      }
    }),
  );
});

test('an effect is told as it is: none changes nothing, erased zeroes what is gone, and nothing else is touched', () => {
  fc.assert(
    fc.property(commandsArbitrary, (commands) => {
      const ring = new KeyRing();
      for (const command of commands) {
        const before = plain(ring);
        const keys = ring.keys.map(({ bytes }) => bytes);
        const effect = ring.apply(command);
        assert.equal(JSON.stringify(plain(ring)) === JSON.stringify(before), effect === 'none');
        const gone = keys.filter((bytes) => !ring.keys.some((key) => key.bytes === bytes));
        if (gone.length > 0) assert.equal(effect, 'erased');
        for (const bytes of gone) assert.ok(bytes.every((byte) => byte === 0));
        for (const { bytes } of ring.keys) assert.ok(isFixture(bytes));
      }
    }),
  );
});

test('a command that is applied twice in a row changes nothing the second time', () => {
  fc.assert(
    fc.property(commandsArbitrary, (commands) => {
      const ring = new KeyRing();
      for (const command of commands) {
        ring.apply(command);
        const once = plain(ring);
        assert.equal(ring.apply(command), 'none');
        assert.deepEqual(plain(ring), once);
      }
    }),
  );
});

test('the same commands give the same ring, with snapshots in between or without', () => {
  fc.assert(
    fc.property(commandsArbitrary, fc.array(fc.boolean()), (commands, restores) => {
      const one = new KeyRing();
      let other = new KeyRing();
      for (const [i, command] of commands.entries()) {
        assert.equal(one.apply(command), other.apply(command));
        if (restores[i] === true) other = KeyRing.fromSnapshot(decode(encode(other.toSnapshot())));
      }
      assert.deepEqual(encode(other.toSnapshot()), encode(one.toSnapshot()));
    }),
  );
});

// ---------------------------------------------------------------- snapshots

test('a full ring can be restored from its snapshot', () => {
  const ring = fullRing();
  const again = KeyRing.fromSnapshot(decode(encode(ring.toSnapshot())));
  assert.deepEqual(encode(again.toSnapshot()), encode(ring.toSnapshot()));
});

test('what is no snapshot of a ring is refused', () => {
  const key = (n: number, stage: unknown, sinceMs: unknown = 0, activeSinceMs: unknown = 0) => {
    return [ticketKey(n), stage, sinceMs, activeSinceMs];
  };
  const strangers: Record<string, unknown> = {
    'no array': {},
    nothing: null,
    'no wish': [[]],
    'a wish that is no boolean': [0, []],
    'keys that are no array': [false, {}],
    'one field more': [false, [], 0],
    'a key that is no array': [false, [7]],
    'a field of a key more': [false, [[...key(1, 'staged'), 0]]],
    'a short key': [false, [[new Uint8Array(47), 'staged', 0, 0]]],
    'a long key': [false, [[new Uint8Array(49), 'staged', 0, 0]]],
    'a key that is text': [false, [['x'.repeat(48), 'staged', 0, 0]]],
    'a stage that there is not': [false, [key(1, 'gone')]],
    'a negative time': [false, [key(1, 'active', -1)]],
    'a time that is no integer': [false, [key(1, 'active', 0, 0.5)]],
    'two active keys': [false, [key(1, 'active'), key(2, 'active')]],
    'two staged keys': [false, [key(1, 'staged'), key(2, 'staged')]],
    'a name twice': [false, [key(1, 'retiring'), key(1, 'active')]],
    'too many keys': [false, Array.from({ length: KEYS_MAX + 1 }, (_, n) => [numbered(n), 'retiring', 0, 0])],
  };
  for (const [what, data] of Object.entries(strangers)) {
    assert.throws(() => KeyRing.fromSnapshot(data), TypeError, what);
  }
});

// ---------------------------------------------------------------- what is shown, and what is believed

test('what is shown of a key are its id, its stage and since when', () => {
  assert.deepEqual(describeKey(ringOf(1).keys[0] as RingKey), {
    id: keyName(1).slice(0, 8),
    stage: 'active',
    sinceMs: 1_000,
  });
});

test('a key is 48 bytes, a time a whole number of milliseconds since 1970', () => {
  for (const value of [new Uint8Array(47), new Uint8Array(49), new Array(48).fill(0), 'x'.repeat(48), null]) {
    assert.equal(isTicketKey(value), false);
  }
  assert.equal(isTicketKey(new Uint8Array(48)), true);
  for (const value of [-1, 0.5, Number.NaN, 8.64e15 + 1, '0', 0n, null]) assert.equal(isTime(value), false);
  for (const value of [0, 8.64e15]) assert.equal(isTime(value), true);
});

function stages(ring: KeyRing): string[] {
  return ring.keys.map(({ bytes, stage }) => {
    const n = Array.from({ length: 20 }, (_, i) => i + 1).find((i) => keyName(i) === nameOf(bytes));
    return `${n} ${stage}`;
  });
}

/** As plain data of its own. */
function plain(ring: KeyRing): unknown {
  return decode(encode(ring.toSnapshot()));
}

function isFixture(bytes: Uint8Array): boolean {
  return [1, 2, 3, 4, 5, 6].some((n) => Buffer.from(bytes).equals(ticketKey(n)));
}

function numbered(n: number): Uint8Array {
  const key = new Uint8Array(TICKET_KEY_BYTES).fill(1);
  new DataView(key.buffer).setUint32(0, n);
  return key;
}

/** KEYS_MAX keys, the last of them active. */
function fullRing(): KeyRing {
  const ring = new KeyRing();
  for (let n = 0; n < KEYS_MAX; n++) {
    ring.apply({ kind: 'key-mint', key: numbered(n), atMs: n });
    ring.apply({ kind: 'key-activate', name: nameOf(numbered(n)), atMs: n });
  }
  return ring;
}
