/**
 * A machine of the group is taken over: messages of the right shape, from a valid certificate, under the name of a member.
 * Raft trusts its members, so that the cluster may suffer; but no process may end over what another one sent, and once
 * the machine is itself again the cluster must find together.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import type { ClusterStatus, ServerId } from '../../src/cluster/types.ts';
import { ClusterHarness } from './cluster-harness.ts';
import { awakeClock, eventually } from './harness.ts';
import { letIn } from './hostile-peer.ts';

/** From an edit that is taken to all edges. */
const RECOVERY_MS = 3_000;
const HUGE = Number.MAX_SAFE_INTEGER;
const NOBODY = { voters: [], learners: [] };

interface Target extends ClusterStatus {
  readonly lastTerm: number;
}

/** What a term of our own making is. */
const next = ({ term }: ClusterStatus) => term + 1;
const heartbeat = (to: Target) => ({
  ...{ type: 'append-request', term: to.term, previousIndex: to.lastIndex, previousTerm: to.lastTerm },
  ...{ entries: [] as object[], commit: to.commit },
});
const snapshotOf = (to: Target, data: Uint8Array, membership: object) => ({
  ...{ type: 'snapshot-request', term: to.term },
  snapshot: { index: to.lastIndex + 100, term: to.term, membership, data },
});

interface Nonsense {
  readonly messages: (to: Target) => readonly object[];
  /** Which of the two gets it. */
  readonly to: 'leader' | 'follower';
}

const NONSENSE: Readonly<Record<string, Nonsense>> = {
  'an append of the largest term there is': {
    to: 'follower',
    messages: (to) => [{ ...heartbeat(to), term: HUGE }],
  },
  'a vote-request of the largest term there is': {
    to: 'leader',
    messages: (to) => [
      { type: 'vote-request', term: HUGE, isPreVote: false, isTransfer: true, lastIndex: HUGE, lastTerm: HUGE },
      { type: 'append-response', term: to.term, isRejected: false, index: 1, hintIndex: 0, hintTerm: 0, applied: 1 },
    ],
  },
  'an append of another leader in the same term': {
    to: 'leader',
    messages: (to) => [heartbeat(to)],
  },
  'a snapshot of another leader in the same term': {
    to: 'leader',
    messages: (to) => [snapshotOf(to, new Uint8Array(), NOBODY)],
  },
  'a snapshot that holds no state': {
    to: 'follower',
    messages: (to) => [snapshotOf(to, new Uint8Array([1, 2, 3]), { voters: [to.member], learners: [] })],
  },
  'a snapshot of a membership without voters': {
    to: 'follower',
    messages: (to) => [snapshotOf(to, encode({ version: 1, salt: null, pools: [] }), NOBODY)],
  },
  'an entry with a membership without voters': {
    to: 'follower',
    messages: (to) => {
      const index = to.lastIndex + 1;
      const entry = { index, term: next(to), payload: { kind: 'membership', membership: NOBODY } };
      return [{ ...heartbeat(to), term: next(to), entries: [entry], commit: index }];
    },
  },
  'entries out of order': {
    to: 'follower',
    messages: (to) => {
      const entry = (index: number) => ({ index, term: to.term, payload: { kind: 'noop' } });
      return [{ ...heartbeat(to), entries: [entry(to.lastIndex + 2), entry(to.lastIndex + 1)] }];
    },
  },
  'an entry of an older term than the one before it': {
    to: 'follower',
    messages: (to) => {
      const entry = { index: to.lastIndex + 1, term: 0, payload: { kind: 'noop' } };
      return [{ ...heartbeat(to), entries: [entry], commit: HUGE }];
    },
  },
  'a command that is no command': {
    to: 'follower',
    messages: (to) => {
      const payload = { kind: 'command', data: new Uint8Array([0xc1, 0xff]) };
      const entry = { index: to.lastIndex + 1, term: next(to), payload };
      return [{ ...heartbeat(to), term: next(to), entries: [entry], commit: to.lastIndex + 1 }];
    },
  },
  'an answer that has more than the leader': {
    to: 'leader',
    messages: ({ term }) => [
      { type: 'append-response', term, isRejected: false, index: HUGE, hintIndex: 0, hintTerm: 0, applied: HUGE },
    ],
  },
  'a refusal that makes no sense': {
    to: 'leader',
    messages: ({ term, lastIndex: index }) => [
      { type: 'append-response', term, isRejected: true, index, hintIndex: HUGE, hintTerm: HUGE, applied: 0 },
      { type: 'append-response', term, isRejected: true, index: HUGE, hintIndex: 0, hintTerm: 0, applied: 0 },
    ],
  },
  'a hundred requests to stand for election': {
    to: 'follower',
    messages: ({ term }) => Array.from({ length: 100 }, (_, i) => ({ type: 'timeout-now', term: term + i })),
  },
};

