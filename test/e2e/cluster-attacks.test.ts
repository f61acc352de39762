/** Strangers at the door of a real cluster: each is refused, counted and named in the log, and the cluster goes on. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { frame } from '../../src/cluster/frames.ts';
import { TRANSPORT_LIMITS } from '../../src/cluster/peer-connection.ts';
import type { ServerId } from '../../src/cluster/types.ts';
import { createAuthority } from '../cluster/certificates.ts';
import { helloOf as helloBytes } from '../workers/tls-harness.ts';
import { ClusterHarness, clusterTest, STEADY, SUBJECT } from './cluster-harness.ts';
import { eventually, type LogLine } from './harness.ts';
import { dialMember, helloOf } from './hostile-peer.ts';

/** Listed, and not there: a name for those who have a certificate. */
const ABSENT = 4;
const SILENT = 1_000;
const HELLOS = 20_000;
const MIB = 1024 * 1024;

/** Each attacks server `to`, which must refuse it for the reason. */
const ATTACKS: Readonly<Record<string, (t: TestContext, cluster: ClusterHarness, to: ServerId) => string>> = {
  'no client certificate': (t, cluster, to) => {
    dialMember(t, cluster, to, null);
    return 'no-certificate';
  },
  "another CA's certificate": (t, cluster, to) => {
    dialMember(t, cluster, to, createAuthority('another CA').issue(SUBJECT));
    return 'untrusted-certificate';
  },
  'the right CA and the wrong subject': (t, cluster, to) => {
    dialMember(t, cluster, to, cluster.authority.issue('/C=US/O=Yahoo/CN=elsewhere'));
    return 'wrong-subject';
  },
  'plain text': (t, cluster, to) => {
    const socket = net.connect(cluster.port(to), '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    return 'not-tls';
  },
  'a frame of 4 GiB after a good handshake': (t, cluster, to) => {
    const socket = dialMember(t, cluster, to, cluster.authority.issue(SUBJECT));
    socket.write(Buffer.concat([helloOf(ABSENT, to), Buffer.from([0xff, 0xff, 0xff, 0xff])]));
    return 'oversized-frame';
  },
  'random bytes after a good handshake': (t, cluster, to) => {
    const socket = dialMember(t, cluster, to, cluster.authority.issue(SUBJECT));
    socket.write(Buffer.concat([helloOf(ABSENT, to), frame(randomBytes(1000))]));
    return 'bad-frame';
  },
  "another cluster's id": (t, cluster, to) => {
    const socket = dialMember(t, cluster, to, cluster.authority.issue(SUBJECT));
    socket.write(helloOf(ABSENT, to, { cluster: '99.abcdef', leader: `${ABSENT}.evil` }));
    return 'other-cluster';
  },
  'a server_id that is not listed': (t, cluster, to) => {
    dialMember(t, cluster, to, cluster.authority.issue(SUBJECT)).write(helloOf(77, to));
    return 'unknown-server';
  },
  'our own server_id': (t, cluster, to) => {
    dialMember(t, cluster, to, cluster.authority.issue(SUBJECT)).write(helloOf(to, to));
    return 'own-id';
  },
};

clusterTest('strangers are refused for their reasons', { servers: ABSENT, stekShare: STEADY }, async (t, cluster) => {
  await cluster.startAll([1, 2, 3]);
  const { serverId: target, term, member } = await cluster.leader();
  for (const [what, attack] of Object.entries(ATTACKS)) {
    await t.test(what, async (t) => {
      const reason = attack(t, cluster, target);
      await eventually(async () => (await cluster.status(target)).refusals[reason] === 1, `a refusal for ${reason}`);
      const isOfIt = ({ msg, reason: why }: LogLine) => msg === 'refused from a peer' && why === reason;
      const line = await cluster.program(target).logged(isOfIt);
      assert.deepEqual([line.level, /^127\.0\.0\.1:\d+$/.test(String(line.address))], [40, true]);
      const after = await cluster.leader();
      assert.deepEqual([after.member, after.term], [member, term]);
    });
  }
});

clusterTest(
  `${SILENT} connections that say nothing cost no leader and little memory`,
  { servers: 3, stekShare: STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const { serverId: target, term, member } = await cluster.settled();
    const before = cluster.program(target).rss();
    const sockets: net.Socket[] = [];
    for (let i = 0; i < SILENT; i++) {
      const socket = net.connect(cluster.port(target), '127.0.0.1');
      socket.on('error', () => {});
      sockets.push(socket);
      // or refused at once
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    }
    const during = cluster.program(target).rss();
    // all but a few at once, the others after a deadline
    const refused = async () => {
      const { silent = 0, 'too-many': tooMany = 0 } = (await cluster.status(target)).refusals;
      return silent + tooMany;
    };
    // and maybe of a member that dialled again meanwhile
    await eventually(async () => (await refused()) >= SILENT, 'a refusal of each');
    assert.ok((await refused()) < 1.1 * SILENT, 'each is refused once');
    const after = await cluster.settled();
    assert.deepEqual([after.member, after.term], [member, term]);
    const lines = cluster.log(target).filter((line) => line.msg === 'refused from a peer');
    assert.ok(lines.length > 0 && lines.length < 20, `${lines.length} lines`);
    const [grown, left] = [during - before, cluster.program(target).rss() - before].map((n) => (n / MIB).toFixed(1));
    t.diagnostic(`RSS ${(before / MIB).toFixed(0)} MiB; ${grown} MiB more at ${SILENT} connections, ${left} after`);
    assert.ok(during - before < 100 * MIB);
    for (const socket of sockets) socket.destroy();
  },
);

clusterTest(
  'hellos without end at the leader, of which each wants a handshake, are let in at a rate, and cost no leader',
  { servers: 3, stekShare: STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const { serverId: target, term, member } = await cluster.settled();
    const hello = await helloBytes({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
    const beganMs = performance.now();
    let answered = 0;
    // each is over when it is answered, or refused; the next follows at once
    const knock = () =>
      new Promise<void>((resolve) => {
        const socket = net.connect(cluster.port(target), '127.0.0.1', () => socket.write(hello));
        socket.on('error', () => {}).on('close', () => resolve());
        socket.once('data', () => {
          answered += 1;
          socket.resetAndDestroy();
        });
      });
    let left = HELLOS;
    const knocking = async () => {
      while (left-- > 0) await knock();
    };
    const knockers = Promise.all(Array.from({ length: 400 }, knocking));
    let slowestMs = 0;
    while (left > 0) {
      const askedMs = performance.now();
      assert.equal((await cluster.ask(target, 'GET', '/healthz')).status, 200);
      slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    }
    await knockers;
    const seconds = (performance.now() - beganMs) / 1000;
    const { refusals } = await cluster.status(target);
    t.diagnostic(
      `${answered} of ${HELLOS} answered in ${seconds.toFixed(1)} s; /healthz took ${slowestMs.toFixed(0)} ms at most`,
    );
    // they come from the address of two listed servers, which is the worst there is
    const { perSecond, burst } = TRANSPORT_LIMITS.peerRate;
    assert.ok(answered <= 2 * (burst + perSecond * (seconds + 1)), `${answered} handshakes`);
    assert.ok((refusals['too-many'] ?? 0) >= HELLOS - answered - 10, JSON.stringify(refusals));
    const after = await cluster.settled();
    assert.deepEqual([after.member, after.term], [member, term]);
    const lines = cluster.log(target).filter((line) => line.reason === 'too-many');
    assert.ok(lines.length > 0 && lines.length < 10, `${lines.length} lines`);
  },
);

clusterTest(
  'a second cluster that takes a server of this one for its own does no harm',
  { servers: 3, stekShare: STEADY },
  async (t, cluster) => {
    const other = await ClusterHarness.create(t, { servers: 3, stekShare: STEADY, authority: cluster.authority });
    await Promise.all([cluster.startAll(), other.startAll()]);
    const [before, theirs] = [await cluster.settled(), await other.settled()];
    const target = before.serverId;
    // not their leader: that one would lose its own follower by the mistake
    const stray = other.ids.find((id) => id !== target && id !== theirs.serverId) as ServerId;
    // somebody copied a line from the wrong list
    const rows = other.ids.map((id) => {
      return `- {server_id: ${id}, address: 127.0.0.1, port: ${(id === target ? cluster : other).port(id)}}\n`;
    });
    writeFileSync(other.file(stray, 'server_list.yaml'), rows.join(''));
    const { child, logged } = other.program(stray);
    child.kill('SIGHUP');
    await logged(({ msg }) => msg === 'reloaded');
    const refusals = async () => (await cluster.status(target)).refusals['other-cluster'] ?? 0;
    await eventually(async () => (await refusals()) >= 5, 'refusals of the stray');
    t.diagnostic(`refused ${await refusals()} times; the two clusters: ${before.cluster} and ${theirs.cluster}`);
    const line = cluster.log(target).find((one) => one.reason === 'other-cluster');
    assert.equal(line?.serverId, stray);
    const after = await cluster.leader();
    assert.deepEqual([after.cluster, after.term, after.member], [before.cluster, before.term, before.member]);
    assert.equal((await cluster.addNode(target, '127.0.0.1:9')).status, 200);
    const { role, term } = await other.status(theirs.serverId);
    assert.deepEqual([role, term], ['leader', theirs.term]);
    other.assertOneLeaderATerm();
  },
);
