/**
 * The service board: what one listener thread counts of each service, for the main thread to read. One a thread, which
 * alone writes it; a thread that takes a dead one's place goes on on its board.
 *
 *   a block of 576 words (whole cache lines) for each service, at its id; then one for requests that no service was found
 *   for, at NO_SERVICE. In a block:
 *   word 0        requests by the status code that their clients got, 100 to 599: word 0 is 100
 *   word 500      those with a code from 600 on, which HTTP does not know and backends can send
 *   word 501      retries
 *   word 502      backend connections that could not be opened or verified
 *   word 512      request durations: requests by bucket, 16 with a bound and one for what is longer
 *   word 529, 530 request durations: sum
 *   word 544      connect times: connections by bucket, 15 with a bound and one for what is longer
 *   word 560, 561 connect times: sum
 *
 * All words are Int32; counts are 32 bits wide and wrap: a reader keeps its last value and adds the difference, unsigned.
 * A bucket holds what no smaller one does.
 *
 * A sum is microseconds in 64 bits, low word first: 32 would go around within seconds while many requests are under way.
 * The high word is stored after the low one, atomically, and a reader loads it first: what it sees is too little by 2^32
 * for a moment, and never too much.
 */

/** Services that a process can have had: a reload may bring new ones. */
export const SERVICES_MAX = 1_024;

/** The block of requests refused before a service was found: faulty heads, and Hosts that no service is there for. */
export const NO_SERVICE = SERVICES_MAX;

const LINE = 16; // words of a 64-byte cache line

export const CODE_MIN = 100;
/** Codes from here on share a word. */
export const CODE_OTHER = 600;

export const BLOCK = {
  codes: 0,
  retries: 501,
  connectFailures: 502,
  durations: 512,
  connects: 544,
  words: 576,
} as const;

/** A histogram in a block: its buckets from `first` on, the last one unbounded, then the two words of its sum. */
export interface BlockHistogram {
  readonly first: number;
  /** Inclusive upper bounds of the buckets, microseconds, ascending. */
  readonly boundsUs: readonly number[];
}

/** From a request's head to the end of its response. */
export const DURATIONS: BlockHistogram = {
  first: BLOCK.durations,
  boundsUs: [500, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 3e7, 6e7],
};

/** From the call to the node's answer on the level of TCP. */
export const CONNECTS: BlockHistogram = {
  first: BLOCK.connects,
  boundsUs: [100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6],
};

/** The low word of a histogram's sum; the high one follows it. */
export function sumWord({ first, boundsUs }: BlockHistogram): number {
  return first + boundsUs.length + 1;
}

const isSound =
  BLOCK.codes + CODE_OTHER - CODE_MIN < BLOCK.retries &&
  BLOCK.connectFailures < BLOCK.durations &&
  sumWord(DURATIONS) + 1 < BLOCK.connects &&
  sumWord(CONNECTS) + 1 < BLOCK.words &&
  [BLOCK.durations, BLOCK.connects, BLOCK.words].every((word) => word % LINE === 0);
if (!isSound) throw new RangeError('the parts of a block overlap or are not aligned');

const BOARD_WORDS = (SERVICES_MAX + 1) * BLOCK.words;

export class ServiceBoard {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;

  /** Attaches to a board. Throws where the buffer is none. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    if (this.words.length !== BOARD_WORDS) throw new RangeError('not a service board');
  }

  /** A new board, all zero. Pages that no service uses are never touched, and so take no memory. */
  static create(): ServiceBoard {
    return new ServiceBoard(new SharedArrayBuffer(BOARD_WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  /** A block as a view of its own, for the thread to write. 0 <= service <= NO_SERVICE. */
  block(service: number): Int32Array {
    const isInRange = Number.isInteger(service) && service >= 0 && service <= NO_SERVICE;
    if (!isInRange) throw new RangeError(`there is no block ${service} on a service board`);
    return this.words.subarray(service * BLOCK.words, (service + 1) * BLOCK.words);
  }
}
