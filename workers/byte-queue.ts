/**
 * Bytes that arrived and could not be used yet: a part of a head, or requests behind the one in progress. Listener
 * threads; most connections never need one.
 */

const BYTES_MIN = 1024;

export class ByteQueue {
  /** The bytes are `buffer[start, end)`. Invariant: 0 <= start <= end <= buffer.length. */
  buffer: Buffer;
  start = 0;
  end = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, end - start));
    this.append(bytes, start, end);
  }

  get length(): number {
    return this.end - this.start;
  }

  /**
   * Adds `bytes[start, end)`, which must not be this queue's own. What was used up makes room: the buffer is never more
   * than twice what the queue has held at once. A full buffer is left as it is, for a caller that still reads from it.
   */
  append(bytes: Uint8Array, start: number, end: number): void {
    const added = end - start;
    if (this.end + added > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, this.length * 2, this.length + added));
      this.buffer.copy(grown, 0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
      this.buffer = grown;
    }
    this.buffer.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.end);
    this.end += added;
  }
}
