/**
 * GET /metrics: what the edge counts, in Prometheus's text format; docs/metrics.md explains each. The numbers are kept
 * elsewhere. Main thread.
 */

import type { MetricsView, TrafficView } from '../control/metrics-view.ts';
import { Exposition, type Labels, type Sample } from './exposition.ts';
import { writeClusterMetrics } from './metrics-cluster.ts';
import { writePoolMetrics } from './metrics-pools.ts';
import { writeTlsMetrics } from './metrics-tls.ts';
import { processMetrics } from './process-metrics.ts';

export class Metrics {
  readonly #read: () => MetricsView;
  readonly #process = processMetrics();

  constructor(read: () => MetricsView) {
    this.#read = read;
  }

  get contentType(): string {
    return this.#process.contentType;
  }

  async render(): Promise<string> {
    const view = this.#read();
    const out = new Exposition();
    writeEdge(out, view);
    writeTraffic(out, view.traffic);
    writeServices(out, view);
    writePoolMetrics(out, view);
    writeTlsMetrics(out, view);
    writeClusterMetrics(out, view.status.cluster);
    return out.text + (await this.#process.metrics());
  }
}

function writeEdge(out: Exposition, { status, isReady, workers, reloads }: MetricsView): void {
  out.gauge('build_info', '1; the version is in the label', [[{ version: status.version }, 1]]);
  out.gauge('ready', '1 where this edge is ready for requests, 0 where not', Number(isReady));
  out.gauge('draining', '1 once this edge takes no new connections, as it is to end', Number(status.isDraining));

  out.gauge('worker_threads', 'Listener threads that the configuration asks for', workers.threads);
  out.gauge('workers_retiring', 'Listener threads that serve their last connections', workers.retiring);
  out.counter('workers_replaced_total', 'Listener threads that died or hung, and were replaced', workers.replaced);
  const each = (value: (worker: (typeof workers.list)[number]) => number): Sample[] =>
    workers.list.map((worker) => [{ thread: String(worker.thread) }, value(worker)]);
  const isUp = each(({ state }) => Number(state !== 'starting'));
  out.gauge('worker_up', '1 where the listener thread serves, 0 where it is being started', isUp);
  out.gauge(
    'worker_connections',
    'Client connections open on a listener thread',
    each((worker) => worker.connections),
  );
  out.counter(
    'worker_requests_total',
    'Requests whose heads a listener thread has read',
    each((worker) => worker.requests),
  );

  const results: Sample[] = [
    [{ result: 'ok' }, reloads.ok],
    [{ result: 'failed' }, reloads.failed],
  ];
  out.counter('reloads_total', 'Times that the configuration was read again; failed: nothing was changed', results);
  out.gauge(
    'config_last_reload_successful',
    '1 where the configuration was good when it was last read, 0 where not',
    Number(reloads.isLastOk),
  );
  out.gauge(
    'config_last_reload_success_timestamp_seconds',
    'Unix time at which the configuration in force was read',
    reloads.lastOkAtMs / 1000,
  );
}

function writeTraffic(out: Exposition, traffic: TrafficView): void {
  out.gauge('connections', 'Client connections open', traffic.connections);
  out.gauge('connections_max', 'Client connections there may be, TLS handshakes among them', traffic.connectionsMax);
  out.counter('connections_total', 'Client connections accepted', traffic.connectionsTotal);
  out.counter(
    'connections_refused_total',
    'Client connections not served: a limit stood against them, or the system did not give them (accept)',
    Object.entries(traffic.connectionsRefused).map(([limit, connections]) => [{ limit }, connections]),
  );
  out.counter(
    'connections_evicted_total',
    'Idle client connections that were closed to make room for others',
    traffic.connectionsEvicted,
  );
  out.counter(
    'client_timeouts_total',
    'Clients that were too slow to send a head or a body, or to take a response',
    Object.entries(traffic.clientTimeouts).map(([part, clients]) => [{ part }, clients]),
  );
  out.gauge('tunnels', 'Upgraded connections open, such as WebSockets', traffic.tunnels);
  out.counter(
    'requests_rejected_total',
    'Requests refused before a service was found: faulty heads, and Hosts that no service is there for',
    traffic.rejected.map(([code, requests]) => [{ code }, requests]),
  );
  out.counter('client_aborts_total', 'Clients that left while their request was under way', traffic.clientAborts);
  out.counter('responses_truncated_total', 'Responses that broke off after their head', traffic.responsesTruncated);
  out.gauge('backend_connections', 'Backend connections open: in use, idle or opening', traffic.backendConnections);
  out.counter(
    'backend_connections_refused_total',
    'Requests answered with 503, as no descriptor was left for a backend connection',
    traffic.backendConnectionsRefused,
  );
  out.counter('backend_connects_total', 'Attempts at a new backend connection', traffic.backendConnects);
  out.counter('backend_reuses_total', 'Requests sent on a kept backend connection', traffic.backendReuses);
  out.counter('backend_pipelined_total', 'Requests sent on a pipelined backend connection', traffic.backendPipelined);
  out.counter(
    'backend_pipelines_broken_total',
    'Pipelined backend connections that closed with requests waiting on them',
    traffic.backendPipelinesBroken,
  );
  out.counter(
    'nodes_left_out_total',
    'Times that a listener thread left a node out, as its requests kept failing',
    traffic.nodesLeftOut,
  );
}

function writeServices(out: Exposition, { services }: MetricsView): void {
  type Service = (typeof services)[number];
  const each = <T>(value: (service: Service) => T): Sample<T>[] =>
    services.map((service) => [{ service: service.name }, value(service)]);
  out.counter(
    'requests_total',
    'Requests by the status code that the client got; 499: it left before; 101: a tunnel began',
    services.flatMap(({ name, codes }) =>
      codes.map(([code, requests]): [Labels, number] => [{ service: name, code }, requests]),
    ),
  );
  out.histogram(
    'request_duration_seconds',
    'From the head of a request to the end of its response; tunnels are not in it',
    each((service) => service.durations),
  );
  out.histogram(
    'backend_connect_duration_seconds',
    'Time to open a connection to a backend; those that failed are not in it',
    each((service) => service.connects),
  );
  out.counter(
    'backend_connect_failures_total',
    'Backend connections that could not be opened or verified',
    each((service) => service.connectFailures),
  );
  out.counter(
    'retries_total',
    'Requests tried again, on another node or another connection',
    each((service) => service.retries),
  );
}
