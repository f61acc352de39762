/**
 * `npm run soak -- --minutes N --seed S --report FILE`: a soak, with its plan, a line of progress, and a report. Exits 1 where
 * something is wrong. Ctrl-C ends it, with the report so far.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { planText, reportOf } from './report.ts';
import { faultsFound } from './result.ts';
import { Soak } from './soak.ts';

const MINUTE_MS = 60_000;
const FAULT_EVERY_MS = 4_000;
const QUIET_MS = 5_000;
const TERMINAL_PROGRESS_MS = 2_000;
const USAGE = 'usage: npm run soak -- [--minutes N] [--seed S] [--report FILE], N more than 0.3, S a whole number\n';
const MINUTES_MIN = 0.3;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    report: { type: 'string' },
  },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutes > MINUTES_MIN) || !Number.isSafeInteger(seed)) {
  process.stderr.write(USAGE);
  process.exit(64);
}

const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ending.abort());

const isTerminal = process.stderr.isTTY;
const soak = new Soak({
  seed,
  durationMs: minutes * MINUTE_MS,
  everyMs: FAULT_EVERY_MS,
  quietMs: QUIET_MS,
  ending: ending.signal,
  onPlan: (plan) => process.stdout.write(planText(seed, plan)),
  onProgress: (line) =>
    process.stderr.write(isTerminal ? `\r\x1b[K${line.slice(0, process.stderr.columns - 1)}` : `${line}\n`),
  progressMs: isTerminal ? TERMINAL_PROGRESS_MS : MINUTE_MS,
});
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`);
  void soak.close().finally(() => process.exit(1));
});
const result = await soak.run();
if (isTerminal) process.stderr.write('\n');
const report = reportOf(result);
process.stdout.write(`\n${report}`);
if (values.report !== undefined) writeFileSync(values.report, report);
process.exit(faultsFound(result).length === 0 ? 0 : 1);
