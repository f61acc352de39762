/**
 * The address board: how many connections are open from each client address, over all listener threads, in a size that no
 * attacker can make grow. A count-min sketch (Cormode and Muthukrishnan, 2005), a part of it for each thread.
 *
 *   words 0..15   header, written by the main thread
 *     word 0        parts in use: threads 0 to that many less one
 *     word 1, 2     seeds of the two hashes, drawn at random: nobody outside knows which addresses share a cell
 *   from word 16  a part of 2 x 32768 cells a thread, which that thread alone writes
 *
 * An address has a cell in either row of every part, and its count is the lesser of the two sums. It is never too low; it is
 * too high by what other addresses have in the same cells: with 100,000 connections from as many addresses, by about two.
 *
 * IPv6 addresses count by their /64: one client has all of it.
 */

const HEADER_WORDS = 16; // a cache line
const PARTS_WORD = 0;
const SEED_WORDS = [1, 2] as const;
const ROW_WORDS = 1 << 15;
const PART_WORDS = 2 * ROW_WORDS;

export class AddressBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #parts: number;

  /** Attaches to a board. Throws where the buffer is none. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#parts = (this.#words.length - HEADER_WORDS) / PART_WORDS;
    if (!Number.isInteger(this.#parts) || this.#parts < 1) throw new RangeError('not an address board');
  }

  /** A new board, nothing open. Pages that no thread uses are never touched, and so take no memory. */
  static create(threads: number): AddressBoard {
    const words = HEADER_WORDS + threads * PART_WORDS;
    const board = new AddressBoard(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT));
    const seeds = crypto.getRandomValues(new Int32Array(SEED_WORDS.length));
    SEED_WORDS.forEach((word, i) => {
      board.#words[word] = seeds[i] as number;
    });
    return board;
  }

  /** `thread` is about to begin, or has ended: nothing is open on it. For the main thread, while no thread writes there. */
  clear(thread: number): void {
    const start = this.#partOf(thread);
    const inUse = this.#words[PARTS_WORD] as number;
    // pages that were never written stay without memory
    if (thread < inUse) this.#words.fill(0, start, start + PART_WORDS);
    else Atomics.store(this.#words, PARTS_WORD, thread + 1);
  }

  /** A connection from `address` has been opened on `thread` (1) or closed (-1). */
  add(thread: number, address: string, by: 1 | -1): void {
    const key = networkOf(address);
    const start = this.#partOf(thread);
    for (let row = 0; row < SEED_WORDS.length; row++) {
      const word = start + this.#cell(key, row);
      this.#words[word] = (this.#words[word] as number) + by;
    }
  }

  /** Connections open from `address`, over all threads: as many, or a few more. */
  count(address: string): number {
    const key = networkOf(address);
    return Math.min(this.#sum(this.#cell(key, 0)), this.#sum(this.#cell(key, 1)));
  }

  /** Threads of which something may be open. */
  get partsInUse(): number {
    return Atomics.load(this.#words, PARTS_WORD);
  }

  #sum(cell: number): number {
    let sum = 0;
    const inUse = this.partsInUse;
    for (let part = 0; part < inUse; part++) sum += this.#words[HEADER_WORDS + part * PART_WORDS + cell] as number;
    return sum;
  }

  /** Index of the cell within a part. */
  #cell(key: string, row: number): number {
    return row * ROW_WORDS + (hash(key, this.#words[SEED_WORDS[row] as number] as number) & (ROW_WORDS - 1));
  }

  #partOf(thread: number): number {
    const isThere = Number.isInteger(thread) && thread >= 0 && thread < this.#parts;
    if (!isThere) throw new RangeError(`the address board has no part for thread ${thread}`);
    return HEADER_WORDS + thread * PART_WORDS;
  }
}

/** What counts as one client: an IPv4 address as it is, of an IPv6 address the first 64 bits. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [before = '', after] = address.split('::');
  const head = before === '' ? [] : before.split(':');
  if (after === undefined || head.length >= 4) return head.slice(0, 4).join(':');
  const tail = after === '' ? [] : after.split(':');
  const zeros = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}

/** Multiply and mix, with the finaliser of MurmurHash3. */
function hash(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x5bd1e995);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
