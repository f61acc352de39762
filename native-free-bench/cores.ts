/** Which cores the subject has for itself, and which are left to the load and the backends. */

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** As taskset writes them; null: all cores. */
export interface Cores {
  readonly subject: string | null;
  readonly others: string | null;
}

/** The first core for the subject. Nothing is pinned where there is one core alone, or no taskset. */
export function chooseCores(): Cores {
  const { stdout, status } = spawnSync('taskset', ['-cp', `${process.pid}`], { encoding: 'utf8' });
  if (status !== 0 || availableParallelism() < 2) return { subject: null, others: null };
  const [first, ...others] = coresOf(stdout.slice(stdout.lastIndexOf(':') + 1).trim());
  return { subject: `${first}`, others: others.join(',') };
}

/** Of "0,2-4". */
function coresOf(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}
