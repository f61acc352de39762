/** One write at a time, again and again where it fails: the storage is in the test's hands. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keeper } from '../../src/cluster/keeper.ts';
import type { Done, Storage, StoredBatch, StoredState } from '../../src/cluster/types.ts';

const RETRY_TICKS = 3;
const SLOW_TICKS = 15;
const BATCH: StoredBatch = { hardState: { term: 2, vote: null }, entries: [] };
const NONE: StoredState = { kind: 'fresh', legacy: null };
const FAILURE = new Error('disk full');

const legacy = (index: number): StoredState => ({
  kind: 'fresh',
  legacy: { position: { generation: 1, term: 1, index }, data: new Uint8Array() },
});

/** Says when and how each write ends. */
class HeldStorage implements Storage {
  readonly writes: (StoredBatch | StoredState)[] = [];
  #done: Done | null = null;

  append(batch: StoredBatch, done: Done): void {
    this.#write(batch, done);
  }
  replace(state: StoredState, done: Done): void {
    this.#write(state, done);
  }

  end(error: Error | null): void {
    const done = this.#done;
    this.#done = null;
    assert.ok(done !== null, 'nothing is being written');
    done(error);
  }

  #write(what: StoredBatch | StoredState, done: Done): void {
    assert.equal(this.#done, null, 'two writes at once');
    this.writes.push(what);
    this.#done = done;
  }
}

function newKeeper(): { keeper: Keeper; storage: HeldStorage; reports: string[]; tick: (count: number) => void } {
  const storage = new HeldStorage();
  const reports: string[] = [];
  const keeper = new Keeper(
    storage,
    (level, message, fields = {}) => reports.push(`${level}: ${message} ${JSON.stringify(fields)}`),
    RETRY_TICKS,
  );
  const tick = (count: number) => {
    for (let i = 0; i < count; i++) keeper.tick();
  };
  return { keeper, storage, reports, tick };
}

const REPORTED =
  'error: the log cannot be written: this server takes no part in the cluster until it can {"error":"disk full"}';
const REPORTED_SLOW = REPORTED.replace('disk full', 'no answer from the disk');
const RECOVERED = 'info: the log can be written again {}';

test('what follows on a write happens once it has succeeded, and the keeper is busy until then', () => {
  const { keeper, storage, reports } = newKeeper();
  const happened: string[] = [];
  keeper.append(
    BATCH,
    () => NONE,
    () => happened.push(`then, busy ${keeper.isBusy}`),
  );
  assert.deepEqual([storage.writes, happened, keeper.isBusy, keeper.isFailed], [[BATCH], [], true, false]);
  storage.end(null);
  assert.deepEqual([happened, keeper.isBusy, keeper.isFailed, reports], [['then, busy false'], false, false, []]);
});

test('a storage that ends at once is not waited for', () => {
  const happened: string[] = [];
  const storage: Storage = { append: (_, done) => done(null), replace: (_, done) => done(null) };
  const keeper = new Keeper(storage, () => {}, RETRY_TICKS);
  keeper.append(
    BATCH,
    () => NONE,
    () => happened.push('appended'),
  );
  keeper.replace(
    () => NONE,
    () => happened.push('replaced'),
  );
  assert.deepEqual([happened, keeper.isBusy], [['appended', 'replaced'], false]);
});

test('the next write may begin in what follows on the last', () => {
  const { keeper, storage } = newKeeper();
  keeper.append(
    BATCH,
    () => NONE,
    () =>
      keeper.replace(
        () => legacy(1),
        () => {},
      ),
  );
  storage.end(null);
  assert.deepEqual([storage.writes, keeper.isBusy], [[BATCH, legacy(1)], true]);
});

test('two writes at once are a mistake of the caller', () => {
  const { keeper } = newKeeper();
  keeper.append(
    BATCH,
    () => NONE,
    () => {},
  );
  assert.throws(
    () =>
      keeper.append(
        BATCH,
        () => NONE,
        () => {},
      ),
    /one write at a time/,
  );
  assert.throws(
    () =>
      keeper.replace(
        () => NONE,
        () => {},
      ),
    /one write at a time/,
  );
});

