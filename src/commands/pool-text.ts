/**
 * Pools, their nodes and what was done to them, as text for a terminal. Pure, main thread of a command.
 */

import type { EditResult, NodePage } from '../control/pool-editor.ts';
import type { NodeStatus, PoolStatus } from '../control/status.ts';
import { count } from './count.ts';
import { noPaint, type Paint, printable, type Style } from './paint.ts';
import { table } from './table.ts';
import { formatTimeSpan } from './time-span.ts';

const POOL_HEAD = ['pool', 'nodes', 'up', 'down', 'failing', 'draining', 'in flight', 'requests'];
const NODE_HEAD = ['  node', 'state', 'weight', 'in flight', 'requests', 'share', 'set by', ''];
const NODE_NUMBERS = [2, 3, 4, 5];
const NONE = '-';
const SET_BY = { file: '', group: 'group', local: 'this edge' } as const;

export type NodeAction = 'add' | 'remove' | 'drain' | 'undrain' | 'reset';

/** What POST, PATCH and DELETE on a node answer. */
export interface EditAnswer extends EditResult {
  readonly pool: string;
  readonly address: string;
}

/** A line a pool. */
export function renderPools(pools: readonly PoolStatus[], paint: Paint = noPaint): string {
  if (pools.length === 0) return 'no pools\n';
  const rows = pools.map(({ name, nodeCount, nodes }) => {
    const inState = (state: NodeStatus['health']['state']) =>
      nodes.filter((node) => node.health.state === state).length;
    const figures = [
      nodeCount,
      inState('up'),
      inState('down'),
      inState('failing'),
      nodes.filter((n) => n.drain).length,
    ];
    return [name, ...[...figures, sum(nodes, 'inFlight'), sum(nodes, 'requests')].map(String)];
  });
  const lines = table([POOL_HEAD, ...rows], [1, 2, 3, 4, 5, 6, 7]);
  const isCut = pools.some(({ nodes, nodeCount }) => nodes.length < nodeCount);
  const note = isCut
    ? ['of a pool with more than 1,000 nodes, the figures behind "nodes" are those of its first 1,000']
    : [];
  return `${[paint('bold', lines[0] ?? ''), ...lines.slice(1), ...note].join('\n')}\n`;
}

/** A line a node. */
export function renderNodes(
  { pool, nodeCount, nodes, removed }: NodePage,
  nowMs: number,
  paint: Paint = noPaint,
): string {
  const gone = removed.map(({ address, origin }) => `  ${address}  removed by ${SET_BY[origin] || 'the file'}`);
  return `${[...poolLines({ name: pool, nodeCount, nodes }, nowMs, paint), ...gone].join('\n')}\n`;
}

/** A block of a status. Shares are of the requests of all nodes shown. */
export function poolLines({ name, nodeCount, nodes }: PoolStatus, nowMs: number, paint: Paint = noPaint): string[] {
  const head = paint('bold', `pool ${name}: ${count(nodeCount, 'node')}`);
  if (nodes.length === 0) return [head];
  const total = sum(nodes, 'requests');
  const [columns = '', ...lines] = table(
    [NODE_HEAD, ...nodes.map((node) => cellsOf(node, total, nowMs))],
    NODE_NUMBERS,
  );
  const painted = lines.map((line, i) => {
    const style = styleOf(nodes[i] as NodeStatus);
    return style === null ? line : paint(style, line);
  });
  const more = nodeCount - nodes.length;
  return [head, paint('dim', columns), ...painted, ...(more > 0 ? [`  and ${more} more`] : [])];
}

/** `down 5m`, `failing`, `draining`, `up` */
export function stateOf({ drain, health: { state, changedAtMs } }: NodeStatus, nowMs: number): string {
  const since = state !== 'up' && changedAtMs !== null ? ` ${formatTimeSpan((nowMs - changedAtMs) / 1000)}` : '';
  if (!drain) return `${state}${since}`;
  return state === 'up' ? 'draining' : `draining, ${state}${since}`;
}

/** What was done, where, and what stands against it. */
export function renderEdit(action: NodeAction, wantedWeight: number | null, answer: EditAnswer): string {
  const { pool, address, node, scope, isKept } = answer;
  const where =
    scope === 'group' ? 'on every edge of the group' : `on this edge only${isKept ? '' : ', until it restarts'}`;
  const lines = [`pool ${pool}: ${address} ${outcome(action, answer)}; ${where}`];
  if (isOverruled(action, wantedWeight, node)) {
    lines.push(
      scope === 'group'
        ? `an edit of this edge alone lies over it here: stekbal pool ${pool} reset ${address} --local withdraws it`
        : 'another edit came between',
    );
  }
  return `${lines.join('\n')}\n`;
}

function outcome(action: NodeAction, { node, scope }: EditAnswer): string {
  switch (action) {
    case 'remove':
      return 'is removed';
    case 'drain':
      return `drains: no new clients, those it has stay (${count(node?.inFlight ?? 0, 'request')} in flight)`;
    case 'undrain':
      return 'takes new clients again';
    case 'add':
      return `is in the pool${node === null ? '' : `, weight ${node.weight}${node.drain ? ', draining' : ''}`}`;
    default: {
      const says = scope === 'group' || node?.origin === 'file' ? 'the file says' : 'the file and the group say';
      return node === null ? `is not in the pool, as ${says}` : `is as ${says} again, weight ${node.weight}`;
    }
  }
}

function isOverruled(action: NodeAction, wantedWeight: number | null, node: NodeStatus | null): boolean {
  switch (action) {
    case 'remove':
      return node !== null;
    case 'add':
      return node === null || (wantedWeight !== null && node.weight !== wantedWeight);
    case 'reset':
      return false;
    default:
      return node?.drain !== (action === 'drain');
  }
}

function cellsOf(node: NodeStatus, total: number, nowMs: number): string[] {
  const { address, weight, inFlight, requests, origin, health } = node;
  const share = total === 0 ? NONE : `${Math.round((requests / total) * 100)}%`;
  const figures = [weight, inFlight, requests].map(String);
  return [`  ${address}`, stateOf(node, nowMs), ...figures, share, SET_BY[origin], printable(health.reason)];
}

function styleOf({ drain, health: { state } }: NodeStatus): Style | null {
  if (state === 'down') return 'red';
  return state === 'failing' || drain ? 'yellow' : null;
}

function sum(nodes: readonly NodeStatus[], key: 'inFlight' | 'requests'): number {
  return nodes.reduce((total, node) => total + node[key], 0);
}
