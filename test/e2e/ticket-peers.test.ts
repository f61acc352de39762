/** HAProxy with the keys that stekbal exports: each resumes what the other issued. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createAuthority } from '../cluster/certificates.ts';
import { type ClusterHarness, clusterTest } from './cluster-harness.ts';
import { freePort } from './cluster-network.ts';
import { eventually, requirePeer, runToEnd, temporaryFolder } from './harness.ts';
import { ticketFleet, tlsPort } from './ticket-fleet.ts';
import { TLS_VERSIONS, visit } from './tls-client.ts';
import { startPeer } from './tls-peers.ts';

const hasHaproxy = spawnSync('haproxy', ['-v']).status === 0;

// HAProxy's session id context is its name
const fleet = ticketFleet({ servers: 1, top: ['session_id_context: haproxy'] });

clusterTest(
  'HAProxy with exported keys resumes what stekbal issued, and the other way round',
  fleet,
  async (t, cluster) => {
    if (!requirePeer(t, hasHaproxy, 'needs haproxy')) return;
    await cluster.startAll();
    const own = await tlsPort(cluster, 1);
    await eventually(async () => (await exportKeys(cluster, 'haproxy')).split('\n').length > 1, 'keys on the disk');
    const other = await startHaproxy(t, await exportKeys(cluster, 'haproxy'), cluster.node);
    for (const version of TLS_VERSIONS) {
      for (const [from, to] of [
        [own, other],
        [other, own],
        [other, other],
      ] as const) {
        const { session, isReused, answer } = await visit(from, { version });
        assert.match(answer, /^HTTP\/1.1 200/);
        assert.equal(isReused, false);
        const route = `${version}, ${from === own ? 'stekbal' : 'HAProxy'} to ${to === own ? 'stekbal' : 'HAProxy'}`;
        assert.ok((await visit(to, { version, session })).isReused, route);
      }
    }
  },
);

clusterTest(
  'a fleet begins with the key of the one before it, and opens its tickets',
  { ...fleet, top: [...(fleet.top ?? []), 'ticket_keys: {import_file: old.keys, import_format: haproxy}'] },
  async (t, cluster) => {
    if (!requirePeer(t, hasHaproxy, 'needs haproxy')) return;
    const keys = Array.from({ length: 3 }, () => `${randomBytes(48).toString('base64')}\n`);
    writeFileSync(cluster.file(1, 'old.keys'), keys.join(''));
    const old = await startHaproxy(t, keys.join(''), cluster.node);
    await cluster.startAll();
    const own = await tlsPort(cluster, 1);
    for (const version of TLS_VERSIONS) {
      const { session } = await visit(old, { version });
      assert.ok((await visit(own, { version, session })).isReused, `${version}: an old ticket`);
      const { session: fresh } = await visit(own, { version });
      assert.ok((await visit(old, { version, session: fresh })).isReused, `${version}: while both run`);
    }
  },
);

async function exportKeys(cluster: ClusterHarness, format: string): Promise<string> {
  const { code, stdout, stderr } = await runToEnd([
    ...['keys', 'export', '--format', format],
    ...['-c', cluster.file(1, 'stekbal.yaml')],
  ]);
  if (code !== 0) assert.match(stderr, /no ticket key|nothing/i);
  return stdout;
}

/** HAProxy in front of `node`, with a certificate of its own and these ticket keys. Resolves to its port. */
async function startHaproxy(t: TestContext, keys: string, node: string): Promise<number> {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const { certificate, key } = createAuthority('another').issue('/CN=localhost', { names: ['localhost'] });
  writeFileSync(join(folder, 'site.pem'), certificate + key);
  writeFileSync(join(folder, 'ticket.keys'), keys, { mode: 0o600 });
  const bind = `bind 127.0.0.1:${port} ssl crt ${folder}/site.pem tls-ticket-keys ${folder}/ticket.keys alpn http/1.1`;
  const lines = [
    ...['global', '  maxconn 100', 'defaults', '  mode http'],
    ...['client', 'server', 'connect'].map((side) => `  timeout ${side} 10s`),
    ...['frontend f', `  ${bind}`, '  default_backend b', 'backend b', `  server s ${node}`, ''],
  ];
  writeFileSync(join(folder, 'haproxy.cfg'), lines.join('\n'));
  return startPeer(t, 'haproxy', ['-f', join(folder, 'haproxy.cfg')], port);
}
