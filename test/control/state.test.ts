/** The replicated state: the same commands give the same state, by whichever way they come. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { EDITS_MAX } from '../../src/control/pool-edits.ts';
import { ReplicatedState, type StateChange } from '../../src/control/state.ts';
import { decodeCommand, encodeCommand, type StateCommand } from '../../src/control/state-command.ts';
import type { KeyCommand } from '../../src/stek/key-ring.ts';
import { keyName, ringOf, ticketKey } from '../stek/fixtures.ts';

const editArbitrary = fc.oneof(
  fc.constant(null),
  fc.constant({ kind: 'absent' } as const),
  fc.record(
    {
      kind: fc.constant('present' as const),
      weight: fc.option(fc.integer({ min: 1, max: 256 })),
      drain: fc.option(fc.boolean()),
    },
    { noNullPrototype: true },
  ),
);
const keyNumber = fc.integer({ min: 1, max: 4 });
const keyCommandArbitrary: fc.Arbitrary<KeyCommand> = fc.oneof(
  fc.tuple(keyNumber, fc.nat()).map(([n, atMs]) => ({ kind: 'key-mint' as const, key: ticketKey(n), atMs })),
  fc.tuple(keyNumber, fc.nat()).map(([n, atMs]) => ({ kind: 'key-activate' as const, name: keyName(n), atMs })),
  keyNumber.map((n) => ({ kind: 'key-retire' as const, name: keyName(n) })),
  fc.constant({ kind: 'key-rotate' as const }),
  fc.tuple(keyNumber, fc.nat()).map(([n, atMs]) => ({ kind: 'key-revoke' as const, key: ticketKey(n), atMs })),
);
const commandArbitrary: fc.Arbitrary<StateCommand> = fc.oneof(
  keyCommandArbitrary,
  fc.string({ minLength: 1, maxLength: 40 }).map((salt) => ({ kind: 'salt' as const, salt })),
  fc
    .tuple(fc.constantFrom('a', 'b', 'é'), fc.integer({ min: 1, max: 6 }), editArbitrary)
    .map(([pool, n, edit]) => ({ kind: 'node' as const, pool, address: `10.0.0.${n}:80`, edit })),
);
/** Log entries: commands, and what is none. */
const entryArbitrary = fc.oneof(
  { weight: 8, arbitrary: commandArbitrary.map(encodeCommand) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
);

test('a command is decoded to what was encoded', () => {
  fc.assert(
    fc.property(commandArbitrary, (command) => assert.deepEqual(decodeCommand(encodeCommand(command)), command)),
  );
});

test('a snapshot and a restore at any place change nothing of what follows', () => {
  const run = (entries: readonly Uint8Array[], isRestored: (index: number) => boolean) => {
    let state = new ReplicatedState();
    for (const [index, entry] of entries.entries()) {
      state.apply(entry);
      if (!isRestored(index)) continue;
      const next = new ReplicatedState();
      next.restore(state.snapshot());
      state = next;
    }
    return state.snapshot();
  };
  fc.assert(
    fc.property(fc.array(entryArbitrary, { maxLength: 60 }), fc.array(fc.boolean()), (entries, restores) => {
      const plain = run(entries, () => false);
      assert.deepEqual(
        run(entries, (index) => restores[index] === true),
        plain,
      );
      assert.deepEqual(
        run(entries, () => true),
        plain,
      );
    }),
  );
});

test('equal states have equal snapshots, in whatever order they came about', () => {
  const node = (pool: string, address: string) =>
    encodeCommand({ kind: 'node', pool, address, edit: { kind: 'present', weight: 2, drain: true } });
  const edits = ['a', 'b'].flatMap((pool) => ['x:1', 'y:1', 'z:1'].map((address) => node(pool, address)));
  const snapshots = [edits, edits.toReversed()].map((entries) => {
    const state = new ReplicatedState();
    for (const entry of entries) state.apply(entry);
    return state.snapshot();
  });
  assert.deepEqual(snapshots[0], snapshots[1]);
});

test('the first salt stays', () => {
  const state = new ReplicatedState();
  for (const salt of ['first', 'second']) state.apply(encodeCommand({ kind: 'salt', salt }));
  assert.equal(state.salt, 'first');
});

test('an edit that is withdrawn leaves nothing behind', () => {
  const state = new ReplicatedState();
  const empty = state.snapshot();
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'x:1', edit: { kind: 'absent' } }));
  assert.equal(state.editsOf('a').get('x:1')?.kind, 'absent');
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'x:1', edit: null }));
  assert.deepEqual(state.snapshot(), empty);
});

test('an empty snapshot is the state before the first entry', () => {
  const state = new ReplicatedState();
  state.apply(encodeCommand({ kind: 'salt', salt: 's' }));
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'x:1', edit: { kind: 'absent' } }));
  state.restore(new Uint8Array());
  assert.deepEqual(state.snapshot(), new ReplicatedState().snapshot());
});

