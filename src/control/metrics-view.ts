/** What GET /metrics tells, as plain data; src/admin/metrics.ts gives it names. Main thread. */

import type { TlsVersion } from '../config/config.ts';
import type { Stage } from '../stek/key-ring.ts';
import type { PoolHealthCounts } from './health/pool-health.ts';
import type { ReloadsStatus } from './reload-counts.ts';
import type { ServiceTotals } from './service-counters.ts';
import type { EdgeStatus, PoolStatus, WorkersStatus } from './status.ts';

/** Counters are since the start. */
export interface MetricsView {
  readonly status: Pick<EdgeStatus, 'version' | 'isDraining' | 'cluster' | 'keys' | 'canary'>;
  readonly isReady: boolean;
  readonly traffic: TrafficView;
  readonly services: readonly (ServiceTotals & { readonly name: string })[];
  readonly tls: TlsView;
  /** The requests of a worker and of a node do not wrap here. */
  readonly workers: WorkersStatus;
  readonly pools: readonly PoolStatus[];
  readonly health: readonly PoolHealthCounts[];
  readonly reloads: ReloadsStatus;
  readonly certificates: readonly CertificateExpiry[];
}

export interface TrafficView {
  /** Open now. */
  readonly connections: number;
  /** As many as there may be, with the handshakes under way. */
  readonly connectionsMax: number;
  readonly connectionsTotal: number;
  /** Not served, by the limit that stood against them; `accept`: the system did not give them. */
  readonly connectionsRefused: Readonly<Record<'total' | 'thread' | 'address' | 'accept', number>>;
  /** Idle ones that were closed to make room for others. */
  readonly connectionsEvicted: number;
  /** Clients that were too slow, by what with. */
  readonly clientTimeouts: Readonly<Record<'head' | 'body' | 'response', number>>;
  readonly tunnels: number;
  /** Requests refused before a service was found, by the status code of the refusal. */
  readonly rejected: ServiceTotals['codes'];
  readonly clientAborts: number;
  readonly responsesTruncated: number;
  /** Open now: in use, idle, opening. */
  readonly backendConnections: number;
  /** Requests that no descriptor was left for. */
  readonly backendConnectionsRefused: number;
  readonly backendConnects: number;
  readonly backendReuses: number;
  readonly backendPipelined: number;
  readonly backendPipelinesBroken: number;
  readonly nodesLeftOut: number;
}

export interface TlsView {
  readonly handshakes: Readonly<Record<'full' | 'resumed', Readonly<Record<TlsVersion, number>>>>;
  readonly handshakesFailed: number;
  /** Of these, ended to make room for others. */
  readonly handshakesEvicted: number;
  /** Under way. */
  readonly handshakesOpen: number;
  readonly ticketsIssued: number;
  readonly ticketRenewals: number;
  /** Tickets that clients have shown, by the stage of their key, or by why they were not taken. */
  readonly ticketsDecrypted: Readonly<Record<Stage | 'unknown' | 'refused', number>>;
}

export interface CertificateExpiry {
  readonly file: string;
  /** Unix time, s. */
  readonly notAfterS: number;
}
