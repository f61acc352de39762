/**
 * The stats board: what each listener thread counts, for the main thread to read. Row t is written by listener
 * thread t alone; rows are whole cache lines, so that no thread's counting slows another's.
 *
 *   row of 64 words (256 bytes):
 *   word 0        heartbeat: one more at every tick of the thread's timer wheel
 *   word 1        client connections open now
 *   word 2..      counters, see STAT
 *
 * Counters are 32 bits wide and wrap: a reader keeps its last value and adds the difference, unsigned.
 */

export const STAT = {
  heartbeat: 0,
  connectionsOpen: 1,
  connectionsTotal: 2,
  requestsTotal: 3,
  /** Responses by class: responses + 1 is 1xx and so on up to responses + 5. */
  responses: 4,
  requestsRejected: 10,
  upstreamConnects: 11,
  upstreamConnectFailures: 12,
  upstreamReuses: 13,
  retries: 14,
  responsesTruncated: 15,
  clientAborts: 16,
  tunnelsOpen: 17,
  nodesLeftOut: 18,
  /** TLS handshakes by result and protocol. */
  handshakesFull12: 19,
  handshakesFull13: 20,
  handshakesResumed12: 21,
  handshakesResumed13: 22,
  /** Broken off: by an error, by the client, or by the timeout. */
  handshakesFailed: 23,
  /** Tickets made, renewals among them; a full TLS 1.3 handshake gives two. */
  ticketsIssued: 24,
  /** Tickets opened for which a new one was asked. */
  ticketsRenewed: 25,
  /** Tickets opened, by the stage of their key. */
  ticketsOpenedActive: 26,
  ticketsOpenedStaged: 27,
  ticketsOpenedRetiring: 28,
  /** Tickets not opened: their key is not in the ring. */
  ticketsUnknownKey: 29,
  /** Tickets of a key in the ring with which no session resumed: bad MAC, too old, or of another trust domain. */
  ticketsRefused: 30,
} as const;

export type Stat = keyof typeof STAT;

const ROW_WORDS = 64;
if (Math.max(...Object.values(STAT)) >= ROW_WORDS) throw new RangeError('the counters do not fit a row');

export class StatsBoard {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly threads: number;

  /** Attaches to a board. Throws where the buffer's size is not a whole number of rows. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.threads = this.words.length / ROW_WORDS;
    if (!Number.isInteger(this.threads) || this.threads < 1) throw new RangeError('not a stats board');
  }

  static create(threads: number): StatsBoard {
    return new StatsBoard(new SharedArrayBuffer(threads * ROW_WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  /** The row of `thread` as a view of its own, for that thread to write. */
  row(thread: number): Int32Array {
    return this.words.subarray(thread * ROW_WORDS, (thread + 1) * ROW_WORDS);
  }

  read(thread: number, stat: Stat): number {
    return Atomics.load(this.words, thread * ROW_WORDS + STAT[stat]) >>> 0;
  }

  /** A counter or gauge over all threads. */
  sum(stat: Stat): number {
    let sum = 0;
    for (let t = 0; t < this.threads; t++) sum += this.read(t, stat);
    return sum;
  }
}
