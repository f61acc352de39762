/**
 * Ticket keys in fleets of real processes: a session resumes at every edge, through rotations and failures, and nowhere
 * that it should not.
 */

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import type { ServerId } from '../../src/cluster/types.ts';
import type { KeysStatus } from '../../src/control/status.ts';
import { createAuthority } from '../cluster/certificates.ts';
import { loadSeconds } from './autocannon.ts';
import { type ClusterHarness, clusterTest, STEADY } from './cluster-harness.ts';
import { textOf } from './cluster-network.ts';
import { awakeClock, eventually, requirePeer, temporaryFolder } from './harness.ts';
import {
  clientAuthority,
  keysOf,
  NAMES,
  ReturningClients,
  startIssuing,
  type Toll,
  ticketFleet,
  tlsListener,
  tlsPort,
} from './ticket-fleet.ts';
import { TLS_VERSIONS, visit } from './tls-client.ts';

const LOAD_MS = 1_000 * loadSeconds(30);
const CLIENTS = 12;
const QUICK = { keyUpdateInterval: 2, listeners: [tlsListener('ticket_lifetime: 20s')] };

const run = promisify(execFile);
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

clusterTest(
  'openssl resumes at five edges, with each version and name',
  ticketFleet({ servers: 5 }),
  async (t, cluster) => {
    if (!requirePeer(t, hasOpenssl, 'needs openssl')) return;
    await startIssuing(cluster);
    const ports = await Promise.all(cluster.ids.map((id) => tlsPort(cluster, id)));
    const folder = temporaryFolder(t);
    for (const flag of ['-tls1_2', '-tls1_3']) {
      for (const name of [...NAMES, null]) {
        const sni = name === null ? ['-noservername'] : ['-servername', name];
        const ticket = join(folder, `${flag}${name}`);
        const first = await sClient(ports[0] as number, [flag, ...sni, '-sess_out', ticket]);
        assert.match(first, /^New, /m);
        for (const port of ports) {
          assert.match(await sClient(port, [flag, ...sni, '-sess_in', ticket]), /^Reused, /m, `${flag} ${name}`);
        }
      }
    }
  },
);

clusterTest(
  'rotations cost no resumption',
  // a member that stands still for a second or two is waited for
  ticketFleet({ servers: 3, ...QUICK, stekShare: STEADY }),
  async (t, cluster) => {
    await startIssuing(cluster);
    const before = await keysOf(cluster, 1);
    const clients = new ReturningClients(cluster, CLIENTS);
    const areRetired = async () => {
      const { keys } = await keysOf(cluster, 1);
      return before.keys.every(({ id }) => !keys.some((key) => key.id === id));
    };
    await passes(LOAD_MS);
    await eventually(areRetired, 'the keys of the beginning to be retired');
    const toll = await clients.stop();
    const after = await keysOf(cluster, 1);
    tell(t, toll);
    t.diagnostic(`${before.keys.length} keys before, ${after.keys.length} after`);
    assert.deepEqual([toll.lost, toll.first, toll.refused], [[], CLIENTS, 0]);
    assert.ok(toll.handshakes > 1_000);
  },
);

clusterTest(
  'rotations cost no resumption while a member and the leader are killed and come back',
  ticketFleet({ servers: 3, ...QUICK }),
  async (t, cluster) => {
    await startIssuing(cluster);
    const clients = new ReturningClients(cluster, CLIENTS);
    const eighth = LOAD_MS / 8;
    await passes(eighth);
    const { serverId: leader } = await cluster.leader();
    const other = cluster.ids.find((id) => id !== leader) as ServerId;
    await cluster.kill(other);
    await passes(eighth);
    await cluster.start(other);
    await cluster.settled();
    await passes(eighth);
    const { serverId: victim } = await cluster.leader();
    await cluster.kill(victim);
    await passes(eighth);
    await cluster.start(victim);
    await cluster.settled();
    await passes(eighth);
    const toll = await clients.stop();
    tell(t, toll);
    assert.deepEqual([toll.lost, toll.first], [[], CLIENTS]);
    assert.ok(toll.handshakes > 1_000);
  },
);

clusterTest(
  'a revoked key opens no ticket anywhere within a second',
  ticketFleet({ servers: 3 }),
  async (t, cluster) => {
    await startIssuing(cluster);
    const now = awakeClock(t);
    for (const version of TLS_VERSIONS) {
      const { session } = await visit(await tlsPort(cluster, 1), { version });
      const resumesAt = async (id: ServerId) =>
        (await visit(await tlsPort(cluster, id), { version, session })).isReused;
      assert.ok(await resumesAt(3));
      const [{ id: old }] = activeOf(await keysOf(cluster, 1));
      const began = now();
      const { status, body } = await cluster.ask<KeysStatus>(2, 'POST', '/keys/revoke');
      const answered = now();
      assert.equal(status, 200);
      assert.ok(!body.keys.some(({ id }) => id === old));
      assert.equal(await resumesAt(2), false, 'whoever was asked opens none once it has answered');
      for (const id of cluster.ids) {
        await eventually(async () => !(await resumesAt(id)), `server ${id} to open no ticket of before`);
      }
      t.diagnostic(`${version}: ${Math.round(now() - began)} ms until all three had refused`);
      assert.ok(now() - answered <= 1_000);
      const again = await visit(await tlsPort(cluster, 1), { version });
      assert.ok((await visit(await tlsPort(cluster, 2), { version, session: again.session })).isReused);
    }
  },
);

