/**
 * Processes that a benchmark starts: what they and their children have used, and their end. None of them outlives this
 * process, however it ends, except by SIGKILL.
 */

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Of /proc/PID/stat: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;
const STAT = { userTime: 11, systemTime: 12, childrensUserTime: 13, childrensSystemTime: 14 } as const;

const started = new Set<ChildProcess>();
const folders = new Set<string>();

export interface StartOptions {
  readonly stdio?: StdioOptions;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Cores that it may use, as taskset writes them; null: all. */
  readonly cores?: string | null;
}

/** Starts a program that ends with this process at the latest. */
export function start(command: string, args: readonly string[], options: StartOptions = {}): ChildProcess {
  const { cores = null, stdio = ['ignore', 'inherit', 'inherit'], env = {}, cwd } = options;
  // taskset becomes the program: the process id is the same
  const [program, ...all] = cores === null ? [command, ...args] : ['taskset', '-c', cores, command, ...args];
  const place = cwd === undefined ? {} : { cwd };
  const child = spawn(program as string, all, { stdio, env: { ...process.env, ...env }, ...place });
  started.add(child);
  child.once('close', () => started.delete(child));
  return child;
}

/** A folder that goes with this process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bench-'));
  folders.add(folder);
  return folder;
}

/** Ends a process and its children; resolves once it has ended. */
export async function end(child: ChildProcess): Promise<void> {
  if (!started.has(child)) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  signalTree(child, 'SIGKILL');
  await closed;
}

process.once('exit', () => {
  for (const child of started) signalTree(child, 'SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => process.exit(128 + number));

/** To the process and all its children. What has ended is passed over. */
export function signalTree(child: ChildProcess, signal: NodeJS.Signals): void {
  for (const pid of treeOf(child.pid)) {
    try {
      process.kill(pid, signal);
    } catch {
      // it ended by itself
    }
  }
}

/** User and system time of a process with its threads, and of its children, those that have ended too. */
export function treeCpuMs(pid: number): number {
  const parts = Object.values(STAT);
  return treeOf(pid).reduce((sum, one) => sum + parts.reduce((own, part) => own + statOf(one, part), 0), 0);
}

/** User and system time of a process with all its threads so far. */
export function cpuMs(pid: number): number {
  return statOf(pid, STAT.userTime) + statOf(pid, STAT.systemTime);
}

export function rssMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** proc(5), counted from what stands behind the name in parentheses. */
function statOf(pid: number, field: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[field]) * TICK_MS;
}

/** The process and its children, theirs too. Empty where it never began. */
function treeOf(pid: number | undefined): number[] {
  return pid === undefined ? [] : [pid, ...childrenOf(pid).flatMap(treeOf)];
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
