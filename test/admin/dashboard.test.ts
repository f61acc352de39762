/** What the dashboard's page makes of snapshots, without a browser: troubles, rates, the keys' time line. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DASHBOARD_FILES } from '../../src/admin/dashboard/serve.ts';
import type { Snapshot } from '../../src/admin/events.ts';
import { countsOf, type NodeStatus, type PoolStatus } from '../../src/control/status.ts';

const FOLDER = new URL('../../src/admin/dashboard/', import.meta.url);
const HOUR_MS = 3_600_000;
const NOW_MS = 1_000 * HOUR_MS;
const NO_NEWS = { replaced: 0, refused: 0 };

/** JavaScript of the browser's: types as its own comments say. */
async function load<T>(name: string): Promise<T> {
  return (await import(new URL(name, FOLDER).href)) as T;
}

interface Rates {
  readonly rates: ReadonlyMap<string, number>;
  readonly sum: number;
}
interface History {
  push(snapshot: Snapshot): void;
  readonly perSecond: number | null;
  readonly line: { readonly points: readonly { readonly perSecond: number | null }[] };
  readonly news: typeof NO_NEWS;
  poolRates(pool: PoolStatus): Rates | null;
}
interface Lane {
  readonly id: string;
  readonly phases: readonly { stage: string; fromMs: number; toMs: number; isExpected: boolean }[];
}

const { troublesOf } = await load<{
  troublesOf(snapshot: Snapshot, news: typeof NO_NEWS): { severity: string; what: string; then: string }[];
}>('trouble.js');
const { History: HistoryOfPage } = await load<{ History: new () => History }>('history.js');
const { lanesOf } = await load<{ lanesOf(keys: Snapshot['keys'], nowMs: number): Lane[] }>('keys-timeline.js');
const { span } = await load<{ span(ms: number): string }>('format.js');

test('every file of the page is served, and the page names each of its modules', () => {
  const files = readdirSync(FOLDER).filter((name) => /\.(?:html|css|js|svg)$/.test(name));
  assert.deepEqual([...DASHBOARD_FILES].sort(), files.sort());
  const page = readFileSync(new URL('index.html', FOLDER), 'utf8');
  for (const name of files.filter((file) => file.endsWith('.js')))
    assert.ok(page.includes(`"dashboard/${name}"`), name);
  assert.doesNotMatch(
    page,
    /https?:|<style|style="| on\w+="|<script(?![^>]* src=)/,
    'nothing from outside, nothing inline',
  );
});

test('nothing is wrong with an edge that is well', () => {
  assert.deepEqual(troublesOf(snapshotOf(), NO_NEWS), []);
});

