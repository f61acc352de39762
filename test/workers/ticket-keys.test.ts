/** A thread's view of the key board: what it finds, when it takes changes over, and that what is gone is zeroed. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  BOARD_KEYS_MAX,
  type BoardKey,
  KeyBoard,
  NONE,
  STAGE_ACTIVE,
  STAGE_RETIRING,
  STAGE_STAGED,
} from '../../src/boards/key-board.ts';
import { TicketKeys } from '../../workers/ticket-keys.ts';
import { newKey, publishKeys } from './tls-harness.ts';

const nameOf = ({ bytes }: BoardKey) => Buffer.from(bytes.subarray(0, 16));

test('an empty board has no key to find, and none that encrypts', () => {
  const keys = new TicketKeys(KeyBoard.create());
  assert.equal(keys.encrypting, null);
  assert.equal(keys.find(randomBytes(16)), null);
});

test('keys are found by their whole name, with their parts and stage', () => {
  const board = KeyBoard.create();
  const ring = [newKey(STAGE_RETIRING), newKey(STAGE_ACTIVE), newKey(STAGE_STAGED)];
  publishKeys(board, ring);
  const keys = new TicketKeys(board);
  for (const key of ring) {
    const found = keys.find(nameOf(key));
    assert.equal(found?.stage, key.stage);
    const parts = Buffer.concat([found?.name, found?.hmac, found?.aes].map((part) => part ?? Buffer.alloc(0)));
    assert.deepEqual([...parts], [...key.bytes]);
    assert.deepEqual([...(found?.bytes ?? [])], [...key.bytes]);
  }
  assert.equal(keys.encrypting, keys.find(nameOf(ring[1] as BoardKey)));
  for (let i = 0; i < 16; i++) {
    const near = nameOf(ring[0] as BoardKey);
    near[i] = (near[i] as number) ^ 1;
    assert.equal(keys.find(near), null, `byte ${i}`);
  }
});

test('keys whose names begin alike are told apart, in a full ring too', () => {
  const board = KeyBoard.create();
  const ring = Array.from({ length: BOARD_KEYS_MAX }, (_, i) => {
    const bytes = randomBytes(48);
    bytes.fill(9, 0, 12).writeUInt32BE(i, 12);
    return { stage: STAGE_RETIRING, bytes } as const;
  });
  board.publish(ring, NONE);
  const keys = new TicketKeys(board);
  for (const key of ring) assert.deepEqual(keys.find(nameOf(key))?.hmac, key.bytes.subarray(16, 32));
});

test('a change on the board is taken over by refresh, and its epoch tells', () => {
  const board = KeyBoard.create();
  const [one, two] = [newKey(), newKey()];
  publishKeys(board, [one]);
  const keys = new TicketKeys(board);
  const { epoch, encrypting } = keys;
  keys.refresh();
  assert.equal(keys.epoch, epoch);
  assert.equal(keys.encrypting, encrypting);

  publishKeys(board, [two, { ...one, stage: STAGE_RETIRING }]);
  assert.equal(keys.encrypting, encrypting);
  keys.refresh();
  assert.notEqual(keys.epoch, epoch);
  assert.deepEqual([...(keys.encrypting?.name ?? [])], [...nameOf(two)]);
  assert.equal(keys.find(nameOf(one))?.stage, STAGE_RETIRING);

  board.publish([], NONE);
  keys.refresh();
  assert.equal(keys.encrypting, null);
  assert.equal(keys.find(nameOf(two)), null);
});

test('the copies of keys that have left the ring are zeroed', () => {
  const board = KeyBoard.create();
  const key = newKey();
  publishKeys(board, [key]);
  const keys = new TicketKeys(board);
  const held = keys.find(nameOf(key));
  publishKeys(board, [newKey()]);
  keys.refresh();
  for (const part of [held?.bytes, held?.name, held?.hmac, held?.aes]) assert.ok(part?.every((byte) => byte === 0));
  assert.ok(keys.encrypting?.bytes.some((byte) => byte !== 0));
});

test('while another thread publishes, every view is one ring as it was published', async (t) => {
  const board = KeyBoard.create();
  // each ring's keys are filled with one number, which differs from ring to ring, as does their count
  const writer = new Worker(
    `import { parentPort, workerData } from 'node:worker_threads';
     const { KeyBoard, STAGE_ACTIVE } = await import(workerData.module);
     const board = new KeyBoard(workerData.buffer);
     for (let round = 1; ; round++) {
       const keys = Array.from({ length: 1 + (round % 40) }, (_, i) => {
         const bytes = Buffer.alloc(48, round & 0xff);
         bytes.writeUInt32LE(i, 0);
         bytes.writeUInt32LE(1 + (round % 40), 4);
         return { stage: STAGE_ACTIVE, bytes };
       });
       board.publish(keys, round % keys.length);
     }`,
    {
      eval: true,
      execArgv: ['--input-type=module'],
      workerData: { module: new URL('../../src/boards/key-board.ts', import.meta.url).href, buffer: board.buffer },
    },
  );
  t.after(() => writer.terminate());
  const keys = new TicketKeys(board);
  const name = Buffer.alloc(16);
  let changes = 0;
  const endMs = performance.now() + 30_000;
  for (let { epoch } = keys; changes < 300; ) {
    if (performance.now() > endMs) assert.fail(`only ${changes} changes`);
    keys.refresh();
    if (keys.epoch === epoch) continue;
    epoch = keys.epoch;
    changes++;
    const { bytes } = keys.encrypting ?? assert.fail('no key encrypts');
    const count = bytes.readUInt32LE(4);
    bytes.copy(name, 0, 0, 16);
    for (let i = 0; i < count; i++) {
      name.writeUInt32LE(i, 0);
      const key = keys.find(name) ?? assert.fail(`key ${i} of ${count} is missing`);
      assert.ok(key.bytes.subarray(8).equals(bytes.subarray(8)));
    }
    name.writeUInt32LE(count, 0);
    assert.equal(keys.find(name), null);
  }
});
