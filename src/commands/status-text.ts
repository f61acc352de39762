/**
 * An edge's status as text for a terminal. Pure, main thread.
 */

import type { ClusterStatus, MemberStatus } from '../cluster/types.ts';
import { joinHostPort } from '../config/config.ts';
import type { CanaryStatus } from '../control/canary.ts';
import type { EdgeStatus, PoolStatus } from '../control/status.ts';
import { count } from './count.ts';
import { keyLines } from './keys-text.ts';
import { table } from './table.ts';
import { formatTimeSpan } from './time-span.ts';

const UNKNOWN = '-';
const HEAD = ['server', 'member', 'role', 'leader', 'match', 'applied', 'last contact'];

export function renderStatus(status: EdgeStatus, nowMs: number): string {
  const { version, pid, uptimeS, isDraining, cluster, workers, keys, canary, pools } = status;
  const replaced = workers.replaced > 0 ? `, ${workers.replaced} replaced` : '';
  const blocks = [
    [
      `stekbal ${version}, pid ${pid}, up ${formatTimeSpan(uptimeS)}${isDraining ? ', draining' : ''}`,
      `${count(workers.threads, 'listener thread')}${replaced}`,
    ],
    clusterLines(cluster),
    memberLines(cluster),
    troubleLines(cluster),
    [...keyLines(keys, nowMs), ...canaryLines(canary)],
    ...pools.map(poolLines),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function clusterLines({ serverId, cluster, role, term, leader, commit, applied }: ClusterStatus): string[] {
  const led = leader === null ? 'no leader' : `leader is server ${leader.serverId}`;
  return [
    `server ${serverId}: ${role}, term ${term}, ${led}`,
    `cluster ${cluster ?? 'none yet: it looks for one to join or to found'}`,
    `committed ${commit}, applied ${applied}`,
  ];
}

function memberLines({ members, leader, serverId }: ClusterStatus): string[] {
  if (members.length === 0) return [];
  const lines = table([HEAD, ...members.map(memberCells)]);
  if (leader !== null && leader.serverId !== serverId) {
    lines.push(`ask the leader, server ${leader.serverId}, for match and last contact`);
  }
  return lines;
}

function memberCells(m: MemberStatus): string[] {
  const text = (value: number | null, unit = '') => (value === null ? UNKNOWN : `${value}${unit}`);
  const role = m.isVoter ? 'voter' : 'learner';
  const server = `${m.serverId}${m.isSelf ? ' (this)' : ''}`;
  const leader = m.isLeader ? 'leader' : '';
  return [server, m.member, role, leader, text(m.match), text(m.applied), text(m.lastContactMs, ' ms')];
}

/** What an operator should look after. */
function troubleLines({ peers, refusals, isStorageFailed }: ClusterStatus): string[] {
  const lines = peers
    .filter(({ isConnected }) => !isConnected)
    .map(({ serverId, address, port }) => `not connected: server ${serverId} at ${joinHostPort(address, port)}`);
  for (const [reason, times] of Object.entries(refusals))
    if (times > 0) lines.push(`refused: ${reason}, ${count(times, 'time')}`);
  if (isStorageFailed) lines.push('the log cannot be written: this member takes no part until it can');
  return lines;
}

function canaryLines(canary: CanaryStatus | null): string[] {
  if (canary === null) return [];
  const [ok, failed] = [canary.ok, canary.failed].map((counts) => counts['TLSv1.2'] + counts['TLSv1.3']);
  const state = canary.isFailing ? 'fails: a session of one edge does not resume at another' : 'is well';
  return [`the canary ${state}; ${ok} resumed, ${failed} did not`];
}

function poolLines({ name, nodeCount, nodes }: PoolStatus): string[] {
  const rows = nodes.map(({ address, weight, drain }) => [`  ${address}`, `weight ${weight}`, drain ? 'draining' : '']);
  const more = nodeCount - nodes.length;
  return [`pool ${name}: ${count(nodeCount, 'node')}`, ...table(rows), ...(more > 0 ? [`  and ${more} more`] : [])];
}
