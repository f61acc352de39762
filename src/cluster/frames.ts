/**
 * Frames on a byte stream: a length, u32 big-endian, then that many bytes. Pure. Main thread.
 */

import { FRAME_BYTES_MAX } from './limits.ts';

const LENGTH_BYTES = 4;
/** Room for a frame that is still arriving starts here, so that a length alone makes nobody allocate. */
const ROOM_BYTES_MIN = 16 * 1024;

/** `bytes` with their length in front, as one piece to write. */
export function frame(bytes: Uint8Array): Buffer {
  if (bytes.length > FRAME_BYTES_MAX) throw new RangeError(`a frame of ${bytes.length} bytes is too long`);
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length);
  framed.writeUInt32BE(bytes.length);
  framed.set(bytes, LENGTH_BYTES);
  return framed;
}

/**
 * Splits a stream into frames, whatever its chunks. Use: `push` a chunk, then `next` until it has no more.
 * Invariant: what it holds is at most twice what has arrived of one frame, and at most the limit.
 */
export class FrameReader {
  #bytesMax: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #offset = 0;
  /** Of the frame under way: its length so far, and how many of the four bytes of that have come. */
  #length = 0;
  #lengthBytes = 0;
  /** What has come of it, where it was not whole in one chunk. Invariant: #filled <= #room.length <= #length. */
  #room: Buffer | null = null;
  #filled = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Holds from the next frame on whose length has not been read. */
  raiseLimit(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  push(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length) throw new Error('the chunk before has not been read to its end');
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /**
   * The next whole frame, which may be a view of a pushed chunk; null when more bytes are needed. After 'oversized' the
   * stream cannot be read on.
   */
  next(): Uint8Array | 'oversized' | null {
    if (!this.#readLength()) return null;
    if (this.#length > this.#bytesMax) return 'oversized';
    const missing = this.#length - this.#filled;
    const isWhole = this.#chunk.length - this.#offset >= missing;
    const part = this.#chunk.subarray(this.#offset, this.#offset + missing);
    this.#offset += part.length;
    if (isWhole && this.#room === null) return this.#finish(part);
    this.#gather(part);
    return isWhole && this.#room !== null ? this.#finish(this.#room.subarray(0, this.#length)) : null;
  }

  #readLength(): boolean {
    while (this.#lengthBytes < LENGTH_BYTES) {
      const byte = this.#chunk[this.#offset];
      if (byte === undefined) return false;
      this.#offset += 1;
      this.#lengthBytes += 1;
      // no shift: it would make a negative number of a length of 2 GiB
      this.#length = this.#length * 256 + byte;
    }
    return true;
  }

  #gather(part: Uint8Array): void {
    const needed = this.#filled + part.length;
    if (this.#room === null || this.#room.length < needed) {
      const room = Buffer.allocUnsafeSlow(Math.min(this.#length, Math.max(ROOM_BYTES_MIN, 2 * needed)));
      if (this.#room !== null) room.set(this.#room.subarray(0, this.#filled));
      this.#room = room;
    }
    this.#room.set(part, this.#filled);
    this.#filled = needed;
  }

  #finish(whole: Uint8Array): Uint8Array {
    this.#length = this.#lengthBytes = this.#filled = 0;
    this.#room = null;
    return whole;
  }
}
