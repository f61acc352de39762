/**
 * Buffers for what is being written, used again and again: to make one costs more than to copy into it. Listener threads.
 *
 * Each size is twice the one before, so that what waits stands in no more than twice the memory that HIGH_WATERMARK counts.
 */

/** Over TLS all answers of a turn are under way at once: this much of each size is kept, bytes. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

export class SpareBuffers {
  readonly #size: number;
  readonly #kept: Buffer[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): Buffer {
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  giveBack(buffer: Buffer): void {
    if (this.#kept.length < KEPT_BYTES_MAX / this.#size) this.#kept.push(buffer);
  }
}

const SPARES = [2, 4, 8, 16, 32, 64].map((kib) => new SpareBuffers(kib * 1024));
/** Bits of the last index into a buffer of the first size. */
const INDEX_BITS_MIN = 11;

/** Those that hold `length` bytes; `length` > 1,024. Undefined above 64 KiB. */
export function sparesFor(length: number): SpareBuffers | undefined {
  return SPARES[32 - Math.clz32(length - 1) - INDEX_BITS_MIN];
}
