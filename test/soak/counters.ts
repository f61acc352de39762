/** Counters never fall for as long as their process lives. Pure but for what it remembers. */

import type { Scrape } from '../e2e/metrics-scrape.ts';

/** Counts since the node came into its pool: one that leaves and returns begins anew. */
const BEGINS_ANEW = 'stekbal_node_requests_total';

export class CounterWatch {
  readonly violations: string[] = [];
  readonly #before = new Map<number, ReadonlyMap<string, number>>();

  /** What process `pid` of an edge says now. */
  look(edge: number, pid: number, { samples, types }: Pick<Scrape, 'samples' | 'types'>): void {
    const before = this.#before.get(pid);
    this.#before.set(pid, samples);
    for (const [name, value] of samples) {
      const earlier = before?.get(name);
      if (earlier === undefined || value >= earlier || !isCounter(name, types)) continue;
      this.violations.push(`edge ${edge} (${pid}): ${name} fell from ${earlier} to ${value}`);
    }
  }
}

function isCounter(sample: string, types: ReadonlyMap<string, string>): boolean {
  const name = sample.replace(/\{.*/, '');
  if (name === BEGINS_ANEW) return false;
  const family = name.replace(/_(bucket|sum|count)$/, '');
  return types.get(name) === 'counter' || types.get(family) === 'histogram';
}