clusterTest('rotate makes the next key active on every edge', ticketFleet({ servers: 3 }), async (_, cluster) => {
  await startIssuing(cluster);
  const before = await keysOf(cluster, 1);
  const [old] = activeOf(before);
  const staged = before.keys.find(({ stage }) => stage === 'staged');
  const { body } = await cluster.ask<KeysStatus>(2, 'POST', '/keys/rotate');
  assert.equal(activeOf(body)[0].id, staged?.id);
  for (const id of cluster.ids) {
    const isThere = async () => {
      const { keys } = await keysOf(cluster, id);
      return keys.some((key) => key.id === old.id && key.stage === 'retiring') && keys.length === 3;
    };
    await eventually(isThere, `server ${id} to have the former key as a retiring one, and the next one staged`);
  }
});

clusterTest(
  'an edge that starts alone serves full handshakes without tickets, until its cluster is there',
  ticketFleet({ servers: 3 }),
  async (_, cluster) => {
    const alone = await cluster.start(1);
    const port = await tlsPort(cluster, 1);
    assert.ok(
      alone.log.some(({ level, msg }) => level === 40 && msg.startsWith('no ticket keys from the cluster yet')),
    );
    for (const version of TLS_VERSIONS) {
      const { answer, session } = await visit(port, { version });
      assert.match(answer, /^HTTP\/1.1 200/);
      assert.ok(session === null || !(await visit(port, { version, session })).isReused);
    }
    await cluster.startAll([2, 3]);
    for (const id of [1, 3]) await eventually(async () => (await keysOf(cluster, id)).isIssuing, 'its keys');
    for (const version of TLS_VERSIONS) {
      const { session } = await visit(port, { version });
      assert.ok((await visit(await tlsPort(cluster, 3), { version, session })).isReused);
    }
  },
);

clusterTest(
  'a member that is cut off opens tickets still, and makes none once its key is twice the interval old',
  ticketFleet({ servers: 3, keyUpdateInterval: 3, listeners: [tlsListener('ticket_lifetime: 60s')] }),
  async (_, cluster) => {
    await startIssuing(cluster);
    const port = await tlsPort(cluster, 1);
    const sessions = await Promise.all(TLS_VERSIONS.map(async (version) => (await visit(port, { version })).session));
    await Promise.all([cluster.kill(2), cluster.kill(3)]);
    await eventually(async () => !(await keysOf(cluster, 1)).isIssuing, 'it to make no more tickets');
    for (const [i, version] of TLS_VERSIONS.entries()) {
      const { isReused } = await visit(port, { version, session: sessions[i] as Buffer });
      assert.ok(isReused, version);
      const { session } = await visit(port, { version });
      assert.ok(
        session === null || !(await visit(port, { version, session })).isReused,
        `${version}: a ticket was made`,
      );
    }
    await cluster.startAll([2, 3]);
    await eventually(async () => (await keysOf(cluster, 1)).isIssuing, 'a new key');
  },
);

clusterTest(
  'an edge that comes back alone opens no ticket: its keys may have been revoked meanwhile',
  ticketFleet({ servers: 3 }),
  async (_, cluster) => {
    await startIssuing(cluster);
    const port = await tlsPort(cluster, 1);
    const sessions = await Promise.all(TLS_VERSIONS.map(async (version) => (await visit(port, { version })).session));
    await cluster.kill(3);
    await eventually(async () => (await cluster.ask(1, 'POST', '/keys/revoke')).status === 200, 'a revocation');
    await Promise.all([cluster.kill(1), cluster.kill(2)]);
    await cluster.start(3);
    for (const [i, version] of TLS_VERSIONS.entries()) {
      const { isReused, answer } = await visit(await tlsPort(cluster, 3), { version, session: sessions[i] as Buffer });
      assert.match(answer, /^HTTP\/1.1 200/);
      assert.equal(isReused, false, version);
    }
  },
);

