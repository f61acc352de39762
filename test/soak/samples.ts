/** What the edges' processes and threads have held over time, from probe-preload.ts. */

import type { SoakEdge } from './edges.ts';
import type { LeakFigure } from './leaks.ts';

interface ThreadSample {
  /** Node's; 0 is the main thread. */
  readonly threadId: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly resources: number;
  /** From the main thread: of all the process. */
  readonly process?: { readonly rss: number; readonly descriptors: number };
}

/** One figure of one process or thread. */
export interface Series {
  readonly of: string;
  readonly figure: LeakFigure;
  readonly values: number[];
}

export class Samples {
  readonly #series = new Map<string, Series>();

  /** To be called for each process that an edge has. */
  watch(edge: SoakEdge): void {
    const { child, pid } = edge.program;
    child.on('message', (message: { type?: string; thread?: ThreadSample }) => {
      if (message.type !== 'sample' || message.thread === undefined) return;
      const { threadId, process, heapUsed, external, resources } = message.thread;
      const name = `edge ${edge.id} (${pid})`;
      const thread = `${name} ${threadId === 0 ? 'main thread' : `thread ${threadId}`}`;
      if (process !== undefined) {
        this.#add(name, 'rss', process.rss);
        this.#add(name, 'descriptors', process.descriptors);
      }
      this.#add(thread, 'heapUsed', heapUsed);
      this.#add(thread, 'external', external);
      this.#add(thread, 'resources', resources);
    });
  }

  get all(): Series[] {
    return [...this.#series.values()];
  }

  #add(of: string, figure: LeakFigure, value: number): void {
    const key = `${of} ${figure}`;
    const series = this.#series.get(key) ?? { of, figure, values: [] };
    this.#series.set(key, series);
    series.values.push(value);
  }
}