test('each trouble is said, worst first', () => {
  const { cluster, workers, keys } = snapshotOf();
  const peer = { serverId: 2, address: '10.0.0.2', port: 10001, isConnected: false };
  const down = node('a:1', { state: 'down', reason: 'connect ECONNREFUSED' });
  const failing = node('b:1', { state: 'failing', reason: 'timeout' });
  const draining = { ...node('c:1'), drain: true };
  const cases: [changes: Partial<Snapshot>, said: RegExp[]][] = [
    [
      { readiness: { isReady: false, reasons: ['no ring'] } },
      [/^bad: This edge is not ready for requests: No ring\.$/],
    ],
    [{ isDraining: true }, [/^warn: This edge is draining/]],
    [
      { pools: [poolOf([down, failing, draining, node('d:1')])] },
      [
        /^warn: Pool web: 1 of 4 nodes down: a:1: connect ECONNREFUSED\.$/,
        /^warn: Pool web: requests fail on 1 node: b:1: timeout\.$/,
        /^note: Pool web: 1 node draining: c:1\.$/,
      ],
    ],
    [
      { pools: [poolOf([draining, failing]), poolOf([down], 'api')] },
      [/^bad: Pool api: all nodes are down/, /^warn: Pool web: req/, /^note/],
    ],
    [{ pools: [poolOf([])] }, [/^bad: Pool web has no nodes/]],
    [{ pools: [poolOf([failing])] }, [/^bad: Pool web: requests fail on every node/]],
    [{ pools: [poolOf([draining])] }, [/^warn: Pool web: every node is draining/]],
    // of 5,000 nodes one is listed, and of all it is known how many are in which state
    [
      { pools: [{ ...poolOf([down]), nodeCount: 5_000, counts: { up: 3_700, draining: 0, failing: 0, down: 1_300 } }] },
      [/^warn: Pool web: 1,300 of 5,000 nodes down: a:1: .*, and 1,299 that are not listed here\.$/],
    ],
    [{ cluster: { ...cluster, leader: null } }, [/^bad: The group has no leader/]],
    [{ cluster: { ...cluster, isStorageFailed: true } }, [/^bad: The log of the group cannot be written/]],
    [
      { cluster: { ...cluster, peers: [peer, { ...peer, serverId: 3, isConnected: true }] } },
      [
        /^warn: 1 server of the group not connected: server 2 \(10\.0\.0\.2:10001\)\. One more, and the group has no majority\.$/,
      ],
    ],
    [{ workers: { ...workers, list: [] } }, [/^bad: No worker serves/]],
    [{ workers: { ...workers, threads: 2 } }, [/^warn: 1 of 2 workers serve/]],
    [{ keys: { ...keys, isIssuing: false } }, [/^bad: No session tickets are issued: The active key is too old/]],
    [{ keys: { ...keys, activeAgeMs: 1.5 * HOUR_MS } }, [/^warn: The rotation of ticket keys is overdue/]],
    [{ canary: { isFailing: true } as Snapshot['canary'] }, [/^bad: The canary fails/]],
  ];
  for (const [changes, expected] of cases) {
    const said = troublesOf(snapshotOf(changes), NO_NEWS).map(
      ({ severity, what, then }) => `${severity}: ${what}: ${then}`,
    );
    assert.equal(said.length, expected.length, said.join('\n'));
    for (const [index, pattern] of expected.entries()) assert.match(said[index] ?? '', pattern);
  }
  const news = troublesOf(snapshotOf(), { replaced: 2, refused: 1 }).map(({ what }) => what);
  assert.match(news.join(), /^2 workers died or hung .*,1 connection to the group's port refused/);
});

test('rates are differences of counts that wrap at 2^32, over five seconds', () => {
  const history = new HistoryOfPage();
  assert.equal(history.perSecond, null);
  const begin = 2 ** 32 - 500;
  for (let s = 0; s <= 20; s++) history.push(counted(s, (begin + s * 100) % 2 ** 32));
  assert.equal(history.perSecond, 100);
  assert.deepEqual(history.poolRates(counted(0, 0).pools[0] as PoolStatus), {
    rates: new Map([['a:1', 100]]),
    sum: 100,
  });
});

test('another process, a repeated snapshot and a lost contact make no false rates', () => {
  const history = new HistoryOfPage();
  history.push(counted(0, 1_000));
  history.push(counted(0, 1_000));
  assert.equal(history.perSecond, null);
  history.push(counted(1, 1_010));
  history.push(counted(61, 1_610));
  assert.deepEqual(
    history.line.points.map(({ perSecond }) => perSecond),
    [10, null],
  );
  assert.equal(history.perSecond, 10);
  history.push({ ...counted(1, 5), pid: 2 });
  assert.equal(history.perSecond, null);
  assert.deepEqual(history.line.points, []);
});

test('a worker that was replaced is news for ten minutes', () => {
  const history = new HistoryOfPage();
  const at = (s: number, replaced: number) => {
    const snapshot = counted(s, 0);
    history.push({ ...snapshot, uptimeS: 86_400 + s, workers: { ...snapshot.workers, replaced } });
    return history.news.replaced;
  };
  assert.deepEqual([at(0, 7), at(1, 7), at(2, 8), at(300, 8), at(601, 8), at(603, 8)], [0, 0, 1, 1, 1, 0]);
});

test('a key makes tickets from its own activation to the next, and opens them until theirs are over', () => {
  const keys = [
    { id: 'k1', stage: 'retiring', sinceMs: NOW_MS - 1.5 * HOUR_MS },
    { id: 'k2', stage: 'retiring', sinceMs: NOW_MS - 0.5 * HOUR_MS },
    { id: 'k3', stage: 'active', sinceMs: NOW_MS - 0.5 * HOUR_MS },
    { id: 'k4', stage: 'staged', sinceMs: NOW_MS - 0.4 * HOUR_MS },
  ] as const;
  const lanes = lanesOf(
    { keys, isIssuing: true, activeAgeMs: 0, intervalMs: HOUR_MS, lifetimeMs: 24 * HOUR_MS },
    NOW_MS,
  );
  assert.deepEqual(
    lanes.map(({ id }) => id),
    ['k4', 'k3', 'k2', 'k1'],
  );
  const told = lanes.map(({ phases }) =>
    phases.map((p) => [p.stage, (p.fromMs - NOW_MS) / HOUR_MS, (p.toMs - NOW_MS) / HOUR_MS, p.isExpected]),
  );
  assert.deepEqual(told, [
    [
      ['staged', -0.4, 0.5, false],
      ['active', 0.5, 1.5, true],
    ],
    [
      ['active', -0.5, 0.5, false],
      ['retiring', 0.5, 24.5, true],
    ],
    [
      ['active', -1.5, -0.5, false],
      ['retiring', -0.5, 23.5, false],
    ],
    [
      ['active', -2.5, -1.5, false],
      ['retiring', -1.5, 22.5, false],
    ],
  ]);
});

test('spans are told in their two largest units', () => {
  const spans = [0, 999, 61_000, HOUR_MS + 1_000, 24 * HOUR_MS, 50 * HOUR_MS].map((ms) => span(ms));
  assert.deepEqual(spans, ['0s', '0s', '1m 1s', '1h', '24h', '2d 2h']);
});

function node(address: string, health: Partial<NodeStatus['health']> = {}, requests = 0): NodeStatus {
  const state = { state: 'up', isChecked: true, reason: '', changedAtMs: null, ...health } as const;
  return { address, weight: 1, drain: false, origin: 'file', inFlight: 0, requests, health: state };
}

function poolOf(nodes: readonly NodeStatus[], name = 'web'): PoolStatus {
  return { name, nodeCount: nodes.length, counts: countsOf(nodes), nodes };
}

/** At second `s` of the process, when its one worker and its one node have had so many requests. */
function counted(s: number, requests: number): Snapshot {
  const worker = { thread: 0, state: 'serving', connections: 0, requests } as const;
  const pools = [poolOf([node('a:1', {}, requests)])];
  const workers = { connectionsMax: 4_000, threads: 1, replaced: 0, retiring: 0, list: [worker] };
  return { ...snapshotOf(), clockMs: s * 1_000, pools, workers };
}

function snapshotOf(changes: Partial<Snapshot> = {}): Snapshot {
  const member = {
    member: '1.a',
    serverId: 1,
    isSelf: true,
    isLeader: true,
    isVoter: true,
    match: 1,
    applied: 1,
    lastContactMs: 0,
  };
  return {
    version: 'test',
    pid: 1,
    uptimeS: 86_400,
    isDraining: false,
    cluster: {
      serverId: 1,
      member: '1.a',
      cluster: '1.b',
      role: 'leader',
      term: 1,
      leader: { member: '1.a', serverId: 1 },
      commit: 1,
      applied: 1,
      lastIndex: 1,
      members: [member],
      peers: [],
      refusals: {},
      isStorageFailed: false,
      certificateNotAfterMs: null,
    },
    workers: {
      connectionsMax: 4_000,
      threads: 1,
      replaced: 0,
      retiring: 0,
      list: [{ thread: 0, state: 'serving', connections: 0, requests: 0 }],
    },
    keys: { keys: [], isIssuing: true, activeAgeMs: 0, lifetimeMs: 24 * HOUR_MS, intervalMs: HOUR_MS },
    canary: null,
    pools: [poolOf([node('a:1')])],
    readiness: { isReady: true, reasons: [] },
    atMs: NOW_MS,
    clockMs: 0,
    ...changes,
  };
}
