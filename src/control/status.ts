/**
 * What an edge says of itself: GET /status, and what `stekbal status` prints. Plain data, nothing secret. Main thread.
 */

import type { ClusterStatus } from '../cluster/types.ts';
import type { NodeConfig } from '../config/config.ts';
import type { KeyInfo } from '../stek/key-ring.ts';
import type { CanaryStatus } from './canary.ts';
import type { NodeOrigin } from './pool-edits.ts';

/** Nodes listed of one pool: a status is asked for often, and a pool may hold 100,000. */
export const NODES_SHOWN_MAX = 1_000;
/** Nodes listed of all pools together, of which each has the same part. */
const NODES_SHOWN_SUM_MAX = 10_000;

export interface EdgeStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeS: number;
  readonly isDraining: boolean;
  readonly cluster: ClusterStatus;
  readonly workers: WorkersStatus;
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
  /** At least the length of `nodes`. */
  readonly nodeCount: number;
  /** Of all of them: the sum is `nodeCount`. */
  readonly counts: NodeCounts;
  /** In the order of the configuration. Where they are too many, cut, those that are not up first. */
  readonly nodes: readonly NodeStatus[];
}

/** `draining`: up, and without new clients. */
export type NodeCounts = Readonly<Record<HealthStatus['state'] | 'draining', number>>;

/** What a line tells of an edge: made each second, so it costs the same whatever the pools hold. */
export interface EdgeSummary extends Pick<EdgeStatus, 'isDraining' | 'cluster' | 'workers'> {
  readonly nodeCount: number;
  /** Draining ones are among them. */
  readonly nodesUp: number;
}

export interface NodeStatus {
  readonly address: string;
  readonly weight: number;
  readonly drain: boolean;
  /** Who says so last: the file, an edit of the group's, or one of this edge's own. */
  readonly origin: NodeOrigin;
  /** Requests under way on it, over all threads. */
  readonly inFlight: number;
  /** Begun since it came into the pool, modulo 2^32. */
  readonly requests: number;
  readonly health: HealthStatus;
}

export interface HealthStatus {
  /** `down`: health checks fail. `failing`: requests do, so that it is used where there is nothing better. */
  readonly state: 'up' | 'down' | 'failing';
  /** The pool has a health check. */
  readonly isChecked: boolean;
  /** Why it is not up; empty where it is. */
  readonly reason: string;
  /** Unix time of the last change, ms; null: it has not changed since it came into the pool. */
  readonly changedAtMs: number | null;
}

export interface WorkersStatus {
  /** Client connections that there may be on all of them, TLS handshakes among them. */
  readonly connectionsMax: number;
  /** As the configuration has it. */
  readonly threads: number;
  /** Died or hung, since the start. */
  readonly replaced: number;
  /** In place of which others serve now, and whose connections last. */
  readonly retiring: number;
  readonly list: readonly WorkerStatus[];
}

export interface WorkerStatus {
  readonly thread: number;
  readonly state: 'starting' | 'serving' | 'retiring';
  /** Open now. */
  readonly connections: number;
  /** Since the start of the process, modulo 2^32. */
  readonly requests: number;
}

/** Where the parts of a node's status come from. */
export interface NodeSources {
  activity(pool: string, address: string): { readonly inFlight: number; readonly requests: number };
  origin(pool: string, address: string): NodeOrigin;
  health(pool: string, address: string): HealthStatus;
  /** Addresses of the pool's nodes that are not up. */
  troubled(pool: string): readonly string[];
}

/** How many nodes are listed of each of so many pools. */
export function nodesShownMax(poolCount: number): number {
  return Math.min(NODES_SHOWN_MAX, Math.ceil(NODES_SHOWN_SUM_MAX / Math.max(1, poolCount)));
}

export function poolStatus(
  name: string,
  nodes: readonly NodeConfig[],
  sources: NodeSources,
  shownMax = NODES_SHOWN_MAX,
): PoolStatus {
  const nodeCount = nodes.length;
  if (nodeCount <= shownMax) {
    const all = nodes.map((node) => nodeStatus(name, node, sources));
    return { name, nodeCount, counts: countsOf(all), nodes: all };
  }
  const addresses = new Set(sources.troubled(name));
  const troubled = addresses.size === 0 ? [] : nodes.filter(({ address }) => addresses.has(address));
  const wanted = new Set(troubled.slice(0, shownMax));
  for (let i = 0; wanted.size < shownMax; i++) wanted.add(nodes[i] as NodeConfig);
  const { down, failing } = countsOf(
    troubled.map(({ address, drain }) => ({ drain, health: sources.health(name, address) })),
  );
  const draining = drainingOf(nodes) - drainingOf(troubled);
  const counts = { up: nodeCount - troubled.length - draining, draining, failing, down };
  return { name, nodeCount, counts, nodes: [...wanted].map((node) => nodeStatus(name, node, sources)) };
}

export function nodeStatus(pool: string, { address, weight, drain }: NodeConfig, sources: NodeSources): NodeStatus {
  const { inFlight, requests } = sources.activity(pool, address);
  const [origin, health] = [sources.origin(pool, address), sources.health(pool, address)];
  return { address, weight, drain, origin, inFlight, requests, health };
}

export function countsOf(nodes: readonly Pick<NodeStatus, 'drain' | 'health'>[]): NodeCounts {
  const counts = { up: 0, draining: 0, failing: 0, down: 0 };
  for (const { drain, health } of nodes) counts[health.state === 'up' && drain ? 'draining' : health.state]++;
  return counts;
}

function drainingOf(nodes: readonly NodeConfig[]): number {
  return nodes.reduce((sum, { drain }) => sum + Number(drain), 0);
}
