/**
 * CPU time a proxied request, of the running program with all its threads, under autocannon. Backends and load run in
 * processes of their own; the figure is user and system time from /proc, divided by the requests answered.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuMs, load, type Measured, median, startBackend, startMeasured } from './measured.ts';
import type { Figure } from './run.ts';

const ROUNDS = 3;
const SECONDS = 3;

export async function run(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bench-'));
  const backend = await startBackend();
  let program: Measured | null = null;
  try {
    const file = join(folder, 'bench.yaml');
    writeFileSync(
      file,
      `workers: 1\nlisteners: [{address: "127.0.0.1:0", service: s}]\n` +
        `pools: {p: {nodes: ["127.0.0.1:${backend.port}"]}}\nservices: {s: {pool: p, affinity: yes}}\n`,
    );
    program = await startMeasured(file);
    const figures: Figure[] = [];
    for (const [name, bytes, connections] of [
      ['small answers, 64 connections', 120, 64],
      ['10 KiB answers, 64 connections', 10_240, 64],
      ['small answers, 1,000 connections', 120, 1000],
    ] as const) {
      const rounds: number[] = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await cpuPerRequest(program, bytes, connections));
      figures.push({ name, unit: 'us CPU/request', value: median(rounds) });
    }
    return figures;
  } finally {
    program?.process.kill();
    backend.process.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function cpuPerRequest({ pid, port }: Measured, bytes: number, connections: number): Promise<number> {
  const before = cpuMs(pid);
  const { '2xx': answered } = await load(`http://127.0.0.1:${port}/${bytes}`, connections, SECONDS);
  return ((cpuMs(pid) - before) * 1_000) / answered;
}

if (import.meta.main) {
  for (const { name, unit, value } of await run())
    process.stdout.write(`${name.padEnd(48)} ${value.toFixed(1)} ${unit}\n`);
}
