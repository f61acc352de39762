/** GET /metrics of a real edge: what its listener threads have counted, and whether Prometheus can read it. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { hasPromtool, promtool } from '../admin/promtool.ts';
import { clusterTest } from './cluster-harness.ts';
import {
  DEAD_ADDRESSES,
  eventually,
  exchange,
  get,
  httpBackend,
  namedBackend,
  openClient,
  runToEnd,
  servicesConfig,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { type Scrape, scrape } from './metrics-scrape.ts';
import { ticketFleet, tlsListener, tlsPort } from './ticket-fleet.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

clusterTest(
  'handshakes, tickets and keys are counted',
  ticketFleet({ servers: 1, workers: 2, listeners: [tlsListener(), tlsListener('min_version: TLSv1.3')] }),
  async (_, cluster) => {
    await cluster.start(1);
    const [both, only13] = await Promise.all([tlsPort(cluster, 1, 0), tlsPort(cluster, 1, 1)]);
    const metrics = async () => (await scrape(cluster.file(1, 'admin.sock'))).samples;
    await eventually(async () => (await metrics()).get('stekbal_stek_keys{stage="staged"}') === 1, 'a staged key');
    assert.equal((await runToEnd(['verify', `127.0.0.1:${both}`])).code, 0);
    // full with each version, and a try with TLS 1.2 at the listener that does not speak it
    assert.equal((await runToEnd(['verify', `127.0.0.1:${only13}`])).code, 1);
    const expected: Record<string, number> = {
      stekbal_tls_handshakes_failed_total: 1,
      'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.2"}': 1,
      'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.3"}': 2,
      'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.2"}': 1,
      'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.3"}': 2,
      'stekbal_ticket_decrypt_total{result="active"}': 3,
      'stekbal_ticket_decrypt_total{result="staged"}': 0,
      'stekbal_ticket_decrypt_total{result="retiring"}': 0,
      'stekbal_ticket_decrypt_total{result="unknown"}': 0,
      'stekbal_ticket_decrypt_total{result="refused"}': 0,
      'stekbal_stek_keys{stage="active"}': 1,
      'stekbal_stek_keys{stage="retiring"}': 0,
      stekbal_stek_issuing: 1,
      stekbal_raft_is_leader: 1,
    };
    let told = await metrics();
    const seen = () => Object.fromEntries(Object.keys(expected).map((name) => [name, told.get(name)]));
    await eventually(
      async () => {
        told = await metrics();
        return isDeepStrictEqual(seen(), expected);
      },
      () => `what is counted; so far ${JSON.stringify(seen())}`,
    );
    assert.ok(
      (told.get('stekbal_tickets_issued_total') ?? 0) >= 5,
      'one of TLS 1.2, two of each full TLS 1.3 handshake',
    );
    assert.ok((told.get('stekbal_stek_active_age_seconds') ?? -1) >= 0);
    assert.ok((told.get('stekbal_raft_term') ?? 0) >= 1);
    const expiries = [...told].filter(([name]) => name.startsWith('stekbal_certificate_not_after_timestamp_seconds{'));
    assert.ok(expiries.length > 0);
    for (const [name, notAfterS] of expiries) assert.ok(notAfterS > Date.now() / 1000, name);
  },
);

test('each request is counted once: by its service and code, in one bucket; and Prometheus reads all of it', async (t) => {
  const admin = join(temporaryFolder(t), 'admin.sock');
  const backend = await httpBackend(t, (request, response) => {
    if (request.url === '/hang') return;
    if (request.url === '/cut')
      response.writeHead(200, { 'Content-Length': 100 }).write('cut', () => response.destroy());
    else if (request.url === '/slow') setTimeout(() => response.end('slow'), SLOW_MS);
    else response.writeHead(Number(request.url?.slice(1)) || 200).end();
  });
  backend.server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
  });
  const { port } = await startProgram(
    t,
    servicesConfig(
      { web: { nodes: [backend.address] }, dead: { nodes: DEAD_ADDRESSES.slice(0, 3), lines: ['retries: 1'] } },
      [`admin: {address: "unix:${admin}"}`],
    ),
  );
  const before = await scrape(admin);

  const web = { host: 'web' };
  for (let i = 0; i < 20; i++) await get(port, { headers: web });
  for (let i = 0; i < 3; i++) await get(port, { headers: web, path: '/404' });
  await get(port, { headers: web, path: '/slow' });
  for (let i = 0; i < 2; i++) assert.equal((await get(port, { headers: { host: 'dead' } })).status, 502);
  for (let i = 0; i < 2; i++) assert.match(await exchange(port, 'GARBAGE\r\n\r\n'), /^HTTP\/1.1 400 /);
  assert.equal((await get(port, { headers: { host: 'nobody' } })).status, 404);
  await assert.rejects(get(port, { headers: web, path: '/cut' }));
  const hanging = openClient(t, port, 'GET /hang HTTP/1.1\r\nHost: web\r\n\r\n');
  const inFlight = `stekbal_node_in_flight{pool="web",node="${backend.address}"}`;
  await eventually(async () => (await scrape(admin)).samples.get(inFlight) === 1, 'a request in flight');
  hanging.socket.resetAndDestroy();
  const tunnel = openClient(t, port, 'GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
  await tunnel.until((received) => received.includes('Upgrade: echo'));

  const expected: Record<string, number> = {
    'stekbal_requests_total{service="web",code="101"}': 1,
    'stekbal_requests_total{service="web",code="200"}': 22,
    'stekbal_requests_total{service="web",code="404"}': 3,
    'stekbal_requests_total{service="web",code="499"}': 1,
    'stekbal_requests_total{service="dead",code="502"}': 2,
    'stekbal_requests_rejected_total{code="400"}': 2,
    'stekbal_requests_rejected_total{code="404"}': 1,
    'stekbal_request_duration_seconds_count{service="web"}': 26,
    'stekbal_request_duration_seconds_count{service="dead"}': 2,
    'stekbal_retries_total{service="web"}': 0,
    'stekbal_retries_total{service="dead"}': 2,
    'stekbal_backend_connect_failures_total{service="web"}': 0,
    'stekbal_backend_connect_failures_total{service="dead"}': 4,
    stekbal_client_aborts_total: 1,
    stekbal_responses_truncated_total: 1,
    stekbal_tunnels: 1,
    stekbal_connections: 1,
    stekbal_ready: 1,
    [`stekbal_node_requests_total{pool="web",node="${backend.address}"}`]: 27,
    [inFlight]: 1,
  };
  const isCounted = async () => {
    const { samples } = await scrape(admin);
    return samples.get('stekbal_connections') === 1 && samples.get('stekbal_client_aborts_total') === 1;
  };
  await eventually(isCounted, 'all but the tunnel to be over');
  const after = await scrape(admin);
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, after.samples.get(name)])), expected);

  const connects = after.samples.get('stekbal_backend_connect_duration_seconds_count{service="web"}') ?? 0;
  assert.equal(connects, backend.connections.length);
  assert.equal(connects + 4, after.samples.get('stekbal_backend_connects_total'));
  // the tunnel's too: each request went out on a new connection or on a kept one
  assert.equal(connects + (after.samples.get('stekbal_backend_reuses_total') ?? 0), 27);
  checkHistogram(after, 'stekbal_request_duration_seconds', 'web');
  checkHistogram(after, 'stekbal_backend_connect_duration_seconds', 'web');
  const sum = after.samples.get('stekbal_request_duration_seconds_sum{service="web"}') ?? 0;
  assert.ok(sum >= SLOW_MS / 1000 && sum < 20, String(sum));
  checkMonotonic(before, after);
  checkDocumented(after);
  if (!hasPromtool(t)) return;
  assert.equal(promtool(['check', 'metrics'], after.text), '');
});

test('a thread that is replaced takes nothing from what was counted, and leaves nothing open', async (t) => {
  const admin = join(temporaryFolder(t), 'admin.sock');
  const backend = await namedBackend(t);
  const top = [`admin: {address: "unix:${admin}"}`];
  const program = await startProgram(t, simpleConfig([backend.address], { top, workers: 1 }), true);
  const requests = 'stekbal_requests_total{service="web",code="200"}';
  for (let i = 0; i < 7; i++) await get(program.port);
  const idle = openClient(t, program.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await idle.until((received) => received.includes(backend.address));
  let before = await scrape(admin);
  await eventually(async () => {
    before = await scrape(admin);
    return before.samples.get(requests) === 8 && before.samples.get('stekbal_connections') === 1;
  }, 'eight requests, and the idle connection alone');

  program.chaos('terminate');
  await idle.ended;
  const isReplaced = async () => {
    const { samples } = await scrape(admin);
    return samples.get('stekbal_workers_replaced_total') === 1 && samples.get('stekbal_worker_up{thread="0"}') === 1;
  };
  await eventually(isReplaced, 'another thread in its place');
  const after = await scrape(admin);
  checkMonotonic(before, after);
  assert.equal(after.samples.get('stekbal_connections'), 0);
  await get(program.port);
  await eventually(async () => (await scrape(admin)).samples.get(requests) === 9, 'one request more');
});

test('reloads are counted; a service that is gone is told no more, and goes on counting when it is back', async (t) => {
  const admin = join(temporaryFolder(t), 'admin.sock');
  const backend = await namedBackend(t);
  const config = simpleConfig([backend.address], { top: [`admin: {address: "unix:${admin}"}`] });
  const program = await startProgram(t, config);
  const ofWeb = 'stekbal_requests_total{service="web",code="200"}';
  const ofShop = 'stekbal_requests_total{service="shop",code="200"}';
  const told = async (...names: string[]) => {
    const { samples } = await scrape(admin);
    return names.map((name) => samples.get(name));
  };
  for (let i = 0; i < 3; i++) await get(program.port);
  await program.reload(config.replaceAll('web', 'shop'));
  await get(program.port);
  assert.deepEqual(await told(ofWeb, ofShop, 'stekbal_reloads_total{result="ok"}'), [undefined, 1, 1]);
  await program.reload(config);
  await get(program.port);
  assert.deepEqual(await told(ofWeb, ofShop), [4, undefined]);

  const since = 'stekbal_config_last_reload_success_timestamp_seconds';
  const [before] = await told(since);
  writeFileSync(program.configFile, 'workers: some');
  program.child.kill('SIGHUP');
  const isRefused = async () => (await told('stekbal_reloads_total{result="failed"}'))[0] === 1;
  await eventually(isRefused, 'the reload to fail');
  assert.deepEqual(await told('stekbal_config_last_reload_successful', since), [0, before]);
});

test('the alerts and the dashboard ask for metrics that there are; the nodes of a pool without a service are up', async (t) => {
  const admin = join(temporaryFolder(t), 'admin.sock');
  const config = simpleConfig(DEAD_ADDRESSES, { top: [`admin: {address: "unix:${admin}"}`] });
  await startProgram(t, config.replace('pools: {', 'pools: {spare: {nodes: ["127.0.0.1:7"]}, '));
  const { types, samples } = await scrape(admin);
  assert.equal(samples.get('stekbal_pool_nodes{pool="spare",state="up"}'), 1, 'no alert: nothing is wrong with it');
  for (const file of ['config/prometheus/alerts.yml', 'config/grafana/stekbal.json']) {
    const asked = new Set(readFileSync(join(ROOT, file), 'utf8').match(/\b(?:stekbal|process|nodejs)_[a-z0-9_]+/g));
    assert.ok(asked.size > 20, file);
    for (const name of asked) {
      const family = name.replace(/_(?:bucket|sum|count)$/, '');
      assert.ok(types.has(name) || types.get(family) === 'histogram', `${name} in ${file}`);
    }
  }
});

/** How long the slow answer takes. */
const SLOW_MS = 60;

