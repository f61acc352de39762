/**
 * Choosing a node without an id: by position among the open nodes (for `balance`) or among all nodes sorted (for
 * domain mode). Reads the route board within one epoch; pure but for that. Listener threads.
 */

import { halfOf, loadEpoch } from '../boards/epoch.ts';
import { HALF, RECORD, type RouteBoard } from '../boards/route-board.ts';
import { ID_WORDS } from './backend-id.ts';
import { type FoundNode, readNode } from './route-table.ts';

/** What the current epoch says of the open nodes: those that take new clients. */
export interface OpenNodes {
  count: number;
  totalWeight: number;
  /** Step through the weight, for round robin: coprime to totalWeight. */
  stride: number;
}

export function readOpenNodes(board: RouteBoard, open: OpenNodes): void {
  for (;;) {
    const epoch = loadEpoch(board);
    const half = halfOf(board, epoch);
    open.count = Atomics.load(board.words, half + HALF.open);
    open.totalWeight = Atomics.load(board.words, half + HALF.weight);
    open.stride = Atomics.load(board.words, half + HALF.stride);
    if (loadEpoch(board) === epoch) return;
  }
}

/** Nodes in the pool, draining ones included. */
export function countNodes(board: RouteBoard): number {
  for (;;) {
    const epoch = loadEpoch(board);
    const count = Atomics.load(board.words, halfOf(board, epoch) + HALF.nodes);
    if (loadEpoch(board) === epoch) return count;
  }
}

/** The `index`th open node, in configuration order. False where there are fewer by now. */
export function openNodeAt(board: RouteBoard, index: number, found: FoundNode): boolean {
  return nodeAt(board, board.layout.open, HALF.open, index, found);
}

/** The `index`th of all nodes in the order of their "ip:port" strings. False where there are fewer by now. */
export function sortedNodeAt(board: RouteBoard, index: number, found: FoundNode): boolean {
  return nodeAt(board, board.layout.sorted, HALF.nodes, index, found);
}

/**
 * The open node that owns unit `unit` of the pool's weight, 0 <= unit < totalWeight: a binary search over the
 * running sums. False where the weight has shrunk below it by now.
 */
export function openNodeOfWeight(board: RouteBoard, unit: number, found: FoundNode): boolean {
  const { words, layout } = board;
  for (;;) {
    const epoch = loadEpoch(board);
    const half = halfOf(board, epoch);
    const sums = half + layout.cumulative;
    let low = 0;
    let high = Math.min(Atomics.load(words, half + HALF.open), board.dimensions.capacity);
    const count = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Atomics.load(words, sums + middle) > unit) high = middle;
      else low = middle + 1;
    }
    if (low < count) readNode(board, half, Atomics.load(words, half + layout.open + low), found);
    if (loadEpoch(board) === epoch) return low < count;
  }
}

/** The weight of the node that holds `slot` in the current epoch. */
export function weightOf(board: RouteBoard, slot: number): number {
  return recordWord(board, slot, RECORD.weight);
}

/** The generation of the node that holds `slot` in the current epoch, or held it last. */
export function generationOf(board: RouteBoard, slot: number): number {
  return recordWord(board, slot, RECORD.generation);
}

/** The "host:port" of the node that holds `slot`, if it is still of that generation; null where it is not. */
export function addressOf(board: RouteBoard, slot: number, generation: number): string | null {
  for (;;) {
    const epoch = loadEpoch(board);
    const half = halfOf(board, epoch);
    const record = half + board.layout.records + slot * RECORD.words;
    const same = Atomics.load(board.words, record + RECORD.generation) === generation;
    const offset = Atomics.load(board.words, record + RECORD.textOffset);
    const length = Atomics.load(board.words, record + RECORD.textLength);
    const address = same ? readText(board, half, offset, length) : '';
    if (loadEpoch(board) === epoch) return same ? address : null;
  }
}

/** Byte by byte with Atomics.load, as epoch.ts asks; within the text whatever an overtaken reader was told of it. */
function readText(board: RouteBoard, half: number, offset: number, length: number): string {
  const text = Buffer.allocUnsafe(Math.max(0, Math.min(length, board.dimensions.textBytes - offset)));
  const start = (half + board.layout.text) * 4 + offset;
  for (let i = 0; i < text.length; i++) text[i] = Atomics.load(board.bytes, start + i);
  return text.toString();
}

/** Writes the id of the node that holds `slot` to `id`; false where it is not of that generation any more. */
export function idOf(board: RouteBoard, slot: number, generation: number, id: Int32Array): boolean {
  for (;;) {
    const epoch = loadEpoch(board);
    const record = halfOf(board, epoch) + board.layout.records + slot * RECORD.words;
    const same = Atomics.load(board.words, record + RECORD.generation) === generation;
    for (let w = 0; w < ID_WORDS; w++) id[w] = Atomics.load(board.words, record + RECORD.id + w);
    if (loadEpoch(board) === epoch) return same;
  }
}

function recordWord(board: RouteBoard, slot: number, word: number): number {
  for (;;) {
    const epoch = loadEpoch(board);
    const record = halfOf(board, epoch) + board.layout.records + slot * RECORD.words;
    const value = Atomics.load(board.words, record + word);
    if (loadEpoch(board) === epoch) return value;
  }
}

function nodeAt(board: RouteBoard, list: number, countWord: number, index: number, found: FoundNode): boolean {
  for (;;) {
    const epoch = loadEpoch(board);
    const half = halfOf(board, epoch);
    const present = index < Atomics.load(board.words, half + countWord);
    if (present) readNode(board, half, Atomics.load(board.words, half + list + index), found);
    if (loadEpoch(board) === epoch) return present;
  }
}
