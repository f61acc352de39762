/**
 * The main thread without file descriptors (its limit is set so while it runs): the group, health checks, the admin API,
 * reloads and the log on disk, and that all of them recover. What listener threads do then is in the tests of limits.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import net from 'node:net';
import type { TestContext } from 'node:test';
import type { ServerId } from '../../src/cluster/types.ts';
import type { EdgeStatus } from '../../src/control/status.ts';
import { type ClusterHarness, clusterTest, STEADY } from './cluster-harness.ts';
import { eventually, get, openClient, requirePeer } from './harness.ts';

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;
/** More than the kernel gives one edge then. */
const CLIENTS = 40;
const MANY = 4_096;
/** One that is closed makes no room. */
const SHORT_OF = 3;

clusterTest(
  'an edge without descriptors stays in the group, holds no node for down, serves what it has, and recovers by itself',
  {
    servers: 3,
    stekShare: STEADY,
    pool: ['health_check: {type: tcp, interval: 100ms, fall: 2, rise: 1}'],
    service: ['affinity_salt: a'],
  },
  async (t, cluster) => {
    if (!requirePeer(t, hasPrlimit, 'needs prlimit (util-linux)')) return;
    await cluster.startAll();
    const { serverId: leader, term } = await cluster.settled();
    const poor = cluster.ids.find((id) => id !== leader) as ServerId;
    const { pid, child, logged, log, openFiles } = cluster.program(poor);
    const [port = 0] = await cluster.ports(poor);
    const kept = openClient(t, port);
    const answered = async (nth: number) => {
      kept.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await kept.until((r) => r.split('HTTP/1.1 200').length === nth + 1);
    };
    await answered(1);

    // what a start opens for a moment would leave room when it is closed
    limit(pid, (await settledFiles(openFiles)) - SHORT_OF);
    const clients = crowd(t, port);
    await logged(({ msg, reason }) => msg.startsWith('health checks cannot be made here') && reason === 'EMFILE');
    await answered(2);
    // what the group agrees on goes on, and comes here on the connections that are there
    const edit = { address: '127.0.0.1:1', drain: true };
    assert.equal((await cluster.ask(leader, 'POST', '/pools/demo/nodes', edit)).status, 200);
    const began = log.length;
    child.kill('SIGHUP');
    await logged((line) => /^reload (refused|failed)/.test(line.msg) && log.indexOf(line) >= began);
    assert.equal((await cluster.status(leader)).term, term);
    await answered(3);

    limit(pid, MANY);
    for (const client of clients) client.destroy();
    await logged(({ msg }) => msg === 'health checks can be made again');
    await cluster.settled();
    assert.equal((await cluster.status(leader)).term, term, 'nobody was elected');
    await eventually(async () => (await get(port)).status === 200, 'new connections');
    const { body } = await cluster.ask<EdgeStatus>(poor, 'GET', '/status');
    assert.equal(body.workers.replaced, 0);
    assert.deepEqual(
      log.filter(({ msg, node }) => msg === 'node is down' && node !== '127.0.0.1:1'),
      [],
    );
    await reloads(cluster, poor);
  },
);

/** How many are open for the most of half a second. */
async function settledFiles(openFiles: () => number): Promise<number> {
  const counts: number[] = [];
  await eventually(() => counts.push(openFiles()) > 25, 'counts');
  return counts.toSorted((a, b) => a - b)[counts.length >> 1] as number;
}

/** From now on the process can have no more than so many. */
function limit(pid: number, descriptors: number): void {
  assert.equal(spawnSync('prlimit', ['--pid', String(pid), `--nofile=${descriptors}:${MANY}`]).status, 0);
}

/** Clients that want a connection each. */
function crowd(t: TestContext, port: number): net.Socket[] {
  return Array.from({ length: CLIENTS }, () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    return socket;
  });
}

async function reloads(cluster: ClusterHarness, id: ServerId): Promise<void> {
  const { log } = cluster.program(id);
  await cluster.reload(id);
  assert.equal(log.findLast(({ msg }) => msg.startsWith('reload'))?.msg, 'reloaded');
}
