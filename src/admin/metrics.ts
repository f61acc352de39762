/**
 * GET /metrics: what the edge counts, in Prometheus's text format. The numbers are kept elsewhere, and set here at every
 * request. Main thread.
 */

import { Counter, Gauge, Registry } from 'prom-client';
import type { MetricsView } from '../control/metrics-view.ts';

export const STAGES = ['staged', 'active', 'retiring'] as const;

export class Metrics {
  readonly #read: () => MetricsView;
  readonly #registry = new Registry();
  readonly #handshakes = this.#counter('tls_handshakes_total', 'TLS handshakes completed', ['result', 'protocol']);
  readonly #handshakesFailed = this.#counter(
    'tls_handshakes_failed_total',
    'TLS handshakes broken off: by an error, by the client, or by the timeout',
  );
  readonly #ticketsIssued = this.#counter(
    'tickets_issued_total',
    'Session tickets made; a full TLS 1.3 handshake gives two',
  );
  readonly #ticketRenewals = this.#counter(
    'ticket_renewals_total',
    'Session tickets opened whose clients got new ones in exchange',
  );
  readonly #ticketsDecrypted = this.#counter(
    'ticket_decrypt_total',
    'Session tickets shown by clients: by the stage of the key that opened them, or why they were not taken',
    ['result'],
  );
  readonly #activeAge = this.#gauge(
    'stek_active_age_seconds',
    'Age of the active ticket key; absent where none is active',
  );
  readonly #keys = this.#gauge('stek_keys', 'Ticket keys held, by stage', ['stage']);
  readonly #issuing = this.#gauge('stek_issuing', '1 where session tickets are issued, 0 where not');
  readonly #canary = this.#counter(
    'canary_probes_total',
    'Sessions of one edge tried at another; failed: not resumed',
    ['result', 'protocol'],
  );
  readonly #term = this.#gauge('raft_term', "The cluster's term, as far as this member knows");
  readonly #isLeader = this.#gauge('raft_is_leader', '1 where this member leads the cluster, 0 where not');

  constructor(read: () => MetricsView) {
    this.#read = read;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    const view = this.#read();
    this.#registry.resetMetrics();
    for (const [result, counts] of Object.entries(view.handshakes)) {
      for (const [protocol, count] of Object.entries(counts)) this.#handshakes.inc({ result, protocol }, count);
    }
    this.#handshakesFailed.inc(view.handshakesFailed);
    this.#ticketsIssued.inc(view.ticketsIssued);
    this.#ticketRenewals.inc(view.ticketRenewals);
    for (const [result, count] of Object.entries(view.ticketsDecrypted)) this.#ticketsDecrypted.inc({ result }, count);
    this.#setKeys(view);
    this.#setCanary(view);
    this.#term.set(view.term);
    this.#isLeader.set(Number(view.isLeader));
    return this.#registry.metrics();
  }

  #setKeys({ keys: { keys, isIssuing, activeAgeMs } }: MetricsView): void {
    if (activeAgeMs === null) this.#activeAge.remove();
    else this.#activeAge.set(activeAgeMs / 1000);
    for (const stage of STAGES) this.#keys.set({ stage }, keys.filter((key) => key.stage === stage).length);
    this.#issuing.set(Number(isIssuing));
  }

  #setCanary({ canary }: MetricsView): void {
    if (canary === null) return;
    for (const result of ['ok', 'failed'] as const) {
      for (const [protocol, count] of Object.entries(canary[result])) this.#canary.inc({ result, protocol }, count);
    }
  }

  #counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `stekbal_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: `stekbal_${name}`, help, labelNames, registers: [this.#registry] });
  }
}
