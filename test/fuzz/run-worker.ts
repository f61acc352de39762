/** One thread of `npm run fuzz`: runs every `of`th batch of one target until it is told to stop. Test support. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Notebook } from './notebook.ts';
import { type FuzzFinding, newTotals, runBatch, type TargetName, type Totals } from './target.ts';
import { openTarget } from './targets.ts';

export interface WorkerTask {
  readonly target: TargetName;
  readonly seed: number;
  /** The first batch, and from one to the next. */
  readonly first: number;
  readonly of: number;
  readonly notebook: SharedArrayBuffer;
}

/** After each batch. */
export interface WorkerReport {
  readonly totals: Totals;
  readonly findings: readonly FuzzFinding[];
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const { target: name, seed, first, of, notebook } = workerData as WorkerTask;
  const notes = new Notebook(notebook);
  // each fault that an oracle finds is an Error, and its trace is read by nobody
  if (name === 'http') Error.stackTraceLimit = 0;
  const target = await openTarget(name);
  for (let batch = first; !notes.isStopped; batch += of) {
    const totals = newTotals();
    const findings = await runBatch(target, { seed, batch, totals }, (fuzzCase) => notes.note(fuzzCase));
    port.postMessage({ totals, findings } satisfies WorkerReport);
  }
  await target.close();
  process.exit();
}
