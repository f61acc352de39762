/** The write-ahead log: what is read again is what was promised, and damage is never taken for it. */

import assert from 'node:assert/strict';
import { type StdioOptions, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { FileDisk } from '../../src/cluster/disk.ts';
import { SALT_BYTES, Sealer, sealingMaterial } from '../../src/cluster/seal.ts';
import type { Done, StoredBatch, StoredState } from '../../src/cluster/types.ts';
import { WalDamagedError, WriteAheadLog } from '../../src/cluster/wal.ts';
import {
  decodeBatch,
  decodeState,
  encodeBatch,
  encodeFrame,
  encodeState,
  FRAME_BYTES,
  frameAt,
  HEADER_BYTES,
  SEALED_BYTES_MAX,
} from '../../src/cluster/wal-format.ts';
import type { Entry } from '../../src/raft/types.ts';
import { FakeDisk, type Fate, KEPT, LOST } from './fake-disk.ts';

type BoundState = Extract<StoredState, { kind: 'bound' }>;

const KEY = newKey();
const FRESH: StoredState = { kind: 'fresh', legacy: null };
const SECRET = 'a secret that stands nowhere in the clear';

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

const bytes = (s: string) => new TextEncoder().encode(s);
const noop = (index: number, term: number): Entry => ({ index, term, payload: { kind: 'noop' } });
const command = (index: number, term: number, s: string): Entry => ({
  index,
  term,
  payload: { kind: 'command', data: bytes(s) },
});
const batch = (...entries: Entry[]): StoredBatch => ({ hardState: null, entries });

const FOUNDING: BoundState = {
  kind: 'bound',
  cluster: '1.abc',
  member: '3.xyz',
  hardState: { term: 1, vote: null },
  snapshot: { index: 1, term: 1, membership: { voters: ['1.a', '3.xyz'], learners: ['2.b'] }, data: bytes(SECRET) },
  entries: [],
};

/** Must not fail. */
const done: Done = (error) => assert.equal(error, null);

interface Opened {
  readonly state: StoredState;
  readonly storage: WriteAheadLog;
  readonly warnings: string[];
}

function open(disk: FakeDisk, key: KeyObject | string = KEY): Opened {
  const warnings: string[] = [];
  const opened = WriteAheadLog.open(disk, key, (level, message) => {
    assert.equal(level, 'warn');
    warnings.push(message);
  });
  return { ...opened, warnings };
}

function openContent(content: Buffer): Opened {
  const disk = new FakeDisk();
  disk.content = content;
  return open(disk);
}

/** A disk with FOUNDING and then each batch as a record. */
function written(...batches: StoredBatch[]): FakeDisk {
  const disk = new FakeDisk();
  write(disk, ...batches);
  return disk;
}

function write(disk: FakeDisk, ...batches: StoredBatch[]): WriteAheadLog {
  const { storage } = open(disk);
  storage.replace(FOUNDING, done);
  for (const each of batches) storage.append(each, done);
  return storage;
}

/** Where each record begins, and after them the length of the file. */
function recordOffsets(file: Buffer): number[] {
  const offsets = [HEADER_BYTES];
  const salt = file.subarray(8, 24);
  for (let at = HEADER_BYTES; at < file.length; offsets.push(at)) {
    at += FRAME_BYTES + (frameAt(file, at, salt) as Buffer).length;
  }
  return offsets;
}

const BATCHES = [batch(noop(2, 2)), batch(command(3, 2, 'three'), command(4, 2, SECRET)), batch(command(5, 2, 'five'))];
const AFTER_TWO: BoundState = { ...FOUNDING, entries: BATCHES.slice(0, 2).flatMap(({ entries }) => entries) };
const AFTER_ALL: BoundState = { ...FOUNDING, entries: BATCHES.flatMap(({ entries }) => entries) };

const anyBytes = fc.uint8Array({ maxLength: 200 });
const anyCount = fc.oneof(fc.nat(), fc.maxSafeNat());
const anyName = fc.string({ unit: 'grapheme', maxLength: 20 });
const anyMembership = fc.record({ voters: fc.array(anyName), learners: fc.array(anyName) }, { noNullPrototype: true });
const anyHardState = fc.record({ term: anyCount, vote: fc.option(anyName) }, { noNullPrototype: true });
const anyPayload = fc.oneof(
  fc.constant({ kind: 'noop' as const }),
  anyBytes.map((data) => ({ kind: 'command' as const, data })),
  anyMembership.map((membership) => ({ kind: 'membership' as const, membership })),
);

function anyEntries(first: number): fc.Arbitrary<Entry[]> {
  return fc
    .array(fc.tuple(anyCount, anyPayload))
    .map((list) => list.map(([term, payload], i) => ({ index: first + i, term, payload })));
}

const anyFresh = fc.option(fc.tuple(anyCount, anyCount, anyCount, anyBytes)).map((legacy): StoredState => {
  if (legacy === null) return FRESH;
  const [generation, term, index, data] = legacy;
  return { kind: 'fresh', legacy: { position: { generation, term, index }, data } };
});
const anyBound = fc
  .tuple(anyName, anyName, anyHardState, fc.nat(), anyCount, anyMembership, anyBytes)
  .chain(([cluster, member, hardState, index, term, membership, data]) => {
    const snapshot = { index, term, membership, data };
    return anyEntries(index + 1).map(
      (entries): StoredState => ({ kind: 'bound', cluster, member, hardState, snapshot, entries }),
    );
  });

test('every state and every batch is read as it was written', () => {
  fc.assert(
    fc.property(fc.oneof(anyFresh, anyBound), (state) => {
      const disk = new FakeDisk();
      open(disk).storage.replace(state, done);
      assert.deepEqual(open(disk).state, state);
    }),
  );
  fc.assert(
    fc.property(fc.option(anyHardState), fc.nat().chain(anyEntries), (hardState, entries) => {
      assert.deepEqual(decodeBatch(encodeBatch({ hardState, entries })), { hardState, entries });
    }),
  );
});

test('whatever the batches cut off and add, restarts among them included, the log is read as a plain list would be', () => {
  const anyStep = fc.record({ back: fc.nat(3), count: fc.nat(4), term: fc.option(fc.nat()), isRestart: fc.boolean() });
  fc.assert(
    fc.property(fc.array(anyStep), (steps) => {
      const disk = written();
      let { storage } = open(disk);
      let expected = FOUNDING;
      for (const { back, count, term, isRestart } of steps) {
        if (isRestart) storage = open(disk).storage;
        const kept = expected.entries.slice(0, expected.entries.length - back);
        const entries = Array.from({ length: count }, (_, i) => command(kept.length + 2 + i, 2, `${back}.${i}`));
        const hardState = term === null ? null : { term, vote: 'b' };
        storage.append({ hardState, entries }, done);
        expected = {
          ...expected,
          hardState: hardState ?? expected.hardState,
          entries: count === 0 ? expected.entries : [...kept, ...entries],
        };
        assert.deepEqual(openContent(disk.content as Buffer).state, expected);
      }
    }),
  );
});

test('a server without a file is fresh, and says nothing', () => {
  const { state, warnings } = open(new FakeDisk());
  assert.deepEqual([state, warnings], [FRESH, []]);
});

test('nothing stands in the clear in the file', () => {
  const file = written(...BATCHES).content as Buffer;
  for (const secret of [SECRET, 'three', FOUNDING.cluster, FOUNDING.member, '1.a'])
    assert.equal(file.indexOf(secret), -1);
});

test('command bytes that were read do not keep the file in memory', () => {
  const { state } = open(written(...BATCHES)) as { state: BoundState };
  const payload = state.entries[1]?.payload;
  assert.ok(payload?.kind === 'command');
  assert.equal(payload.data.buffer.byteLength, payload.data.length);
});

test('a last record torn at any byte is cut off with a warning, and what is appended next is read again', () => {
  const next = [command(5, 3, 'other'), command(6, 3, 'more')];
  const length = torn(KEPT).recordBytes;
  for (const rest of ['nothing', 'zeros', 'garbage'] as const) {
    for (let bytesKept = 0; bytesKept < length; bytesKept++) {
      const { disk } = torn({ bytesKept, rest, isReplaced: false });
      const { state, storage, warnings } = open(disk);
      const bytes = rest === 'nothing' ? bytesKept : length;
      const warning = `the write-ahead log /fake/wal ends in ${bytes} bytes of a torn write: cut off`;
      assert.deepEqual([state, warnings], [AFTER_TWO, bytes === 0 ? [] : [warning]]);
      for (const entry of next) storage.append(batch(entry), done);
      const again = open(disk);
      assert.deepEqual([again.state, again.warnings], [{ ...AFTER_TWO, entries: [...AFTER_TWO.entries, ...next] }, []]);
    }
  }
});

/** A disk that crashed in the midst of the last append. */
function torn(fate: Fate): { disk: FakeDisk; recordBytes: number } {
  let isHeld = false;
  const disk = new FakeDisk((complete) => {
    if (!isHeld) complete();
  });
  const storage = write(disk, ...BATCHES.slice(0, 2));
  isHeld = true;
  storage.append(BATCHES[2] as StoredBatch, () => assert.fail('done after a crash'));
  const recordBytes = disk.bytesUnderWay;
  disk.crash(fate);
  isHeld = false;
  return { disk, recordBytes };
}

test('a changed byte in the last record cuts it off, and one anywhere before it is refused', () => {
  const file = written(...BATCHES).content as Buffer;
  const last = recordOffsets(file).at(-2) as number;
  for (let at = 0; at < file.length; at++) {
    const changed = Buffer.from(file);
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    if (at < last) assert.throws(() => openContent(changed), WalDamagedError, `byte ${at}`);
    else {
      const { state, warnings } = openContent(changed);
      assert.deepEqual([state, warnings.length], [AFTER_TWO, 1]);
    }
  }
});

test('a file cut within its header or its first record is refused', () => {
  const file = written(...BATCHES).content as Buffer;
  const end = recordOffsets(file)[1] as number;
  for (let length = 0; length < end; length++) {
    assert.throws(() => openContent(file.subarray(0, length)), WalDamagedError, `${length} bytes`);
  }
});

test('a record moved, repeated or removed, or one of another file, is refused', () => {
  const file = written(...BATCHES).content as Buffer;
  const offsets = recordOffsets(file);
  const [state, a, b, c] = offsets.slice(0, -1).map((start, i) => file.subarray(start, offsets[i + 1])) as Buffer[];
  const header = file.subarray(0, HEADER_BYTES);
  const arranged = (...records: (Buffer | undefined)[]) =>
    openContent(Buffer.concat([header, ...(records as Buffer[])]));
  assert.deepEqual(arranged(state, a, b, c).state, AFTER_ALL);
  for (const records of [
    [a, b, c],
    [state, b, c],
    [state, a, c],
    [state, b, a, c],
    [state, a, a, b, c],
    [state, a, b, c, c],
    [state, a, b, c, a],
  ]) {
    assert.throws(() => arranged(...records), WalDamagedError);
  }
  const other = written(...BATCHES).content as Buffer;
  const foreign = other.subarray(offsets[2], offsets[3]);
  assert.throws(() => arranged(state, a, foreign, c), WalDamagedError);
});

test('what an older file left behind the last record is not taken for a record', () => {
  const file = written(...BATCHES).content as Buffer;
  const older = (written(...BATCHES).content as Buffer).subarray(HEADER_BYTES);
  const { state, warnings } = openContent(Buffer.concat([file, older]));
  assert.deepEqual([state, warnings.length], [AFTER_ALL, 1]);
});

test('a file of another version, or of another program, is refused, and the message says what to do', () => {
  const file = written().content as Buffer;
  const version = Buffer.from(file);
  version[7] = 2;
  assert.throws(() => openContent(version), /\/fake\/wal is damaged at byte 0: it is of version 2.*remove the file/);
  assert.throws(() => openContent(Buffer.alloc(100)), /it is no write-ahead log/);
});

test('what opens but has no shape of ours is no state and no batch', () => {
  assert.equal(decodeState(bytes('')), null);
  assert.equal(decodeState(encodeBatch(batch())), null);
  assert.equal(decodeBatch(encodeState(FOUNDING)), null);
  assert.equal(decodeBatch(encodeBatch(batch(noop(2, 1), noop(4, 1)))), null);
  assert.equal(decodeBatch(encodeBatch(batch(noop(2.5, 1)))), null);
  assert.equal(decodeState(encodeState({ ...FOUNDING, entries: [noop(3, 1)] })), null);
  fc.assert(fc.property(fc.uint8Array(), (noise) => decodeState(noise) === null && decodeBatch(noise) === null));
});

test('with another private key the server counts as wiped, and the file stays until it is replaced', () => {
  const disk = written(...BATCHES);
  const before = disk.content as Buffer;
  const { state, storage, warnings } = open(disk, newKey());
  assert.deepEqual(state, FRESH);
  assert.deepEqual(warnings, ['the write-ahead log /fake/wal is of another private key: this server counts as wiped']);
  assert.throws(() => storage.append(batch(noop(2, 2)), done), /replace comes first/);
  assert.ok(before.equals(disk.content as Buffer));
  storage.replace(FRESH, done);
  assert.equal(open(disk).warnings.length, 1);
});

test('a record opens under its own number and its own file alone, and equal records do not look equal', () => {
  const sealer = new Sealer(sealingMaterial(KEY), new Uint8Array(SALT_BYTES));
  const other = new Sealer(sealingMaterial(KEY), new Uint8Array(SALT_BYTES).fill(1));
  const sealed = [0, 1, 2 ** 32].map((sequence) => sealer.seal(sequence, bytes(SECRET)));
  assert.equal(new Set(sealed.map((each) => each.toString('hex', 0, 8))).size, 3);
  assert.deepEqual(sealer.open(1, sealed[1] as Buffer)?.toString(), SECRET);
  assert.equal(sealer.open(0, sealed[1] as Buffer), null);
  assert.equal(other.open(1, sealed[1] as Buffer), null);
  assert.equal(sealer.open(0, new Uint8Array(3)), null);
  assert.throws(() => sealer.seal(-1, bytes(SECRET)), RangeError);
});

test('the same private key in another encoding opens the file', () => {
  const disk = written(...BATCHES);
  for (const type of ['sec1', 'pkcs8'] as const) {
    assert.deepEqual(open(disk, KEY.export({ type, format: 'pem' }) as string).state, AFTER_ALL);
  }
  assert.throws(() => open(disk, 'no key at all'));
});

test('rekey takes effect with the next replace', () => {
  const disk = written();
  const { state, storage } = open(disk);
  const key = newKey();
  storage.append(batch(noop(2, 2)), done);
  storage.rekey(key);
  storage.append(batch(command(3, 2, 'three')), done);
  assert.equal(openContent(disk.content as Buffer).warnings.length, 0);
  storage.replace(state, done);
  assert.deepEqual(open(disk, key).state, FOUNDING);
  assert.deepEqual(open(disk).state, FRESH);
});

test('no two files share a salt, and a process appends only to one that it began', () => {
  const disk = written();
  const salts = new Set<string>();
  for (let i = 0; i < 4; i++) {
    salts.add((disk.content as Buffer).toString('hex', 8, 24));
    const { storage } = open(disk);
    storage.append(batch(noop(2 + i, 2)), done);
  }
  assert.equal(salts.size, 4);
});

test('a crash in the midst of a replace leaves the old state or the new one', () => {
  for (const [fate, expected] of [
    [LOST, AFTER_ALL],
    [KEPT, FRESH],
  ] as const) {
    const later: (() => void)[] = [];
    const disk = new FakeDisk((complete) => later.push(complete));
    disk.content = written(...BATCHES).content;
    open(disk).storage.replace(FRESH, () => assert.fail('done after a crash'));
    disk.crash(fate);
    for (const complete of later) complete();
    assert.deepEqual([open(disk).state, open(disk).warnings], [expected, []]);
  }
});

test('after a failed append the next one is refused until the state has been replaced', () => {
  for (const fate of [LOST, { ...LOST, bytesKept: 20 }, KEPT]) {
    const disk = written();
    const { storage } = open(disk);
    storage.append(batch(noop(2, 2)), done);
    const full = new Error('ENOSPC');
    const failures: unknown[] = [];
    disk.failNext(full, fate);
    storage.append(batch(command(3, 2, 'three')), (error) => failures.push(error));
    disk.failNext(full);
    assert.throws(() => storage.append(batch(command(3, 2, 'three')), done), /replace comes first/);
    storage.replace(FOUNDING, (error) => failures.push(error));
    assert.throws(() => storage.append(batch(noop(2, 2)), done), /replace comes first/);
    assert.deepEqual(failures, [full, full]);
    storage.replace(AFTER_TWO, done);
    storage.append(BATCHES[2] as StoredBatch, done);
    assert.deepEqual(open(disk).state, AFTER_ALL);
  }
});

test('a call before the last one is done is a bug of the caller', () => {
  const later: (() => void)[] = [];
  const disk = new FakeDisk((complete) => later.push(complete));
  const { storage } = open(disk);
  storage.replace(FOUNDING, done);
  assert.throws(() => storage.append(batch(noop(2, 2)), done), /one call at a time/);
  assert.throws(() => storage.replace(FOUNDING, done), /one call at a time/);
  later.shift()?.();
  storage.append(batch(noop(2, 2)), done);
  assert.throws(() => storage.append(batch(noop(3, 2)), done), /one call at a time/);
});

test('what could not be read again is not written', () => {
  const { storage } = open(written(...BATCHES));
  for (const entry of [noop(1, 2), noop(7, 2)]) assert.throws(() => storage.append(batch(entry), done), RangeError);
  assert.throws(() => storage.append(batch(noop(6, 2), noop(8, 2)), done), RangeError);
  assert.throws(() => storage.replace({ ...FOUNDING, entries: [noop(3, 2)] }, done), RangeError);
  assert.throws(() => encodeFrame(new Uint8Array(16), new Uint8Array(SEALED_BYTES_MAX + 1)), RangeError);
  storage.append(batch(noop(6, 2)), done);
  assert.throws(() => storage.append(batch(noop(8, 2)), done), RangeError);
  storage.append(batch(noop(2, 2)), done);
});

test('what was done before a process is killed is found again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-wal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'wal');
  const disk = new FileDisk(path);
  WriteAheadLog.open(disk, KEY, () => {}).storage.replace(FOUNDING, done);
  // Every index on a line of its own, once it is done.
  const script = `
    import { writeSync } from 'node:fs';
    const { FileDisk } = await import(${JSON.stringify(moduleUrl('disk.ts'))});
    const { WriteAheadLog } = await import(${JSON.stringify(moduleUrl('wal.ts'))});
    const { state, storage } = WriteAheadLog.open(new FileDisk(process.argv[1]), process.env.PEM, console.error);
    const append = (index) => storage.append({ hardState: null, entries: [{ index, term: 1, payload: { kind: 'noop' } }] }, () => {
      writeSync(1, index + '\\n');
      append(index + 1);
    });
    append(state.entries.length + 2);`;
  for (let round = 1; round <= 3; round++) {
    const last = await lastLineOf(script, path, round * 40);
    const { state } = WriteAheadLog.open(new FileDisk(path), KEY, () => {}) as { state: BoundState };
    assert.ok(last >= round * 40);
    assert.ok(state.entries.length + 1 >= last);
  }
});

function moduleUrl(name: string): string {
  return new URL(`../../src/cluster/${name}`, import.meta.url).href;
}

/** Runs the script until it has written a number of at least `enough`, kills it, and returns the last one it wrote. */
async function lastLineOf(script: string, path: string, enough: number): Promise<number> {
  const PEM = KEY.export({ type: 'pkcs8', format: 'pem' }) as string;
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio,
    env: { ...process.env, PEM },
  });
  let last = 0;
  for await (const line of createInterface(child.stdout as Readable)) {
    last = Number(line);
    if (last >= enough) child.kill('SIGKILL');
  }
  return last;
}