test('what is no command of this version is ignored', () => {
  const state = new ReplicatedState();
  const before = state.snapshot();
  const strangers: unknown[] = [
    [2, 'salt', 's'],
    [1, 'key', 'k'],
    [1, 'salt'],
    [1, 'salt', ''],
    [1, 'salt', 's', 's'],
    [1, 'salt', 7],
    [1, 'node', 'a'],
    [1, 'node', 'a', 'x:1', 0, false],
    [1, 'node', 'a', 'x:1', 1.5, false],
    [1, 'node', 'a', 'x:1', 257, false],
    [1, 'node', 'a', 'x:1', 1, 1],
    [1, 'node', 'a', 'x:1', 1, true, 'more'],
    [1, 'node', 'a'.repeat(65), 'x:1', null],
    [1, 'node', 'a', 'x'.repeat(321), null],
    { version: 1 },
    'salt',
    null,
  ];
  for (const stranger of strangers) state.apply(encode(stranger));
  for (const bytes of [[], [0xc1], [0x92, 1], [0xdd, 0xff, 0xff, 0xff, 0xff]]) state.apply(Uint8Array.from(bytes));
  assert.deepEqual(state.snapshot(), before);
});

test('a snapshot that cannot be read changes nothing, and is an error', () => {
  const state = new ReplicatedState();
  state.apply(encodeCommand({ kind: 'salt', salt: 's' }));
  const before = state.snapshot();
  const unreadable: unknown[] = [
    { version: 2, salt: null, pools: [] },
    { version: 1, salt: 1, pools: [] },
    { version: 1, salt: null, pools: [['a', [['x:1', 0, false]]]] },
    { version: 1, salt: null, pools: [[1, [['x:1', null]]]] },
    { version: 1, salt: null },
    { version: 1, salt: null, pools: [], keys: null },
    { version: 1, salt: null, pools: [], keys: [] },
    { version: 1, salt: null, pools: [], keys: [false, [[new Uint8Array(47), 'active', 0, 0]]] },
    null,
    7,
  ];
  for (const data of unreadable) assert.throws(() => state.restore(encode(data)), /not one that this version reads/);
  assert.throws(() => state.restore(Uint8Array.of(0xc1)), /not one that this version reads/);
  assert.deepEqual(state.snapshot(), before);
});

test('beyond the limit further nodes are ignored, those that are edited already can be changed', () => {
  const state = new ReplicatedState();
  const edit = (address: string, weight: number) =>
    state.apply(encodeCommand({ kind: 'node', pool: 'a', address, edit: { kind: 'present', weight, drain: false } }));
  for (let i = 0; i < EDITS_MAX; i++) edit(`n${i}:1`, 1);
  const full = state.snapshot();
  assert.equal(state.hasRoomFor('a', 'further:1'), false);
  edit('further:1', 1);
  assert.deepEqual(state.snapshot(), full);
  assert.equal(state.hasRoomFor('a', 'n0:1'), true);
  edit('n0:1', 9);
  assert.deepEqual(state.editsOf('a').get('n0:1'), { kind: 'present', weight: 9, drain: false });
  const restored = new ReplicatedState();
  restored.restore(state.snapshot());
  assert.deepEqual(restored.snapshot(), state.snapshot());
  assert.equal(restored.hasRoomFor('b', 'n0:1'), false);
});

test('a command that apply would ignore cannot be encoded', () => {
  assert.throws(() => encodeCommand({ kind: 'salt', salt: '' }), RangeError);
  const edit = { kind: 'present', weight: 0, drain: false } as const;
  assert.throws(() => encodeCommand({ kind: 'node', pool: 'a', address: 'x:1', edit }), RangeError);
});

test('each change is told; a second salt and what is no command are none', () => {
  const changes: StateChange[] = [];
  const state = new ReplicatedState();
  state.onChange = (change) => changes.push(change);
  state.apply(encodeCommand({ kind: 'salt', salt: 's' }));
  state.apply(encodeCommand({ kind: 'salt', salt: 't' }));
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'x:1', edit: { kind: 'absent' } }));
  state.apply(encode([9]));
  state.restore(state.snapshot());
  assert.deepEqual(changes, [{ kind: 'salt' }, { kind: 'pool', pool: 'a' }, { kind: 'all' }]);
});

// ---------------------------------------------------------------- ticket keys

/** A state whose ring has an active, a retiring and a staged key: 2, 1 and 3. */
function keyedState(): ReplicatedState {
  const state = new ReplicatedState();
  state.restore(encode({ version: 1, salt: null, pools: [], keys: ringOf(2).toSnapshot() }));
  return state;
}

function applyKey(state: ReplicatedState, command: KeyCommand): boolean {
  return state.apply(encodeCommand(command));
}

test('a snapshot without a ring is not read: to go on with an empty one would be to go on with another', () => {
  assert.equal(new ReplicatedState().isReadable(encode({ version: 1, salt: 's', pools: [] })), false);
});

