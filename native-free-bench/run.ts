/**
 * `npm run bench`: what the hot path's parts cost, and what a proxied request costs the running program.
 *
 * Goals: figures that can be compared between two builds on one machine, within one run. Non-goals: figures that hold
 * for another machine, or requests a second (the load generator sets those).
 *
 *   npm run bench                 everything
 *   npm run bench -- --micro      the parts alone
 *   npm run bench -- --json       for machines
 */

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { run as proxiedRequests } from './macro-requests.ts';
import { run as cookieScan } from './micro-cookie-scan.ts';
import { run as headParser } from './micro-head-parser.ts';
import { run as routeLookup } from './micro-route-lookup.ts';
import { run as serviceCounts } from './micro-service-counts.ts';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

const micro = {
  'head parser': headParser,
  'cookie scan': cookieScan,
  'route look-up': routeLookup,
  'counting of requests': serviceCounts,
};
const macro = { 'proxied requests, CPU time of the whole program': proxiedRequests };

const argv = process.argv.slice(2);
const asJson = argv.includes('--json');
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}`;
const results: Record<string, readonly Figure[]> = {};

if (!asJson) process.stdout.write(`stekbal ${version}, Node ${process.version}, ${machine}\n`);
for (const [group, run] of Object.entries(argv.includes('--micro') ? micro : { ...micro, ...macro })) {
  const figures = await run();
  results[group] = figures;
  if (asJson) continue;
  process.stdout.write(`\n${group}\n`);
  for (const { name, unit, value } of figures)
    process.stdout.write(`  ${name.padEnd(56)} ${value.toFixed(1).padStart(10)} ${unit}\n`);
}
if (asJson) process.stdout.write(`${JSON.stringify({ version, node: process.version, machine, results }, null, 2)}\n`);
