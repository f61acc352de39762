/** `stekbal verify` against its own fleet, and against nginx, HAProxy and openssl with shared keys and without. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createAuthority } from '../cluster/certificates.ts';
import { startTlsServer } from '../control/tls-servers.ts';
import { clusterTest } from './cluster-harness.ts';
import { freePort } from './cluster-network.ts';
import { requirePeer, runToEnd, temporaryFolder } from './harness.ts';
import { ticketFleet, tlsListener, tlsPort } from './ticket-fleet.ts';
import { startPeer } from './tls-peers.ts';

interface Probe {
  readonly protocol: string;
  readonly serverName: string | null;
  readonly from: { readonly port: number };
  readonly at: { readonly port: number };
  readonly outcome: string;
}

clusterTest('all sessions of a fleet resume everywhere', ticketFleet({ servers: 3 }), async (_, cluster) => {
  await cluster.startAll();
  const addresses = (await Promise.all(cluster.ids.map((id) => tlsPort(cluster, id)))).map(
    (port) => `127.0.0.1:${port}`,
  );
  const names = ['--servername', 'a.example', '--servername', 'x.b.example'];
  const { code, stdout, stderr } = await runToEnd(['verify', ...addresses, ...names]);
  assert.deepEqual([code, stderr], [0, ''], stdout);
  assert.equal(stdout.match(/^TLS 1\.[23], for (a|x\.b)\.example$/gm)?.length, 4);
  assert.match(stdout, /\nall 36 resumed\n$/);
});

clusterTest(
  'a listener of TLS 1.3 alone counts as a failure, unless --tls leaves 1.2 out',
  ticketFleet({ servers: 1, listeners: [tlsListener('min_version: TLSv1.3')] }),
  async (_, cluster) => {
    await cluster.startAll();
    const address = `127.0.0.1:${await tlsPort(cluster, 1)}`;
    const both = await runToEnd(['verify', address]);
    assert.equal(both.code, 1);
    assert.match(
      both.stdout,
      new RegExp(`unsupported\n${address} does not speak TLSv1\\.2\n[^]*1 of 2 did not resume\n$`),
    );
    assert.equal((await runToEnd(['verify', address, '--tls', '1.3'])).code, 0);
  },
);

test('servers with keys of their own are found out', async (t) => {
  const [a, b] = [await startTlsServer(t), await startTlsServer(t, { ticketKeys: Buffer.alloc(48) })];
  const { code, probes } = await verify([a.target.port, b.target.port]);
  assert.equal(code, 1);
  for (const { from, at, outcome } of probes) assert.equal(outcome, from.port === at.port ? 'resumed' : 'full');
  assert.equal(probes.length, 8);
});

test('HAProxy and nginx are read as well', async (t) => {
  for (const [name, start, flag] of [
    ['haproxy', startHaproxy, '-v'],
    ['nginx', startNginx, '-v'],
  ] as const) {
    if (!requirePeer(t, spawnSync(name, [flag]).status === 0, `needs ${name}`)) continue;
    const shared = randomBytes(48);
    const site = siteFile(t);
    const [a, b, c] = [
      await start(t, site, shared),
      await start(t, site, shared),
      await start(t, site, randomBytes(48)),
    ];
    const well = await verify([a, b]);
    assert.deepEqual([well.code, well.probes.length], [0, 8], `${name}: ${JSON.stringify(well.probes)}`);
    const bad = await verify([a, b, c], '--servername', 'localhost');
    assert.equal(bad.code, 1);
    for (const { from, at, outcome, serverName } of bad.probes) {
      const isSame = (from.port === c) === (at.port === c);
      assert.deepEqual([outcome, serverName], [isSame ? 'resumed' : 'full', 'localhost'], name);
    }
  }
});

test('a server that issues no tickets is said to', async (t) => {
  if (!requirePeer(t, spawnSync('openssl', ['version']).status === 0, 'needs openssl')) return;
  const port = await freePort();
  const site = siteFile(t);
  const args = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', site, '-key', site, '-num_tickets', '0'];
  await startPeer(t, 'openssl', [...args, '-no_ticket', '-quiet', '-naccept', '100'], port);
  const { code, probes } = await verify([port]);
  assert.deepEqual([code, probes.map(({ outcome }) => outcome)], [1, ['no-ticket', 'no-ticket']]);
});

test('a wrong command line exits 64, and says what would be right', async () => {
  const cases: [args: string[], message: RegExp][] = [
    [[], /missing required argument/],
    [['10.0.0.1'], /has no port; write 10\.0\.0\.1:443, say/],
    [['10.0.0.1:https'], /is not a port/],
    [['a.example:443', '--tls', '1.1'], /Allowed choices are 1\.2, 1\.3/],
    [['a.example:443', '--timeout', '5'], /has no unit; write 5s/],
    [['a.example:443', '--servername', '10.0.0.1'], /a name that SNI can hold/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await runToEnd(['verify', ...args]);
    assert.deepEqual([code, stdout], [64, ''], stderr);
    assert.match(stderr, message);
  }
});

async function verify(ports: readonly number[], ...more: string[]): Promise<{ code: number | null; probes: Probe[] }> {
  const { code, stdout } = await runToEnd(['verify', ...ports.map((port) => `127.0.0.1:${port}`), '--json', ...more]);
  return { code, probes: JSON.parse(stdout) as Probe[] };
}

/** Certificate and key in one file. */
function siteFile(t: TestContext): string {
  const { certificate, key } = createAuthority().issue('/CN=localhost', { names: ['localhost'] });
  const file = join(temporaryFolder(t), 'site.pem');
  writeFileSync(file, certificate + key);
  return file;
}

async function startHaproxy(t: TestContext, site: string, key: Buffer): Promise<number> {
  const [folder, port] = [temporaryFolder(t), await freePort()];
  writeFileSync(join(folder, 'keys'), `${key.toString('base64')}\n`.repeat(3));
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  maxconn 100
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend f
  bind 127.0.0.1:${port} ssl crt ${site} tls-ticket-keys ${folder}/keys
  http-request return status 200
`,
  );
  return startPeer(t, 'haproxy', ['-f', file], port);
}

async function startNginx(t: TestContext, site: string, key: Buffer): Promise<number> {
  const [folder, port] = [temporaryFolder(t), await freePort()];
  writeFileSync(join(folder, 'ticket.key'), key);
  mkdirSync(join(folder, 'temp'));
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${folder}/temp;`);
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr;
events {}
http {
  access_log off;
  ${paths.join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${site};
    ssl_certificate_key ${site};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_ticket_key ${folder}/ticket.key;
    return 200;
  }
}
`,
  );
  return startPeer(t, 'nginx', ['-e', 'stderr', '-c', file], port);
}
