/** A state_dir, and an access log, on a disk that is full or read-only: at the start, while the program runs, and healed. */

import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServerId } from '../../src/cluster/types.ts';
import { type ClusterHarness, clusterTest } from './cluster-harness.ts';
import { ask } from './cluster-network.ts';
import {
  eventually,
  get,
  namedBackend,
  type Program,
  runToEnd,
  simpleConfig,
  startSound,
  temporaryFolder,
} from './harness.ts';
import { scrape } from './metrics-scrape.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';
import { activeKey, ticketFleet, tlsPort } from './ticket-fleet.ts';
import { visit } from './tls-client.ts';

const NOT_KEPT = 'an edit of this edge alone is not kept over a restart';
const CANNOT = 'the log cannot be written: this server takes no part in the cluster until it can';

test('one edge alone: on a full or read-only disk an edit is in force and said not to be kept; the next after it is', async (t) => {
  const disk = mountSmallDisk(t);
  if (disk === null) return;
  const state = disk.folder;
  const { program, edit } = await start(t, [`state_dir: ${state}`]);
  disk.fill();
  assert.equal(await edit('127.0.0.1:1'), false);
  const first = await program.logged(({ msg }) => msg === NOT_KEPT);
  assert.match(JSON.stringify(first.err), /ENOSPC/);
  disk.empty();
  assert.equal(await edit('127.0.0.1:2'), true);
  disk.makeReadOnly();
  assert.equal(await edit('127.0.0.1:3'), false);
  await program.logged(({ msg, err }) => msg === NOT_KEPT && /EROFS/.test(JSON.stringify(err)));
  assert.equal((await get(program.port)).status, 200);
  disk.makeWritable();
  assert.equal(await edit('127.0.0.1:4'), true);
  const kept = readFileSync(join(state, 'local-pools.json'), 'utf8');
  for (const port of [1, 2, 3, 4]) assert.ok(kept.includes(`127.0.0.1:${port}"`), kept);
});

test('one edge alone starts and serves on a disk that cannot be written', async (t) => {
  const disk = mountSmallDisk(t);
  if (disk === null) return;
  const state = disk.folder;
  disk.fill();
  disk.makeReadOnly();
  const { program, edit } = await start(t, [`state_dir: ${state}`]);
  assert.equal((await get(program.port)).status, 200);
  assert.equal(await edit('127.0.0.1:1'), false);
});

test('an access log on a full disk costs its lines, is said once, and goes on when there is room', async (t) => {
  const disk = mountSmallDisk(t);
  if (disk === null) return;
  const file = join(disk.folder, 'access.log');
  const { program } = await start(t, [`access_log: ${file}`]);
  disk.fill();
  // what is left of the last page takes some
  await eventually(async () => {
    assert.equal((await get(program.port, { path: `/${'x'.repeat(2_000)}` })).status, 200);
    return program.log.some(({ msg, reason }) => msg === 'access log cannot be written' && reason === 'ENOSPC');
  }, 'the failure');
  disk.empty();
  await eventually(async () => {
    assert.equal((await get(program.port, { path: '/after' })).status, 200);
    return readFileSync(file, 'utf8').includes('/after');
  }, 'lines again');
});

clusterTest(
  'the leader on a full disk hands over, serves on, opens tickets, and takes part again when there is room',
  ticketFleet({ servers: 3, stekShare: ['client_req_timeout: 500'] }),
  async (t, cluster) => {
    const disks = new Map(cluster.ids.map((id) => [id, mountSmallDisk(t)]));
    for (const [id, disk] of disks) {
      if (disk === null) return;
      symlinkSync(disk.folder, cluster.stateDir(id));
    }
    await cluster.startAll();
    const { serverId: full } = await cluster.settled();
    const disk = disks.get(full) as SmallDisk;
    const others = cluster.ids.filter((id) => id !== full);
    const { session } = await visit(await tlsPort(cluster, full), { version: 'TLSv1.3' });
    const program = cluster.program(full);
    disk.fill();
    // each edit is a write; those that go wrong are the client's to make again
    let port = 0;
    await eventually(async () => {
      await cluster.ask(full, 'POST', '/pools/demo/nodes', { address: `127.0.0.1:${++port}`, drain: true });
      return program.log.some(({ msg }) => msg === CANNOT);
    }, 'the disk is full');
    assert.match(String(program.log.find(({ msg }) => msg === CANNOT)?.error), /ENOSPC/);
    assert.equal(await storageFailed(cluster, full), 1);
    await eventually(async () => {
      const all = await Promise.all(others.map((id) => cluster.status(id)));
      return all.every(({ leader }) => leader !== null && leader.serverId !== full);
    }, 'another leader');
    assert.match((await visit(await tlsPort(cluster, full), { version: 'TLSv1.3', session })).answer, /^HTTP\/1.1 200/);
    const active = await activeKey(cluster, others[0] as ServerId);
    await eventually(async () => {
      const { status } = await cluster.ask(others[0] as ServerId, 'POST', '/keys/rotate');
      return status === 200 && (await activeKey(cluster, others[1] as ServerId)) !== active;
    }, 'the others rotate');
    // what has become of it meanwhile is the same
    disk.makeReadOnly();
    assert.equal(await storageFailed(cluster, full), 1);
    disk.makeWritable();
    disk.empty();
    await cluster.settled();
    assert.equal(await storageFailed(cluster, full), 0);
    await program.logged(({ msg }) => msg === 'the log can be written again');
    assert.equal(await activeKey(cluster, full), await activeKey(cluster, others[0] as ServerId));
  },
);

clusterTest(
  'a member on a read-only disk says why it cannot start; on a full one it serves, and takes part when there is room',
  { servers: 3 },
  async (t, cluster) => {
    const id = 2;
    const disk = mountSmallDisk(t);
    if (disk === null) return;
    symlinkSync(disk.folder, cluster.stateDir(id));
    await cluster.startAll();
    await cluster.settled();
    await cluster.stop(id);
    disk.makeReadOnly();
    const { code, stderr } = await runToEnd(['run', '-c', cluster.file(id, 'stekbal.yaml')]);
    assert.equal(code, 1);
    assert.match(stderr, /state_dir .*: EROFS/);
    disk.makeWritable();
    disk.fill();
    const program = await cluster.start(id);
    await program.logged(({ msg }) => msg === CANNOT);
    assert.match((await cluster.request(id)).body, /^127/);
    disk.empty();
    await cluster.settled();
  },
);

async function start(t: TestContext, top: readonly string[]): Promise<Started> {
  const socket = join(temporaryFolder(t), 'admin.sock');
  const backend = await namedBackend(t);
  const yaml = simpleConfig([backend.address], { top: [...top, `admin: {address: "unix:${socket}"}`] });
  const program = await startSound(t, yaml);
  const edit = async (address: string) => {
    // drained: requests go to the one that answers
    const { body } = await ask<{ isKept: boolean }>(socket, 'POST', '/pools/demo/nodes', { address, drain: true });
    return body.isKept;
  };
  return { program, edit };
}

interface Started {
  readonly program: Program;
  /** Adds a node; whether that outlasts a restart. */
  edit(address: string): Promise<boolean>;
}

async function storageFailed(cluster: ClusterHarness, id: ServerId): Promise<number> {
  return (await scrape(cluster.file(id, 'admin.sock'))).samples.get('stekbal_raft_storage_failed') ?? Number.NaN;
}
