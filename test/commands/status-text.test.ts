/** What `stekbal status` prints, for what a group of one does not show. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterStatus } from '../../src/cluster/types.ts';
import { renderStatus } from '../../src/commands/status-text.ts';
import { countsOf, type EdgeStatus, type HealthStatus, type NodeStatus } from '../../src/control/status.ts';

const NOW_MS = 1_800_000_000_000;
const SELF = { member: '2.b', serverId: 2 };
const FOLLOWER: ClusterStatus = {
  ...SELF,
  cluster: '0.c',
  role: 'follower',
  term: 7,
  leader: { member: '1.a', serverId: 1 },
  commit: 40,
  applied: 39,
  lastIndex: 41,
  members: [
    member({ member: '1.a', serverId: 1, isLeader: true }),
    member({ ...SELF, isSelf: true, match: 41, applied: 39 }),
    member({ member: '13.long', serverId: 13, isVoter: false }),
  ],
  peers: [
    { serverId: 1, address: '10.0.0.1', port: 10001, isConnected: true },
    { serverId: 13, address: 'fd00::13', port: 10001, isConnected: false },
  ],
  refusals: { 'wrong-subject': 3, 'other-cluster': 0, 'no-certificate': 1 },
  isStorageFailed: true,
  certificateNotAfterMs: null,
};
const STATUS: EdgeStatus = {
  version: '1.2.3',
  pid: 77,
  uptimeS: 2 * 86_400 + 3 * 3_600 + 59,
  isDraining: true,
  cluster: FOLLOWER,
  workers: {
    connectionsMax: 16,
    threads: 4,
    replaced: 2,
    retiring: 1,
    list: [
      { thread: 0, state: 'serving', connections: 12, requests: 40_311 },
      { thread: 1, state: 'starting', connections: 0, requests: 0 },
      { thread: 2, state: 'retiring', connections: 3, requests: 7 },
    ],
  },
  keys: {
    keys: [
      { id: '00000001', stage: 'retiring', sinceMs: NOW_MS - 7_200_000 },
      { id: '00000002', stage: 'active', sinceMs: NOW_MS - 3_600_000 - 61_000 },
      { id: '00000003', stage: 'staged', sinceMs: NOW_MS + 500 },
    ],
    isIssuing: true,
    activeAgeMs: 3_600_000,
    lifetimeMs: 86_400_000,
    intervalMs: 3_600_000,
  },
  canary: { isFailing: true, ok: { 'TLSv1.2': 3, 'TLSv1.3': 4 }, failed: { 'TLSv1.2': 0, 'TLSv1.3': 2 } },
  pools: [
    {
      name: 'demo',
      nodeCount: 4,
      counts: { up: 1, draining: 1, failing: 1, down: 1 },
      nodes: [
        node({ address: '10.0.0.1:80', inFlight: 3, requests: 700 }),
        node({ address: '10.0.0.2:80', weight: 20, drain: true, origin: 'group', inFlight: 1, requests: 200 }),
        node({
          address: '10.0.0.3:80',
          origin: 'local',
          requests: 100,
          health: unwell('down', 'connect: \x1b[2Jrefused'),
        }),
        node({ address: '[::1]:8080', drain: true, health: unwell('failing', '') }),
      ],
    },
  ],
};

test('a follower shows what it knows, dashes for the rest, whom to ask, and what to look after', () => {
  assert.equal(
    renderStatus(STATUS, NOW_MS),
    `stekbal 1.2.3, pid 77, up 2d 3h: 8 troubles
! this edge drains: it takes no new connections
! server 13 at [fd00::13]:10001 is not connected
! the log cannot be written: this member takes no part until it can
! listener thread 1 does not serve yet
! 15 of 16 connections are open
! the canary fails: a session of one edge does not resume at another
! pool demo: 10.0.0.3:80 is down 5m: connect: ?[2Jrefused
! pool demo: [::1]:8080 is draining, failing 5m

4 listener threads, 15 of 16 connections, 2 replaced, 1 retiring
  thread  state     connections  requests
  0       serving            12     40311
  1       starting            0         0
  2       retiring            3         7

server 2: follower, term 7, leader is server 1
cluster 0.c
committed 40, applied 39

server    member   role     leader  match  applied  last contact
1         1.a      voter    leader  -      -        -
2 (this)  2.b      voter            41     39       -
13        13.long  learner          -      -        -
ask the leader, server 1, for match and last contact

refused: wrong-subject, 3 times
refused: no-certificate, 1 time

3 ticket keys, a new one every 1h, tickets last 1d
  00000003  staged    0s
  00000002  active    1h 1m
  00000001  retiring  2h
the canary fails; 7 resumed, 2 did not

pool demo: 4 nodes
  node         state                 weight  in flight  requests  share  set by
  10.0.0.1:80  up                         1          3       700    70%
  10.0.0.2:80  draining                  20          1       200    20%  group
  10.0.0.3:80  down 5m                    1          0       100    10%  this edge  connect: ?[2Jrefused
  [::1]:8080   draining, failing 5m       1          0         0     0%
`,
  );
});

test('a fresh server says that it looks for a cluster', () => {
  const cluster: ClusterStatus = {
    ...FOLLOWER,
    cluster: null,
    role: 'fresh',
    leader: null,
    members: [],
    peers: [],
    refusals: {},
    isStorageFailed: false,
    certificateNotAfterMs: null,
  };
  const workers = { connectionsMax: 4_000, threads: 1, replaced: 0, retiring: 0, list: [] };
  const keys = { ...STATUS.keys, keys: [], isIssuing: false, activeAgeMs: null };
  const status = { ...STATUS, uptimeS: 0, isDraining: false, workers, cluster, keys, canary: null, pools: [] };
  const lines = renderStatus(status, NOW_MS).split('\n');
  assert.deepEqual(lines, [
    'stekbal 1.2.3, pid 77, up 0s: 2 troubles',
    '! the cluster has no leader: nothing can be changed',
    '! no session tickets are made',
    '',
    '1 listener thread, 0 of 4000 connections',
    '',
    'server 2: fresh, term 7, no leader',
    'cluster none yet: it looks for one to join or to found',
    'committed 40, applied 39',
    '',
    '0 ticket keys, a new one every 1h, tickets last 1d',
    'not issuing tickets: no key is active',
    '',
  ]);
});

test('where all is well it says so, and colours what is not', () => {
  const cluster = { ...FOLLOWER, peers: [], isStorageFailed: false };
  const workers = { connectionsMax: 4_000, threads: 1, replaced: 0, retiring: 0, list: [] };
  const well = { ...STATUS, isDraining: false, cluster, workers, canary: null, pools: [] };
  assert.match(renderStatus(well, NOW_MS), /^stekbal .*: no trouble\n\n1 listener thread, 0 of 4000 connections\n/);
  const painted = renderStatus(STATUS, NOW_MS, (style, text) => `<${style}>${text}</>`).split('\n');
  assert.equal(painted[1], '<red>! this edge drains: it takes no new connections</>');
  const nodes = painted.filter((line) => /:80(80)? /.test(line) && !line.includes('!'));
  assert.deepEqual(
    nodes.map((line) => /^<(\w+)>/.exec(line)?.[1]),
    [undefined, 'yellow', 'red', 'yellow'],
  );
});

test('of many nodes that are down ten are named, and the rest counted', () => {
  const nodes = Array.from({ length: 15 }, (_, i) => node({ address: `10.0.0.${i}:80`, health: unwell('down', '') }));
  const status = {
    ...STATUS,
    pools: [
      { name: 'demo', nodeCount: 15, counts: countsOf(nodes), nodes },
      { name: 'none', nodeCount: 0, counts: countsOf([]), nodes: [] },
    ],
  };
  const troubles = renderStatus(status, NOW_MS)
    .split('\n')
    .filter((line) => line.startsWith('! pool'));
  assert.equal(troubles.length, 13);
  assert.equal(troubles[0], '! pool demo has no node that takes new clients');
  assert.deepEqual(troubles.slice(-2), ['! pool demo: and 5 nodes more', '! pool none has no nodes']);
});

test('of a large pool the nodes in trouble are listed, some others, and how many there are in each state', () => {
  const nodes = Array.from({ length: 1_000 }, (_, i) => node({ address: `10.0.0.${i}:80` }));
  nodes[999] = node({ address: 'bad:80', health: unwell('failing', 'timeout') });
  const counts = { up: 4_988, draining: 10, failing: 2, down: 0 };
  const text = renderStatus({ ...STATUS, pools: [{ name: 'demo', nodeCount: 5_000, counts, nodes }] }, NOW_MS);
  const [head, , first, second, ...rest] = text.slice(text.indexOf('\npool demo') + 1).split('\n');
  assert.equal(head, 'pool demo: 5000 nodes, 2 failing, 10 draining, 4988 up');
  assert.match(first ?? '', /^ {2}bad:80 +failing 5m .* timeout$/);
  assert.match(second ?? '', /^ {2}10\.0\.0\.0:80 +up /);
  assert.deepEqual([rest.length, rest.at(-2)], [25, '  and 4975 more: stekbal pool demo list']);
  assert.match(text, /^! pool demo: bad:80 is failing 5m: timeout\n! pool demo: and 1 node more$/m);
});

function node(fields: Partial<NodeStatus>): NodeStatus {
  const health: HealthStatus = { state: 'up', isChecked: true, reason: '', changedAtMs: null };
  return { address: '', weight: 1, drain: false, origin: 'file', inFlight: 0, requests: 0, health, ...fields };
}

function unwell(state: HealthStatus['state'], reason: string): HealthStatus {
  return { state, isChecked: true, reason, changedAtMs: NOW_MS - 300_000 };
}

function member(fields: Partial<ClusterStatus['members'][number]>): ClusterStatus['members'][number] {
  const unknown = { match: null, applied: null, lastContactMs: null };
  return { member: '', serverId: 0, isSelf: false, isLeader: false, isVoter: true, ...unknown, ...fields };
}
