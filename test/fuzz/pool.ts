/** The threads that run one fuzz target, and what becomes of one that hangs or dies: that is a finding too. Test support. */

import { Worker } from 'node:worker_threads';
import { Notebook } from './notebook.ts';
import type { WorkerReport, WorkerTask } from './run-worker.ts';
import { addTo, type FuzzFinding, newTotals, type TargetName } from './target.ts';

/** Without a word from a thread. A batch takes a second or two. */
const SILENCE_MS_MAX = 120_000;
const WATCH_MS = 1_000;
/** Oracles live for one batch: a small nursery would take a quarter of the time. */
const resourceLimits = { maxYoungGenerationSizeMb: 96 };

interface Thread {
  readonly worker: Worker;
  readonly notes: Notebook;
  heardMs: number;
  readonly ended: Promise<void>;
}

export class FuzzPool {
  readonly totals = newTotals();
  findings = 0;
  readonly #target: TargetName;
  readonly #save: (finding: FuzzFinding) => void;
  readonly #threads: Thread[];
  #onReport: () => void = () => {};

  constructor(target: TargetName, seed: number, threads: number, save: (finding: FuzzFinding) => void) {
    this.#target = target;
    this.#save = save;
    this.#threads = Array.from({ length: threads }, (_, first) => this.#start({ seed, first, of: threads }));
  }

  /** `goOn` is asked after each batch, and once a second. Resolves when all threads have ended. */
  async run(goOn: (pool: FuzzPool) => boolean): Promise<void> {
    const look = () => {
      if (!goOn(this)) for (const { notes } of this.#threads) notes.stop();
    };
    this.#onReport = look;
    const watch = setInterval(() => {
      look();
      for (const thread of this.#threads) this.#watch(thread);
    }, WATCH_MS);
    await Promise.all(this.#threads.map(({ ended }) => ended));
    clearInterval(watch);
  }

  #start(task: Pick<WorkerTask, 'seed' | 'first' | 'of'>): Thread {
    const notebook = Notebook.create();
    const workerData: WorkerTask = { ...task, target: this.#target, notebook };
    const worker = new Worker(new URL('run-worker.ts', import.meta.url), { workerData, resourceLimits });
    const notes = new Notebook(notebook);
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const thread: Thread = { worker, notes, heardMs: performance.now(), ended };
    worker.on('message', (report: WorkerReport) => {
      thread.heardMs = performance.now();
      addTo(this.totals, report.totals);
      for (const { fuzzCase, difference } of report.findings) {
        this.#found({ fuzzCase: { ...fuzzCase, bytes: Buffer.from(fuzzCase.bytes) }, difference });
      }
      this.#onReport();
    });
    worker.on('error', (error) =>
      this.#lost(thread, `the thread died: ${error instanceof Error ? error.stack : error}`),
    );
    return thread;
  }

  #watch(thread: Thread): void {
    if (performance.now() - thread.heardMs < SILENCE_MS_MAX) return;
    thread.heardMs = Number.POSITIVE_INFINITY;
    this.#lost(thread, 'hangs: no batch ended for two minutes');
    void thread.worker.terminate();
  }

  #lost({ notes }: Thread, difference: string): void {
    const fuzzCase = notes.read(this.#target) ?? { target: this.#target, tag: 'unknown', bytes: Buffer.alloc(0) };
    this.#found({ fuzzCase, difference });
  }

  #found(finding: FuzzFinding): void {
    this.findings++;
    this.#save(finding);
  }
}
