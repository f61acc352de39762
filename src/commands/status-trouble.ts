/**
 * What of an edge's status an operator should look after. Pure, main thread of a command.
 */

import type { ClusterStatus } from '../cluster/types.ts';
import { joinHostPort } from '../config/config.ts';
import type { CanaryStatus } from '../control/canary.ts';
import type { EdgeStatus, PoolStatus, WorkersStatus } from '../control/status.ts';
import { count } from './count.ts';
import { printable } from './paint.ts';
import { stateOf } from './pool-text.ts';

/** Of one pool. */
const NODES_SHOWN_MAX = 10;
/** Of the connections that there may be. */
const FULL_PART = 0.9;

/** Empty where all is well. */
export function troublesOf(status: EdgeStatus, nowMs: number): string[] {
  const { isDraining, cluster, workers, keys, canary, pools } = status;
  return [
    ...(isDraining ? ['this edge drains: it takes no new connections'] : []),
    ...clusterTroubles(cluster),
    ...workerTroubles(workers),
    ...(keys.isIssuing ? [] : ['no session tickets are made']),
    ...canaryTroubles(canary),
    ...pools.flatMap((pool) => poolTroubles(pool, nowMs)),
  ];
}

function clusterTroubles({ leader, peers, isStorageFailed }: ClusterStatus): string[] {
  const lines = peers
    .filter(({ isConnected }) => !isConnected)
    .map(({ serverId, address, port }) => `server ${serverId} at ${joinHostPort(address, port)} is not connected`);
  if (leader === null) lines.unshift('the cluster has no leader: nothing can be changed');
  if (isStorageFailed) lines.push('the log cannot be written: this member takes no part until it can');
  return lines;
}

function workerTroubles({ list, connectionsMax }: WorkersStatus): string[] {
  const lines = list
    .filter(({ state }) => state === 'starting')
    .map(({ thread }) => `listener thread ${thread} does not serve yet`);
  const open = connectionsOf(list);
  if (open > FULL_PART * connectionsMax) lines.push(`${open} of ${connectionsMax} connections are open`);
  return lines;
}

/** Open over all threads. */
export function connectionsOf(list: WorkersStatus['list']): number {
  return list.reduce((sum, { connections }) => sum + connections, 0);
}

function canaryTroubles(canary: CanaryStatus | null): string[] {
  return canary?.isFailing === true ? ['the canary fails: a session of one edge does not resume at another'] : [];
}

function poolTroubles({ name, nodes, nodeCount, counts }: PoolStatus, nowMs: number): string[] {
  if (nodeCount === 0) return [`pool ${name} has no nodes`];
  const bad = nodes.filter(({ health }) => health.state !== 'up');
  const lines = bad.slice(0, NODES_SHOWN_MAX).map((node) => {
    const reason = node.health.reason === '' ? '' : `: ${printable(node.health.reason)}`;
    return `pool ${name}: ${node.address} is ${stateOf(node, nowMs)}${reason}`;
  });
  const more = counts.down + counts.failing - lines.length;
  if (more > 0) lines.push(`pool ${name}: and ${count(more, 'node')} more`);
  if (counts.up === 0 && nodes.every(({ drain, health }) => drain || health.state === 'down')) {
    lines.unshift(`pool ${name} has no node that takes new clients`);
  }
  return lines;
}
