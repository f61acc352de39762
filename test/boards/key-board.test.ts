/** The key board: its layout, what is refused, that no byte of a key that is gone stays, and its use from two threads. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { halfOf, loadEpoch } from '../../src/boards/epoch.ts';
import {
  BOARD_KEYS_MAX,
  type BoardKey,
  type BoardStage,
  KEY_HALF,
  KEY_RECORD,
  KeyBoard,
  NONE,
  STAGE_ACTIVE,
  STAGE_RETIRING,
  STAGE_STAGED,
} from '../../src/boards/key-board.ts';
import { KEYS_MAX } from '../../src/stek/key-ring.ts';
import { ticketKey } from '../stek/fixtures.ts';
import type { KeyReaderResult, KeyReaderTask } from './stress/key-reader.ts';
import { CONTROL, ringOf } from './stress/key-versions.ts';

const LINE_WORDS = 16;
const KEY_BYTES = 48;
/** Publishing goes on until the reader was overtaken this often, and ends in any case. */
const OVERTAKEN_MIN = 500;
const PUBLICATIONS_MAX = 200_000;

// ---------------------------------------------------------------- layout

test('a board is as large as its drawing says, its epoch and its records alone on their cache lines', () => {
  const board = KeyBoard.create();
  assert.deepEqual([board.epochIndex, board.halvesIndex, board.halfWords], [16, 32, 16 + BOARD_KEYS_MAX * 16]);
  assert.equal(board.buffer.byteLength, (32 + 2 * board.halfWords) * 4);
  for (const words of [board.epochIndex, board.halvesIndex, board.halfWords, KEY_RECORD.words]) {
    assert.equal(words % LINE_WORDS, 0);
  }
  assert.equal(KEY_RECORD.bytes * 4 + KEY_BYTES, KEY_RECORD.words * 4);
});

test('a board has room for every ring', () => {
  assert.ok(BOARD_KEYS_MAX >= KEYS_MAX);
});

test('a new board holds no key, and says in both halves that none encrypts', () => {
  const board = KeyBoard.create();
  for (const half of halvesOf(board)) {
    assert.deepEqual([half[KEY_HALF.keys], half[KEY_HALF.encrypting]], [0, NONE]);
    assert.ok(half.subarray(KEY_HALF.words).every((word) => word === 0));
  }
});

test('a second view of a board reads the keys in their order, with their stages, and which one encrypts', () => {
  const board = KeyBoard.create();
  const view = new KeyBoard(board.buffer);
  const keys = [key(1, STAGE_RETIRING), key(2, STAGE_ACTIVE), key(3, STAGE_STAGED)];
  board.publish(keys, 1);
  assert.deepEqual(read(view), { keys, encrypting: 1 });
  board.publish(keys.slice(1), NONE);
  assert.deepEqual(read(view), { keys: keys.slice(1), encrypting: NONE });
});

test('a board is filled to its last record', () => {
  const board = KeyBoard.create();
  const keys = Array.from({ length: BOARD_KEYS_MAX }, (_, n) =>
    key(n, n === BOARD_KEYS_MAX - 1 ? STAGE_ACTIVE : STAGE_RETIRING),
  );
  board.publish(keys, BOARD_KEYS_MAX - 1);
  assert.deepEqual(read(board), { keys, encrypting: BOARD_KEYS_MAX - 1 });
});

test('a buffer that is no key board of this layout is refused', () => {
  const foreign = /not a key board of this layout/;
  assert.throws(() => new KeyBoard(new SharedArrayBuffer(4096)), foreign);
  const { byteLength } = KeyBoard.create().buffer;
  for (const bytes of [byteLength - 4, byteLength + 4]) {
    const words = new Int32Array(new SharedArrayBuffer(bytes));
    words.set(KeyBoard.create().words.subarray(0, LINE_WORDS));
    assert.throws(() => new KeyBoard(words.buffer), foreign);
  }
  for (const word of [0, 1]) {
    const { words, buffer } = KeyBoard.create();
    words[word] = 7;
    assert.throws(() => new KeyBoard(buffer), foreign);
  }
});

// ---------------------------------------------------------------- what is refused

const RING = [key(1, STAGE_RETIRING), key(2, STAGE_ACTIVE), key(3, STAGE_STAGED)];
const REFUSED: Record<string, readonly [keys: readonly BoardKey[], encrypting: number]> = {
  'a retiring key that encrypts': [RING, 0],
  'a staged key that encrypts': [RING, 2],
  'an index behind the last key': [RING, 3],
  'an index below none': [RING, -2],
  'an index between two keys': [RING, 0.5],
  'no index at all': [RING, Number.NaN],
  'a key that encrypts in an empty ring': [[], 0],
  'a short key': [[{ stage: STAGE_ACTIVE, bytes: new Uint8Array(47) }], 0],
  'a long key': [[{ stage: STAGE_ACTIVE, bytes: new Uint8Array(49) }], 0],
  'more keys than there is room for': [
    Array.from({ length: BOARD_KEYS_MAX + 1 }, (_, n) => key(n, STAGE_RETIRING)),
    NONE,
  ],
};

