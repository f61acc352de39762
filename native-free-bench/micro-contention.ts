/**
 * What counting costs a thread while another one counts beside it: on the boards as they are laid out, and where their cells
 * would lie nearer. Two threads, each on a word of its own, with some 100 ns of computing between two counts: without, the
 * counts never leave the core's store buffer, and any layout looks well. The computing is part of each figure.
 *
 *   node native-free-bench/micro-contention.ts
 *
 * Wants two cores. "Read by the other" is what least_conn does: it looks at the requests in flight on all threads.
 */

import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { dimensionsFor, RouteBoard } from '../src/boards/route-board.ts';
import { STAT, StatsBoard } from '../src/boards/stats-board.ts';
import { type Measured, median, printFigures } from './micro-route-lookup.ts';

const COUNTS = 500_000;
/** Steps of computing between two counts. */
const STEPS = 48;
const ROUNDS = 7;
const THREADS = 2;

interface Task {
  readonly buffer: SharedArrayBuffer;
  /** The word that the thread counts on, or reads. */
  readonly word: number;
  readonly isReader: boolean;
  /** Its first word says how many threads are there. */
  readonly gate: SharedArrayBuffer;
}

/** Each is a word a thread, of one board. */
type Cells = readonly [SharedArrayBuffer, number, number];

export async function run(): Promise<Measured[]> {
  if (availableParallelism() < THREADS) return [];
  const workers = Array.from({ length: THREADS }, () => new Worker(new URL(import.meta.url)));
  const cases = casesOf();
  const samples = cases.map(() => [] as number[]);
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [i, { cells, isRead }] of cases.entries()) {
        const ns = await together(workers, cells, isRead);
        if (round > 0) samples[i]?.push(ns);
      }
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return cases.map(({ name }, i) => ({ name, unit: 'ns', value: median(samples[i] as number[]) }));
}

function casesOf(): { name: string; cells: Cells; isRead: boolean }[] {
  const near = new SharedArrayBuffer(4096);
  const stats = StatsBoard.create(THREADS);
  const route = RouteBoard.create(dimensionsFor(10, 210), THREADS);
  const row = (thread: number) => stats.row(thread).byteOffset / 4 + STAT.requestsTotal;
  return [
    { name: 'a count, nothing shared', cells: [near, 0, 512], isRead: false },
    { name: 'a count, words of one cache line', cells: [near, 512, 513], isRead: false },
    { name: 'a count, lines side by side', cells: [near, 512, 528], isRead: false },
    { name: 'a count, rows of the stats board', cells: [stats.buffer, row(0), row(1)], isRead: false },
    {
      name: 'a count, rows of the route board',
      cells: [route.buffer, route.inFlightRow(0), route.inFlightRow(1)],
      isRead: false,
    },
    {
      name: 'a count, read by the other all the time',
      cells: [route.buffer, route.inFlightRow(0), route.inFlightRow(0)],
      isRead: true,
    },
  ];
}

/** Nanoseconds a count on the first cell. */
async function together(workers: readonly Worker[], [buffer, ...words]: Cells, isRead: boolean): Promise<number> {
  const gate = new SharedArrayBuffer(4);
  const times = workers.map(
    (worker, thread) =>
      new Promise<number>((resolve) => {
        worker.once('message', resolve);
        const task: Task = { buffer, word: words[thread] as number, isReader: isRead && thread > 0, gate };
        worker.postMessage(task);
      }),
  );
  return (await Promise.all(times))[0] as number;
}

function count({ buffer, word, isReader, gate }: Task): number {
  const words = new Int32Array(buffer);
  const there = new Int32Array(gate);
  Atomics.add(there, 0, 1);
  while (Atomics.load(there, 0) < THREADS);
  const started = process.hrtime.bigint();
  if (isReader) read(words, word);
  else write(words, word);
  return Number(process.hrtime.bigint() - started) / COUNTS;
}

function write(words: Int32Array, word: number): number {
  let state = 1;
  for (let i = 0; i < COUNTS; i++) {
    words[word] = (words[word] as number) + 1;
    state = compute(state);
  }
  return state;
}

function read(words: Int32Array, word: number): number {
  let state = 1;
  for (let i = 0; i < COUNTS; i++) state = compute(state ^ Atomics.load(words, word));
  return state;
}

/** Each step waits for the one before. */
function compute(state: number): number {
  let x = state;
  for (let i = 0; i < STEPS; i++) x = Math.imul(x ^ i, 0x5bd1e995) | 0;
  return x;
}

if (!isMainThread) parentPort?.on('message', (task: Task) => parentPort?.postMessage(count(task)));
else if (import.meta.main) printFigures(await run());