test('a write that takes too long counts as failed until it is done, and is not begun anew', () => {
  const { keeper, storage, reports, tick } = newKeeper();
  let happened = 0;
  const begin = () =>
    keeper.append(
      BATCH,
      () => NONE,
      () => happened++,
    );
  // counted from when it began
  tick(100);
  begin();
  tick(SLOW_TICKS - 1);
  assert.deepEqual([keeper.isFailed, reports], [false, []]);
  tick(1);
  assert.deepEqual([keeper.isFailed, keeper.isBusy, reports], [true, true, [REPORTED_SLOW]]);
  tick(1_000);
  assert.deepEqual([storage.writes.length, happened], [1, 0]);
  storage.end(null);
  assert.deepEqual([keeper.isFailed, keeper.isBusy, happened, reports], [false, false, 1, [REPORTED_SLOW, RECOVERED]]);
});

test('a write that fails after a long time is reported once, and made up for like any other', () => {
  const { keeper, storage, reports, tick } = newKeeper();
  keeper.append(
    BATCH,
    () => legacy(1),
    () => {},
  );
  tick(SLOW_TICKS);
  storage.end(FAILURE);
  tick(RETRY_TICKS);
  assert.deepEqual([storage.writes, reports], [[BATCH, legacy(1)], [REPORTED_SLOW]]);
  storage.end(null);
  assert.deepEqual(reports, [REPORTED_SLOW, RECOVERED]);
});

test('ticks do nothing while a write is under way, however long', () => {
  const { keeper, storage, tick } = newKeeper();
  keeper.append(
    BATCH,
    () => NONE,
    () => {},
  );
  tick(1_000);
  assert.deepEqual(storage.writes, [BATCH]);
});

test('an append that fails is made up for by writing the whole state, as it is by then', () => {
  const { keeper, storage, tick } = newKeeper();
  let index = 1;
  let happened = 0;
  keeper.append(
    BATCH,
    () => legacy(index),
    () => happened++,
  );
  storage.end(FAILURE);
  assert.deepEqual([keeper.isBusy, keeper.isFailed, happened], [true, true, 0]);
  index = 2;
  tick(RETRY_TICKS - 1);
  assert.equal(storage.writes.length, 1);
  tick(1);
  assert.deepEqual(storage.writes, [BATCH, legacy(2)]);
  assert.deepEqual([keeper.isBusy, keeper.isFailed], [true, true]);
  storage.end(null);
  assert.deepEqual([keeper.isBusy, keeper.isFailed, happened], [false, false, 1]);
});

test('it is tried until it succeeds, with the state of each time, and what follows happens once', () => {
  const { keeper, storage, tick } = newKeeper();
  let index = 0;
  let happened = 0;
  keeper.replace(
    () => legacy(++index),
    () => happened++,
  );
  for (let attempt = 0; attempt < 5; attempt++) {
    storage.end(FAILURE);
    tick(RETRY_TICKS);
  }
  assert.deepEqual(storage.writes, [1, 2, 3, 4, 5, 6].map(legacy));
  assert.deepEqual([keeper.isFailed, happened], [true, 0]);
  storage.end(null);
  tick(10 * RETRY_TICKS);
  assert.deepEqual([keeper.isFailed, happened, storage.writes.length], [false, 1, 6]);
});

test('while an attempt is under way no other is made, and the wait begins when it has failed', () => {
  const { keeper, storage, tick } = newKeeper();
  keeper.append(
    BATCH,
    () => NONE,
    () => {},
  );
  storage.end(FAILURE);
  tick(RETRY_TICKS);
  tick(50);
  assert.equal(storage.writes.length, 2);
  storage.end(FAILURE);
  tick(RETRY_TICKS - 1);
  assert.equal(storage.writes.length, 2);
  tick(1);
  assert.equal(storage.writes.length, 3);
});

test('a failure is reported once however often it comes again, and its end once', () => {
  const { keeper, storage, reports, tick } = newKeeper();
  keeper.append(
    BATCH,
    () => NONE,
    () => {},
  );
  for (let attempt = 0; attempt < 4; attempt++) {
    storage.end(FAILURE);
    tick(RETRY_TICKS);
  }
  assert.deepEqual(reports, [REPORTED]);
  storage.end(null);
  assert.deepEqual(reports, [REPORTED, RECOVERED]);
  keeper.append(
    BATCH,
    () => NONE,
    () => {},
  );
  storage.end(null);
  assert.deepEqual(reports, [REPORTED, RECOVERED]);
});

test('the next failure after a success is reported again', () => {
  const { keeper, storage, reports, tick } = newKeeper();
  for (let failure = 0; failure < 2; failure++) {
    keeper.append(
      BATCH,
      () => NONE,
      () => {},
    );
    storage.end(FAILURE);
    tick(RETRY_TICKS);
    storage.end(null);
  }
  assert.deepEqual(reports, [REPORTED, RECOVERED, REPORTED, RECOVERED]);
});
