/**
 * The route board: a pool as the listener threads see it. Written by the main thread (publisher), but for the in-flight and
 * request cells, each of which is written by its own listener thread. One board for each pair of pool and salt.
 *
 * All words are Int32, in the machine's byte order (a board never leaves the machine).
 *
 *   word 0        magic            | written once, before the board is shared
 *   word 1        layout version   |
 *   word 2        capacity (slots) |
 *   word 3        table size       |
 *   word 4        text bytes       |
 *   word 5        threads          |
 *   word 32       epoch            | publisher
 *   word 64       state[capacity]  | main thread (health): NODE_UP, NODE_DOWN or NODE_FAILING, in force at once, no epoch
 *   ...           inFlight[threads][capacity]   | listener thread t writes row t
 *   ...           requests[threads][capacity]   |
 *   ...           half 0, half 1   | publisher, by epoch
 *
 *   Behind the states and each row lie SEPARATION words that nobody writes.
 *
 *   a half:       header  16 words: nodes, open nodes, total open weight in lowest terms, stride
 *                 table   table size words: slot + 1, 0 is empty; open addressing over the first SHA-1 word
 *                 records capacity * 16 words: see RECORD
 *                 sorted  capacity words: every node's slot, by its "host:port" string (domain mode)
 *                 open    capacity words: slots of the nodes that take new clients, in configuration order
 *                 cumul   capacity words: running sum of their weights in lowest terms, inclusive
 *                 text    the nodes' "host:port", UTF-8
 */

import type { EpochRegion } from './epoch.ts';
import { SEPARATION } from './separation.ts';

const MAGIC = 0x5354_4b52;
const LAYOUT_VERSION = 3;
const LINE = 16; // words of a 64-byte cache line

const WORD = {
  magic: 0,
  version: 1,
  capacity: 2,
  tableSize: 3,
  textBytes: 4,
  threads: 5,
  epoch: SEPARATION,
  state: 2 * SEPARATION,
} as const;

/** Header words of a half. */
export const HALF = { nodes: 0, open: 1, weight: 2, stride: 3, words: LINE } as const;

/** Words of a node's record in a half. `generation` tells a slot's tenants apart; `words` is the record's size. */
export const RECORD = {
  id: 0, // 5 words: SHA-1, each big-endian
  generation: 5,
  weight: 6,
  flags: 7,
  textOffset: 8,
  textLength: 9,
  words: LINE,
} as const;

export const FLAG_PRESENT = 1;
/** Keeps its sticky clients, gets no new ones. */
export const FLAG_DRAIN = 2;

export const NODE_UP = 0;
/** Health checks fail: no request goes there. */
export const NODE_DOWN = 1;
/** Requests on some thread keep failing: used where there is nothing better. */
export const NODE_FAILING = 2;

export type NodeState = typeof NODE_UP | typeof NODE_DOWN | typeof NODE_FAILING;

/** The sizes that fix a board's layout. */
export interface RouteDimensions {
  /** Slots. 1 <= capacity <= 1.5 * NODES_MAX. */
  readonly capacity: number;
  /** Power of two, at least twice the capacity: at most half of the table is ever full. */
  readonly tableSize: number;
  /** Bytes for the nodes' addresses; a multiple of 4. */
  readonly textBytes: number;
}

/** Offsets of a half's parts, in words from the half's start. */
export interface HalfLayout {
  readonly table: number;
  readonly records: number;
  readonly sorted: number;
  readonly open: number;
  readonly cumulative: number;
  readonly text: number;
  readonly words: number;
}

export const NODES_MAX = 2 ** 20;

/**
 * Dimensions with room to grow: half as many nodes again, and half as much text. They are never below `least`, those of
 * the board that the new one replaces: the nodes keep their slots.
 */
export function dimensionsFor(nodes: number, textBytes: number, least?: RouteDimensions): RouteDimensions {
  const capacity = Math.max(least?.capacity ?? 64, alignUp(Math.ceil(nodes * 1.5), LINE));
  if (nodes > NODES_MAX) throw new RangeError(`a pool holds at most ${NODES_MAX} nodes, not ${nodes}`);
  return {
    capacity,
    tableSize: 2 ** Math.ceil(Math.log2(capacity * 2)),
    textBytes: Math.max(least?.textBytes ?? 4096, alignUp(Math.ceil(textBytes * 1.5), LINE * 4)),
  };
}

export function halfLayout(d: RouteDimensions): HalfLayout {
  const table = HALF.words;
  const records = table + d.tableSize;
  const sorted = records + d.capacity * RECORD.words;
  const open = sorted + d.capacity;
  const cumulative = open + d.capacity;
  const text = cumulative + d.capacity;
  return { table, records, sorted, open, cumulative, text, words: alignUp(text + d.textBytes / 4, LINE) };
}

