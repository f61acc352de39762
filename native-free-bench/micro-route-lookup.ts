/**
 * What a look-up by affinity id costs with 10, 1,000 and 100,000 nodes, and what building the table costs.
 *
 * Two figures for each size. "Hot": 8 nodes asked for over and over, so that what they touch stays in the core's cache:
 * the look-up's own cost, the same for all sizes. "Any": every node in random order: 100,000 nodes fill 12 MB, and
 * each look-up of one waits for memory a few times. That is the machine's cost, not the table's.
 *
 *   node native-free-bench/micro-route-lookup.ts
 */

import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { backendId, ID_WORDS, writeIdWords } from '../src/affinity/backend-id.ts';
import { buildRouteImage, findById, type RouteNode } from '../src/affinity/route-table.ts';
import { publish } from '../src/boards/epoch.ts';
import { dimensionsFor, RouteBoard } from '../src/boards/route-board.ts';

export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

const SIZES = [10, 1_000, 100_000];
const LOOKUPS = 200_000;
const ROUNDS = 11;
const HOT = 8;

export async function run(): Promise<Measured[]> {
  const lookups: Record<string, () => number> = {};
  const builds: Record<string, () => number> = {};
  for (const size of SIZES) {
    const nodes = pool(size);
    const board = boardOf(nodes);
    const label = `${size.toLocaleString('en')} nodes`;
    lookups[`known id, hot, ${label}`] = lookup(board, repeated(knownIds(nodes), HOT), true);
    lookups[`known id, any, ${label}`] = lookup(board, repeated(knownIds(nodes), size), true);
    lookups[`unknown id, hot, ${label}`] = lookup(board, repeated(unknownIds(HOT), HOT), false);
    lookups[`unknown id, any, ${label}`] = lookup(board, repeated(unknownIds(LOOKUPS), LOOKUPS), false);
    builds[`build, ${label}`] = () => {
      const started = process.hrtime.bigint();
      buildRouteImage(nodes, '', board.dimensions);
      return Number(process.hrtime.bigint() - started) / 1e3;
    };
  }
  return [...interleaved(lookups, 'ns', ROUNDS), ...interleaved(builds, 'us', 5)];
}

/** Nanoseconds for each look-up of `ids`. */
function lookup(board: RouteBoard, ids: readonly Int32Array[], isKnown: boolean): () => number {
  const found = { slot: 0, generation: 0, flags: 0 };
  return () => {
    let hits = 0;
    const started = process.hrtime.bigint();
    for (const id of ids) if (findById(board, id, found)) hits++;
    const elapsed = Number(process.hrtime.bigint() - started);
    if (hits !== (isKnown ? ids.length : 0)) throw new Error(`${hits} of ${ids.length} ids were found`);
    return elapsed / ids.length;
  };
}

function pool(size: number): RouteNode[] {
  return Array.from({ length: size }, (_, slot) => {
    const address = `10.${slot >> 16}.${(slot >> 8) & 255}.${slot & 255}:80`;
    return { slot, generation: slot + 1, address, weight: 1, drain: false };
  });
}

function boardOf(nodes: readonly RouteNode[]): RouteBoard {
  const bytes = nodes.reduce((sum, { address }) => sum + address.length, 0);
  const board = RouteBoard.create(dimensionsFor(nodes.length, bytes), 1);
  publish(board, buildRouteImage(nodes, '', board.dimensions));
  return board;
}

/** The nodes' ids in random order, one after the other in memory. */
function knownIds(nodes: readonly RouteNode[]): Int32Array[] {
  const words = new Int32Array(nodes.length * ID_WORDS);
  const shuffled = nodes.map((node) => ({ node, key: Math.random() })).sort((a, b) => a.key - b.key);
  shuffled.forEach(({ node }, i) => {
    writeIdWords(backendId(node.address), words, i * ID_WORDS);
  });
  return nodes.map((_, i) => words.subarray(i * ID_WORDS, (i + 1) * ID_WORDS));
}

function unknownIds(count: number): Int32Array[] {
  const bytes = randomBytes(count * ID_WORDS * 4);
  return Array.from(
    { length: count },
    (_, i) => new Int32Array(bytes.buffer, bytes.byteOffset + i * ID_WORDS * 4, ID_WORDS),
  );
}

/** LOOKUPS ids: the first `distinct` of `ids` over and over, as they would be parsed into one place at each request. */
function repeated(ids: readonly Int32Array[], distinct: number): Int32Array[] {
  const some = ids.slice(0, distinct);
  return Array.from({ length: LOOKUPS }, (_, i) => some[i % some.length] as Int32Array);
}

/**
 * Runs every case once a round, so that the machine's drift meets all of them alike; the first round warms up and is
 * left out. The value of a case is the median of what it returned.
 */
export function interleaved(cases: Readonly<Record<string, () => number>>, unit: string, rounds: number): Measured[] {
  const samples = new Map(Object.keys(cases).map((name) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(cases)) {
      const value = measure();
      if (round > 0) samples.get(name)?.push(value);
    }
  }
  return [...samples].map(([name, values]) => ({ name, unit, value: median(values) }));
}

export function printFigures(figures: readonly Measured[]): void {
  process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown machine'}\n`);
  for (const { name, unit, value } of figures)
    process.stdout.write(`${name.padEnd(44)} ${value.toFixed(1).padStart(10)} ${unit}\n`);
}

export function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] as number;
}

if (import.meta.main) printFigures(await run());
