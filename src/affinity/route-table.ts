/**
 * The route table: from an affinity id to a node's slot in constant time, whatever the number of nodes. Built once a
 * change (main thread, or a thread of its own for large pools), looked up at every request (listener threads).
 *
 * Open addressing with linear probing over the ids' first words: SHA-1 spreads them evenly, and the table is never
 * more than half full, so a look-up probes 1.5 entries on average for a known id, 2.5 for an unknown one (Knuth, TAOCP
 * volume 3, 6.4). Empty entries
 * always remain, so every search ends.
 */

import { halfOf, loadEpoch } from '../boards/epoch.ts';
import {
  FLAG_DRAIN,
  FLAG_PRESENT,
  HALF,
  type HalfLayout,
  halfLayout,
  RECORD,
  type RouteBoard,
  type RouteDimensions,
} from '../boards/route-board.ts';
import { backendId, writeIdWords } from './backend-id.ts';

export interface RouteNode {
  /** Where the node lives on the board for as long as it stays in the pool. 0 <= slot < capacity. */
  readonly slot: number;
  /** Differs between two nodes that hold the same slot one after the other. */
  readonly generation: number;
  /** "host:port": the text that is hashed and connected to. */
  readonly address: string;
  /** 1 to 256. */
  readonly weight: number;
  readonly drain: boolean;
}

/** A node as a look-up found it. The caller owns the object and reuses it: look-ups allocate nothing. */
export interface FoundNode {
  slot: number;
  generation: number;
  /** FLAG_PRESENT, FLAG_DRAIN */
  flags: number;
}

/**
 * The image of a half: what `publish` makes current. `words` may be given to build in shared memory; it must be
 * zeroed and a half long.
 */
export function buildRouteImage(
  nodes: readonly RouteNode[],
  salt: string,
  dimensions: RouteDimensions,
  words: Int32Array = new Int32Array(halfLayout(dimensions).words),
): Int32Array {
  const layout = halfLayout(dimensions);
  if (words.length !== layout.words) throw new RangeError('the image is not a half long');
  if (nodes.length > dimensions.capacity) throw new RangeError('more nodes than the board has slots');
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  let textOffset = 0;
  for (const node of nodes) {
    const record = layout.records + node.slot * RECORD.words;
    if (!(node.slot >= 0 && node.slot < dimensions.capacity)) throw new RangeError(`no slot ${node.slot} on the board`);
    if (words[record + RECORD.flags] !== 0) throw new RangeError(`two nodes on slot ${node.slot}`);
    const text = Buffer.from(node.address);
    if (textOffset + text.length > dimensions.textBytes) throw new RangeError('the addresses do not fit the board');
    bytes.set(text, layout.text * 4 + textOffset);
    writeIdWords(backendId(node.address, salt), words, record + RECORD.id);
    words[record + RECORD.generation] = node.generation;
    words[record + RECORD.weight] = node.weight;
    words[record + RECORD.flags] = FLAG_PRESENT | (node.drain ? FLAG_DRAIN : 0);
    words[record + RECORD.textOffset] = textOffset;
    words[record + RECORD.textLength] = text.length;
    textOffset += text.length;
    insert(words, layout, dimensions.tableSize, node.slot);
  }
  words[HALF.nodes] = nodes.length;
  const sorted = nodes.toSorted((a, b) => (a.address < b.address ? -1 : 1));
  for (let i = 0; i < sorted.length; i++) words[layout.sorted + i] = (sorted[i] as RouteNode).slot;
  writeOpenNodes(words, layout, nodes);
  return words;
}

function insert(words: Int32Array, layout: HalfLayout, tableSize: number, slot: number): void {
  const mask = tableSize - 1;
  let i = (words[layout.records + slot * RECORD.words + RECORD.id] as number) & mask;
  while (words[layout.table + i] !== 0) i = (i + 1) & mask;
  words[layout.table + i] = slot + 1;
}

function writeOpenNodes(words: Int32Array, layout: HalfLayout, nodes: readonly RouteNode[]): void {
  // in lowest terms: nodes of one weight, whatever it is, take turns
  const divisor = nodes.reduce((d, node) => (node.drain ? d : gcd(node.weight, d)), 0);
  let open = 0;
  let total = 0;
  for (const node of nodes) {
    if (node.drain) continue;
    total += node.weight / divisor;
    words[layout.open + open] = node.slot;
    words[layout.cumulative + open] = total;
    open++;
  }
  words[HALF.open] = open;
  words[HALF.weight] = total;
  words[HALF.stride] = total === open ? 1 : spreadingStride(total);
}

/**
 * A step coprime to `total`, near its golden section: stepping by it modulo `total` meets every unit of weight once a
 * cycle, and keeps the units of a heavy node apart, where steps of 1 would send it all of its share in one burst.
 */
function spreadingStride(total: number): number {
  const golden = Math.round(total * 0.618_033_988_75);
  let best = 1;
  for (
    let stride = Math.max(1, golden - STRIDE_REACH);
    stride <= Math.min(total - 1, golden + STRIDE_REACH);
    stride++
  ) {
    if (unevenness(stride, total) < unevenness(best, total)) best = stride;
  }
  return best;
}

/** How far from the golden section to look: 32 either side nearly always hold a step with quotients of 6 at most. */
const STRIDE_REACH = 32;

/**
 * The largest quotient of Euclid's algorithm: the smaller, the more evenly the multiples of `stride` lie modulo `total`
 * (Niederreiter 1978, on Zaremba's conjecture). Infinite where the two are not coprime.
 */
function unevenness(stride: number, total: number): number {
  let worst = 0;
  let [a, b] = [total, stride];
  while (b !== 0) {
    worst = Math.max(worst, Math.floor(a / b));
    [a, b] = [b, a % b];
  }
  return a === 1 ? worst : Number.POSITIVE_INFINITY;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Finds the node whose id is `id` (five words). False where no node of the pool has it. */
export function findById(board: RouteBoard, id: Int32Array, found: FoundNode): boolean {
  for (;;) {
    const epoch = loadEpoch(board);
    const slot = probe(board, halfOf(board, epoch), id);
    if (slot >= 0) readNode(board, halfOf(board, epoch), slot, found);
    if (loadEpoch(board) === epoch) return slot >= 0;
  }
}

function probe(board: RouteBoard, half: number, id: Int32Array): number {
  const { words, layout } = board;
  const size = board.dimensions.tableSize;
  const mask = size - 1;
  const table = half + layout.table;
  const records = half + layout.records;
  let i = (id[0] as number) & mask;
  // bounded for the reader that the writer overtakes: what it reads then may be anything, and is thrown away
  for (let probes = 0; probes < size; probes++) {
    const entry = Atomics.load(words, table + i);
    if (entry <= 0 || entry > board.dimensions.capacity) return -1;
    const record = records + (entry - 1) * RECORD.words;
    if (
      Atomics.load(words, record) === id[0] &&
      Atomics.load(words, record + 1) === id[1] &&
      Atomics.load(words, record + 2) === id[2] &&
      Atomics.load(words, record + 3) === id[3] &&
      Atomics.load(words, record + 4) === id[4]
    ) {
      return entry - 1;
    }
    i = (i + 1) & mask;
  }
  return -1;
}

/** Reads slot `slot` in the half at `half`. For use within an epoch's read, whose caller checks the epoch afterwards. */
export function readNode(board: RouteBoard, half: number, slot: number, found: FoundNode): void {
  const record = half + board.layout.records + slot * RECORD.words;
  found.slot = slot;
  found.generation = Atomics.load(board.words, record + RECORD.generation);
  found.flags = Atomics.load(board.words, record + RECORD.flags);
}
