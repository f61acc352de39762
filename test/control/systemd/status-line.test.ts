import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterStatus } from '../../../src/cluster/types.ts';
import type { EdgeSummary, WorkerStatus } from '../../../src/control/status.ts';
import { reloadNote, singleLine, statusLine } from '../../../src/control/systemd/status-line.ts';

const READY = { isReady: true, reasons: [] };

interface Shape {
  readonly workers?: readonly WorkerStatus['state'][];
  readonly nodesUp?: number;
  readonly nodeCount?: number;
  readonly cluster?: Partial<ClusterStatus>;
  readonly isDraining?: boolean;
}

function edge({ workers = ['serving'], nodesUp = 1, nodeCount = 1, cluster, isDraining = false }: Shape): EdgeSummary {
  const list = workers.map((state, thread) => ({ thread, state, connections: 3, requests: 1 }));
  // what a status line does not read is left out
  return {
    isDraining,
    workers: { threads: workers.length, list },
    cluster: { serverId: 1, leader: null, term: 0, peers: [], ...cluster },
    nodeCount,
    nodesUp,
  } as unknown as EdgeSummary;
}

const peers = (...connected: boolean[]): ClusterStatus['peers'] =>
  connected.map((isConnected, i) => ({ serverId: i + 2, address: '127.0.0.1', port: 1, isConnected }));

test('an edge of its own says how many workers and nodes there are', () => {
  assert.equal(statusLine(edge({}), READY), 'serving: 1 worker, 1 of 1 node up');
  const some = edge({ workers: ['serving', 'starting'], nodesUp: 2, nodeCount: 4 });
  assert.equal(statusLine(some, READY), 'serving: 1 of 2 workers, 2 of 4 nodes up');
  assert.equal(statusLine(edge({ nodesUp: 0, nodeCount: 0 }), READY), 'serving: 1 worker, 0 of 0 nodes up');
});

test('an edge of a group says who leads it, or that nobody does', () => {
  const led = edge({ cluster: { leader: { member: 'a', serverId: 2 }, term: 5, peers: peers(true, false) } });
  assert.match(statusLine(led, READY), /; leader: server 2, term 5, 1 of 2 peers connected$/);
  const leading = edge({ cluster: { leader: { member: 'a', serverId: 1 }, term: 5, peers: peers(true, true) } });
  assert.match(statusLine(leading, READY), /; leader: this server, term 5, 2 of 2 peers connected$/);
  const leaderless = edge({ cluster: { peers: peers(false, false) } });
  assert.match(statusLine(leaderless, READY), /; no leader, 0 of 2 peers connected$/);
});

test('an edge that is not ready says why', () => {
  const line = statusLine(edge({}), { isReady: false, reasons: ['no ticket keys', 'no pools'] });
  assert.equal(line, 'not ready: 1 worker, 1 of 1 node up; no ticket keys, no pools');
});

test('a drain says how many connections are left', () => {
  const line = statusLine(edge({ isDraining: true, workers: ['serving', 'retiring'] }), {
    isReady: false,
    reasons: ['draining'],
  });
  assert.equal(line, 'draining: 1 of 2 workers, 6 connections left, 1 of 1 node up');
});

test('a failed reload is told with its first error, a good one with what waits for a restart', () => {
  const result = { isOk: true, isServed: true, errors: [], warnings: [], waiting: [] };
  assert.equal(reloadNote(result), null);
  assert.equal(
    reloadNote({ ...result, waiting: ['state_dir', 'stek_share'] }),
    'in force after a restart: state_dir, stek_share',
  );
  assert.equal(
    reloadNote({ ...result, isOk: false, isServed: false, errors: ['a.yaml:1:2: no', 'a.yaml:3:1: nor this', 'x'] }),
    'reload failed, nothing was changed: a.yaml:1:2: no (and 2 more)',
  );
});

test('what stood in a file cannot add an assignment or outgrow a message', () => {
  assert.equal(singleLine('a\nWATCHDOG=trigger\r\n\0b'), 'a WATCHDOG=trigger b');
  const long = singleLine('é'.repeat(5_000));
  assert.ok(Buffer.byteLength(long) <= 1_003 && long.endsWith('é...'));
});
