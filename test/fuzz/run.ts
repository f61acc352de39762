/**
 * `node test/fuzz/run.ts [--minutes N] [--messages N] [--seed S]`: compares our parsers with llhttp until the time or
 * the number is reached, and saves what differs under test/fuzz/regressions/, which the suite replays. Exits with 1
 * where something differed.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type FuzzKind, FuzzTotals, fileNameOf, runBatch } from './fuzz.ts';

const FINDINGS_MAX = 20;
const PROGRESS_MS = 10_000;
const FOLDER = join(import.meta.dirname, 'regressions');

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    messages: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() >>> 0) },
  },
});
const seed = Number(values.seed);
const until = performance.now() + Number(values.minutes) * 60_000;
const streamsMax = Number(values.messages);

const totals: Record<FuzzKind, FuzzTotals> = { request: new FuzzTotals(), response: new FuzzTotals() };
let findings = 0;
let reportedAt = performance.now();
console.log(`seed ${seed}`);

for (let batch = 0; performance.now() < until && findings < FINDINGS_MAX; batch++) {
  for (const kind of ['request', 'response'] as const) {
    for (const { fuzzCase, difference } of await runBatch(kind, seed, batch, totals[kind])) {
      findings++;
      const file = join(FOLDER, fileNameOf(fuzzCase));
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(file, fuzzCase.text, 'latin1');
      console.log(`${file}\n  ${difference}`);
    }
  }
  const streams = totals.request.streams + totals.response.streams;
  if (streams >= streamsMax) break;
  if (performance.now() - reportedAt > PROGRESS_MS) {
    reportedAt = performance.now();
    console.log(`batch ${batch}, ${streams} streams, ${findings} differences`);
  }
}

for (const kind of ['request', 'response'] as const) console.log(`${kind}s: ${totals[kind]}`);
process.exitCode = findings > 0 ? 1 : 0;
