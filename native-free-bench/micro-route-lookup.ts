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
import { backendId, ID_WORDS, writeIdWords } from '../src/affinity/backend-id.ts';
import { buildRouteImage, findById, type RouteNode } from '../src/affinity/route-table.ts';
import type { RouteBoard } from '../src/boards/route-board.ts';
import { callsOf, type Effort, FULL, interleaved, printFigures, type Sampled } from './figures.ts';
import { boardOf, pool } from './route-pool.ts';

const SIZES = [10, 1_000, 100_000];
const LOOKUPS = 200_000;
const BUILD_ROUNDS_MAX = 5;
const HOT = 8;

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const calls = callsOf(LOOKUPS, effort);
  const lookups: Record<string, () => number> = {};
  const builds: Record<string, () => number> = {};
  // a table that is larger than what is asked of it says nothing
  for (const size of SIZES.filter((one) => one <= calls)) {
    const nodes = pool(size);
    const board = boardOf(nodes);
    const label = `${size.toLocaleString('en')} nodes`;
    lookups[`known id, hot, ${label}`] = lookup(board, repeated(calls, knownIds(nodes), HOT), true);
    lookups[`known id, any, ${label}`] = lookup(board, repeated(calls, knownIds(nodes), size), true);
    lookups[`unknown id, hot, ${label}`] = lookup(board, repeated(calls, unknownIds(HOT), HOT), false);
    lookups[`unknown id, any, ${label}`] = lookup(board, repeated(calls, unknownIds(calls), calls), false);
    builds[`build, ${label}`] = () => {
      const started = process.hrtime.bigint();
      buildRouteImage(nodes, '', board.dimensions);
      return Number(process.hrtime.bigint() - started) / 1e3;
    };
  }
  const buildRounds = { rounds: Math.min(BUILD_ROUNDS_MAX, effort.rounds) };
  return [...interleaved(lookups, 'ns', effort), ...interleaved(builds, 'us', buildRounds)];
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

/** `calls` ids: the first `distinct` of `ids` over and over, as they would be parsed into one place at each request. */
function repeated(calls: number, ids: readonly Int32Array[], distinct: number): Int32Array[] {
  const some = ids.slice(0, distinct);
  return Array.from({ length: calls }, (_, i) => some[i % some.length] as Int32Array);
}

if (import.meta.main) printFigures(await run());
