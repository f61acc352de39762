/** Programs under measurement: what a process has used, and load on it from a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const AUTOCANNON = fileURLToPath(import.meta.resolve('autocannon'));
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
/** Answers with as many bytes as the path says. */
const BACKEND = `
  const server = require('node:http').createServer((request, response) => {
    request.resume();
    response.end(Buffer.alloc(Number(request.url.slice(1)), 120));
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
`;
/** Of /proc/PID/stat: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;

export interface Backend {
  readonly process: ChildProcess;
  readonly port: number;
}

export async function startBackend(): Promise<Backend> {
  const backend = spawn(process.execPath, ['-e', BACKEND], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const port = await new Promise<number>((resolve) => backend.once('message', resolve as (p: unknown) => void));
  return { process: backend, port };
}

export interface Measured {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Of its one listener, on 127.0.0.1. */
  readonly port: number;
}

/** Runs `stekbal run` on `file`. Rejects, with its log, where it ends before it serves. */
export async function startMeasured(file: string): Promise<Measured> {
  const program = spawn(process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', 'inherit', 'pipe'] });
  const port = await new Promise<number>((resolve, reject) => {
    let log = '';
    program.stderr?.on('data', (chunk) => {
      log += chunk;
      const match = /"addresses":\["127\.0\.0\.1:(\d+)"\]/.exec(log);
      if (match) resolve(Number(match[1]));
    });
    program.once('exit', () => reject(new Error(`the program ended:\n${log}`)));
  });
  return { process: program, pid: program.pid as number, port };
}

export interface Load {
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  /** Seconds. */
  readonly duration: number;
  /** Milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number };
}

/** autocannon on kept connections. Rejects where a request failed. */
export async function load(url: string, connections: number, seconds: number): Promise<Load> {
  const args = [AUTOCANNON, '--json', '-c', `${connections}`, '-d', `${seconds}`, url];
  const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  const client = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'], env });
  let output = '';
  client.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => client.once('close', resolve));
  const result = JSON.parse(output) as Load;
  if (result.errors + result.non2xx > 0) throw new Error(`${result.errors} errors, ${result.non2xx} not 2xx`);
  return result;
}

/** User and system time of a process with all its threads so far, proc(5): fields 14 and 15. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export function rssMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
