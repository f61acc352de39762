/**
 * Puts together what GET /metrics tells: what the boards hold, as numbers that do not wrap, and what the edge says of
 * itself. Main thread.
 */

import { X509Certificate } from 'node:crypto';
import { NO_SERVICE, type ServiceBoard } from '../boards/service-board.ts';
import type { StatsBoard } from '../boards/stats-board.ts';
import type { ListenerConfig } from '../config/config.ts';
import { Counters } from './counters.ts';
import type { PoolHealthCounts } from './health/pool-health.ts';
import type { CertificateExpiry, MetricsView, TlsView, TrafficView } from './metrics-view.ts';
import { NodeTotals } from './node-totals.ts';
import type { ReloadsStatus } from './reload-counts.ts';
import type { Readiness } from './reload-result.ts';
import { ServiceCounters } from './service-counters.ts';
import type { EdgeStatus, PoolStatus, WorkersStatus } from './status.ts';

/** What only the edge itself can tell. */
export interface MetricsInput {
  readonly status: EdgeStatus;
  readonly readiness: Readiness;
  /** In force. */
  readonly services: readonly { readonly id: number; readonly name: string }[];
  /** In force; the same array as long as nothing of it has changed. */
  readonly listeners: readonly ListenerConfig[];
  readonly reloads: ReloadsStatus;
  /** One a pool. */
  readonly health: readonly PoolHealthCounts[];
}

/** Reads the boards. To be asked at least as often as its counters go around: see Counters. */
export class MetricsReader {
  readonly #counters: Counters;
  readonly #services: ServiceCounters;
  readonly #nodes = new NodeTotals();
  #listeners: readonly ListenerConfig[] = [];
  #certificates: readonly CertificateExpiry[] = [];

  /** `serviceBoards` gives those of all threads that there have been, by thread. */
  constructor(stats: Pick<StatsBoard, 'read'>, serviceBoards: () => readonly ServiceBoard[]) {
    this.#counters = new Counters(stats, () => serviceBoards().length);
    this.#services = new ServiceCounters(serviceBoards);
  }

  read({ status, readiness, services, listeners, reloads, health }: MetricsInput): MetricsView {
    return {
      status,
      isReady: readiness.isReady,
      traffic: this.#traffic(status),
      services: services.map(({ id, name }) => ({ name, ...this.#services.read(id) })),
      tls: this.#tls(),
      workers: this.#workers(status),
      pools: this.#pools(status),
      health,
      reloads,
      certificates: this.#expiries(listeners),
    };
  }

  #traffic({ workers }: EdgeStatus): TrafficView {
    const counters = this.#counters;
    return {
      connections: counters.gauge('connectionsOpen'),
      connectionsMax: workers.connectionsMax,
      connectionsTotal: counters.read('connectionsTotal'),
      connectionsRefused: {
        total: counters.read('connectionsRefusedAll'),
        thread: counters.read('connectionsRefusedThread'),
        address: counters.read('connectionsRefusedAddress'),
        accept: counters.read('acceptErrors'),
      },
      connectionsEvicted: counters.read('connectionsEvicted'),
      clientTimeouts: {
        head: counters.read('headTimeouts'),
        body: counters.read('bodyTimeouts'),
        response: counters.read('readTimeouts'),
      },
      tunnels: counters.gauge('tunnelsOpen'),
      rejected: this.#services.read(NO_SERVICE).codes,
      clientAborts: counters.read('clientAborts'),
      responsesTruncated: counters.read('responsesTruncated'),
      backendConnections: counters.gauge('upstreamsOpen'),
      backendConnectionsRefused: counters.read('upstreamsRefused'),
      backendConnects: counters.read('upstreamConnects'),
      backendReuses: counters.read('upstreamReuses'),
      backendPipelined: counters.read('upstreamsPipelined'),
      backendPipelinesBroken: counters.read('pipelinesBroken'),
      nodesLeftOut: counters.read('nodesLeftOut'),
    };
  }

  #tls(): TlsView {
    const counters = this.#counters;
    return {
      handshakes: {
        full: { 'TLSv1.2': counters.read('handshakesFull12'), 'TLSv1.3': counters.read('handshakesFull13') },
        resumed: { 'TLSv1.2': counters.read('handshakesResumed12'), 'TLSv1.3': counters.read('handshakesResumed13') },
      },
      handshakesFailed: counters.read('handshakesFailed'),
      handshakesEvicted: counters.read('handshakesEvicted'),
      handshakesOpen: counters.gauge('handshakesOpen'),
      ticketsIssued: counters.read('ticketsIssued'),
      ticketRenewals: counters.read('ticketsRenewed'),
      ticketsDecrypted: {
        active: counters.read('ticketsOpenedActive'),
        staged: counters.read('ticketsOpenedStaged'),
        retiring: counters.read('ticketsOpenedRetiring'),
        unknown: counters.read('ticketsUnknownKey'),
        refused: counters.read('ticketsRefused'),
      },
    };
  }

  #workers({ workers }: EdgeStatus): WorkersStatus {
    const requests = this.#counters.readThreads('requestsTotal');
    return { ...workers, list: workers.list.map((w) => ({ ...w, requests: requests[w.thread] ?? 0 })) };
  }

  #pools({ pools }: EdgeStatus): PoolStatus[] {
    const now = new Map(
      pools.map(({ name, nodes }) => [name, new Map(nodes.map((node) => [node.address, node.requests]))]),
    );
    const totals = this.#nodes.fold(now);
    return pools.map((pool) => {
      const requests = totals.get(pool.name);
      return { ...pool, nodes: pool.nodes.map((node) => ({ ...node, requests: requests?.get(node.address) ?? 0 })) };
    });
  }

  /** Certificates are decoded once: when they have come. */
  #expiries(listeners: readonly ListenerConfig[]): readonly CertificateExpiry[] {
    if (listeners === this.#listeners) return this.#certificates;
    const byFile = new Map<string, number>();
    for (const { certFile, cert } of listeners.flatMap(({ tls }) => tls?.certificates ?? [])) {
      byFile.set(certFile, new X509Certificate(cert).validToDate.getTime() / 1000);
    }
    this.#listeners = listeners;
    this.#certificates = [...byFile].map(([file, notAfterS]) => ({ file, notAfterS }));
    return this.#certificates;
  }
}
