/**
 * Waits for a node that drains. Main thread of a command.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration } from '../config/units.ts';
import type { NodeStatus } from '../control/status.ts';
import { AdminRefusal, type Ask } from './admin-access.ts';
import { count } from './count.ts';
import { EXIT_FAILURE } from './exit-codes.ts';
import { isNode } from './pool-answers.ts';

const POLL_MS = 500;

/**
 * Resolves once no request is in flight on the node at `path`, with it as it was last; to null where it has left the pool.
 * Says on stderr how many are left; with some left after `timeoutMs`, exit code 1.
 */
export async function waitUntilIdle(ask: Ask, path: string, timeoutMs: number): Promise<NodeStatus | null> {
  const endMs = performance.now() + timeoutMs;
  let told = -1;
  for (;;) {
    const node = await nodeOf(ask, path);
    const inFlight = node?.inFlight ?? 0;
    if (inFlight !== told) process.stderr.write(`${count(inFlight, 'request')} in flight on this edge\n`);
    told = inFlight;
    if (inFlight === 0) return node;
    if (performance.now() > endMs) {
      process.stderr.write(`not idle after ${formatDuration(timeoutMs)}; it goes on draining\n`);
      process.exitCode = EXIT_FAILURE;
      return node;
    }
    await sleep(POLL_MS);
  }
}

async function nodeOf(ask: Ask, path: string): Promise<NodeStatus | null> {
  try {
    return (await ask({ path }, isNode)).node;
  } catch (error) {
    if (error instanceof AdminRefusal && error.code === 'unknown-node') return null;
    throw error;
  }
}
