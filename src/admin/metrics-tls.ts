/** The part of GET /metrics that is about TLS: handshakes, tickets, their keys, certificates. Main thread. */

import type { MetricsView } from '../control/metrics-view.ts';
import type { Exposition, Sample } from './exposition.ts';

const STAGES = ['staged', 'active', 'retiring'] as const;

export function writeTlsMetrics(out: Exposition, { tls, status, certificates }: MetricsView): void {
  out.counter('tls_handshakes_total', 'TLS handshakes completed', byResultAndProtocol(tls.handshakes));
  out.counter(
    'tls_handshakes_failed_total',
    'TLS handshakes broken off: by an error, by the client, or by the timeout',
    tls.handshakesFailed,
  );
  out.gauge('tls_handshakes_in_progress', 'TLS handshakes under way', tls.handshakesOpen);
  out.counter(
    'tls_handshakes_evicted_total',
    'TLS handshakes that were ended to make room for others; they count as failed too',
    tls.handshakesEvicted,
  );
  out.counter('tickets_issued_total', 'Session tickets made; a full TLS 1.3 handshake gives two', tls.ticketsIssued);
  out.counter(
    'ticket_renewals_total',
    'Session tickets opened whose clients got new ones in exchange',
    tls.ticketRenewals,
  );
  out.counter(
    'ticket_decrypt_total',
    'Session tickets shown by clients: by the stage of the key that opened them, or why they were not taken',
    Object.entries(tls.ticketsDecrypted).map(([result, count]) => [{ result }, count]),
  );
  writeKeys(out, status.keys);
  writeCanary(out, status.canary);
  out.gauge(
    'certificate_not_after_timestamp_seconds',
    "Unix time at which a listener's certificate expires",
    certificates.map(({ file, notAfterS }) => [{ file }, notAfterS]),
  );
}

function writeKeys(out: Exposition, { keys, isIssuing, activeAgeMs, intervalMs }: MetricsView['status']['keys']): void {
  out.gauge(
    'stek_active_age_seconds',
    'Age of the active ticket key; absent where none is active',
    activeAgeMs === null ? [] : activeAgeMs / 1000,
  );
  out.gauge('stek_update_interval_seconds', 'From one active ticket key to the next, as configured', intervalMs / 1000);
  out.gauge(
    'stek_keys',
    'Ticket keys held, by stage',
    STAGES.map((stage) => [{ stage }, keys.filter((key) => key.stage === stage).length]),
  );
  out.gauge('stek_issuing', '1 where session tickets are issued, 0 where not', Number(isIssuing));
}

function writeCanary(out: Exposition, canary: MetricsView['status']['canary']): void {
  out.counter(
    'canary_probes_total',
    'Sessions of one edge tried at another; failed: not resumed',
    canary === null ? [] : byResultAndProtocol({ ok: canary.ok, failed: canary.failed }),
  );
  out.gauge(
    'canary_failing',
    '1 where a session of one edge did not resume at another in the last round',
    canary === null ? [] : Number(canary.isFailing),
  );
}

function byResultAndProtocol(counts: Readonly<Record<string, Readonly<Record<string, number>>>>): Sample[] {
  return Object.entries(counts).flatMap(([result, byProtocol]) =>
    Object.entries(byProtocol).map(([protocol, count]): Sample => [{ result, protocol }, count]),
  );
}
