/**
 * How much JavaScript heap a listener thread may have. Main thread.
 *
 * A thread that reaches its limit ends alone, with ERR_WORKER_OUT_OF_MEMORY, and is replaced. Node gives each of them the
 * limit of a whole process (a quarter of the memory, at most 4 GiB): on a machine with many cores and little memory the
 * kernel would end the process before any thread came to its limit. `--max-old-space-size` goes before this (Node).
 * Buffers are no part of the heap: what bounds those are the limits on connections and what each may hold.
 */

import { availableParallelism, totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

const MIB = 1024 * 1024;
/** Enough for some 30,000 connections of one thread. */
const HEAP_MIB_MIN = 256;

export interface Machine {
  /** Bytes: what this process may have at all. */
  readonly memory: number;
  readonly processors: number;
  /** Bytes: Node's own limit. */
  readonly heapDefault: number;
}

/** MiB: what all threads of a machine's processors have together is half of its memory. Pure. */
export function threadHeapMib({ memory, processors, heapDefault }: Machine): number {
  const share = Math.max(HEAP_MIB_MIN * MIB, memory / 2 / processors);
  return Math.floor(Math.min(heapDefault, share) / MIB);
}

export function thisMachine(): Machine {
  // 0 where it is not known, more than there is where nothing constrains
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  const memory = Math.min(totalmem(), constrained);
  return { memory, processors: availableParallelism(), heapDefault: getHeapStatistics().heap_size_limit };
}
