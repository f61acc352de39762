/** What GET /metrics tells, as plain data; metrics.ts gives it names. Main thread. */

import type { TlsVersion } from '../config/config.ts';
import type { Stage } from '../stek/key-ring.ts';
import type { CanaryStatus } from './canary.ts';
import type { Counters } from './counters.ts';
import type { EdgeStatus, KeysStatus } from './status.ts';

/** Counters are since the start. */
export interface MetricsView {
  readonly handshakes: Readonly<Record<'full' | 'resumed', Readonly<Record<TlsVersion, number>>>>;
  readonly handshakesFailed: number;
  readonly ticketsIssued: number;
  readonly ticketRenewals: number;
  /** Tickets that clients have shown, by the stage of their key, or by why they were not taken. */
  readonly ticketsDecrypted: Readonly<Record<Stage | 'unknown' | 'refused', number>>;
  readonly keys: KeysStatus;
  readonly canary: CanaryStatus | null;
  readonly term: number;
  readonly isLeader: boolean;
}

export function metricsView(
  counters: Counters,
  { keys, canary, cluster }: Pick<EdgeStatus, 'keys' | 'canary' | 'cluster'>,
): MetricsView {
  return {
    handshakes: {
      full: { 'TLSv1.2': counters.read('handshakesFull12'), 'TLSv1.3': counters.read('handshakesFull13') },
      resumed: { 'TLSv1.2': counters.read('handshakesResumed12'), 'TLSv1.3': counters.read('handshakesResumed13') },
    },
    handshakesFailed: counters.read('handshakesFailed'),
    ticketsIssued: counters.read('ticketsIssued'),
    ticketRenewals: counters.read('ticketsRenewed'),
    ticketsDecrypted: {
      active: counters.read('ticketsOpenedActive'),
      staged: counters.read('ticketsOpenedStaged'),
      retiring: counters.read('ticketsOpenedRetiring'),
      unknown: counters.read('ticketsUnknownKey'),
      refused: counters.read('ticketsRefused'),
    },
    keys,
    canary,
    term: cluster.term,
    isLeader: cluster.role === 'leader',
  };
}
