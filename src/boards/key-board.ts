/**
 * The key board: the ring of ticket keys as the listener threads see it. Written by the main thread alone (key
 * publisher); one for all threads.
 *
 *   word 0        magic            | written once, before the board is shared
 *   word 1        layout version   |
 *   word 16       epoch            | alone on its cache line
 *   word 32       half 0, half 1   | by epoch
 *
 *   a half:       header  16 words: keys; index of the key that encrypts, or -1
 *                 keys    1,024 records of 16 words: stage, 3 words unused, the key's 48 bytes (name, hmac, aes)
 *
 * A key that is gone is gone from both halves: the publisher writes each image twice. Secrets lie here in clear: the
 * buffer goes to listener threads and nowhere else.
 */

import type { EpochRegion } from './epoch.ts';
import { publish } from './epoch.ts';

const MAGIC = 0x5354_454b;
const LAYOUT_VERSION = 1;
const LINE = 16; // words of a 64-byte cache line

const WORD = { magic: 0, version: 1, epoch: 16, halves: 32 } as const;
/** Header words of a half. */
export const KEY_HALF = { keys: 0, encrypting: 1, words: LINE } as const;
/** Words of a key's record in a half. */
export const KEY_RECORD = { stage: 0, bytes: 4, words: LINE } as const;

export const STAGE_STAGED = 1;
export const STAGE_ACTIVE = 2;
export const STAGE_RETIRING = 3;
export type BoardStage = typeof STAGE_STAGED | typeof STAGE_ACTIVE | typeof STAGE_RETIRING;

/** No key encrypts: no tickets are issued. */
export const NONE = -1;

export const BOARD_KEYS_MAX = 1_024;
const KEY_WORDS = 12;
const HALF_WORDS = KEY_HALF.words + BOARD_KEYS_MAX * KEY_RECORD.words;

export interface BoardKey {
  readonly stage: BoardStage;
  /** 48 bytes: name, hmac, aes. */
  readonly bytes: Uint8Array;
}

/** A view of the key board; either side makes its own over the same buffer. */
export class KeyBoard implements EpochRegion {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly epochIndex = WORD.epoch;
  readonly halvesIndex = WORD.halves;
  readonly halfWords = HALF_WORDS;

  /** Attaches to a board. Throws where the buffer is no key board of this layout. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    const isSound =
      this.words.length === WORD.halves + 2 * HALF_WORDS && Atomics.load(this.words, WORD.magic) === MAGIC;
    if (!isSound || Atomics.load(this.words, WORD.version) !== LAYOUT_VERSION) {
      throw new TypeError('the buffer is not a key board of this layout');
    }
  }

  /** A new board without a key. */
  static create(): KeyBoard {
    const words = new Int32Array(new SharedArrayBuffer((WORD.halves + 2 * HALF_WORDS) * Int32Array.BYTES_PER_ELEMENT));
    words[WORD.version] = LAYOUT_VERSION;
    for (const half of [0, 1]) words[WORD.halves + half * HALF_WORDS + KEY_HALF.encrypting] = NONE;
    Atomics.store(words, WORD.magic, MAGIC);
    return new KeyBoard(words.buffer);
  }

  /**
   * Makes `keys` the ring; the key at index `encrypting` makes new tickets, none where it is NONE. What was on the board
   * before is overwritten in both halves. Writer: the main thread.
   */
  publish(keys: readonly BoardKey[], encrypting: number): void {
    if (keys.length > BOARD_KEYS_MAX) throw new RangeError(`a board holds ${BOARD_KEYS_MAX} keys, not ${keys.length}`);
    const isInRange = Number.isInteger(encrypting) && encrypting >= NONE && encrypting < keys.length;
    if (!isInRange || (encrypting !== NONE && keys[encrypting]?.stage !== STAGE_ACTIVE)) {
      throw new RangeError('only an active key of the ring encrypts');
    }
    const image = buildImage(keys, encrypting);
    publish(this, image);
    publish(this, image);
    image.fill(0);
  }
}

function buildImage(keys: readonly BoardKey[], encrypting: number): Int32Array {
  const image = new Int32Array(HALF_WORDS);
  const bytes = new Uint8Array(image.buffer);
  image[KEY_HALF.keys] = keys.length;
  image[KEY_HALF.encrypting] = encrypting;
  for (const [i, key] of keys.entries()) {
    const record = KEY_HALF.words + i * KEY_RECORD.words;
    if (key.bytes.length !== KEY_WORDS * 4) throw new RangeError('a ticket key has 48 bytes');
    image[record + KEY_RECORD.stage] = key.stage;
    bytes.set(key.bytes, (record + KEY_RECORD.bytes) * 4);
  }
  return image;
}
