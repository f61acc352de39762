/** Wall clocks that are set by an hour while the program runs: of one edge, of one of three, of all three. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ServerId } from '../../src/cluster/types.ts';
import type { EdgeStatus } from '../../src/control/status.ts';
import { type ClusterHarness, clusterTest, STEADY, timeOf } from './cluster-harness.ts';
import { ask } from './cluster-network.ts';
import { FakeClock, hasFakeClock } from './fake-clock.ts';
import {
  eventually,
  namedBackend,
  openClient,
  requirePeer,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { activeKey, ReturningClients, ticketFleet, tlsListener } from './ticket-fleet.ts';

const NEEDS = 'needs libfaketime (Debian: faketime)';
const HOUR_S = 3_600;
const SERVERS = 3;
const CLIENTS = 4;

const clocks = new Map<ServerId, FakeClock>();
after(() => {
  for (const clock of clocks.values()) clock.remove();
});
const clockOf = (id: ServerId): FakeClock => {
  const clock = clocks.get(id) ?? new FakeClock();
  clocks.set(id, clock);
  return clock;
};
/** With the true time at first. */
const clockEnv = (id: ServerId): NodeJS.ProcessEnv => {
  if (!hasFakeClock) return {};
  clockOf(id).set(0);
  return clockOf(id).env;
};

clusterTest(
  "three edges: no clock that is set, one's or all's, costs a session, an election, a request or a rotation",
  ticketFleet({ servers: SERVERS, stekShare: STEADY, env: clockEnv }),
  async (t, cluster) => {
    if (!requirePeer(t, hasFakeClock, NEEDS)) return;
    await cluster.startAll();
    const { serverId: leader, term } = await cluster.settled();
    for (const id of cluster.ids) await eventually(async () => (await activeKey(cluster, id)) !== undefined, 'a key');
    for (const id of cluster.ids) await cluster.ports(id);
    const follower = cluster.ids.find((id) => id !== leader) as ServerId;
    const clients = new ReturningClients(cluster, CLIENTS);
    const jumps: readonly (readonly [number, readonly ServerId[]])[] = [
      [HOUR_S, [leader]],
      [-HOUR_S, [leader]],
      [HOUR_S, [follower]],
      [-HOUR_S, cluster.ids],
      [HOUR_S, cluster.ids],
      [0, cluster.ids],
    ];
    for (const [aheadS, ids] of jumps) {
      for (const id of ids) clockOf(id).set(aheadS);
      const before = await activeKeys(cluster);
      // by hand: by the clock the first is an hour away, and stays so
      assert.equal((await cluster.ask(follower, 'POST', '/keys/rotate')).status, 200);
      await rotated(cluster, before);
    }
    const toll = await clients.stop();
    assert.deepEqual([toll.lost, toll.first, toll.refused], [[], CLIENTS, 0]);
    const after = await cluster.settled();
    assert.deepEqual([after.serverId, after.term], [leader, term]);
    const { body } = await cluster.ask<EdgeStatus>(leader, 'GET', '/status');
    const retiring = body.keys.keys.filter(({ stage }) => stage === 'retiring');
    assert.equal(retiring.length, jumps.length, 'none was replaced or erased early');
    const times = cluster.log(leader).map(timeOf);
    assert.ok(Math.max(...times) - Math.min(...times) > HOUR_S * 1_000, 'the clocks were set');
    for (const id of cluster.ids) assert.deepEqual(troubles(cluster, id), []);
  },
);

clusterTest(
  'keys go on rotating in their interval, whatever the clock is set to',
  ticketFleet({ servers: 1, keyUpdateInterval: 1, listeners: [tlsListener('ticket_lifetime: 10m')], env: clockEnv }),
  async (t, cluster) => {
    if (!requirePeer(t, hasFakeClock, NEEDS)) return;
    await cluster.startAll();
    await eventually(async () => (await activeKey(cluster, 1)) !== undefined, 'a key');
    for (const aheadS of [HOUR_S, -HOUR_S, 0]) {
      clockOf(1).set(aheadS);
      await rotated(cluster, await activeKeys(cluster));
    }
    assert.deepEqual(troubles(cluster, 1), []);
  },
);

test('one edge: connections that wait, health checks and heartbeats go by another clock', async (t) => {
  if (!requirePeer(t, hasFakeClock, NEEDS)) return;
  const clock = new FakeClock();
  t.after(() => clock.remove());
  const socket = join(temporaryFolder(t), 'admin.sock');
  const [one, two] = [await namedBackend(t), await namedBackend(t)];
  const yaml = simpleConfig([one.address, two.address], {
    // far less than the clock is set by, and more than a busy machine keeps a thread waiting
    top: [`admin: {address: "unix:${socket}"}`, 'worker_hang_timeout: 1m'],
    pool: ['health_check: {type: tcp, interval: 200ms, fall: 2, rise: 1}'],
  });
  const program = await startProgram(t, yaml, false, { env: clock.env });
  const client = openClient(t, program.port);
  const answered = async (nth: number) => {
    client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((r) => r.split('HTTP/1.1 200').length === nth + 1);
  };
  const nodeDown = async () => {
    const { body } = await ask<EdgeStatus>(socket, 'GET', '/status');
    return body.pools[0]?.nodes.some(({ health }) => health.state === 'down') ?? false;
  };
  let requests = 0;
  await answered(++requests);
  for (const aheadS of [HOUR_S, -HOUR_S, 0]) {
    clock.set(aheadS);
    await answered(++requests);
    await two.close();
    await eventually(nodeDown, 'the check finds the node down');
    await two.reopen();
    await eventually(async () => !(await nodeDown()), 'and up again');
  }
  await answered(++requests);
  assert.deepEqual(
    program.log.filter(({ msg }) => /listener thread|drain/.test(msg)),
    [],
  );
});

/** Of each edge. */
function activeKeys(cluster: ClusterHarness): Promise<(string | undefined)[]> {
  return Promise.all(cluster.ids.map((id) => activeKey(cluster, id)));
}

/** Resolves when each edge has another active key than `before`. */
async function rotated(cluster: ClusterHarness, before: readonly (string | undefined)[]): Promise<void> {
  let now: (string | undefined)[] = [];
  const isRotated = async () => {
    now = await activeKeys(cluster);
    return now.every((key, i) => key !== undefined && key !== before[i]);
  };
  await eventually(isRotated, () => `a rotation: from ${before} to ${now}`);
}

function troubles(cluster: ClusterHarness, id: ServerId): string[] {
  // edges that start together find each other missing for a moment
  const expected = 'a peer cannot be reached';
  return cluster
    .log(id)
    .filter(({ level, msg }) => level >= 40 && msg !== expected)
    .map(({ msg }) => msg);
}
