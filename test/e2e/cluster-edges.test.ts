/** What operators do to a cluster of real processes: edits, changes of the server list, certificates, stops. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { ServerId } from '../../src/cluster/types.ts';
import { createAuthority } from '../cluster/certificates.ts';
import { type ClusterHarness, clusterTest, STEADY, SUBJECT, summary, timeOf } from './cluster-harness.ts';
import { eventually, type LogLine, namedBackend } from './harness.ts';

const HANDOVERS = 5;

clusterTest(
  'a server is added to the list and one removed, live',
  { servers: 3, stekShare: STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const { cluster: id, term } = await cluster.settled();
    await cluster.add(4);
    await relist(cluster, [1, 2, 3], [1, 2, 3, 4]);
    cluster.list(4, [1, 2, 3, 4]);
    const addedAt = Date.now();
    await cluster.start(4);
    const grown = await cluster.settled();
    t.diagnostic(`a voter ${Date.now() - addedAt} ms after its process was started`);
    assert.deepEqual([grown.cluster, grown.term, grown.members.length], [id, term, 4]);

    // the leader, of all; it has not been told, and goes on for now
    const gone = grown.serverId;
    const rest = [1, 2, 3, 4].filter((one) => one !== gone);
    await relist(cluster, rest, rest);
    const removedAt = Date.now();
    assert.deepEqual(new Set(await votersOf(cluster, rest)), new Set(['1,2,3,4']), 'its leader would know');
    await cluster.stop(gone);
    const shrunk = await cluster.settled();
    t.diagnostic(`server ${gone} was removed ${Date.now() - removedAt} ms after the others' lists had changed`);
    assert.deepEqual(
      shrunk.members.map(({ serverId }) => serverId),
      rest,
    );
    assert.equal(shrunk.cluster, id);
  },
);

clusterTest(
  'a follower that the list does not name any more is removed, and disturbs nobody',
  { servers: 4, stekShare: STEADY },
  async (_, cluster) => {
    await cluster.startAll();
    const { serverId: leader, term } = await cluster.settled();
    const gone = cluster.ids.find((id) => id !== leader) as ServerId;
    const rest = cluster.ids.filter((id) => id !== gone);
    await relist(cluster, rest, rest);
    await eventually(async () => (await votersOf(cluster, rest)).every((seen) => seen === rest.join()), 'the removal');
    // it runs on with its old list, and tries to come back
    const refusals = async () => (await cluster.status(leader)).refusals['unknown-server'] ?? 0;
    await eventually(async () => (await refusals()) >= 3, 'refusals of the one that was removed');
    await eventually(async () => (await cluster.status(gone)).leader === null, 'it to notice that it has no leader');
    assert.match((await cluster.request(gone)).body, /^127/, 'its listeners have no part in this');
    assert.equal((await cluster.status(leader)).term, term);
  },
);

clusterTest('two edges without a salt of their own hand out the same cookie', { servers: 2 }, async (_, cluster) => {
  await cluster.startAll();
  await cluster.settled();
  const cookie = await cluster.cookie(1);
  assert.match(cookie, /=[0-9a-f]{40};/);
  assert.equal(await cluster.cookie(2), cookie);
});

clusterTest(
  'an edge that starts alone serves with a salt of its own, until its peer comes',
  { servers: 2 },
  async (t, cluster) => {
    const startedAt = Date.now();
    const alone = await cluster.start(1);
    const own = await cluster.cookie(1);
    t.diagnostic(`it served ${Date.now() - startedAt} ms after its start`);
    assert.ok(
      alone.log.some(({ level, msg }) => level === 40 && msg.startsWith('no affinity salt from the cluster yet')),
    );
    await cluster.start(2);
    await alone.logged(({ msg }) => msg === "the cluster's affinity salt is in use now");
    await cluster.settled();
    await eventually(async () => (await cluster.cookie(1)) === (await cluster.cookie(2)), 'the same cookie on both');
    assert.notEqual(await cluster.cookie(1), own);
  },
);

clusterTest('a pool edit made at a follower moves requests on all edges', { servers: 3 }, async (t, cluster) => {
  const { address } = await namedBackend(t);
  await cluster.startAll();
  const { serverId: leader } = await cluster.settled();
  const follower = cluster.ids.find((id) => id !== leader) as ServerId;
  assert.equal((await cluster.request(leader)).body, cluster.node);
  assert.equal((await cluster.addNode(follower, address)).status, 200);
  const removed = await cluster.ask(follower, 'DELETE', `/pools/demo/nodes/${cluster.node}`);
  assert.equal(removed.status, 200);
  assert.equal((await cluster.request(follower)).body, address, 'done is done, where it was asked for');
  for (const id of cluster.ids)
    await eventually(async () => (await cluster.request(id)).body === address, `edge ${id}`);
});

clusterTest(
  'an edit while the leader stands still fails clearly, or is made everywhere',
  { servers: 3 },
  async (t, cluster) => {
    await cluster.startAll();
    const { serverId: leader } = await cluster.settled();
    const followers = cluster.ids.filter((id) => id !== leader);
    cluster.pause(leader);
    // sent to the one that stands still, unless it has been missed by then; asked of both at once
    const answers = await Promise.all(followers.map((id) => cluster.addNode(id, `127.0.0.1:${id}`)));
    for (const { status, body, tookMs } of answers) {
      t.diagnostic(`${status} ${body.code} after ${tookMs.toFixed(0)} ms`);
      const isClear = body.code === (status === 504 ? 'unconfirmed' : 'no-leader');
      assert.ok(status === 200 || (isClear && (status === 503 || status === 504)), JSON.stringify(body));
      assert.ok(tookMs < 10_000);
    }
    await cluster.leader();
    const [id] = followers as [ServerId];
    const later = await cluster.addNode(id, '127.0.0.1:9');
    assert.equal(later.status, 200, 'the next leader takes edits');
    cluster.resume(leader);
    await cluster.settled();
    await agree(cluster, ['127.0.0.1:9']);
  },
);

clusterTest('an edit without a majority fails clearly, and is not half done', { servers: 3 }, async (t, cluster) => {
  await cluster.startAll();
  const { serverId: leader } = await cluster.settled();
  const others = cluster.ids.filter((id) => id !== leader);
  await Promise.all(others.map((id) => cluster.kill(id)));
  const placed = await cluster.addNode(leader, '127.0.0.1:7');
  await cluster.program(leader).logged(({ msg }) => msg === 'leads no more');
  const refused = await cluster.addNode(leader, '127.0.0.1:8');
  for (const { status, body, tookMs } of [placed, refused]) {
    t.diagnostic(`${status} ${body.code} after ${tookMs.toFixed(0)} ms`);
    assert.ok(status === 503 || status === 504, JSON.stringify(body));
    assert.match(body.message ?? '', /in time|client_req_timeout/);
    assert.ok(tookMs < 10_000);
  }
  assert.equal(refused.body.code, 'no-leader');
  assert.deepEqual(await cluster.nodes(leader), [cluster.node], 'it was applied without a majority');
  await cluster.startAll(others);
  await cluster.settled();
  const nodes = await agree(cluster, []);
  assert.ok(!nodes.includes('127.0.0.1:8'), 'what was refused is there');
});

clusterTest('a leader that is stopped hands over', { servers: 3, stekShare: STEADY }, async (t, cluster) => {
  await cluster.startAll();
  const gaps: number[] = [];
  for (let i = 0; i < HANDOVERS; i++) {
    const { serverId, term } = await cluster.settled();
    await cluster.stop(serverId);
    assert.equal(await cluster.program(serverId).exited, 0);
    await cluster.leader();
    // a busy machine may want another election later
    const isOfNextTerm = (msg: string) => (line: LogLine) => line.msg === msg && line.term === term + 1;
    const said = (ids: readonly ServerId[], msg: string) =>
      ids.flatMap((id) => cluster.log(id)).find(isOfNextTerm(msg));
    const stepsDown = said([serverId], 'leads no more');
    assert.ok(stepsDown, 'it stopped before it had handed over');
    await eventually(
      () => said(cluster.running, 'leads the cluster') !== undefined,
      'another to lead by its handing over',
    );
    const leads = said(cluster.running, 'leads the cluster') as LogLine;
    gaps.push(timeOf(leads) - timeOf(stepsDown));
    await cluster.start(serverId);
  }
  t.diagnostic(`without a leader: ${summary(gaps)}`);
});

clusterTest('certificates are renewed on reload, and a second CA is taken in', { servers: 3 }, async (_, cluster) => {
  await cluster.startAll();
  const { cluster: id } = await cluster.settled();
  for (const one of cluster.ids) cluster.certify(one, cluster.authority.issue(SUBJECT));
  for (const one of cluster.ids) await cluster.reload(one);
  await cluster.settled();
  const second = createAuthority('second CA');
  const both = [cluster.authority, second];
  for (const one of cluster.ids) cluster.certify(one, cluster.authority.issue(SUBJECT), both);
  for (const one of cluster.ids) await cluster.reload(one);
  for (const one of cluster.ids) {
    cluster.certify(one, second.issue(SUBJECT), both);
    await cluster.reload(one);
    await allConnected(cluster);
  }
  assert.equal((await cluster.settled()).cluster, id);
  // the log was sealed anew: they are who they were
  const before = (await cluster.status(1)).member;
  await cluster.kill(1);
  await cluster.start(1);
  await cluster.settled();
  assert.equal((await cluster.status(1)).member, before);
});

clusterTest(
  'a reload with a broken certificate changes nothing, and says so',
  { servers: 3, stekShare: STEADY },
  async (_, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const leaf = cluster.authority.issue(SUBJECT);
    cluster.certify(1, { certificate: 'no certificate', key: leaf.key });
    await cluster.reload(1);
    await cluster.program(1).logged(({ level, msg }) => level === 50 && /not taken over.*peer-cert\.pem/.test(msg));
    // of another key
    cluster.certify(1, { certificate: leaf.certificate, key: cluster.authority.issue(SUBJECT).key });
    await cluster.reload(1);
    await eventually(
      () => cluster.log(1).filter(({ msg }) => /not taken over/.test(msg)).length === 2,
      'a second refusal',
    );
    const after = await cluster.settled();
    assert.deepEqual([after.cluster, after.member, after.term], [before.cluster, before.member, before.term]);
    await allConnected(cluster);
  },
);

clusterTest(
  'a reload with a broken server list changes nothing, and says so',
  { servers: 3, stekShare: STEADY },
  async (_, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const { log, logged, child } = cluster.program(1);
    writeFileSync(cluster.file(1, 'server_list.yaml'), '- {server_id: 1, address: nowhere:, port: 0}\n');
    child.kill('SIGHUP');
    await logged(({ msg }) => msg.startsWith('reload refused'));
    assert.ok(log.some(({ level, msg }) => level === 50 && msg.includes('server_list.yaml:1:')));
    const after = await cluster.settled();
    assert.deepEqual([after.cluster, after.member, after.term], [before.cluster, before.member, before.term]);
  },
);

async function relist(cluster: ClusterHarness, ids: readonly ServerId[], list: readonly ServerId[]): Promise<void> {
  for (const id of ids) cluster.list(id, list);
  await Promise.all(ids.map((id) => cluster.reload(id)));
}

/** As each of `ids` sees them: "1,2,3". */
async function votersOf(cluster: ClusterHarness, ids: readonly ServerId[]): Promise<string[]> {
  const all = await Promise.all(ids.map((id) => cluster.status(id)));
  return all.map(({ members }) => {
    const voters = members.filter(({ isVoter }) => isVoter);
    return voters.map(({ serverId }) => serverId).join();
  });
}

async function allConnected(cluster: ClusterHarness): Promise<void> {
  const isConnected = async (id: ServerId) => (await cluster.status(id)).peers.every((peer) => peer.isConnected);
  for (const id of cluster.ids) await eventually(() => isConnected(id), `server ${id} to be connected with all`);
}

/** Resolves to the nodes of pool "demo", the same on all edges; `wanted` are among them. */
async function agree(cluster: ClusterHarness, wanted: readonly string[]): Promise<string[]> {
  let all: string[][] = [];
  const isAgreed = async () => {
    all = await Promise.all(cluster.ids.map((id) => cluster.nodes(id)));
    return new Set(all.map((nodes) => nodes.join())).size === 1;
  };
  await eventually(isAgreed, () => `the same nodes everywhere: ${JSON.stringify(all)}`);
  for (const address of wanted) assert.ok(all[0]?.includes(address), `${address} is missing in ${all[0]}`);
  return all[0] as string[];
}
