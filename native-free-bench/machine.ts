/** What a figure was measured on. */

import { availableParallelism, cpus, loadavg, release } from 'node:os';

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly kernel: string;
  /** Of the last minute. What else ran makes figures worse, and their ratios less than it. */
  readonly loadAverage: number;
}

export function machine(): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? 'unknown processor',
    kernel: `Linux ${release()}`,
    loadAverage: loadavg()[0] as number,
  };
}

/** On one line, with this Node's version. */
export function machineLine({ cores, processor, kernel, loadAverage } = machine()): string {
  return `Node ${process.version}, ${cores} cores, ${processor}, ${kernel}, load average before ${loadAverage.toFixed(2)}`;
}
