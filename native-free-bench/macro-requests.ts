/**
 * CPU time a proxied request, of the running program with all its threads, under autocannon. Backends and load run in
 * processes of their own; the figure is user and system time from /proc, divided by the requests answered.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figure } from './run.ts';

const AUTOCANNON = fileURLToPath(import.meta.resolve('autocannon'));
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const ROUNDS = 3;
const SECONDS = 3;
const TICK_US = 10_000; // of /proc/PID/stat: USER_HZ is 100 on every Linux
/** Answers with as many bytes as the path says. */
const BACKEND = `
  const server = require('node:http').createServer((request, response) => {
    request.resume();
    response.end(Buffer.alloc(Number(request.url.slice(1)), 120));
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
`;

export async function run(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bench-'));
  const backend = spawn(process.execPath, ['-e', BACKEND], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let program: ChildProcess | null = null;
  try {
    const backendPort = await new Promise<number>((resolve) =>
      backend.once('message', resolve as (p: unknown) => void),
    );
    const file = join(folder, 'bench.yaml');
    writeFileSync(
      file,
      `workers: 1\nlisteners: [{address: "127.0.0.1:0", service: s}]\n` +
        `pools: {p: {nodes: ["127.0.0.1:${backendPort}"]}}\nservices: {s: {pool: p, affinity: yes}}\n`,
    );
    program = spawn(process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', 'inherit', 'pipe'] });
    const port = await servingPort(program);
    const figures: Figure[] = [];
    for (const [name, bytes, connections] of [
      ['small answers, 64 connections', 120, 64],
      ['10 KiB answers, 64 connections', 10_240, 64],
      ['small answers, 1,000 connections', 120, 1000],
    ] as const) {
      const rounds: number[] = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await cpuPerRequest(program, port, bytes, connections));
      figures.push({ name, unit: 'us CPU/request', value: rounds.sort((a, b) => a - b)[ROUNDS >> 1] as number });
    }
    return figures;
  } finally {
    program?.kill();
    backend.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

function servingPort(program: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = '';
    program.stderr?.on('data', (chunk) => {
      log += chunk;
      const match = /"addresses":\["127\.0\.0\.1:(\d+)"\]/.exec(log);
      if (match) resolve(Number(match[1]));
    });
    program.once('exit', () => reject(new Error(`the program ended:\n${log}`)));
  });
}

async function cpuPerRequest(program: ChildProcess, port: number, bytes: number, connections: number): Promise<number> {
  const before = cpuTicks(program.pid as number);
  const args = [AUTOCANNON, '--json', '-c', `${connections}`, '-d', `${SECONDS}`, `http://127.0.0.1:${port}/${bytes}`];
  const load = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  load.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => load.once('close', resolve));
  const result = JSON.parse(output) as { '2xx': number; errors: number; non2xx: number };
  if (result.errors + result.non2xx > 0) throw new Error(`${result.errors} errors, ${result.non2xx} not 2xx`);
  return ((cpuTicks(program.pid as number) - before) * TICK_US) / result['2xx'];
}

/** User and system time of a process so far, proc(5): fields 14 and 15. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

if (import.meta.main) {
  for (const { name, unit, value } of await run())
    process.stdout.write(`${name.padEnd(48)} ${value.toFixed(1)} ${unit}\n`);
}
