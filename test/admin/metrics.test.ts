/** What GET /metrics tells: every name, every label, and nothing that is not there. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/admin/metrics.ts';
import type { MetricsView } from '../../src/control/metrics-view.ts';
import type { HealthStatus, NodeStatus } from '../../src/control/status.ts';

const NO_TIMES = { bounds: [0.5, 1], counts: [0, 0, 0], sum: 0 };

const VIEW: MetricsView = {
  status: {
    version: '1.2.3',
    isDraining: false,
    keys: {
      keys: [
        { id: '00000001', stage: 'retiring', sinceMs: 0 },
        { id: '00000002', stage: 'retiring', sinceMs: 0 },
        { id: '00000003', stage: 'active', sinceMs: 0 },
      ],
      isIssuing: true,
      activeAgeMs: 1_500,
      lifetimeMs: 86_400_000,
      intervalMs: 3_600_000,
    },
    canary: { isFailing: true, ok: { 'TLSv1.2': 13, 'TLSv1.3': 14 }, failed: { 'TLSv1.2': 15, 'TLSv1.3': 16 } },
    cluster: {
      serverId: 1,
      member: '1.a',
      cluster: '0.b',
      role: 'leader',
      term: 17,
      leader: { member: '1.a', serverId: 1 },
      commit: 30,
      applied: 29,
      lastIndex: 31,
      members: [
        member(1, { isSelf: true, lastContactMs: 0, applied: 29 }),
        member(2, { lastContactMs: 90, applied: 28 }),
        member(3, { isVoter: false }),
      ],
      peers: [peer(2, true), peer(3, false)],
      refusals: { 'wrong-subject': 2 },
      isStorageFailed: false,
      certificateNotAfterMs: null,
    },
  },
  isReady: true,
  traffic: {
    connections: 40,
    connectionsMax: 4_000,
    connectionsRefused: { total: 31, thread: 32, address: 33, accept: 34 },
    connectionsEvicted: 35,
    clientTimeouts: { head: 36, body: 37, response: 38 },
    connectionsTotal: 41,
    tunnels: 42,
    rejected: [
      ['400', 43],
      ['404', 44],
    ],
    clientAborts: 45,
    responsesTruncated: 46,
    backendConnections: 39,
    backendConnectionsRefused: 30,
    backendConnects: 47,
    backendReuses: 48,
    backendPipelined: 28,
    backendPipelinesBroken: 29,
    nodesLeftOut: 49,
  },
  services: [
    {
      name: 'web',
      codes: [
        ['200', 50],
        ['502', 51],
      ],
      durations: { bounds: [0.5, 1], counts: [1, 2, 3], sum: 4.25 },
      connects: { bounds: [0.1], counts: [6, 7], sum: 1.5 },
      retries: 52,
      connectFailures: 53,
    },
    { name: 'idle', codes: [], durations: NO_TIMES, connects: NO_TIMES, retries: 0, connectFailures: 0 },
  ],
  tls: {
    handshakes: { full: { 'TLSv1.2': 1, 'TLSv1.3': 2 }, resumed: { 'TLSv1.2': 3, 'TLSv1.3': 4 } },
    handshakesFailed: 5,
    handshakesEvicted: 4,
    handshakesOpen: 3,
    ticketsIssued: 2 ** 33,
    ticketRenewals: 7,
    ticketsDecrypted: { active: 8, staged: 9, retiring: 10, unknown: 11, refused: 12 },
  },
  workers: {
    connectionsMax: 4_000,
    threads: 2,
    replaced: 60,
    retiring: 1,
    list: [
      { thread: 0, state: 'serving', connections: 61, requests: 62 },
      { thread: 1, state: 'starting', connections: 0, requests: 63 },
      { thread: 2, state: 'retiring', connections: 64, requests: 65 },
    ],
  },
  pools: [
    {
      name: 'backends',
      nodeCount: 3,
      counts: { up: 1, draining: 1, failing: 1, down: 0 },
      nodes: [
        node('10.0.0.1:80', { requests: 70, inFlight: 71 }),
        node('10.0.0.2:80', { drain: true }),
        node('[::1]:80', { health: { ...well(), state: 'failing', reason: 'ECONNREFUSED' } }),
      ],
    },
  ],
  health: [
    {
      pool: 'backends',
      checks: { passed: 80, unreachable: 81, timeout: 82, answer: 83, local: 84 },
      changes: { up: 84, down: 85, failing: 86 },
      nodes: { up: 2, down: 0, failing: 1 },
    },
  ],
  reloads: { ok: 90, failed: 91, isLastOk: false, lastOkAtMs: 1_500_000_000_500 },
  certificates: [{ file: '/etc/stekbal/"odd"\\name\n.crt', notAfterS: 1_900_000_000 }],
};

test('every number has its name and its labels', async () => {
  assert.deepEqual(await samples(new Metrics(() => VIEW)), [
    'stekbal_build_info{version="1.2.3"} 1',
    'stekbal_ready 1',
    'stekbal_draining 0',
    'stekbal_worker_threads 2',
    'stekbal_workers_retiring 1',
    'stekbal_workers_replaced_total 60',
    'stekbal_worker_up{thread="0"} 1',
    'stekbal_worker_up{thread="1"} 0',
    'stekbal_worker_up{thread="2"} 1',
    'stekbal_worker_connections{thread="0"} 61',
    'stekbal_worker_connections{thread="1"} 0',
    'stekbal_worker_connections{thread="2"} 64',
    'stekbal_worker_requests_total{thread="0"} 62',
    'stekbal_worker_requests_total{thread="1"} 63',
    'stekbal_worker_requests_total{thread="2"} 65',
    'stekbal_reloads_total{result="ok"} 90',
    'stekbal_reloads_total{result="failed"} 91',
    'stekbal_config_last_reload_successful 0',
    'stekbal_config_last_reload_success_timestamp_seconds 1500000000.5',
    'stekbal_connections 40',
    'stekbal_connections_max 4000',
    'stekbal_connections_total 41',
    'stekbal_connections_refused_total{limit="total"} 31',
    'stekbal_connections_refused_total{limit="thread"} 32',
    'stekbal_connections_refused_total{limit="address"} 33',
    'stekbal_connections_refused_total{limit="accept"} 34',
    'stekbal_connections_evicted_total 35',
    'stekbal_client_timeouts_total{part="head"} 36',
    'stekbal_client_timeouts_total{part="body"} 37',
    'stekbal_client_timeouts_total{part="response"} 38',
    'stekbal_tunnels 42',
    'stekbal_requests_rejected_total{code="400"} 43',
    'stekbal_requests_rejected_total{code="404"} 44',
    'stekbal_client_aborts_total 45',
    'stekbal_responses_truncated_total 46',
    'stekbal_backend_connections 39',
    'stekbal_backend_connections_refused_total 30',
    'stekbal_backend_connects_total 47',
    'stekbal_backend_reuses_total 48',
    'stekbal_backend_pipelined_total 28',
    'stekbal_backend_pipelines_broken_total 29',
    'stekbal_nodes_left_out_total 49',
    'stekbal_requests_total{service="web",code="200"} 50',
    'stekbal_requests_total{service="web",code="502"} 51',
    'stekbal_request_duration_seconds_bucket{service="web",le="0.5"} 1',
    'stekbal_request_duration_seconds_bucket{service="web",le="1"} 3',
    'stekbal_request_duration_seconds_bucket{service="web",le="+Inf"} 6',
    'stekbal_request_duration_seconds_sum{service="web"} 4.25',
    'stekbal_request_duration_seconds_count{service="web"} 6',
    'stekbal_request_duration_seconds_bucket{service="idle",le="0.5"} 0',
    'stekbal_request_duration_seconds_bucket{service="idle",le="1"} 0',
    'stekbal_request_duration_seconds_bucket{service="idle",le="+Inf"} 0',
    'stekbal_request_duration_seconds_sum{service="idle"} 0',
    'stekbal_request_duration_seconds_count{service="idle"} 0',
    'stekbal_backend_connect_duration_seconds_bucket{service="web",le="0.1"} 6',
    'stekbal_backend_connect_duration_seconds_bucket{service="web",le="+Inf"} 13',
    'stekbal_backend_connect_duration_seconds_sum{service="web"} 1.5',
    'stekbal_backend_connect_duration_seconds_count{service="web"} 13',
    'stekbal_backend_connect_duration_seconds_bucket{service="idle",le="0.5"} 0',
    'stekbal_backend_connect_duration_seconds_bucket{service="idle",le="1"} 0',
    'stekbal_backend_connect_duration_seconds_bucket{service="idle",le="+Inf"} 0',
    'stekbal_backend_connect_duration_seconds_sum{service="idle"} 0',
    'stekbal_backend_connect_duration_seconds_count{service="idle"} 0',
    'stekbal_backend_connect_failures_total{service="web"} 53',
    'stekbal_backend_connect_failures_total{service="idle"} 0',
    'stekbal_retries_total{service="web"} 52',
    'stekbal_retries_total{service="idle"} 0',
    'stekbal_pool_nodes{pool="backends",state="up"} 2',
    'stekbal_pool_nodes{pool="backends",state="down"} 0',
    'stekbal_pool_nodes{pool="backends",state="failing"} 1',
    'stekbal_node_up{pool="backends",node="10.0.0.1:80"} 1',
    'stekbal_node_up{pool="backends",node="10.0.0.2:80"} 1',
    'stekbal_node_up{pool="backends",node="[::1]:80"} 0',
    'stekbal_node_draining{pool="backends",node="10.0.0.1:80"} 0',
    'stekbal_node_draining{pool="backends",node="10.0.0.2:80"} 1',
    'stekbal_node_draining{pool="backends",node="[::1]:80"} 0',
    'stekbal_node_in_flight{pool="backends",node="10.0.0.1:80"} 71',
    'stekbal_node_in_flight{pool="backends",node="10.0.0.2:80"} 0',
    'stekbal_node_in_flight{pool="backends",node="[::1]:80"} 0',
    'stekbal_node_requests_total{pool="backends",node="10.0.0.1:80"} 70',
    'stekbal_node_requests_total{pool="backends",node="10.0.0.2:80"} 0',
    'stekbal_node_requests_total{pool="backends",node="[::1]:80"} 0',
    'stekbal_health_checks_total{pool="backends",result="passed"} 80',
    'stekbal_health_checks_total{pool="backends",result="unreachable"} 81',
    'stekbal_health_checks_total{pool="backends",result="timeout"} 82',
    'stekbal_health_checks_total{pool="backends",result="answer"} 83',
    'stekbal_health_checks_total{pool="backends",result="local"} 84',
    'stekbal_health_changes_total{pool="backends",state="up"} 84',
    'stekbal_health_changes_total{pool="backends",state="down"} 85',
    'stekbal_health_changes_total{pool="backends",state="failing"} 86',
    'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.2"} 1',
    'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.3"} 2',
    'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.2"} 3',
    'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.3"} 4',
    'stekbal_tls_handshakes_failed_total 5',
    'stekbal_tls_handshakes_in_progress 3',
    'stekbal_tls_handshakes_evicted_total 4',
    'stekbal_tickets_issued_total 8589934592',
    'stekbal_ticket_renewals_total 7',
    'stekbal_ticket_decrypt_total{result="active"} 8',
    'stekbal_ticket_decrypt_total{result="staged"} 9',
    'stekbal_ticket_decrypt_total{result="retiring"} 10',
    'stekbal_ticket_decrypt_total{result="unknown"} 11',
    'stekbal_ticket_decrypt_total{result="refused"} 12',
    'stekbal_stek_active_age_seconds 1.5',
    'stekbal_stek_update_interval_seconds 3600',
    'stekbal_stek_keys{stage="staged"} 0',
    'stekbal_stek_keys{stage="active"} 1',
    'stekbal_stek_keys{stage="retiring"} 2',
    'stekbal_stek_issuing 1',
    'stekbal_canary_probes_total{result="ok",protocol="TLSv1.2"} 13',
    'stekbal_canary_probes_total{result="ok",protocol="TLSv1.3"} 14',
    'stekbal_canary_probes_total{result="failed",protocol="TLSv1.2"} 15',
    'stekbal_canary_probes_total{result="failed",protocol="TLSv1.3"} 16',
    'stekbal_canary_failing 1',
    String.raw`stekbal_certificate_not_after_timestamp_seconds{file="/etc/stekbal/\"odd\"\\name\n.crt"} 1900000000`,
    'stekbal_raft_term 17',
    'stekbal_raft_is_leader 1',
    'stekbal_raft_has_leader 1',
    'stekbal_raft_members{role="voter"} 2',
    'stekbal_raft_members{role="learner"} 1',
    'stekbal_raft_last_index 31',
    'stekbal_raft_commit_index 30',
    'stekbal_raft_applied_index 29',
    'stekbal_raft_member_applied_index{peer="2"} 28',
    'stekbal_raft_member_last_contact_seconds{peer="2"} 0.09',
    'stekbal_raft_peer_up{peer="2"} 1',
    'stekbal_raft_peer_up{peer="3"} 0',
    'stekbal_raft_refusals_total{reason="wrong-subject"} 2',
    'stekbal_raft_storage_failed 0',
  ]);
});

test('each scrape tells what is true then', async () => {
  let view = VIEW;
  const metrics = new Metrics(() => view);
  const before = await samples(metrics);
  assert.deepEqual(await samples(metrics), before);
  const keys = { ...VIEW.status.keys, keys: [], isIssuing: false, activeAgeMs: null };
  const cluster = { ...VIEW.status.cluster, role: 'follower', leader: null } as const;
  view = {
    ...VIEW,
    isReady: false,
    tls: { ...VIEW.tls, handshakesFailed: 6 },
    status: { ...VIEW.status, keys, canary: null, cluster, isDraining: true },
    services: [],
  };
  const after = await samples(metrics);
  for (const line of [
    'stekbal_ready 0',
    'stekbal_draining 1',
    'stekbal_tls_handshakes_failed_total 6',
    'stekbal_stek_keys{stage="active"} 0',
    'stekbal_stek_issuing 0',
    'stekbal_raft_is_leader 0',
    'stekbal_raft_has_leader 0',
  ]) {
    assert.ok(after.includes(line), line);
  }
  assert.ok(!after.some((line) => line.startsWith('stekbal_stek_active_age_seconds')), 'no key, no age');
  assert.ok(!after.some((line) => line.startsWith('stekbal_canary')), 'no canary, no probes');
  assert.ok(!after.some((line) => line.includes('service=')), 'a service that is gone is told no more');
});

test('every metric says what it is, once, with samples or without', async () => {
  const full = await new Metrics(() => VIEW).render();
  const bare = await new Metrics(() => ({ ...VIEW, services: [], pools: [], health: [], certificates: [] })).render();
  const names = [...full.matchAll(/^# TYPE (\w+) (?:counter|gauge|histogram|summary)$/gm)].map(([, name]) => name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) {
    assert.match(full, new RegExp(`^# HELP ${name} \\S.*\\n# TYPE ${name} `, 'm'));
    assert.ok(bare.includes(`# TYPE ${name} `), `${name} without samples`);
  }
  for (const sample of full.matchAll(/^(\w+)[{ ]/gm)) {
    const name = (sample[1] as string).replace(/_(?:bucket|sum|count)$/, '');
    assert.ok(names.includes(name) || names.includes(sample[1] as string), sample[0]);
  }
});

test('the process tells of itself under the usual names, and goes on counting from scrape to scrape', async () => {
  const metrics = new Metrics(() => VIEW);
  const cpu = async () => Number(/^process_cpu_seconds_total (\S+)$/m.exec(await metrics.render())?.[1]);
  const before = await cpu();
  const text = await metrics.render();
  for (const name of [
    'process_resident_memory_bytes',
    'process_start_time_seconds',
    'process_open_fds',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_heap_size_used_bytes',
  ]) {
    assert.match(text, new RegExp(`^${name} [0-9.e-]+$`, 'm'));
  }
  assert.ok((await cpu()) >= before);
});

async function samples(metrics: Metrics): Promise<string[]> {
  return (await metrics.render()).split('\n').filter((line) => line.startsWith('stekbal_'));
}

type Member = MetricsView['status']['cluster']['members'][number];

function member(serverId: number, traits: Partial<Member>): Member {
  const unknown = { isSelf: false, isLeader: false, isVoter: true, match: null, applied: null, lastContactMs: null };
  return { member: `${serverId}.a`, serverId, ...unknown, ...traits };
}

function peer(serverId: number, isConnected: boolean): MetricsView['status']['cluster']['peers'][number] {
  return { serverId, address: '10.0.0.1', port: 10_001, isConnected };
}

function node(address: string, traits: Partial<NodeStatus>): NodeStatus {
  const fresh = { weight: 1, drain: false, origin: 'file', inFlight: 0, requests: 0, health: well() } as const;
  return { address, ...fresh, ...traits };
}

function well(): HealthStatus {
  return { state: 'up', isChecked: false, reason: '', changedAtMs: null };
}
