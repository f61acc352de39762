/**
 * A reader of the stress test: reads the board without pause through the functions that the listener threads use, and
 * checks all it gets against the images. A worker thread; posts 'ready', and at the end what it counted.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { type FoundNode, findById } from '../../../src/affinity/route-table.ts';
import {
  addressOf,
  countNodes,
  idOf,
  type OpenNodes,
  openNodeAt,
  openNodeOfWeight,
  readOpenNodes,
  sortedNodeAt,
  weightOf,
} from '../../../src/affinity/selection.ts';
import { halfOf, loadEpoch } from '../../../src/boards/epoch.ts';
import { HALF, RECORD, RouteBoard } from '../../../src/boards/route-board.ts';
import { CONTROL, images, nodesOf, ofGeneration, SLOTS, VERSIONS, versionOf } from './versions.ts';

export interface ReaderTask {
  readonly buffer: SharedArrayBuffer;
  readonly control: Int32Array;
  readonly reader: number;
  /** The planted bug: what was read is believed although the epoch may have changed. */
  readonly withoutRecheck: boolean;
}

export interface ReaderResult {
  readonly reads: number;
  /** Reads during which something was published. */
  readonly overtaken: number;
  /** A read that holds words of two versions; null where there was none. */
  readonly torn: string | null;
  /** A read, whole in itself, of a version that was not current while it was read. */
  readonly stale: string | null;
}

/** What a check found: fields of two versions, or the one version that all it read belongs to (-1: nothing to say). */
type Finding = string | number;

const { buffer, control, reader, withoutRecheck } = workerData as ReaderTask;
const board = new RouteBoard(buffer);
const { words, layout } = board;
const EXPECTED = images();
const ADDRESSES = EXPECTED.map((_, version) => new Map(nodesOf(version).map((n) => [n.slot, n.address])));

const epochIndex = board.epochIndex;
if (withoutRecheck) {
  // an unused word of the epoch's line: the reading functions load it twice and find it unchanged
  Object.defineProperty(board, 'epochIndex', { value: epochIndex + 1 + reader });
}

const found: FoundNode = { slot: 0, generation: 0, flags: 0 };
const open: OpenNodes = { count: 0, totalWeight: 0, stride: 0 };
const id = new Int32Array(5);
let state = 0x9e37_79b9 * (reader + 1);

/** xorshift32; 0 <= result < below. */
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}

const CHECKS: ((epoch: number) => Finding)[] = [
  function openNodes() {
    readOpenNodes(board, open);
    for (let v = 0; v < VERSIONS; v++) {
      const image = EXPECTED[v] as Int32Array;
      if (image[HALF.weight] !== open.totalWeight || image[HALF.open] !== open.count) continue;
      if (image[HALF.stride] === open.stride) return -1;
    }
    return `open nodes ${JSON.stringify(open)}`;
  },

  function count(epoch) {
    const nodes = countNodes(board);
    return nodes === EXPECTED[versionOf(epoch)]?.[HALF.nodes] ? -1 : unlessOvertaken(epoch, `${nodes} nodes`);
  },

  function knownId(epoch) {
    const version = versionOf(epoch);
    const wanted = nodesOfVersion(version);
    const slot = wanted[random(wanted.length)] as number;
    const image = EXPECTED[version] as Int32Array;
    const at = layout.records + slot * RECORD.words + RECORD.id;
    for (let w = 0; w < 5; w++) id[w] = image[at + w] as number;
    if (!findById(board, id, found)) return unlessOvertaken(epoch, `slot ${slot} of version ${version} is not found`);
    return ofGeneration(found.generation).version === version ? record() : `another node's id: ${show()}`;
  },

  function byWeight() {
    const unit = random(4000);
    if (!openNodeOfWeight(board, unit, found)) return -1;
    const { version, slot } = ofGeneration(found.generation);
    const image = EXPECTED[version] as Int32Array;
    const index = image.subarray(layout.open, layout.open + (image[HALF.open] as number)).indexOf(slot);
    const end = image[layout.cumulative + index] as number;
    const start = index === 0 ? 0 : (image[layout.cumulative + index - 1] as number);
    return index >= 0 && start <= unit && unit < end ? record() : `unit ${unit} is not of ${show()}`;
  },

  function byPosition() {
    const index = random(SLOTS);
    if (!openNodeAt(board, index, found)) return -1;
    return isAt(layout.open, HALF.open, index) ? record() : `open node ${index} is not ${show()}`;
  },

  function sorted() {
    const index = random(SLOTS);
    if (!sortedNodeAt(board, index, found)) return -1;
    return isAt(layout.sorted, HALF.nodes, index) ? record() : `sorted node ${index} is not ${show()}`;
  },

  function address(epoch) {
    if (!openNodeAt(board, random(8), found)) return -1;
    const { version, slot } = ofGeneration(found.generation);
    const read = addressOf(board, found.slot, found.generation);
    if (read === null) return unlessOvertaken(epoch, `no address for ${show()}`);
    return read === ADDRESSES[version]?.get(slot) ? version : `address ${read} of ${show()}`;
  },

  function idWords(epoch) {
    if (!openNodeAt(board, random(8), found)) return -1;
    const { version, slot } = ofGeneration(found.generation);
    if (!idOf(board, found.slot, found.generation, id)) return unlessOvertaken(epoch, `no id for ${show()}`);
    const at = layout.records + slot * RECORD.words + RECORD.id;
    const expected = (EXPECTED[version] as Int32Array).subarray(at, at + 5);
    return id.join() === expected.join() ? version : `id ${id.join()} of ${show()}`;
  },

  function weight(epoch) {
    const slot = random(SLOTS);
    const read = weightOf(board, slot);
    const expected = (EXPECTED[versionOf(epoch)] as Int32Array)[layout.records + slot * RECORD.words + RECORD.weight];
    return read === expected ? -1 : unlessOvertaken(epoch, `weight ${read} on slot ${slot}`);
  },

  function headerRecordAndSums() {
    const slot = random(SLOTS);
    for (let tries = 0; tries < 100; tries++) {
      const epoch = loadEpoch(board);
      const half = halfOf(board, epoch);
      const at = layout.records + slot * RECORD.words;
      const read: number[] = [];
      for (let i = 0; i < HALF.words; i++) read.push(Atomics.load(words, half + i));
      for (let i = 0; i < RECORD.words; i++) read.push(Atomics.load(words, half + at + i));
      for (let i = 0; i < SLOTS; i++) read.push(Atomics.load(words, half + layout.cumulative + i));
      if (loadEpoch(board) !== epoch) continue;
      const version = versionOf(epoch);
      const image = EXPECTED[version] as Int32Array;
      const expected = [
        ...image.subarray(0, HALF.words),
        ...image.subarray(at, at + RECORD.words),
        ...image.subarray(layout.cumulative, layout.cumulative + SLOTS),
      ];
      return read.join() === expected.join() ? version : `header, record ${slot} and sums: ${read.join()}`;
    }
    return -1;
  },
];

