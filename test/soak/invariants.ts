/** What must hold of the edges once traffic and faults have ended. */

import type { EdgeStatus } from '../../src/control/status.ts';
import { eventually } from '../e2e/harness.ts';
import type { SoakEdge } from './edges.ts';

export interface Invariant {
  readonly name: string;
  /** Empty where it holds. */
  readonly fault: string;
}

/** Lingering connections are given up after 30 s. */
const SETTLE_MS = 45_000;

type Check = readonly [name: string, holds: (all: readonly EdgeStatus[]) => boolean];

const CHECKS: readonly Check[] = [
  ['one leader, whom all follow in one term', hasOneLeader],
  [
    'equal rings of ticket keys',
    (all) => areEqual(all.map(({ keys }) => keys.keys.map(({ id, stage }) => [id, stage]))),
  ],
  ['all edges issue tickets', (all) => all.every(({ keys }) => keys.isIssuing)],
  ['equal pools', (all) => areEqual(all.map(({ pools }) => pools.map(nodesOf)))],
  ['all nodes up', (all) => nodesOfAll(all).every(({ health }) => health.state === 'up')],
  ['no request in flight on any node', (all) => nodesOfAll(all).every(({ inFlight }) => inFlight === 0)],
  ['no client connection open', (all) => workersOf(all).every(({ connections }) => connections === 0)],
  ['two listener threads each, all serving', (all) => all.every(hasItsThreads)],
];

/** Waits until each holds, for as long as connections may linger. */
export async function checkInvariants(edges: readonly SoakEdge[], settleMs = SETTLE_MS): Promise<Invariant[]> {
  const untilMs = performance.now() + settleMs;
  const found: Invariant[] = [];
  for (const [name, holds] of CHECKS) {
    let all: EdgeStatus[] = [];
    const isSo = async () => {
      all = await Promise.all(edges.map((edge) => edge.status()));
      return holds(all);
    };
    const leftMs = Math.max(1_000, untilMs - performance.now());
    const fault = await eventually(isSo, () => JSON.stringify(all.map(brief)), leftMs).then(
      () => '',
      (error: Error) => error.message,
    );
    found.push({ name, fault });
  }
  return found;
}

function hasOneLeader(all: readonly EdgeStatus[]): boolean {
  const leaders = all.filter(({ cluster }) => cluster.role === 'leader');
  return leaders.length === 1 && areEqual(all.map(({ cluster: { cluster, term, leader } }) => [cluster, term, leader]));
}

function hasItsThreads({ workers }: EdgeStatus): boolean {
  return workers.threads === 2 && workers.list.length === 2 && workers.list.every(({ state }) => state === 'serving');
}

function nodesOf({ name, nodes }: EdgeStatus['pools'][number]) {
  return [name, nodes.map(({ address, weight, drain }) => [address, weight, drain])];
}

function nodesOfAll(all: readonly EdgeStatus[]) {
  return all.flatMap(({ pools }) => pools.flatMap(({ nodes }) => nodes));
}

function workersOf(all: readonly EdgeStatus[]) {
  return all.flatMap(({ workers }) => workers.list);
}

function areEqual(values: readonly unknown[]): boolean {
  return new Set(values.map((value) => JSON.stringify(value))).size === 1;
}

function brief({ cluster, keys, workers, pools }: EdgeStatus) {
  const { role, term, serverId } = cluster;
  return { serverId, role, term, keys: keys.keys.map(({ id, stage }) => `${id} ${stage}`), workers, pools };
}