/** A view of a route board; either side makes its own over the same buffer. */
export class RouteBoard implements EpochRegion {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly dimensions: RouteDimensions;
  readonly layout: HalfLayout;
  readonly threads: number;
  readonly epochIndex = WORD.epoch;
  readonly halvesIndex: number;
  readonly halfWords: number;

  /** Attaches to a board. Throws where the buffer is no route board of this layout. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    const at = (i: number) => Atomics.load(this.words, i);
    if (at(WORD.magic) !== MAGIC || at(WORD.version) !== LAYOUT_VERSION) {
      throw new TypeError('the buffer is not a route board of this layout');
    }
    this.dimensions = { capacity: at(WORD.capacity), tableSize: at(WORD.tableSize), textBytes: at(WORD.textBytes) };
    this.threads = at(WORD.threads);
    this.layout = halfLayout(this.dimensions);
    this.halvesIndex = halvesIndex(this.dimensions, this.threads);
    this.halfWords = this.layout.words;
    assertLayout(this);
  }

  /** A new, empty board for `threads` listener threads. */
  static create(d: RouteDimensions, threads: number): RouteBoard {
    const words = new Int32Array(
      new SharedArrayBuffer((halvesIndex(d, threads) + 2 * halfLayout(d).words) * Int32Array.BYTES_PER_ELEMENT),
    );
    words[WORD.version] = LAYOUT_VERSION;
    words[WORD.capacity] = d.capacity;
    words[WORD.tableSize] = d.tableSize;
    words[WORD.textBytes] = d.textBytes;
    words[WORD.threads] = threads;
    Atomics.store(words, WORD.magic, MAGIC);
    return new RouteBoard(words.buffer);
  }

  stateOf(slot: number): NodeState {
    return Atomics.load(this.words, WORD.state + slot) as NodeState;
  }

  /** Writer: the main thread. */
  setState(slot: number, state: NodeState): void {
    Atomics.store(this.words, WORD.state + slot, state);
  }

  /** Index of thread `thread`'s row of in-flight cells, one a slot. Writer: that thread. */
  inFlightRow(thread: number): number {
    return this.#row(1 + thread);
  }

  /** Index of thread `thread`'s row of request cells, one a slot: a count that wraps at 2^32. Writer: that thread. */
  requestsRow(thread: number): number {
    return this.#row(1 + this.threads + thread);
  }

  /** Requests in flight on a slot, summed over all threads. */
  inFlight(slot: number): number {
    return this.#sum(this.inFlightRow(0) + slot);
  }

  /** Requests ever begun on a slot, by all its tenants and all threads, modulo 2^32. */
  requests(slot: number): number {
    return this.#sum(this.requestsRow(0) + slot) >>> 0;
  }

  /**
   * Takes over states and counts from a smaller board that this one is to replace, before it is shared: each thread brings
   * its own rows up to date when it moves.
   */
  continueFrom(smaller: RouteBoard): void {
    const { capacity } = smaller.dimensions;
    const take = (from: number, to: number) => {
      for (let slot = 0; slot < capacity; slot++) this.words[to + slot] = Atomics.load(smaller.words, from + slot);
    };
    take(WORD.state, WORD.state);
    for (let thread = 0; thread < smaller.threads; thread++) {
      take(smaller.inFlightRow(thread), this.inFlightRow(thread));
      take(smaller.requestsRow(thread), this.requestsRow(thread));
    }
  }

  /** A thread has ended: nothing is in flight on it. For the main thread, which is the only one left to write there. */
  clearInFlight(thread: number): void {
    const row = this.inFlightRow(thread);
    for (let slot = 0; slot < this.dimensions.capacity; slot++) Atomics.store(this.words, row + slot, 0);
  }

  #sum(first: number): number {
    const stride = this.dimensions.capacity + SEPARATION;
    let sum = 0;
    for (let t = 0, i = first; t < this.threads; t++, i += stride) sum += Atomics.load(this.words, i);
    return sum;
  }

  #row(row: number): number {
    return WORD.state + row * (this.dimensions.capacity + SEPARATION);
  }
}

function halvesIndex(d: RouteDimensions, threads: number): number {
  return alignUp(WORD.state + (d.capacity + SEPARATION) * (1 + 2 * threads), LINE);
}

function alignUp(n: number, to: number): number {
  return Math.ceil(n / to) * to;
}

function assertLayout(b: RouteBoard): void {
  const { capacity, tableSize, textBytes } = b.dimensions;
  const sound =
    capacity > 0 &&
    capacity % LINE === 0 &&
    Number.isInteger(Math.log2(tableSize)) &&
    tableSize >= 2 * capacity &&
    textBytes % 4 === 0 &&
    b.threads > 0 &&
    b.halvesIndex % LINE === 0 &&
    b.halfWords % LINE === 0 &&
    b.words.length === b.halvesIndex + 2 * b.halfWords;
  if (!sound) throw new RangeError('the route board is not aligned or not of the size that its header says');
}