for (const [what, [keys, encrypting]] of Object.entries(REFUSED)) {
  test(`${what} is refused, and what is on the board stays`, () => {
    const board = KeyBoard.create();
    board.publish(RING, 1);
    const epoch = loadEpoch(board);
    assert.throws(() => board.publish(keys, encrypting), RangeError);
    assert.deepEqual([read(board), loadEpoch(board)], [{ keys: RING, encrypting: 1 }, epoch]);
  });
}

// ---------------------------------------------------------------- what is gone

test('no byte of a key that is gone stays, in either half, however short the ring that follows', () => {
  for (const next of [[], RING.slice(1, 2), RING.toReversed().slice(0, 2)]) {
    const board = KeyBoard.create();
    board.publish(RING, 1);
    board.publish(next, NONE);
    const bytes = Buffer.from(board.buffer);
    for (const { bytes: gone } of RING.filter((one) => !next.includes(one))) {
      for (const part of [gone.subarray(0, 16), gone.subarray(16, 32), gone.subarray(32)])
        assert.equal(bytes.indexOf(part), -1);
    }
    const [one, two] = halvesOf(board);
    assert.deepEqual(one, two);
    assert.ok(one?.subarray(KEY_HALF.words + next.length * KEY_RECORD.words).every((word) => word === 0));
  }
});

test('a board keeps its own copy of the keys', () => {
  const board = KeyBoard.create();
  const keys = [key(1, STAGE_ACTIVE)];
  board.publish(keys, 0);
  keys[0]?.bytes.fill(0);
  assert.deepEqual(read(board), { keys: [key(1, STAGE_ACTIVE)], encrypting: 0 });
});

// ---------------------------------------------------------------- two threads

test('a reader in another thread never copies half a ring, nor an older one than before', async () => {
  const publish: Publish = (board, keys, encrypting) => board.publish(keys, encrypting);
  const { result, overtaken, published } = await stress(publish, OVERTAKEN_MIN);
  assert.equal(result.fault, null);
  assert.ok(
    overtaken >= OVERTAKEN_MIN && result.copies > 0,
    `overtaken ${overtaken} times in ${published} publications`,
  );
});

test('the stress catches a planted bug: publishing without the epoch', async () => {
  const { result } = await stress((board, keys, encrypting) =>
    board.words.set(imageOf(keys, encrypting), halfOf(board, loadEpoch(board))),
  );
  assert.notEqual(result.fault, null);
});

test('the stress catches a planted bug: storing the epoch before the data', async () => {
  const { result } = await stress((board, keys, encrypting) => {
    const next = (loadEpoch(board) + 1) | 0;
    Atomics.store(board.words, board.epochIndex, next);
    board.words.set(imageOf(keys, encrypting), halfOf(board, next));
  });
  assert.notEqual(result.fault, null);
});

type Publish = (board: KeyBoard, keys: readonly BoardKey[], encrypting: number) => void;

/** Publishes until the reader has found something, or was overtaken often enough. */
async function stress(publish: Publish, overtakenMin = Number.POSITIVE_INFINITY) {
  const board = KeyBoard.create();
  const control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
  const workerData: KeyReaderTask = { buffer: board.buffer, control };
  const worker = new Worker(new URL('./stress/key-reader.ts', import.meta.url), { workerData });
  const ended = new Promise<KeyReaderResult>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  while (Atomics.load(control, CONTROL.ready) === 0) await new Promise(setImmediate);
  let published = 0;
  const isOver = () =>
    Atomics.load(control, CONTROL.stop) !== 0 || Atomics.load(control, CONTROL.overtaken) >= overtakenMin;
  while (published < PUBLICATIONS_MAX && !isOver()) {
    const { keys, encrypting } = ringOf(++published);
    publish(board, keys, encrypting);
    // with a pause, so that the reader comes to its end now and then
    for (let spin = published % 2_048; spin > 0; spin--) loadEpoch(board);
  }
  Atomics.store(control, CONTROL.stop, 1);
  return { result: await ended, overtaken: Atomics.load(control, CONTROL.overtaken), published };
}

/** What publish would have written. */
function imageOf(keys: readonly BoardKey[], encrypting: number): Int32Array {
  const board = KeyBoard.create();
  board.publish(keys, encrypting);
  return board.words.subarray(halfOf(board, loadEpoch(board)), halfOf(board, loadEpoch(board)) + board.halfWords);
}

function key(n: number, stage: BoardStage): BoardKey {
  return { stage, bytes: ticketKey(n) };
}

function halvesOf({ words, halvesIndex, halfWords }: KeyBoard): Int32Array[] {
  return [0, 1].map((half) => words.slice(halvesIndex + half * halfWords, halvesIndex + (half + 1) * halfWords));
}

/** The ring that is current on a board. */
function read(board: KeyBoard): { keys: BoardKey[]; encrypting: number } {
  const half = halfOf(board, loadEpoch(board));
  const keys = Array.from({ length: board.words[half + KEY_HALF.keys] as number }, (_, i): BoardKey => {
    const record = half + KEY_HALF.words + i * KEY_RECORD.words;
    const bytes = new Uint8Array(board.buffer, (record + KEY_RECORD.bytes) * 4, KEY_BYTES);
    return { stage: board.words[record + KEY_RECORD.stage] as BoardStage, bytes: Uint8Array.from(bytes) };
  });
  return { keys, encrypting: board.words[half + KEY_HALF.encrypting] as number };
}
