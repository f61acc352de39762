/**
 * `npm run fuzz -- [--target NAME|all] [--minutes N] [--messages N] [--seed S] [--threads N]`: runs a target until the
 * time or the number is reached, on a thread a core, and saves what it finds under test/fuzz/regressions/, which the suite
 * replays. Exits with 1 where it found something. docs/fuzzing.md says more.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FuzzPool } from './pool.ts';
import { describeTotals, type FuzzFinding, fileNameOf, TARGET_NAMES, type TargetName } from './target.ts';

const FINDINGS_MAX = 20;
const PROGRESS_MS = process.stdout.isTTY ? 1_000 : 30_000;
const FOLDER = join(import.meta.dirname, 'regressions');

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'http' },
    minutes: { type: 'string' },
    messages: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() >>> 0) },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});

function numberOf(text: string | undefined, what: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0) return number;
  console.error(`--${what} wants a number`);
  process.exit(64);
}

const targets = values.target === 'all' ? TARGET_NAMES : TARGET_NAMES.filter((name) => name === values.target);
if (targets.length === 0) {
  console.error(`--target wants one of ${TARGET_NAMES.join(', ')}, all`);
  process.exit(64);
}
const seed = numberOf(values.seed, 'seed', 0);
const threads = Math.max(1, numberOf(values.threads, 'threads', 1));
const messagesMax = numberOf(values.messages, 'messages', Number.POSITIVE_INFINITY);
// with a number of messages alone, that is what ends it
const minutes = numberOf(values.minutes, 'minutes', values.messages === undefined ? 1 : Number.POSITIVE_INFINITY);
console.log(`seed ${seed}, ${threads} threads`);

let found = 0;
for (const name of targets) found += await run(name);
process.exitCode = found > 0 ? 1 : 0;

/** Runs one target for its share of the time. Returns how much it found. */
async function run(name: TargetName): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + (minutes * 60_000) / targets.length;
  const pool = new FuzzPool(name, seed, threads, save);
  let reportedAt = startedAt;
  await pool.run(({ totals, findings }) => {
    const now = performance.now();
    if (now - reportedAt > PROGRESS_MS) {
      reportedAt = now;
      const line = `${name}: ${totals.messages} messages, ${perSecond(totals.messages, now - startedAt)}/s, ${findings} findings`;
      process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
    }
    return now < until && totals.messages < messagesMax && findings < FINDINGS_MAX;
  });
  const ms = performance.now() - startedAt;
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  console.log(`${name}: ${describeTotals(pool.totals)}`);
  console.log(
    `  ${pool.findings} findings, ${Math.round(ms / 1000)} s, ${perSecond(pool.totals.messages, ms)} messages/s\n`,
  );
  return pool.findings;
}

function perSecond(count: number, ms: number): number {
  return Math.round((count / ms) * 1000);
}

function save({ fuzzCase, difference }: FuzzFinding): void {
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, fileNameOf(fuzzCase));
  writeFileSync(file, fuzzCase.bytes);
  console.log(`${file}\n  ${difference}`);
}
