/**
 * `npm run sim -- --seeds N --seed S`: many clusters under faults, with progress, and a table of what was exercised. Exits 1
 * at a violation, whose seed it prints: the same seed shows it again.
 */

import { parseArgs } from 'node:util';
import { PRODUCTION } from './production.ts';
import { type Exercise, Simulation } from './simulation.ts';

const HOUR_MS = 3_600_000;
const PROGRESS_EVERY_MS = 2_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    tell: { type: 'boolean', default: false },
  },
});
const seeds = Number(values.seeds);
const first = Number(values.seed);
if (!Number.isSafeInteger(seeds) || seeds < 1 || !Number.isSafeInteger(first)) {
  process.stderr.write('usage: npm run sim -- [--seeds N] [--seed S] [--tell], whole numbers, at least one seed\n');
  process.exit(64);
}

const tell = values.tell ? (line: string) => process.stdout.write(`${line}\n`) : null;
const total: Partial<Record<keyof Exercise, number>> = {};
const violations: number[] = [];
let shownMs = performance.now();
for (let seed = first; seed < first + seeds; seed++) {
  try {
    const exercise = new Simulation(seed, PRODUCTION, tell).run();
    for (const key of Object.keys(exercise) as (keyof Exercise)[]) total[key] = (total[key] ?? 0) + exercise[key];
  } catch (error) {
    violations.push(seed);
    process.stdout.write(`seed ${seed}: ${(error as Error).message}\n`);
  }
  if (performance.now() - shownMs < PROGRESS_EVERY_MS) continue;
  shownMs = performance.now();
  process.stderr.write(`${seed - first + 1} of ${seeds} seeds, ${violations.length} violations\n`);
}

const { virtualMs = 0, ...counts } = total;
process.stdout.write(`\n${seeds} seeds from ${first}, ${violations.length} violations\n`);
process.stdout.write(`${'virtual hours'.padEnd(20)} ${(virtualMs / HOUR_MS).toFixed(1).padStart(12)}\n`);
for (const [name, count] of Object.entries(counts)) {
  process.stdout.write(
    `${name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`).padEnd(20)} ${String(count).padStart(12)}\n`,
  );
}
process.exitCode = violations.length === 0 ? 0 : 1;
