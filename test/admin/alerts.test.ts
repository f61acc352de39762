/**
 * config/prometheus: the alert rules fire for what they are there for, and for nothing else. Tried by promtool, with series
 * made up for each.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { temporaryFolder } from '../e2e/harness.ts';
import { hasPromtool, promtool } from './promtool.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RULES = join(ROOT, 'config/prometheus/alerts.yml');
const RUNBOOK = join(ROOT, 'docs/runbook.md');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((g) => g.rules);

/** Series with their values a minute, from minute 0 on; all alerts are looked at in minute 40. */
type Series = Readonly<Record<string, string>>;

const EDGE = 'job="stekbal",instance="edge1"';
const NOW_S = 40 * 60;
const constant = (value: number) => `${value}+0x60`;
/** A counter that grows by as much a minute. */
const growing = (each: number) => `0+${each}x60`;

/** An edge on which all is well. */
const WELL: Series = {
  [`up{${EDGE}}`]: constant(1),
  [`stekbal_ready{${EDGE}}`]: constant(1),
  [`stekbal_draining{${EDGE}}`]: constant(0),
  [`process_start_time_seconds{${EDGE}}`]: constant(1_000),
  [`process_open_fds{${EDGE}}`]: constant(700),
  [`process_max_fds{${EDGE}}`]: constant(1_000),
  [`nodejs_eventloop_lag_p99_seconds{${EDGE}}`]: constant(0.012),
  [`stekbal_worker_up{${EDGE},thread="0"}`]: constant(1),
  [`stekbal_workers_replaced_total{${EDGE}}`]: constant(3),
  [`stekbal_config_last_reload_successful{${EDGE}}`]: constant(1),
  [`stekbal_connections_refused_total{${EDGE},limit="address"}`]: constant(40),
  [`stekbal_connections_evicted_total{${EDGE}}`]: growing(10),
  [`stekbal_requests_total{${EDGE},service="web",code="200"}`]: growing(6_000),
  [`stekbal_requests_total{${EDGE},service="web",code="502"}`]: growing(60),
  [`stekbal_request_duration_seconds_bucket{${EDGE},service="web",le="5"}`]: growing(6_060),
  [`stekbal_request_duration_seconds_bucket{${EDGE},service="web",le="+Inf"}`]: growing(6_060),
  [`stekbal_request_duration_seconds_count{${EDGE},service="web"}`]: growing(6_060),
  [`stekbal_responses_truncated_total{${EDGE}}`]: growing(1),
  [`stekbal_pool_nodes{${EDGE},pool="a",state="up"}`]: constant(2),
  [`stekbal_pool_nodes{${EDGE},pool="a",state="down"}`]: constant(0),
  [`stekbal_node_up{${EDGE},pool="a",node="n1"}`]: constant(1),
  [`stekbal_health_changes_total{${EDGE},pool="a",state="up"}`]: growing(1),
  [`stekbal_health_changes_total{${EDGE},pool="a",state="down"}`]: constant(4),
  [`stekbal_backend_connect_failures_total{${EDGE},service="web"}`]: growing(1),
  [`stekbal_backend_connect_duration_seconds_count{${EDGE},service="web"}`]: growing(600),
  [`stekbal_stek_keys{${EDGE},stage="active"}`]: constant(1),
  [`stekbal_stek_issuing{${EDGE}}`]: constant(1),
  [`stekbal_stek_active_age_seconds{${EDGE}}`]: constant(3_700),
  [`stekbal_stek_update_interval_seconds{${EDGE}}`]: constant(3_600),
  [`stekbal_ticket_decrypt_total{${EDGE},result="active"}`]: growing(600),
  [`stekbal_ticket_decrypt_total{${EDGE},result="unknown"}`]: growing(6),
  [`stekbal_canary_failing{${EDGE}}`]: constant(0),
  [`stekbal_certificate_not_after_timestamp_seconds{${EDGE},file="a.crt"}`]: constant(NOW_S + 30 * 86_400),
  [`stekbal_raft_has_leader{${EDGE}}`]: constant(1),
  [`stekbal_raft_term{${EDGE}}`]: constant(7),
  [`stekbal_raft_peer_up{${EDGE},peer="2"}`]: constant(1),
  [`stekbal_raft_storage_failed{${EDGE}}`]: constant(0),
  [`stekbal_raft_refusals_total{${EDGE},reason="wrong-subject"}`]: constant(2),
};

