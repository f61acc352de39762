/** autocannon in a process of its own, so that what the test itself does is not in its way. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const AUTOCANNON = fileURLToPath(import.meta.resolve('autocannon'));

export interface LoadResult {
  readonly requests: { readonly total: number };
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly resets: number;
}

export interface LoadOptions {
  readonly seconds: number;
  readonly connections: number;
  /** Further arguments of autocannon. */
  readonly args?: readonly string[];
}

/** How long loads last that are short in the suite, and as long as an operator wants by STEKBAL_LOAD_SECONDS. */
export function loadSeconds(seconds: number): number {
  return Number(process.env.STEKBAL_LOAD_SECONDS ?? seconds);
}

export async function load(url: string, { seconds, connections, args = [] }: LoadOptions): Promise<LoadResult> {
  const all = [AUTOCANNON, '--json', '-c', `${connections}`, '-d', `${seconds}`, ...args, url];
  const child = spawn(process.execPath, all, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' },
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  return JSON.parse(output) as LoadResult;
}

/** Nothing of it failed. */
export function failures({ errors, timeouts, resets, non2xx }: LoadResult): Record<string, number> {
  return { errors, timeouts, resets, non2xx };
}

export const NO_FAILURES = { errors: 0, timeouts: 0, resets: 0, non2xx: 0 };
