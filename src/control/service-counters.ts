/**
 * What the listener threads have counted of each service since the start, as numbers that do not wrap. Main thread.
 *
 * A thread's board is there for the life of the process, and the next thread of its number goes on on it. To be read at
 * least once while a count goes around, as Counters.
 */

import {
  BLOCK,
  type BlockHistogram,
  CODE_MIN,
  CODE_OTHER,
  CONNECTS,
  DURATIONS,
  type ServiceBoard,
  sumWord,
} from '../boards/service-board.ts';

/** A histogram as Prometheus has it. */
export interface Histogram {
  /** Inclusive upper bounds of all buckets but the last, s. */
  readonly bounds: readonly number[];
  /** What fell into each bucket; bounds.length + 1 of them. */
  readonly counts: readonly number[];
  /** s. */
  readonly sum: number;
}

export interface ServiceTotals {
  /** By status code, as text, those that were there alone; codes that HTTP does not know are `other`. */
  readonly codes: readonly (readonly [code: string, requests: number])[];
  readonly durations: Histogram;
  readonly connects: Histogram;
  readonly retries: number;
  readonly connectFailures: number;
}

interface Block {
  /** By word; a sum's stand in SUMS instead. */
  readonly totals: Float64Array;
  /** By thread, then by word, as read before. */
  readonly last: Uint32Array[];
}

const HIGH = 2 ** 32;
const SUMS = [sumWord(DURATIONS), sumWord(CONNECTS)] as const;
const SUM_WORDS = new Set(SUMS.flatMap((low) => [low, low + 1]));

export class ServiceCounters {
  readonly #boards: () => readonly ServiceBoard[];
  readonly #blocks = new Map<number, Block>();

  /** `boards` gives those of all threads that there have been, by thread. */
  constructor(boards: () => readonly ServiceBoard[]) {
    this.#boards = boards;
  }

  /** Of the service with this id, over all threads. */
  read(service: number): ServiceTotals {
    const { totals, last } = this.#blockOf(service);
    for (const [thread, board] of this.#boards().entries()) {
      last[thread] ??= new Uint32Array(BLOCK.words);
      fold(board.block(service), last[thread], totals);
    }
    return {
      codes: codesOf(totals),
      durations: histogramOf(totals, DURATIONS),
      connects: histogramOf(totals, CONNECTS),
      retries: totals[BLOCK.retries] as number,
      connectFailures: totals[BLOCK.connectFailures] as number,
    };
  }

  #blockOf(service: number): Block {
    const known = this.#blocks.get(service);
    if (known !== undefined) return known;
    const block = { totals: new Float64Array(BLOCK.words), last: [] };
    this.#blocks.set(service, block);
    return block;
  }
}

/** Adds to `totals` what has been counted since `last`, and makes `last` what is there now. */
function fold(words: Int32Array, last: Uint32Array, totals: Float64Array): void {
  for (let word = 0; word < BLOCK.words; word++) {
    if (SUM_WORDS.has(word)) continue;
    const now = Atomics.load(words, word) >>> 0;
    totals[word] = (totals[word] as number) + ((now - (last[word] as number)) >>> 0);
    last[word] = now;
  }
  for (const low of SUMS) foldSum(words, last, totals, low);
}

/** A sum that seems to have shrunk lacks its carry, which the next reading will find. */
function foldSum(words: Int32Array, last: Uint32Array, totals: Float64Array, low: number): void {
  const highNow = Atomics.load(words, low + 1) >>> 0;
  const lowNow = Atomics.load(words, low) >>> 0;
  const grown = (highNow - (last[low + 1] as number)) * HIGH + lowNow - (last[low] as number);
  if (grown < 0) return;
  totals[low] = (totals[low] as number) + grown;
  last[low] = lowNow;
  last[low + 1] = highNow;
}

function codesOf(totals: Float64Array): [string, number][] {
  const codes: [string, number][] = [];
  for (let code = CODE_MIN; code <= CODE_OTHER; code++) {
    const requests = totals[BLOCK.codes + code - CODE_MIN] as number;
    if (requests > 0) codes.push([code === CODE_OTHER ? 'other' : String(code), requests]);
  }
  return codes;
}

function histogramOf(totals: Float64Array, of: BlockHistogram): Histogram {
  return {
    bounds: of.boundsUs.map((us) => us / 1e6),
    counts: [...totals.subarray(of.first, of.first + of.boundsUs.length + 1)],
    sum: (totals[sumWord(of)] as number) / 1e6,
  };
}