/** By alert: what is not well. Where another alert has to fire too, it is named. */
const FAULTS: Readonly<Record<string, { series: Series; also?: string }>> = {
  StekbalEdgeDown: { series: { [`up{${EDGE}}`]: constant(0) } },
  StekbalEdgeNotReady: { series: { [`stekbal_ready{${EDGE}}`]: constant(0) } },
  StekbalEdgeRestarts: { series: { [`process_start_time_seconds{${EDGE}}`]: growing(30) } },
  StekbalWorkerDown: { series: { [`stekbal_worker_up{${EDGE},thread="0"}`]: constant(0) } },
  StekbalWorkerReplaced: { series: { [`stekbal_workers_replaced_total{${EDGE}}`]: '3+0x33 4+0x30' } },
  StekbalReloadFailed: { series: { [`stekbal_config_last_reload_successful{${EDGE}}`]: constant(0) } },
  StekbalEventLoopLag: { series: { [`nodejs_eventloop_lag_p99_seconds{${EDGE}}`]: constant(0.3) } },
  StekbalFileDescriptors: { series: { [`process_open_fds{${EDGE}}`]: constant(900) } },
  StekbalConnectionsFull: { series: { [`stekbal_connections_refused_total{${EDGE},limit="address"}`]: growing(1) } },
  StekbalErrors: { series: { [`stekbal_requests_total{${EDGE},service="web",code="503"}`]: growing(600) } },
  StekbalSlow: {
    series: {
      [`stekbal_request_duration_seconds_bucket{${EDGE},service="web",le="5"}`]: growing(5_000),
      [`stekbal_request_duration_seconds_bucket{${EDGE},service="web",le="10"}`]: growing(6_060),
    },
  },
  StekbalResponsesTruncated: { series: { [`stekbal_responses_truncated_total{${EDGE}}`]: growing(60) } },
  StekbalPoolDown: {
    series: {
      [`stekbal_pool_nodes{${EDGE},pool="a",state="up"}`]: constant(0),
      [`stekbal_pool_nodes{${EDGE},pool="a",state="down"}`]: constant(2),
    },
  },
  StekbalNodeDown: { series: { [`stekbal_node_up{${EDGE},pool="a",node="n1"}`]: constant(0) } },
  StekbalNodesFlap: { series: { [`stekbal_health_changes_total{${EDGE},pool="a",state="down"}`]: growing(1) } },
  StekbalConnectFailures: {
    series: { [`stekbal_backend_connect_failures_total{${EDGE},service="web"}`]: growing(300) },
  },
  StekbalNoTicketKeys: { series: { [`stekbal_stek_keys{${EDGE},stage="active"}`]: constant(0) } },
  StekbalNoTickets: { series: { [`stekbal_stek_issuing{${EDGE}}`]: constant(0) } },
  StekbalTicketKeyOld: { series: { [`stekbal_stek_active_age_seconds{${EDGE}}`]: constant(6_000) } },
  StekbalTicketsUnknown: { series: { [`stekbal_ticket_decrypt_total{${EDGE},result="unknown"}`]: growing(400) } },
  StekbalCanaryFailing: { series: { [`stekbal_canary_failing{${EDGE}}`]: constant(1) } },
  StekbalCertificateExpires: {
    series: {
      [`stekbal_certificate_not_after_timestamp_seconds{${EDGE},file="a.crt"}`]: constant(NOW_S + 10 * 86_400),
    },
  },
  StekbalCertificateExpiresSoon: {
    series: { [`stekbal_certificate_not_after_timestamp_seconds{${EDGE},file="a.crt"}`]: constant(NOW_S + 86_400) },
    also: 'StekbalCertificateExpires',
  },
  StekbalNoLeader: { series: { [`stekbal_raft_has_leader{${EDGE}}`]: constant(0) } },
  StekbalElections: { series: { [`stekbal_raft_term{${EDGE}}`]: growing(1) } },
  StekbalPeerDown: { series: { [`stekbal_raft_peer_up{${EDGE},peer="2"}`]: constant(0) } },
  StekbalLogNotWritable: { series: { [`stekbal_raft_storage_failed{${EDGE}}`]: constant(1) } },
  StekbalPeersRefused: {
    series: { [`stekbal_raft_refusals_total{${EDGE},reason="wrong-subject"}`]: growing(3) },
  },
};

test('each alert fires for its fault and for no other, and none where all is well', (t) => {
  if (!hasPromtool(t)) return;
  assert.deepEqual(Object.keys(FAULTS).toSorted(), rules.map(({ alert }) => alert).toSorted());
  const tests = [
    firing({}, []),
    // what one edge is told to do is no fault
    firing({ [`stekbal_ready{${EDGE}}`]: constant(0), [`stekbal_draining{${EDGE}}`]: constant(1) }, []),
    ...Object.entries(FAULTS).map(([alert, { series, also }]) => firing(series, [alert, ...(also ? [also] : [])])),
  ];
  const file = join(temporaryFolder(t), 'alerts.test.json');
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '5m', tests }));
  promtool(['test', 'rules', file]);
});

test('promtool takes the rules and the scrape configuration', (t) => {
  if (!hasPromtool(t)) return;
  promtool(['check', 'rules', RULES]);
  promtool(['check', 'config', join(ROOT, 'config/prometheus/prometheus.yml')]);
});

test('each alert has a severity, says what it is, and names its place in the runbook', () => {
  const headings = readFileSync(RUNBOOK, 'utf8').split('\n');
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(?:critical|warning)$/, alert);
    assert.match(annotations.summary ?? '', /\S/, alert);
    assert.match(annotations.description ?? '', /\S.*\.$/, alert);
    // as renderers of Markdown make anchors of headings
    assert.equal(annotations.runbook_url, `docs/runbook.md#${alert.toLowerCase()}`);
    assert.ok(headings.includes(`### ${alert}`), `${alert} in the runbook`);
  }
});

/** A test of promtool's: an edge that is well but for `faults` makes exactly `alerts` fire. */
function firing(faults: Series, alerts: readonly string[]): object {
  const series = { ...WELL, ...faults };
  return {
    name: alerts[0] ?? 'all is well',
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: '40m',
        exp_samples: alerts.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
      },
    ],
  };
}
