/** What GET /metrics tells: every name, every label, and nothing that is not there. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/admin/metrics.ts';
import type { MetricsView } from '../../src/control/metrics-view.ts';

const VIEW: MetricsView = {
  handshakes: { full: { 'TLSv1.2': 1, 'TLSv1.3': 2 }, resumed: { 'TLSv1.2': 3, 'TLSv1.3': 4 } },
  handshakesFailed: 5,
  ticketsIssued: 2 ** 33,
  ticketRenewals: 7,
  ticketsDecrypted: { active: 8, staged: 9, retiring: 10, unknown: 11, refused: 12 },
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
  term: 17,
  isLeader: true,
};

test('every number has its name and its labels', async () => {
  assert.deepEqual(await samples(new Metrics(() => VIEW)), [
    'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.2"} 1',
    'stekbal_tls_handshakes_total{result="full",protocol="TLSv1.3"} 2',
    'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.2"} 3',
    'stekbal_tls_handshakes_total{result="resumed",protocol="TLSv1.3"} 4',
    'stekbal_tls_handshakes_failed_total 5',
    'stekbal_tickets_issued_total 8589934592',
    'stekbal_ticket_renewals_total 7',
    'stekbal_ticket_decrypt_total{result="active"} 8',
    'stekbal_ticket_decrypt_total{result="staged"} 9',
    'stekbal_ticket_decrypt_total{result="retiring"} 10',
    'stekbal_ticket_decrypt_total{result="unknown"} 11',
    'stekbal_ticket_decrypt_total{result="refused"} 12',
    'stekbal_stek_active_age_seconds 1.5',
    'stekbal_stek_keys{stage="staged"} 0',
    'stekbal_stek_keys{stage="active"} 1',
    'stekbal_stek_keys{stage="retiring"} 2',
    'stekbal_stek_issuing 1',
    'stekbal_canary_probes_total{result="ok",protocol="TLSv1.2"} 13',
    'stekbal_canary_probes_total{result="ok",protocol="TLSv1.3"} 14',
    'stekbal_canary_probes_total{result="failed",protocol="TLSv1.2"} 15',
    'stekbal_canary_probes_total{result="failed",protocol="TLSv1.3"} 16',
    'stekbal_raft_term 17',
    'stekbal_raft_is_leader 1',
  ]);
});

test('each scrape tells what is true then', async () => {
  let view = VIEW;
  const metrics = new Metrics(() => view);
  const before = await samples(metrics);
  assert.deepEqual(await samples(metrics), before);
  const keys = { ...VIEW.keys, keys: [], isIssuing: false, activeAgeMs: null };
  view = { ...VIEW, handshakesFailed: 6, keys, canary: null, isLeader: false };
  const after = await samples(metrics);
  for (const line of [
    'stekbal_tls_handshakes_failed_total 6',
    'stekbal_stek_keys{stage="active"} 0',
    'stekbal_stek_issuing 0',
    'stekbal_raft_is_leader 0',
  ]) {
    assert.ok(after.includes(line), line);
  }
  assert.ok(!after.some((line) => line.startsWith('stekbal_stek_active_age_seconds')), 'no key, no age');
  assert.ok(!after.some((line) => line.startsWith('stekbal_canary')), 'no canary, no probes');
});

test('every metric says what it is', async () => {
  const text = await new Metrics(() => VIEW).render();
  const names = new Set(text.match(/^stekbal_\w+/gm));
  for (const name of names)
    assert.match(text, new RegExp(`^# HELP ${name} \\S.*\\n# TYPE ${name} (counter|gauge)$`, 'm'));
});

async function samples(metrics: Metrics): Promise<string[]> {
  return (await metrics.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