clusterTest(
  'a leader that drains for long leads on: the next key becomes active meanwhile',
  ticketFleet({ servers: 3 }),
  async (t, cluster) => {
    await startIssuing(cluster);
    const { serverId: leader } = await cluster.leader();
    const other = cluster.ids.find((id) => id !== leader) as ServerId;
    // a request whose body never ends holds the drain up
    const client = tls.connect({ host: '127.0.0.1', port: await tlsPort(cluster, leader), rejectUnauthorized: false });
    t.after(() => client.destroy());
    client.on('error', () => {});
    client.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1');
    await eventually(async () => (await metric(cluster, leader, 'full')) >= 1, 'the handshake');
    cluster.program(leader).child.kill('SIGTERM');
    await cluster.program(leader).logged(({ msg }) => msg.startsWith('draining'));
    assert.equal((await cluster.ask(other, 'POST', '/keys/rotate')).status, 200);
  },
);

const DOMAINS = [tlsListener(), tlsListener('client_ca_file: clients.pem'), tlsListener('session_id_context: other')];

clusterTest(
  'no ticket crosses from one trust domain to another',
  ticketFleet({ servers: 2, listeners: DOMAINS }),
  async (_, cluster) => {
    await startIssuing(cluster);
    const { certificate, key } = clientAuthority.issue('/CN=somebody');
    const stranger = createAuthority('nobody').issue('/CN=somebody');
    const identity = { cert: certificate, key };
    for (const version of TLS_VERSIONS) {
      const at = (domain: number, more: object, id = 1) =>
        tlsPort(cluster, id, domain).then((port) => visit(port, { version, ...more }));
      const [open, closed, other] = await Promise.all([at(0, {}), at(1, identity), at(2, {})]);
      assert.ok((await at(0, { session: open.session }, 2)).isReused, 'the same domain on another edge');
      assert.ok((await at(1, { session: closed.session, ...identity }, 2)).isReused);
      assert.ok((await at(2, { session: other.session }, 2)).isReused);
      // with a ticket from elsewhere, the certificate is demanded all the same
      for (const { session } of [open, other]) {
        assert.equal(await answerOf(at(1, { session })), '', `${version}: got in without a certificate`);
        const stranded = { session, cert: stranger.certificate, key: stranger.key };
        assert.equal(await answerOf(at(1, stranded)), '', `${version}: got in with another CA's`);
        assert.equal((await at(1, { session, ...identity })).isReused, false);
      }
      assert.equal((await at(0, { session: closed.session })).isReused, false);
      assert.equal((await at(2, { session: open.session })).isReused, false);
      assert.equal((await at(0, { session: other.session })).isReused, false);
    }
  },
);

clusterTest('no ticket crosses from one site to another', ticketFleet({ servers: 2 }), async (_, cluster) => {
  if (!requirePeer(_, hasOpenssl, 'needs openssl')) return;
  await startIssuing(cluster);
  const [one, two] = await Promise.all([1, 2].map((id) => tlsPort(cluster, id)));
  const ticket = join(temporaryFolder(_), 'ticket');
  for (const flag of ['-tls1_2', '-tls1_3']) {
    await sClient(one as number, [flag, '-servername', 'a.example', '-sess_out', ticket]);
    assert.match(await sClient(two as number, [flag, '-servername', 'a.example', '-sess_in', ticket]), /^Reused/m);
    for (const name of ['localhost', 'x.b.example']) {
      assert.match(await sClient(two as number, [flag, '-servername', name, '-sess_in', ticket]), /^New/m, name);
    }
  }
});

/** Handshakes of a server so far. */
async function metric(cluster: ClusterHarness, id: ServerId, result: 'full' | 'resumed'): Promise<number> {
  const text = await textOf(cluster.file(id, 'admin.sock'), '/metrics');
  const counts = text.matchAll(new RegExp(`^stekbal_tls_handshakes_total\\{result="${result}".*\\} (\\d+)$`, 'gm'));
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

function activeOf({ keys }: KeysStatus): [KeysStatus['keys'][number]] {
  const active = keys.filter(({ stage }) => stage === 'active');
  assert.equal(active.length, 1);
  return active as [KeysStatus['keys'][number]];
}

/** What came, or nothing where the connection was broken off. */
function answerOf(visited: ReturnType<typeof visit>): Promise<string> {
  return visited.then(
    ({ answer }) => answer,
    () => '',
  );
}

/** Time in which clients are at work. */
function passes(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function tell(t: TestContext, { handshakes, first, resumed, lost, refused }: Toll): void {
  t.diagnostic(
    `${handshakes} handshakes: ${first} first ones, ${resumed} resumed, ${lost.length} lost; ${refused} refused`,
  );
}

/** What s_client says of a connection with one request. */
async function sClient(port: number, args: readonly string[]): Promise<string> {
  const command = ['s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...args];
  const child = run('openssl', command, { timeout: 20_000 });
  child.child.stdin?.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const { stdout } = await child;
  assert.match(stdout, /HTTP\/1.1 200/);
  return stdout;
}
