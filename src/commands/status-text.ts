/**
 * An edge's status as text for a terminal. Pure, main thread.
 */

import type { ClusterStatus, MemberStatus } from '../cluster/types.ts';
import type { CanaryStatus } from '../control/canary.ts';
import type { EdgeStatus, WorkersStatus } from '../control/status.ts';
import { count } from './count.ts';
import { keyLines } from './keys-text.ts';
import { noPaint, type Paint } from './paint.ts';
import { poolLines } from './pool-text.ts';
import { connectionsOf, troublesOf } from './status-trouble.ts';
import { table } from './table.ts';
import { formatTimeSpan } from './time-span.ts';

const UNKNOWN = '-';
const WORKER_HEAD = ['  thread', 'state', 'connections', 'requests'];
const HEAD = ['server', 'member', 'role', 'leader', 'match', 'applied', 'last contact'];

export function renderStatus(status: EdgeStatus, nowMs: number, paint: Paint = noPaint): string {
  const { version, pid, uptimeS, cluster, workers, keys, canary, pools } = status;
  const troubles = troublesOf(status, nowMs);
  const verdict =
    troubles.length === 0 ? paint('green', 'no trouble') : paint('red', count(troubles.length, 'trouble'));
  const blocks = [
    [
      `stekbal ${version}, pid ${pid}, up ${formatTimeSpan(uptimeS)}: ${verdict}`,
      ...troubles.map((line) => paint('red', `! ${line}`)),
    ],
    workerLines(workers),
    clusterLines(cluster),
    memberLines(cluster),
    refusalLines(cluster),
    [...keyLines(keys, nowMs), ...canaryLines(canary)],
    ...pools.map((pool) => poolLines(pool, nowMs, paint)),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function workerLines({ connectionsMax, threads, replaced, retiring, list }: WorkersStatus): string[] {
  const head = [count(threads, 'listener thread'), `${connectionsOf(list)} of ${connectionsMax} connections`];
  if (replaced > 0) head.push(`${replaced} replaced`);
  if (retiring > 0) head.push(`${retiring} retiring`);
  const rows = list.map(({ thread, state, connections, requests }) => [
    ...[`  ${thread}`, state],
    ...[connections, requests].map(String),
  ]);
  return [head.join(', '), ...(rows.length > 0 ? table([WORKER_HEAD, ...rows], [2, 3]) : [])];
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

/** Since the start. */
function refusalLines({ refusals }: ClusterStatus): string[] {
  return Object.entries(refusals)
    .filter(([, times]) => times > 0)
    .map(([reason, times]) => `refused: ${reason}, ${count(times, 'time')}`);
}

function canaryLines(canary: CanaryStatus | null): string[] {
  if (canary === null) return [];
  const [ok, failed] = [canary.ok, canary.failed].map((counts) => counts['TLSv1.2'] + counts['TLSv1.3']);
  return [`the canary ${canary.isFailing ? 'fails' : 'is well'}; ${ok} resumed, ${failed} did not`];
}
