/**
 * The part of GET /metrics that is about pools and their nodes. Main thread.
 *
 * Of each pool the nodes that a status shows, at most 1,000: a pool may hold 100,000, and four samples of each would be
 * more than a Prometheus wants.
 */

import type { MetricsView } from '../control/metrics-view.ts';
import type { NodeStatus } from '../control/status.ts';
import type { Exposition, Labels, Sample } from './exposition.ts';

export function writePoolMetrics(out: Exposition, { pools, health }: MetricsView): void {
  out.gauge(
    'pool_nodes',
    'Nodes of a pool, all of them: failing ones get requests where there is nothing better, those that are down none',
    pools.flatMap(({ name, counts: { up, draining, failing, down } }) =>
      byLabel({ pool: name }, 'state', { up: up + draining, down, failing }),
    ),
  );
  const each = (value: (node: NodeStatus) => number): Sample[] =>
    pools.flatMap(({ name, nodes }) => nodes.map((node): Sample => [{ pool: name, node: node.address }, value(node)]));
  out.gauge(
    'node_up',
    '1 where a node is well; 0 where its health checks or its requests fail',
    each(({ health: { state } }) => Number(state === 'up')),
  );
  out.gauge(
    'node_draining',
    '1 where a node gets no new clients',
    each(({ drain }) => Number(drain)),
  );
  out.gauge(
    'node_in_flight',
    'Requests under way on a node',
    each(({ inFlight }) => inFlight),
  );
  out.counter(
    'node_requests_total',
    'Requests begun on a node since it came into the pool, retries among them',
    each(({ requests }) => requests),
  );
  out.counter(
    'health_checks_total',
    "Health checks of a pool's nodes; what is not passed says why",
    health.flatMap(({ pool, checks }) => byLabel({ pool }, 'result', checks)),
  );
  out.counter(
    'health_changes_total',
    'Times that a node of a pool came into a state',
    health.flatMap(({ pool, changes }) => byLabel({ pool }, 'state', changes)),
  );
}

function byLabel(labels: Labels, name: string, counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([value, count]) => [{ ...labels, [name]: value }, count]);
}
