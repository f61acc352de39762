/**
 * What a reader of a board pays while the main thread publishes: look-ups in a route table of 1,000 nodes and a copy of the
 * ring of ticket keys, with nothing published, and with another thread that publishes without a pause. The second is far more
 * than any fleet does: it shows that readers are slowed down, and never stopped.
 *
 *   node native-free-bench/micro-board-reads.ts
 */

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { backendId, ID_WORDS, writeIdWords } from '../src/affinity/backend-id.ts';
import { buildRouteImage, findById } from '../src/affinity/route-table.ts';
import { loadEpoch, publish } from '../src/boards/epoch.ts';
import { KeyBoard, STAGE_ACTIVE } from '../src/boards/key-board.ts';
import { RouteBoard } from '../src/boards/route-board.ts';
import { TicketKeys } from '../workers/ticket-keys.ts';
import { callsOf, type Effort, FULL, interleaved, nanosecondsEach, printFigures, type Sampled } from './figures.ts';
import { boardOf, pool } from './route-pool.ts';

const NODES = 1_000;
const READS = 200_000;
/** Words that both threads share. */
const CONTROL = { publishes: 0, ends: 1, words: 2 } as const;

interface Shared {
  readonly routes: SharedArrayBuffer;
  readonly keys: SharedArrayBuffer;
  readonly control: Int32Array<SharedArrayBuffer>;
}

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const reads = callsOf(READS, effort);
  const [board, keyBoard] = [boardOf(pool(NODES)), KeyBoard.create()];
  publishKey(keyBoard);
  const control = new Int32Array(new SharedArrayBuffer(CONTROL.words * Int32Array.BYTES_PER_ELEMENT));
  const shared: Shared = { routes: board.buffer, keys: keyBoard.buffer, control };
  const publisher = new Worker(new URL(import.meta.url), { workerData: shared });
  await once(publisher, 'message');
  const read = { 'route look-up': lookup(board, reads), 'look at the ring': ringRead(keyBoard, reads) };
  const cases = Object.entries(read).flatMap(([name, each]) => [
    [`${name}, nothing published`, each],
    [`${name}, while another thread publishes`, whilePublished(control, board, each)],
  ]);
  const figures = interleaved(Object.fromEntries(cases), 'ns', effort);
  Atomics.store(control, CONTROL.ends, 1);
  Atomics.notify(control, CONTROL.publishes);
  await once(publisher, 'exit');
  return figures;
}

/** Nanoseconds a look-up. */
function lookup(board: RouteBoard, reads: number): () => number {
  const ids = pool(NODES).map(({ address }) => {
    const words = new Int32Array(ID_WORDS);
    writeIdWords(backendId(address), words, 0);
    return words;
  });
  const found = { slot: 0, generation: 0, flags: 0 };
  return () => {
    let hits = 0;
    const each = nanosecondsEach(reads, (i) => {
      if (findById(board, ids[i % NODES] as Int32Array, found)) hits++;
    });
    if (hits !== reads) throw new Error(`${hits} of ${reads} ids were found`);
    return each;
  };
}

/** Nanoseconds a look, with the copy that it makes where something has changed. */
function ringRead(board: KeyBoard, reads: number): () => number {
  const keys = new TicketKeys(board);
  return () => {
    const each = nanosecondsEach(reads, () => keys.refresh());
    if (keys.encrypting === null) throw new Error('the ring has a key');
    return each;
  };
}

/** Measures while the other thread publishes, from its first publication on. */
function whilePublished(control: Shared['control'], board: RouteBoard, measure: () => number): () => number {
  return () => {
    const before = loadEpoch(board);
    Atomics.store(control, CONTROL.publishes, 1);
    Atomics.notify(control, CONTROL.publishes);
    while (loadEpoch(board) === before);
    const value = measure();
    Atomics.store(control, CONTROL.publishes, 0);
    return value;
  };
}

function publishKey(board: KeyBoard): void {
  board.publish([{ stage: STAGE_ACTIVE, bytes: Buffer.alloc(48, 1) }], 0);
}

/** The other thread: publishes both boards in turns while it is told to, and sleeps otherwise. */
function publishOnDemand({ routes, keys, control }: Shared): void {
  const [board, keyBoard] = [new RouteBoard(routes), new KeyBoard(keys)];
  const image = buildRouteImage(pool(NODES), '', board.dimensions);
  parentPort?.postMessage('ready');
  while (Atomics.load(control, CONTROL.ends) === 0) {
    if (Atomics.load(control, CONTROL.publishes) === 0) {
      Atomics.wait(control, CONTROL.publishes, 0);
      continue;
    }
    publish(board, image);
    publishKey(keyBoard);
  }
}

if (!isMainThread) publishOnDemand(workerData as Shared);
else if (import.meta.main) printFigures(await run());