const slotsOfVersion = ADDRESSES.map((addresses) => [...addresses.keys()]);
function nodesOfVersion(version: number): number[] {
  return slotsOfVersion[version] as number[];
}

/** What `found` holds, against the one version that its generation names. */
function record(): Finding {
  const { version, slot } = ofGeneration(found.generation);
  const flags = EXPECTED[version]?.[layout.records + slot * RECORD.words + RECORD.flags];
  return found.slot === slot && found.flags === flags ? version : `flags or slot do not fit: ${show()}`;
}

function isAt(list: number, countWord: number, index: number): boolean {
  const { version, slot } = ofGeneration(found.generation);
  const image = EXPECTED[version] as Int32Array;
  return index < (image[countWord] as number) && image[list + index] === slot;
}

/** A finding that says something only where nothing was published meanwhile. */
function unlessOvertaken(epoch: number, finding: string): Finding {
  return Atomics.load(words, epochIndex) === epoch ? finding : -1;
}

/** A reader that believes what it should not may trip over it: that, too, is a finding. */
function attempt(check: (epoch: number) => Finding, epoch: number): Finding {
  try {
    return check(epoch);
  } catch (error) {
    return String(error);
  }
}

function show(): string {
  const { version, slot } = ofGeneration(found.generation);
  return `${JSON.stringify(found)} (version ${version}, slot ${slot})`;
}

function run(): ReaderResult {
  let torn: string | null = null;
  let stale: string | null = null;
  let reads = 0;
  let overtaken = 0;
  while (Atomics.load(control, CONTROL.stop) === 0) {
    for (const check of CHECKS) {
      const before = Atomics.load(words, epochIndex);
      if (withoutRecheck) Atomics.store(words, board.epochIndex, before);
      const finding = attempt(check, before);
      const after = Atomics.load(words, epochIndex);
      const passed = (after - before) >>> 0;
      reads++;
      if (passed > 0) Atomics.store(control, CONTROL.overtaken + reader, ++overtaken);
      if (typeof finding === 'string') torn ??= `${check.name}: ${finding}, epochs ${before} to ${after}`;
      else if (finding >= 0 && passed < VERSIONS && ((finding - before) & (VERSIONS - 1)) > passed)
        stale ??= `${check.name}: version ${finding}, epochs ${before} to ${after}`;
    }
    if (torn !== null || stale !== null) Atomics.store(control, CONTROL.stop, 1);
  }
  return { reads, overtaken, torn, stale };
}

Atomics.add(control, CONTROL.ready, 1);
Atomics.notify(control, CONTROL.ready);
parentPort?.postMessage(run());
