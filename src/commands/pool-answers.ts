/**
 * The admin API's answers about pools: told from what other programs answer. Pure, main thread of a command.
 */

import type { NodePage } from '../control/pool-editor.ts';
import type { NodeStatus, PoolStatus } from '../control/status.ts';
import type { EditAnswer } from './pool-text.ts';

export function isPools(body: unknown): body is { pools: readonly PoolStatus[] } {
  return has(body, 'pools');
}

export function isPage(body: unknown): body is NodePage {
  return has(body, 'pool', 'nodeCount', 'nodes', 'removed');
}

export function isNode(body: unknown): body is { node: NodeStatus } {
  return has(body, 'pool', 'node');
}

export function isEditAnswer(body: unknown): body is EditAnswer {
  return has(body, 'pool', 'address', 'node', 'scope', 'isKept');
}

/** Enough to tell it from what other programs answer. */
function has(body: unknown, ...keys: readonly string[]): boolean {
  return typeof body === 'object' && body !== null && keys.every((key) => key in body);
}
