/** What `stekbal status` prints, for what a group of one does not show. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterStatus } from '../../src/cluster/types.ts';
import { renderStatus } from '../../src/commands/status-text.ts';
import type { EdgeStatus } from '../../src/control/status.ts';

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
};
const STATUS: EdgeStatus = {
  version: '1.2.3',
  pid: 77,
  uptimeS: 2 * 86_400 + 3 * 3_600 + 59,
  isDraining: true,
  cluster: FOLLOWER,
  workers: { threads: 4, replaced: 2 },
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
  pools: [{ name: 'demo', nodeCount: 3, nodes: [{ address: '10.0.0.1:80', weight: 1, drain: false }] }],
};

test('a follower shows what it knows, dashes for the rest, whom to ask, and what to look after', () => {
  assert.equal(
    renderStatus(STATUS, NOW_MS),
    `stekbal 1.2.3, pid 77, up 2d 3h, draining
4 listener threads, 2 replaced

server 2: follower, term 7, leader is server 1
cluster 0.c
committed 40, applied 39

server    member   role     leader  match  applied  last contact
1         1.a      voter    leader  -      -        -
2 (this)  2.b      voter            41     39       -
13        13.long  learner          -      -        -
ask the leader, server 1, for match and last contact

not connected: server 13 at [fd00::13]:10001
refused: wrong-subject, 3 times
refused: no-certificate, 1 time
the log cannot be written: this member takes no part until it can

3 ticket keys, a new one every 1h, tickets last 1d
  00000003  staged    0s
  00000002  active    1h 1m
  00000001  retiring  2h
the canary fails: a session of one edge does not resume at another; 7 resumed, 2 did not

pool demo: 3 nodes
  10.0.0.1:80  weight 1
  and 2 more
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
  };
  const keys = { ...STATUS.keys, keys: [], isIssuing: false, activeAgeMs: null };
  const status = { ...STATUS, uptimeS: 0, cluster, keys, canary: null, pools: [] };
  const lines = renderStatus(status, NOW_MS).split('\n');
  assert.match(lines[0] ?? '', /up 0s/);
  assert.deepEqual(lines.slice(3), [
    'server 2: fresh, term 7, no leader',
    'cluster none yet: it looks for one to join or to found',
    'committed 40, applied 39',
    '',
    '0 ticket keys, a new one every 1h, tickets last 1d',
    'not issuing tickets: no key is active',
    '',
  ]);
});

function member(fields: Partial<ClusterStatus['members'][number]>): ClusterStatus['members'][number] {
  const unknown = { match: null, applied: null, lastContactMs: null };
  return { member: '', serverId: 0, isSelf: false, isLeader: false, isVoter: true, ...unknown, ...fields };
}
