/**
 * An edge's status as text for a terminal. Pure, main thread.
 */

import type { ClusterStatus, MemberStatus } from '../cluster/types.ts';
import { joinHostPort } from '../config/config.ts';
import type { EdgeStatus, PoolStatus } from '../control/status.ts';
import { count } from './count.ts';

const UNKNOWN = '-';
const HEAD = ['server', 'member', 'role', 'leader', 'match', 'applied', 'last contact'];
const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;

export function renderStatus({ version, pid, uptimeS, isDraining, cluster, workers, pools }: EdgeStatus): string {
  const replaced = workers.replaced > 0 ? `, ${workers.replaced} replaced` : '';
  const blocks = [
    [
      `stekbal ${version}, pid ${pid}, up ${formatUptime(uptimeS)}${isDraining ? ', draining' : ''}`,
      `${count(workers.threads, 'listener thread')}${replaced}`,
    ],
    clusterLines(cluster),
    memberLines(cluster),
    troubleLines(cluster),
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

function poolLines({ name, nodeCount, nodes }: PoolStatus): string[] {
  const rows = nodes.map(({ address, weight, drain }) => [`  ${address}`, `weight ${weight}`, drain ? 'draining' : '']);
  const more = nodeCount - nodes.length;
  return [`pool ${name}: ${count(nodeCount, 'node')}`, ...table(rows), ...(more > 0 ? [`  and ${more} more`] : [])];
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** The two largest units: `3d 4h`. */
function formatUptime(seconds: number): string {
  let rest = seconds;
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0 && parts.length < 2) parts.push(`${amount}${unit}`);
  }
  return parts.join(' ') || '0s';
}