test('what a member that was taken over sends ends no process, and the cluster finds together', async (t) => {
  let cluster: ClusterHarness | null = null;
  for (const [index, [what, { to, messages }]] of Object.entries(NONSENSE).entries()) {
    await t.test(`${what}, sent to a ${to}`, async (subtest) => {
      const group = cluster ?? (await newCluster(t));
      // one that came to harm is not attacked again
      cluster = null;
      const leader = await group.settled();
      const [taken, other] = group.ids.filter((id) => id !== leader.serverId) as [ServerId, ServerId];
      const { member } = await group.status(taken);
      await group.kill(taken);
      await attack(subtest, group, to === 'leader' ? leader : await group.status(other), member, messages);
      await group.start(taken);
      await recover(subtest, group, other, `127.0.0.1:${index + 1}`);
      subtest.diagnostic(`term ${leader.term} -> ${(await group.settled()).term}, ${await refusals(group)}`);
      group.assertOneLeaderATerm();
      cluster = group;
    });
  }
});

async function newCluster(t: TestContext): Promise<ClusterHarness> {
  const cluster = await ClusterHarness.create(t, { servers: 3 });
  await cluster.startAll();
  return cluster;
}

/** All processes run, and an edit made at server `id` comes to all edges. */
async function recover(t: TestContext, cluster: ClusterHarness, id: ServerId, address: string): Promise<void> {
  const sound = () => {
    const ended = cluster.ids.filter((one) => !cluster.isRunning(one));
    assert.equal(ended.map((one) => lastWords(cluster, one)).join(), '');
  };
  const nodesOf = (one: ServerId) => cluster.nodes(one).catch((): string[] => []);
  const isEverywhere = async () => {
    sound();
    const all = await Promise.all(cluster.ids.map(nodesOf));
    return all.every((nodes) => nodes.includes(address));
  };
  // each has 3 s
  await eventually(async () => {
    const { status } = await cluster.addNode(id, address).catch(() => ({ status: 0 }));
    sound();
    // or it was, and who was asked could not know
    return status === 200 || (await nodesOf(id)).includes(address);
  }, 'an edit to be taken');
  const now = awakeClock(t);
  await eventually(isEverywhere, 'an edit on all edges');
  assert.ok(now() <= RECOVERY_MS);
  t.diagnostic('an edit made there afterwards is on all edges');
}

async function attack(
  t: TestContext,
  cluster: ClusterHarness,
  status: ClusterStatus,
  member: string,
  messages: Nonsense['messages'],
): Promise<void> {
  const { sendRaft, socket } = await letIn(t, cluster, status, { member, id: String(status.cluster) });
  // the term of the last entry is that of the leader: it has had no other
  for (const message of messages({ ...status, lastTerm: status.term })) sendRaft(message);
  await new Promise((resolve) => socket.write('', resolve));
}

/** How the process ended, in a line or two. */
function lastWords(cluster: ClusterHarness, id: ServerId): string {
  const { child, text } = cluster.program(id);
  const trace = text()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
  return `server ${id} ended with ${child.exitCode}: ${trace.slice(0, 12).join(' | ')}`;
}

async function refusals(cluster: ClusterHarness): Promise<string> {
  const all = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
  return `refusals ${JSON.stringify(all.map((one) => one.refusals))}`;
}
