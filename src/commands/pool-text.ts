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
/** Nodes that a status lists of a pool: it is to be read at a glance. */
const STATUS_NODES_MAX = 25;
/** Worst first. */
const STATES = ['down', 'failing', 'draining', 'up'] as const;
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
  const rows = pools.map(({ name, nodeCount, counts: { up, down, failing, draining }, nodes }) => {
    const figures = [nodeCount, up, down, failing, draining, sum(nodes, 'inFlight'), sum(nodes, 'requests')];
    return [name, ...figures.map(String)];
  });
  const lines = table([POOL_HEAD, ...rows], [1, 2, 3, 4, 5, 6, 7]);
  const isCut = pools.some(({ nodes, nodeCount }) => nodes.length < nodeCount);
  const note = isCut ? ['of large pools, "in flight" and "requests" are those of the nodes that a status lists'] : [];
  return `${[paint('bold', lines[0] ?? ''), ...lines.slice(1), ...note].join('\n')}\n`;
}

/** A line a node. */
export function renderNodes(
  { pool, nodeCount, nodes, removed }: NodePage,
  nowMs: number,
  paint: Paint = noPaint,
): string {
  const gone = removed.map(({ address, origin }) => `  ${address}  removed by ${SET_BY[origin] || 'the file'}`);
  const head = paint('bold', `pool ${pool}: ${count(nodeCount, 'node')}`);
  return `${[head, ...nodeLines(nodes, nowMs, paint), ...gone].join('\n')}\n`;
}

/** A block of a status. Shares are of the requests of the nodes that it lists. */
export function poolLines({ name, nodeCount, counts, nodes }: PoolStatus, nowMs: number, paint: Paint): string[] {
  const head = paint('bold', `pool ${name}: ${count(nodeCount, 'node')}`);
  if (nodeCount <= STATUS_NODES_MAX) return [head, ...nodeLines(nodes, nowMs, paint)];
  const states = STATES.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`);
  const bad = nodes.filter(({ health }) => health.state !== 'up');
  const shown = [...bad, ...nodes.filter(({ health }) => health.state === 'up')].slice(0, STATUS_NODES_MAX);
  const rest = `  and ${nodeCount - shown.length} more: stekbal pool ${name} list`;
  return [`${head}, ${states.join(', ')}`, ...nodeLines(shown, nowMs, paint, nodes), rest];
}

/** `all`: those of whose requests the shares are. */
function nodeLines(nodes: readonly NodeStatus[], nowMs: number, paint: Paint, all = nodes): string[] {
  if (nodes.length === 0) return [];
  const total = sum(all, 'requests');
  const [columns = '', ...lines] = table(
    [NODE_HEAD, ...nodes.map((node) => cellsOf(node, total, nowMs))],
    NODE_NUMBERS,
  );
  const painted = lines.map((line, i) => {
    const style = styleOf(nodes[i] as NodeStatus);
    return style === null ? line : paint(style, line);
  });
  return [paint('dim', columns), ...painted];
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
