/**
 * The stats board: what each listener thread counts, for the main thread to read. Row t is written by listener
 * thread t alone; words that nobody writes lie between the rows, so that no thread's counting slows another's.
 *
 *   32 words of nobody's (SEPARATION), then for each thread a row of 64 words, and 32 of nobody's:
 *   word 0        heartbeat: one more at every tick of the thread's timer wheel
 *   word 1        client connections open now
 *   word 2..      counters, and what else goes up and down: see STAT and GAUGES
 *
 * Counters are 32 bits wide and wrap: a reader keeps its last value and adds the difference, unsigned.
 */

import { SEPARATION } from './separation.ts';

export const STAT = {
  heartbeat: 0,
  connectionsOpen: 1,
  connectionsTotal: 2,
  /** Heads read whole and without a fault. */
  requestsTotal: 3,
  tunnelsOpen: 4,
  /** Attempts at a new backend connection. */
  upstreamConnects: 5,
  /** Requests that went out on a kept backend connection. */
  upstreamReuses: 6,
  /** Responses that broke off after their head. */
  responsesTruncated: 7,
  /** Clients that left while their request was under way. */
  clientAborts: 8,
  /** Nodes that failed this thread too often in a row. */
  nodesLeftOut: 9,
  /** TLS handshakes by result and protocol. */
  handshakesFull12: 10,
  handshakesFull13: 11,
  handshakesResumed12: 12,
  handshakesResumed13: 13,
  /** Broken off: by an error, by the client, or by the timeout. */
  handshakesFailed: 14,
  /** Tickets made, renewals among them; a full TLS 1.3 handshake gives two. */
  ticketsIssued: 15,
  /** Tickets opened for which a new one was asked. */
  ticketsRenewed: 16,
  /** Tickets opened, by the stage of their key. */
  ticketsOpenedActive: 17,
  ticketsOpenedStaged: 18,
  ticketsOpenedRetiring: 19,
  /** Tickets not opened: their key is not in the ring. */
  ticketsUnknownKey: 20,
  /** Tickets of a key in the ring with which no session resumed: bad MAC, too old, or of another trust domain. */
  ticketsRefused: 21,
  /** TLS handshakes under way. */
  handshakesOpen: 22,
  /** Connections that were not served, by the limit that stood against them. */
  connectionsRefusedAll: 23,
  connectionsRefusedThread: 24,
  connectionsRefusedAddress: 25,
  /** Idle connections that were closed to make room for others. */
  connectionsEvicted: 26,
  /** Handshakes that were ended to make room for others. */
  handshakesEvicted: 27,
  /** Connections that the system would not give, and said so: at EMFILE libuv closes them without a word. */
  acceptErrors: 28,
  /** Clients that did not send a head in time, or a body fast enough. */
  headTimeouts: 29,
  bodyTimeouts: 30,
  /** Clients that did not take a response fast enough. */
  readTimeouts: 31,
  /** Backend connections there are: opening, in use, idle. */
  upstreamsOpen: 32,
  /** Requests that no backend connection was left for. */
  upstreamsRefused: 33,
} as const;

export type Stat = keyof typeof STAT;

/** What goes up and down. */
export const GAUGES = [
  'connectionsOpen',
  'handshakesOpen',
  'tunnelsOpen',
  'upstreamsOpen',
] as const satisfies readonly Stat[];
export type Gauge = (typeof GAUGES)[number];

const ROW_WORDS = 64;
const STRIDE_WORDS = ROW_WORDS + SEPARATION;
if (Math.max(...Object.values(STAT)) >= ROW_WORDS) throw new RangeError('the counters do not fit a row');

export class StatsBoard {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly threads: number;

  /** Attaches to a board. Throws where the buffer's size is not a whole number of rows. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.threads = (this.words.length - SEPARATION) / STRIDE_WORDS;
    if (!Number.isInteger(this.threads) || this.threads < 1) throw new RangeError('not a stats board');
  }

  static create(threads: number): StatsBoard {
    return new StatsBoard(new SharedArrayBuffer(rowOf(threads) * Int32Array.BYTES_PER_ELEMENT));
  }

  /** The row of `thread` as a view of its own, for that thread to write. */
  row(thread: number): Int32Array {
    return this.words.subarray(rowOf(thread), rowOf(thread) + ROW_WORDS);
  }

  read(thread: number, stat: Stat): number {
    return Atomics.load(this.words, rowOf(thread) + STAT[stat]) >>> 0;
  }

  /** A thread has ended: nothing is open on it. For the main thread, which is the only one left to write there. */
  clearGauges(thread: number): void {
    const row = rowOf(thread);
    for (const gauge of GAUGES) Atomics.store(this.words, row + STAT[gauge], 0);
  }
}

/** Index of the row's first word. */
function rowOf(thread: number): number {
  return SEPARATION + thread * STRIDE_WORDS;
}
