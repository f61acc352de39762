/** Figures of a benchmark: rounds in turns, their median, and how they are printed. */

import { cpus } from 'node:os';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** The median, where there were rounds. */
  readonly value: number;
}

export interface Sampled extends Figure {
  readonly min: number;
  readonly max: number;
  /** Every round's figure, in order. */
  readonly rounds: readonly number[];
}

/** How much work a part's benchmark does. */
export interface Effort {
  readonly rounds: number;
  /** Of the calls of a round, in (0, 1]. */
  readonly share: number;
}

export const FULL: Effort = { rounds: 11, share: 1 };

/** At least one. */
export function callsOf(calls: number, { share }: Effort): number {
  return Math.max(1, Math.round(calls * share));
}

/** `rounds` must not be empty. */
export function sampled(name: string, unit: string, rounds: readonly number[]): Sampled {
  return { name, unit, value: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds };
}

/**
 * Runs every case once a round, so that the machine's drift meets all of them alike; the first round warms up and is
 * left out.
 */
export function interleaved(
  cases: Readonly<Record<string, () => number>>,
  unit: string,
  { rounds }: Pick<Effort, 'rounds'>,
): Sampled[] {
  const samples = new Map(Object.keys(cases).map((name) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(cases)) {
      const value = measure();
      if (round > 0) samples.get(name)?.push(value);
    }
  }
  return [...samples].map(([name, values]) => sampled(name, unit, values));
}

/** Nanoseconds a call, of `calls` in a row. */
export function nanosecondsEach(calls: number, call: (i: number) => void): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) call(i);
  return Number(process.hrtime.bigint() - started) / calls;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

export function printFigures(figures: readonly Sampled[]): void {
  process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown machine'}\n`);
  for (const figure of figures) process.stdout.write(figureLine(figure));
}

export function figureLine({ name, unit, value, min, max }: Sampled): string {
  const range = `(${min.toFixed(1)} to ${max.toFixed(1)})`;
  return `  ${name.padEnd(56)} ${value.toFixed(1).padStart(10)} ${unit.padEnd(4)} ${range}\n`;
}
