/**
 * What an edge says of itself: GET /status, and what `stekbal status` prints. Plain data, nothing secret. Main thread.
 */

import type { ClusterStatus } from '../cluster/types.ts';
import type { NodeConfig } from '../config/config.ts';
import type { KeyInfo } from '../stek/key-ring.ts';
import type { CanaryStatus } from './canary.ts';

/** Nodes listed of one pool: a status is asked for often, and a pool may hold 100,000. */
const NODES_SHOWN_MAX = 1_000;

export interface EdgeStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeS: number;
  readonly isDraining: boolean;
  readonly cluster: ClusterStatus;
  readonly workers: { readonly threads: number; readonly replaced: number };
  readonly keys: KeysStatus;
  /** Null: the configuration has no canary. */
  readonly canary: CanaryStatus | null;
  readonly pools: readonly PoolStatus[];
}

/** GET /keys. */
export interface KeysStatus {
  /** In the order in which they came. */
  readonly keys: readonly KeyInfo[];
  /** New tickets are made, with the active key. */
  readonly isIssuing: boolean;
  /** Null: no key is active. */
  readonly activeAgeMs: number | null;
  /** How long tickets can be used. */
  readonly lifetimeMs: number;
  /** From one active key to the next. */
  readonly intervalMs: number;
}

export interface PoolStatus {
  readonly name: string;
  /** At least the length of `nodes`, which is cut at 1,000. */
  readonly nodeCount: number;
  readonly nodes: readonly NodeStatus[];
}

export interface NodeStatus {
  readonly address: string;
  readonly weight: number;
  readonly drain: boolean;
}

export function poolStatus(name: string, nodes: readonly NodeConfig[]): PoolStatus {
  return { name, nodeCount: nodes.length, nodes: nodes.slice(0, NODES_SHOWN_MAX).map(nodeStatus) };
}

export function nodeStatus({ address, weight, drain }: NodeConfig): NodeStatus {
  return { address, weight, drain };
}
