/**
 * What a fuzzing thread is at, in shared memory: a thread that hangs or dies can say nothing any more. Test support.
 *
 *   word 0   1: stop after this batch
 *   word 1   length of the case, bytes
 *   word 2   length of its tag, bytes
 *   then     tag, case
 */

import type { FuzzCase, TargetName } from './target.ts';

const STOP = 0;
const CASE_BYTES = 1;
const TAG_BYTES = 2;
const HEADER_WORDS = 3;
/** Of a longer case the beginning is kept. */
const ROOM_BYTES = 1024 * 1024;

export class Notebook {
  readonly #words: Int32Array;
  readonly #room: Buffer;

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(HEADER_WORDS * 4 + ROOM_BYTES);
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, HEADER_WORDS);
    this.#room = Buffer.from(memory, HEADER_WORDS * 4);
  }

  get isStopped(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  note({ tag, bytes }: FuzzCase): void {
    const tagBytes = this.#room.write(tag, 0, 'latin1');
    const caseBytes = bytes.copy(this.#room, tagBytes);
    Atomics.store(this.#words, TAG_BYTES, tagBytes);
    Atomics.store(this.#words, CASE_BYTES, caseBytes);
  }

  /** What was noted last; null where nothing was. */
  read(target: TargetName): FuzzCase | null {
    const tagBytes = Atomics.load(this.#words, TAG_BYTES);
    if (tagBytes === 0) return null;
    const end = tagBytes + Atomics.load(this.#words, CASE_BYTES);
    const tag = this.#room.toString('latin1', 0, tagBytes);
    return { target, tag, bytes: Buffer.from(this.#room.subarray(tagBytes, end)) };
  }
}
