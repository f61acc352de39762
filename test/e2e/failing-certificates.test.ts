/** Certificates that expire while the program runs (its clock is set): a listener's, its clients', and the group's own. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type tls from 'node:tls';
import { createAuthority } from '../cluster/certificates.ts';
import { clusterTest, STEADY, SUBJECT } from './cluster-harness.ts';
import { FakeClock, hasFakeClock } from './fake-clock.ts';
import { namedBackend, requirePeer, simpleConfig, startProgram, temporaryFolder } from './harness.ts';
import { scrape } from './metrics-scrape.ts';
import { connectTo, fingerprint, newSite, shown } from './site.ts';
import { visit } from './tls-client.ts';

const NEEDS = 'needs libfaketime (Debian: faketime)';
const HOUR_S = 3_600;
const clients = createAuthority('clients');
const inHalfAnHour = () => new Date(Date.now() + (HOUR_S * 1_000) / 2);

test("a listener's certificate that expires is shown on, with a warning; others can be renewed without it, and it itself", async (t) => {
  const site = await startSite(t);
  if (site === null) return;
  const { program, clock } = site;
  clock.set(HOUR_S);
  assert.equal(await shown(program, 'a'), fingerprint(site.leaves.get('a')));
  // b is renewed, a is as it was
  site.write('b');
  await program.reload(site.yaml);
  assert.equal(await shown(program, 'b'), fingerprint(site.leaves.get('b')));
  assert.equal(await shown(program, 'a'), fingerprint(site.leaves.get('a')));
  assert.ok(
    program.log.some(({ level, msg }) => level === 40 && /a\.crt holds a certificate that expired on/.test(msg)),
  );
  // another one that has expired is an error still
  const good = site.leaves.get('b');
  site.write('b', inHalfAnHour());
  program.child.kill('SIGHUP');
  await program.logged(({ level, msg }) => level === 50 && /b\.crt holds a certificate that expired on/.test(msg));
  await program.logged(({ msg }) => msg.startsWith('reload refused'));
  assert.equal(await shown(program, 'b'), fingerprint(good));
  site.write('a');
  site.write('b');
  await program.reload(site.yaml);
  assert.equal(await shown(program, 'a'), fingerprint(site.leaves.get('a')));
});

test("a client's certificate that expires is refused at the next connection, a resumed one too; open ones go on", async (t) => {
  const clientCa = join(temporaryFolder(t), 'clients.pem');
  writeFileSync(clientCa, clients.certificate);
  const site = await startSite(t, `client_ca_file: ${clientCa}`);
  if (site === null) return;
  const { program, clock } = site;
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    clock.set(0);
    const { certificate: cert, key } = clients.issue('/CN=client', inHalfAnHour());
    const { session } = await visit(program.port, { version, servername: 'a.example', cert, key });
    const open = await connectTo(program, 'a', { cert, key });
    assert.match(await answered(open), /^HTTP\/1.1 200/);
    clock.set(HOUR_S);
    for (const resumed of [null, session]) {
      const refused = await visit(program.port, { version, servername: 'a.example', cert, key, session: resumed }).then(
        ({ answer }) => answer,
        () => '',
      );
      assert.doesNotMatch(refused, /^HTTP\/1.1 200/, `${version}, ${resumed === null ? 'full' : 'resumed'}`);
    }
    assert.match(await answered(open), /^HTTP\/1.1 200/);
    open.destroy();
    const renewed = clients.issue('/CN=client');
    const { answer } = await visit(program.port, {
      version,
      servername: 'a.example',
      cert: renewed.certificate,
      key: renewed.key,
    });
    assert.match(answer, /^HTTP\/1.1 200/);
  }
});

const clocks = { clock: null as FakeClock | null };
clusterTest(
  "the group's certificates expire: connections that are open go on, new ones are refused, a reload of renewed ones mends it",
  { servers: 3, stekShare: STEADY, service: ['affinity_salt: a'], env: () => clocks.clock?.env ?? {} },
  async (t, cluster) => {
    if (!requirePeer(t, hasFakeClock, NEEDS)) return;
    const clock = new FakeClock();
    t.after(() => clock.remove());
    clocks.clock = clock;
    for (const id of cluster.ids) cluster.certify(id, cluster.authority.issue(SUBJECT, inHalfAnHour()));
    await cluster.startAll();
    const { term, serverId: leader } = await cluster.settled();
    const { samples } = await scrape(cluster.file(1, 'admin.sock'));
    const notAfterS = samples.get('stekbal_raft_certificate_not_after_timestamp_seconds') ?? 0;
    assert.ok(notAfterS > Date.now() / 1_000 && notAfterS < Date.now() / 1_000 + HOUR_S);
    clock.set(HOUR_S);
    assert.equal((await cluster.addNode(leader, '127.0.0.1:1')).status, 200);
    assert.equal((await cluster.settled()).term, term, 'open connections go on');
    // one that starts anew finds nobody
    const follower = cluster.ids.find((id) => id !== leader) as number;
    await cluster.kill(follower);
    const program = await cluster.start(follower);
    await program.logged(({ msg }) => msg.startsWith("this server's certificate for its peers has expired"));
    await program.logged(
      ({ msg, reason, detail }) =>
        msg === 'refused from a peer' && reason === 'untrusted-certificate' && /EXPIRED|expired/.test(String(detail)),
    );
    assert.match((await cluster.request(leader)).body, /^127/);
    for (const id of cluster.ids) {
      cluster.certify(id, cluster.authority.issue(SUBJECT));
      await cluster.reload(id);
    }
    await cluster.settled();
    assert.match((await cluster.request(follower)).body, /^127/);
  },
);

/** Certificates for a.example (half an hour) and b.example, and a program that shows them on a clock of its own. */
async function startSite(t: TestContext, ...more: readonly string[]) {
  if (!requirePeer(t, hasFakeClock, NEEDS)) return null;
  const clock = new FakeClock();
  t.after(() => clock.remove());
  const site = newSite(t, ['a', 'b']);
  site.write('a', inHalfAnHour());
  const yaml = simpleConfig([(await namedBackend(t)).address], { listeners: [site.listener(...more)] });
  const program = await startProgram(t, yaml, false, { env: clock.env });
  return { ...site, program, clock, yaml };
}

/** What comes back first. */
async function answered(socket: tls.TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(30_000) })) as [Buffer];
  return chunk.toString('latin1');
}
