/** What a member of a real cluster does with the log in its state_dir: locked, torn, damaged, of another key. */

import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerId } from '../../src/cluster/types.ts';
import { type ClusterHarness, clusterTest, STEADY, SUBJECT } from './cluster-harness.ts';
import { runToEnd } from './harness.ts';

const SERVERS = 3;
/** Without compaction the file only grows: what stands where is known. */
const LONG_LOG = { servers: SERVERS, stekShare: ['snapshot_distance: 10000'] };
const EDITS = 6;

clusterTest(
  'a second process with the same state_dir refuses to start',
  { servers: SERVERS, stekShare: STEADY },
  async (_, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const { code, stderr } = await runToEnd(['run', '-c', cluster.file(1, 'stekbal.yaml')]);
    assert.equal(code, 1);
    assert.match(stderr, /state cannot be locked: another process uses it/);
    const after = await cluster.settled();
    assert.deepEqual([after.cluster, after.term], [before.cluster, before.term]);
  },
);

clusterTest('a torn end of the log is cut off with a warning, and the member goes on', LONG_LOG, async (_, cluster) => {
  const { id, member } = await grow(cluster);
  await cluster.kill(id);
  // a record that was being written: promised to nobody
  const bytes = readFileSync(logFile(cluster, id));
  appendFileSync(logFile(cluster, id), bytes.subarray(-40, -5));
  await startTorn(cluster, id);
  await cluster.settled();
  assert.equal((await cluster.status(id)).member, member, 'it has forgotten who it was');
  assert.equal((await cluster.nodes(id)).length, 1 + EDITS);
});

clusterTest(
  'a member whose disk lost the last record that it had promised catches up',
  LONG_LOG,
  async (_, cluster) => {
    const { id } = await grow(cluster);
    await cluster.kill(id);
    truncateSync(logFile(cluster, id), statSync(logFile(cluster, id)).size - 5);
    await startTorn(cluster, id);
    await cluster.settled();
    assert.equal((await cluster.nodes(id)).length, 1 + EDITS);
  },
);

clusterTest('a flipped byte in the log ends the start with 1, and with what to do', LONG_LOG, async (t, cluster) => {
  const { id, member } = await grow(cluster);
  await cluster.kill(id);
  const bytes = readFileSync(logFile(cluster, id));
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] as number) ^ 1;
  writeFileSync(logFile(cluster, id), bytes);
  const program = cluster.spawn(id);
  assert.equal(await program.exited, 1);
  t.diagnostic(program.text().trim());
  assert.match(program.text(), /raft\.log is damaged at byte \d+: .*remove the file: this server then counts as wiped/);
  assert.deepEqual(readFileSync(logFile(cluster, id)), bytes, 'the file is evidence');
  // what the message says
  rmSync(logFile(cluster, id));
  await cluster.start(id);
  await cluster.settled();
  assert.notEqual((await cluster.status(id)).member, member);
});

clusterTest('a log of another private key counts as wiped', { servers: SERVERS }, async (_, cluster) => {
  const { id, member } = await grow(cluster);
  await cluster.kill(id);
  cluster.certify(id, cluster.authority.issue(SUBJECT));
  const program = await cluster.start(id);
  assert.ok(program.log.some(({ level, msg }) => level === 40 && msg.includes('is of another private key')));
  await cluster.settled();
  assert.notEqual((await cluster.status(id)).member, member);
  assert.equal((await cluster.nodes(id)).length, 1 + EDITS);
});

/** Starts the cluster and fills its log. Resolves to the one to be harmed: a follower, so that its leader stays. */
async function grow(cluster: ClusterHarness): Promise<{ id: ServerId; member: string }> {
  await cluster.startAll();
  const { serverId: leader } = await cluster.settled();
  for (let i = 1; i <= EDITS; i++) assert.equal((await cluster.addNode(leader, `127.0.0.1:${i}`)).status, 200);
  await cluster.settled();
  const id = cluster.ids.find((one) => one !== leader) as ServerId;
  return { id, member: (await cluster.status(id)).member };
}

async function startTorn(cluster: ClusterHarness, id: ServerId): Promise<void> {
  const { log } = await cluster.start(id);
  assert.ok(log.some(({ level, msg }) => level === 40 && /ends in \d+ bytes of a torn write: cut off/.test(msg)));
}

function logFile(cluster: ClusterHarness, id: ServerId): string {
  return join(cluster.stateDir(id), 'raft.log');
}
