/**
 * Clusters of real processes with Traffic Server's default timing, or a slower one where a term is to stay: how they form,
 * lose leaders and come back.
 */

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerId } from '../../src/cluster/types.ts';
import { type ClusterHarness, clusterTest, PATIENT_MS, STEADY, summary, timeOf } from './cluster-harness.ts';
import { eventually } from './harness.ts';

const FAILOVERS = 20;
const PAUSE_MS = 5_000;

clusterTest(
  'five processes started in any order form one cluster with one leader',
  { servers: 5 },
  async (t, cluster) => {
    const order = shuffled(cluster.ids);
    const starting: Promise<unknown>[] = [];
    let lastStart = 0;
    for (const id of order) {
      await sleep(Math.random() * 100);
      lastStart = Date.now();
      starting.push(cluster.start(id));
    }
    await Promise.all(starting);
    await cluster.settled();
    const said = (pattern: RegExp) => order.map((id) => lastTime(cluster, id, pattern));
    const followed = Math.max(...said(/^(leads the cluster|follows a leader)$/)) - lastStart;
    const booted = Math.max(...said(/^admin API$/)) - lastStart;
    t.diagnostic(`order ${order}: all follow one leader ${followed} ms after the last process was started`);
    t.diagnostic(`which took ${booted} ms until the last one had loaded its code and listened`);
  },
);

clusterTest(`a leader that is killed is replaced, ${FAILOVERS} times in a row`, { servers: 5 }, async (t, cluster) => {
  await cluster.startAll();
  const [elected, followed]: number[][] = [[], []];
  for (let i = 0; i < FAILOVERS; i++) {
    const { serverId, term } = await cluster.settled();
    const killedAt = await cluster.kill(serverId);
    const next = await cluster.leader();
    assert.ok(next.term > term && next.serverId !== serverId);
    elected?.push(await since(killedAt, cluster, 'leads the cluster', next.term));
    followed?.push(await since(killedAt, cluster, 'follows a leader', next.term));
    await cluster.start(serverId);
  }
  t.diagnostic(`from SIGKILL to the next leader: ${summary(elected as number[])}`);
  t.diagnostic(`until the last of the others follows it: ${summary(followed as number[])}`);
});

clusterTest(
  'a leader that stands still is replaced, and follows when it goes on',
  { servers: 5, stekShare: STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const old = await cluster.settled();
    const pausedAt = Date.now();
    cluster.pause(old.serverId);
    const next = await cluster.leader();
    assert.ok(next.serverId !== old.serverId && next.term > old.term);
    t.diagnostic(`another leads ${await since(pausedAt, cluster, 'leads the cluster', next.term)} ms after SIGSTOP`);
    await sleep(PAUSE_MS - (Date.now() - pausedAt));
    cluster.resume(old.serverId);
    const after = await cluster.settled();
    assert.equal(after.term, next.term, 'the one that came back has disturbed the others');
    assert.equal((await cluster.status(old.serverId)).role, 'follower');
  },
);

clusterTest(
  'all killed and started again are the same cluster with the same salt',
  { servers: 5 },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const cookie = await cluster.cookie(1);
    await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
    const startedAt = Date.now();
    await cluster.startAll();
    const after = await cluster.settled();
    const ledMs = await since(startedAt, cluster, 'leads the cluster', after.term);
    t.diagnostic(`a leader ${ledMs} ms after they were started`);
    assert.equal(after.cluster, before.cluster);
    assert.ok(after.term > before.term);
    for (const id of cluster.ids) assert.equal(await cluster.cookie(id), cookie);
  },
);

clusterTest(
  'all killed and started again without a state_dir form another cluster',
  { servers: 5, hasStateDir: false },
  async (_, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
    await cluster.startAll();
    const after = await cluster.settled();
    assert.notEqual(after.cluster, before.cluster);
    assert.deepEqual(await cookies(cluster), [await cluster.cookie(1)]);
  },
);

clusterTest(
  'one that was wiped is taken in as another incarnation, and catches up',
  { servers: 5, stekShare: STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const wiped = cluster.ids.find((id) => id !== before.serverId) as ServerId;
    const former = (await cluster.status(wiped)).member;
    await cluster.kill(wiped);
    cluster.wipe(wiped);
    const startedAt = Date.now();
    await cluster.start(wiped);
    const after = await cluster.settled();
    t.diagnostic(`a voter again, with all applied, ${Date.now() - startedAt} ms after it was started`);
    assert.deepEqual([after.cluster, after.serverId, after.term], [before.cluster, before.serverId, before.term]);
    const now = await cluster.status(wiped);
    assert.notEqual(now.member, former);
    assert.deepEqual([now.role, now.applied], ['follower', after.applied]);
    assert.equal((await cookies(cluster)).length, 1);
  },
);

clusterTest(
  'a majority that is wiped at once costs the cluster, and not its salt',
  { servers: 5 },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const cookie = await cluster.cookie(1);
    // the leader among them
    const wiped = [before.serverId, ...cluster.ids.filter((id) => id !== before.serverId)].slice(0, 3);
    await Promise.all(wiped.map((id) => cluster.kill(id)));
    for (const id of wiped) cluster.wipe(id);
    const startedAt = Date.now();
    await cluster.startAll(wiped);
    const after = await cluster.settled(PATIENT_MS);
    t.diagnostic(`one cluster again ${Date.now() - startedAt} ms after the wiped were started`);
    assert.notEqual(after.cluster, before.cluster);
    assert.deepEqual(await cookies(cluster), [cookie]);
  },
);

clusterTest(
  'of two without a state_dir one is killed and started again: they come together with the same salt',
  { servers: 2, hasStateDir: false },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const cookie = await cluster.cookie(1);
    for (const id of [before.serverId, cluster.ids.find((one) => one !== before.serverId) as ServerId]) {
      await cluster.kill(id);
      const startedAt = Date.now();
      await cluster.start(id);
      await cluster.settled(PATIENT_MS);
      t.diagnostic(`server ${id} back: one cluster after ${Date.now() - startedAt} ms`);
      assert.deepEqual(await cookies(cluster), [cookie]);
    }
  },
);

/** Each that is handed out, once. */
async function cookies(cluster: ClusterHarness): Promise<string[]> {
  return [...new Set(await Promise.all(cluster.running.map((id) => cluster.cookie(id))))];
}

/** From `atMs` until the last of those that said it did: `msg`, of `term`. */
async function since(atMs: number, cluster: ClusterHarness, msg: string, term: number): Promise<number> {
  const lines = () =>
    cluster.ids.flatMap((id) => cluster.log(id)).filter((line) => line.msg === msg && line.term === term);
  // an answer of the admin API may be read before a line that was written before it
  await eventually(() => lines().length > 0, `somebody to say "${msg}" of term ${term}`);
  return Math.max(...lines().map(timeOf)) - atMs;
}

/** When the server last said something like this. */
function lastTime(cluster: ClusterHarness, id: ServerId, pattern: RegExp): number {
  const line = cluster.log(id).findLast(({ msg }) => pattern.test(msg));
  assert.ok(line, `server ${id} said nothing like ${pattern}`);
  return timeOf(line);
}

function shuffled<T>(items: readonly T[]): T[] {
  const drawn = items.map((item) => ({ item, key: Math.random() }));
  return drawn.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