/** Its buckets hold one another, and the last one all. */
function checkHistogram({ samples }: Scrape, name: string, service: string): void {
  const prefix = `${name}_bucket{service="${service}",le="`;
  const buckets = [...samples].filter(([key]) => key.startsWith(prefix));
  const bounds = buckets.map(([key]) => Number(key.slice(prefix.length, -2).replace('+Inf', 'Infinity')));
  const counts = buckets.map(([, count]) => count);
  const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
  assert.deepEqual(bounds, sorted(bounds));
  assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY);
  assert.deepEqual(counts, sorted(counts));
  assert.equal(counts.at(-1), samples.get(`${name}_count{service="${service}"}`));
}

/** Nothing that only grows has shrunk. */
function checkMonotonic(before: Scrape, after: Scrape): void {
  for (const [key, value] of before.samples) {
    const name = key.replace(/\{.*/, '');
    const type = after.types.get(name) ?? after.types.get(name.replace(/_(?:bucket|sum|count)$/, ''));
    if (type === 'gauge') continue;
    assert.ok((after.samples.get(key) ?? -1) >= value, `${key}: ${value}, then ${after.samples.get(key)}`);
  }
}

/** docs/metrics.md has exactly these, each with its type and labels. */
function checkDocumented({ samples, types }: Scrape): void {
  const rows = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8').matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|/gm);
  const documented = new Map<string, { type: string; labels: string[] }>();
  for (const [, name = '', type = '', labels = ''] of rows) {
    assert.ok(!documented.has(name), `${name} is there twice`);
    documented.set(name, { type, labels: labels.match(/\w+/g) ?? [] });
  }
  assert.deepEqual(
    [...documented].map(([name, { type }]) => `${name} ${type}`).toSorted(),
    [...types].map(([name, type]) => `${name} ${type}`).toSorted(),
  );
  for (const key of samples.keys()) {
    const [, name = '', text = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(key) ?? [];
    const family = documented.get(name) ?? documented.get(name.replace(/_(?:bucket|sum|count)$/, ''));
    const labels = [...text.matchAll(/(\w+)="/g)].map(([, label]) => label).filter((label) => label !== 'le');
    assert.deepEqual(labels, family?.labels, key);
  }
}
