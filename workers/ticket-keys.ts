/**
 * The ring of ticket keys as one listener thread holds it: a copy of the key board, made anew when the board's epoch
 * changes. Listener threads, one a thread.
 *
 * The copy is made of Buffers because that is what OpenSSL's callback takes. Keys that leave the ring are zeroed here
 * with the next look at the epoch, which comes with the next ticket or the next tick of the wheel.
 */

import { halfOf, loadEpoch } from '../src/boards/epoch.ts';
import { type BoardStage, KEY_HALF, KEY_RECORD, type KeyBoard, NONE } from '../src/boards/key-board.ts';

const PART_BYTES = 16;
const KEY_BYTES = 3 * PART_BYTES;
const KEY_WORDS = KEY_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** A key's parts, 16 bytes each. Valid until the next `refresh`, and zeros after it where the key has left the ring. */
export interface HeldKey {
  readonly stage: BoardStage;
  /** All 48 bytes: name, hmac, aes. */
  readonly bytes: Buffer;
  readonly name: Buffer;
  readonly hmac: Buffer;
  readonly aes: Buffer;
}

export class TicketKeys {
  readonly #board: KeyBoard;
  #epoch: number;
  #bytes: Buffer = Buffer.alloc(0);
  #keys: HeldKey[] = [];
  /** The first word of each key's name: what a search compares first. */
  #firstWords = new Int32Array(0);
  #encrypting: HeldKey | null = null;

  constructor(board: KeyBoard) {
    this.#board = board;
    this.#epoch = loadEpoch(board);
    this.#copy();
  }

  /** Counts the board's changes, for equality alone. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The key that makes new tickets; null: none are to be made. */
  get encrypting(): HeldKey | null {
    return this.#encrypting;
  }

  /** Takes over what has changed on the board; costs one load where nothing has. */
  refresh(): void {
    if (loadEpoch(this.#board) !== this.#epoch) this.#copy();
  }

  /** The key called `name`, 16 bytes; null where the ring has none such. */
  find(name: Buffer): HeldKey | null {
    const first = name.readInt32LE(0);
    for (let i = 0; i < this.#firstWords.length; i++) {
      if (this.#firstWords[i] !== first) continue;
      const key = this.#keys[i] as HeldKey;
      if (key.name.equals(name)) return key;
    }
    return null;
  }

  #copy(): void {
    const old = this.#bytes;
    let indexOfEncrypting = NONE;
    for (;;) {
      const epoch = loadEpoch(this.#board);
      indexOfEncrypting = this.#read(halfOf(this.#board, epoch));
      this.#epoch = epoch;
      if (loadEpoch(this.#board) === epoch) break;
      this.#bytes.fill(0);
    }
    old.fill(0);
    this.#encrypting = this.#keys[indexOfEncrypting] ?? null;
    this.#firstWords = Int32Array.from(this.#keys, ({ name }) => name.readInt32LE(0));
  }

  /** Copies the half that begins at word `half`; returns the index of the key that encrypts. May read a torn half. */
  #read(half: number): number {
    const { words } = this.#board;
    const count = Atomics.load(words, half + KEY_HALF.keys);
    const copy = new Int32Array(count * KEY_WORDS);
    this.#bytes = Buffer.from(copy.buffer);
    this.#keys = [];
    for (let i = 0; i < count; i++) {
      const record = half + KEY_HALF.words + i * KEY_RECORD.words;
      for (let w = 0; w < KEY_WORDS; w++) copy[i * KEY_WORDS + w] = Atomics.load(words, record + KEY_RECORD.bytes + w);
      const stage = Atomics.load(words, record + KEY_RECORD.stage) as BoardStage;
      this.#keys.push(viewsOf(this.#bytes.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), stage));
    }
    return Atomics.load(words, half + KEY_HALF.encrypting);
  }
}

function viewsOf(bytes: Buffer, stage: BoardStage): HeldKey {
  return {
    stage,
    bytes,
    name: bytes.subarray(0, PART_BYTES),
    hmac: bytes.subarray(PART_BYTES, 2 * PART_BYTES),
    aes: bytes.subarray(2 * PART_BYTES),
  };
}