test('of a snapshot, an older version reads all but the changes of nodes, and so is not left behind', () => {
  const state = new ReplicatedState();
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'a:1', edit: { kind: 'absent' } }));
  const edit = { kind: 'changed', weight: null, drain: true } as const;
  state.apply(encodeCommand({ kind: 'node', pool: 'a', address: 'b:1', edit }));
  const data = state.snapshot();
  const { pools, changes } = decode(data) as Record<string, unknown>;
  assert.deepEqual(pools, [['a', [['a:1', null]]]], 'what versions before "changed" know');
  assert.deepEqual(changes, [['a', [['b:1', null, true, false]]]]);
  const restored = new ReplicatedState();
  restored.restore(data);
  assert.deepEqual([restored.editsOf('a'), restored.snapshot()], [state.editsOf('a'), data]);
});

test('a snapshot with parts that this version does not know is read without them', () => {
  const state = new ReplicatedState();
  state.restore(encode({ version: 1, salt: null, pools: [], keys: ringOf(1).toSnapshot(), more: [1] }));
  assert.deepEqual(state.snapshot(), encode({ version: 1, salt: null, pools: [], keys: ringOf(1).toSnapshot() }));
});

test('a snapshot carries the whole ring: whoever joins can open old tickets, too', () => {
  const joiner = new ReplicatedState();
  joiner.restore(keyedState().snapshot());
  assert.deepEqual(
    joiner.ring.keys.map(({ bytes, stage }) => [new Uint8Array(bytes), stage]),
    [
      [ticketKey(1), 'retiring'],
      [ticketKey(2), 'active'],
      [ticketKey(3), 'staged'],
    ],
  );
});

test('only what erased keys asks for the log to be forgotten', () => {
  const state = keyedState();
  const steps: [KeyCommand, boolean][] = [
    [{ kind: 'key-retire', name: keyName(2) }, false],
    [{ kind: 'key-rotate' }, false],
    [{ kind: 'key-activate', name: keyName(3), atMs: 1 }, false],
    [{ kind: 'key-mint', key: ticketKey(4), atMs: 1 }, false],
    [{ kind: 'key-retire', name: keyName(1) }, true],
    [{ kind: 'key-retire', name: keyName(1) }, false],
    [{ kind: 'key-revoke', key: ticketKey(5), atMs: 1 }, true],
    [{ kind: 'key-revoke', key: ticketKey(5), atMs: 1 }, false],
  ];
  for (const [command, isErased] of steps) assert.equal(applyKey(state, command), isErased, command.kind);
  for (const command of [
    { kind: 'salt', salt: 's' } as const,
    { kind: 'node', pool: 'a', address: 'x:1', edit: null } as const,
  ]) {
    assert.equal(state.apply(encodeCommand(command)), false);
  }
  assert.equal(state.apply(Uint8Array.of(0xc1)), false);
});

test('a change of the ring is told, what does not fit it is not', () => {
  const state = keyedState();
  const changes: StateChange[] = [];
  state.onChange = (change) => changes.push(change);
  applyKey(state, { kind: 'key-activate', name: keyName(1), atMs: 1 });
  applyKey(state, { kind: 'key-mint', key: ticketKey(4), atMs: 1 });
  assert.deepEqual(changes, []);
  applyKey(state, { kind: 'key-activate', name: keyName(3), atMs: 1 });
  applyKey(state, { kind: 'key-retire', name: keyName(1) });
  assert.deepEqual(changes, [{ kind: 'keys' }, { kind: 'keys' }]);
});

test('when a change is told the keys that are gone are zero already', () => {
  for (const change of [
    (state: ReplicatedState) => applyKey(state, { kind: 'key-revoke', key: ticketKey(5), atMs: 1 }),
    (state: ReplicatedState) => state.restore(new ReplicatedState().snapshot()),
    (state: ReplicatedState) => state.restore(new Uint8Array()),
  ]) {
    const state = keyedState();
    const before = state.ring.keys.map(({ bytes }) => bytes);
    let told = 0;
    state.onChange = () => {
      told++;
      for (const bytes of before) assert.ok(bytes.every((byte) => byte === 0));
    };
    change(state);
    assert.deepEqual([told, before.length], [1, 3]);
  }
});

test('to ask whether a snapshot can be read touches neither the ring nor the snapshot', () => {
  const state = keyedState();
  const data = keyedState().snapshot();
  const [before, bytes] = [state.snapshot(), data.slice()];
  assert.equal(state.isReadable(data), true);
  assert.equal(state.isReadable(encode({ version: 1, salt: null, pools: [], keys: [false] })), false);
  assert.deepEqual([state.snapshot(), data], [before, bytes]);
});

test('a snapshot can be restored twice over, whatever kind of bytes it is', () => {
  for (const data of [keyedState().snapshot(), Buffer.from(keyedState().snapshot())]) {
    const state = new ReplicatedState();
    state.restore(data);
    state.restore(data);
    assert.deepEqual(state.snapshot(), keyedState().snapshot());
  }
});

test('a snapshot is a copy: what it holds stays when the ring erases', () => {
  const state = keyedState();
  const data = state.snapshot();
  const before = data.slice();
  applyKey(state, { kind: 'key-revoke', key: ticketKey(5), atMs: 1 });
  assert.deepEqual(data, before);
});
