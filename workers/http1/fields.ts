/**
 * Field lines (RFC 9112 section 5): where each stands in the bytes, and that each is well-formed. No meaning yet:
 * requests and responses give the lines theirs. Listener threads; one table a parser, reused for every message.
 */

import { READ_BUFFER } from '../byte-stream.ts';
import { CLASS, COLON, COMMA, CR, HTAB, LF, SP, TOKEN, VALUE } from './chars.ts';
import { FAULT, FAULTY, INCOMPLETE, type MessageFault } from './errors.ts';

/** Words a line takes in the table. */
const STRIDE = 5;

/** The thread's read buffer: the values of what comes whole in one read are gone through four bytes at a time. */
const READ_WORDS = new DataView(READ_BUFFER.buffer);

export class FieldTable {
  count = 0;
  /** How many lines are marked as dropped. 0 <= dropped <= count. */
  dropped = 0;
  fault: MessageFault | null = null;
  readonly countMax: number;
  readonly #lines: Int32Array;
  readonly #isDropped: Uint8Array;

  constructor(countMax: number) {
    this.countMax = countMax;
    this.#lines = new Int32Array(countMax * STRIDE);
    this.#isDropped = new Uint8Array(countMax);
  }

  /** First byte of line `i`, which is the first of its name. */
  start(i: number): number {
    return this.#lines[i * STRIDE] as number;
  }
  /** Past the last byte of the name. */
  nameEnd(i: number): number {
    return this.#lines[i * STRIDE + 1] as number;
  }
  /** First byte of the value, white space before it left out. */
  valueStart(i: number): number {
    return this.#lines[i * STRIDE + 2] as number;
  }
  /** Past the last byte of the value, white space after it left out. valueStart <= valueEnd. */
  valueEnd(i: number): number {
    return this.#lines[i * STRIDE + 3] as number;
  }
  /** Past the line's LF. */
  end(i: number): number {
    return this.#lines[i * STRIDE + 4] as number;
  }

  /** Leaves line `i` out of what is forwarded. */
  drop(i: number): void {
    if (this.#isDropped[i] === 0) this.dropped++;
    this.#isDropped[i] = 1;
  }
  isDropped(i: number): boolean {
    return this.#isDropped[i] === 1;
  }

  /**
   * Reads lines from `pos` up to and with the empty line that ends them. Returns the index past it, INCOMPLETE where
   * `end` comes first, or FAULTY with `fault` set. Refused, all of RFC 9112 section 5: white space before the colon,
   * a line that begins with white space (obs-fold), a bare CR or LF, control characters.
   */
  scan(bytes: Uint8Array, pos: number, end: number): number {
    const lines = this.#lines;
    const lastWord = bytes === READ_BUFFER ? end - 4 : -1;
    this.count = 0;
    this.dropped = 0;
    this.fault = null;
    for (let i = pos; ; ) {
      if (i >= end) return INCOMPLETE;
      if (bytes[i] === CR) {
        if (i + 1 >= end) return INCOMPLETE;
        return bytes[i + 1] === LF ? i + 2 : this.#fail(FAULT.lineEnd);
      }
      const start = i;
      while (i < end && ((CLASS[bytes[i] as number] as number) & TOKEN) !== 0) i++;
      if (i >= end) return INCOMPLETE;
      if (bytes[i] !== COLON || i === start) return this.#fail(FAULT.fieldName);
      const nameEnd = i++;
      while (i < end && (bytes[i] === SP || bytes[i] === HTAB)) i++;
      const valueStart = i;
      while (i <= lastWord) {
        const others = otherThanText(READ_WORDS.getInt32(i, true));
        if (others !== 0) {
          i += (31 - Math.clz32(others & -others)) >> 3;
          break;
        }
        i += 4;
      }
      while (i < end && ((CLASS[bytes[i] as number] as number) & VALUE) !== 0) i++;
      if (i >= end) return INCOMPLETE;
      if (bytes[i] !== CR) return this.#fail(bytes[i] === LF ? FAULT.lineEnd : FAULT.fieldValue);
      if (i + 1 >= end) return INCOMPLETE;
      if (bytes[i + 1] !== LF) return this.#fail(FAULT.lineEnd);
      if (this.count === this.countMax) return this.#fail(FAULT.tooManyFields);
      let valueEnd = i;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
      i += 2;
      const line = this.count * STRIDE;
      lines[line] = start;
      lines[line + 1] = nameEnd;
      lines[line + 2] = valueStart;
      lines[line + 3] = valueEnd;
      lines[line + 4] = i;
      this.#isDropped[this.count++] = 0;
    }
  }

  #fail(fault: MessageFault): number {
    this.fault = fault;
    return FAULTY;
  }
}

/**
 * Which of four bytes are no visible ASCII and no space, by their highest bits; exact up to the lowest of them, as a borrow
 * comes from such a byte alone.
 */
function otherThanText(word: number): number {
  const belowSpace = (word - 0x20202020) | 0;
  const isDelete = ((word ^ 0x7f7f7f7f) - 0x01010101) | 0;
  return (belowSpace | isDelete | word) & 0x80808080;
}

/**
 * Calls `member(start, end)` for each non-empty member of the comma-separated list `bytes[start, end)`, white space
 * around it left out (RFC 9110 section 5.6.1). Not for lists whose members may hold quoted strings.
 */
export function forEachMember(
  bytes: Uint8Array,
  start: number,
  end: number,
  member: (start: number, end: number) => void,
): void {
  for (let i = start; i < end; i++) {
    while (i < end && (bytes[i] === SP || bytes[i] === HTAB)) i++;
    const first = i;
    while (i < end && bytes[i] !== COMMA) i++;
    let last = i;
    while (last > first && (bytes[last - 1] === SP || bytes[last - 1] === HTAB)) last--;
    if (last > first) member(first, last);
  }
}
