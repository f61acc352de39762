/**
 * What went wrong, and which fault it may be put down to. Each rule names the symptoms that a fault may cause, where, and
 * for how long after the moment that counts. What no rule explains fails the run. Pure.
 */

import type { Fault, FaultKind, PoolName } from './fault.ts';

export const SYMPTOMS = [
  /** No connection. */
  'refused',
  /** The connection ended before any of the answer. */
  'broken',
  /** It ended within the answer. */
  'truncated',
  /** A tunnel ended. */
  'tunnel-cut',
  '502',
  '503',
  '504',
  /** No answer within the client's patience. */
  'timeout',
  /** Another node than the cookie's. */
  'moved',
  /** A session was offered, and not resumed. */
  'full-handshake',
  /** A command to the admin API failed. */
  'admin',
  /** A line of the log at level error. */
  'error-line',
  /** Bytes, order, status or node are not what they must be: no fault explains that. */
  'wrong',
] as const;
export type Symptom = (typeof SYMPTOMS)[number];

export interface Failure {
  readonly traffic: string;
  readonly symptom: Symptom;
  /** Of the request: what the access log knows it by. */
  readonly id: string;
  readonly edge: number;
  /** Where it was; null where that is not known. */
  readonly node: string | null;
  readonly pool: PoolName | null;
  /** GET or HEAD: sent again where it may be. */
  readonly isSafe: boolean;
  /** The connection had answered a request before. */
  readonly isReused: boolean;
  /** When the ticket came that was offered; null: none was. */
  readonly ticketMs: number | null;
  /** From the last moment at which all was well. */
  readonly fromMs: number;
  readonly atMs: number;
  readonly detail: string;
}

type Scope = 'edge' | 'node' | 'pool' | 'any';

export interface Rule {
  readonly symptoms: readonly Symptom[];
  readonly kinds: readonly FaultKind[];
  readonly scope: Scope;
  /** Counted from the beginning of the fault, for what happens once; or from its end. */
  readonly since: 'begin' | 'end';
  readonly withinMs: number;
  readonly holds?: (failure: Failure, fault: Fault) => boolean;
  readonly why: string;
}

/** Two processes see one event at different times: the scheduler of a busy machine, and the time a message takes. */
export const SLACK_MS = 500;
/** Checks (1 s apart, 2 to rise) and `fail_timeout` (1 s) until a node is used again, and as long once more for a busy machine. */
const RETURN_MS = 6_000;
const EDGE_ENDS: readonly FaultKind[] = ['edge-killed', 'leader-killed', 'edge-restarted'];
const GROUP_TROUBLE: readonly FaultKind[] = [...EDGE_ENDS, 'edge-paused', 'partition'];

export const RULES: readonly Rule[] = [
  {
    symptoms: ['refused', 'broken', 'truncated', 'tunnel-cut'],
    kinds: EDGE_ENDS,
    scope: 'edge',
    since: 'end',
    withinMs: 0,
    why: 'the edge was killed or restarted, and is not back yet',
  },
  {
    symptoms: ['broken', 'truncated', 'tunnel-cut'],
    kinds: ['thread-killed'],
    scope: 'edge',
    since: 'begin',
    withinMs: 1_000,
    why: 'the connection was on the thread that was killed',
  },
  {
    symptoms: ['broken'],
    kinds: ['reload-threads'],
    scope: 'edge',
    since: 'end',
    withinMs: 1_000,
    holds: ({ isReused }) => isReused,
    why: 'a thread that retires closes its idle connections; the request crossed the FIN',
  },
  {
    symptoms: ['502', 'truncated', 'tunnel-cut'],
    kinds: ['backend-killed', 'pool-outage'],
    scope: 'node',
    since: 'begin',
    withinMs: 1_000,
    why: 'the request was on the node when that was killed',
  },
  {
    symptoms: ['502', '503'],
    kinds: ['pool-outage'],
    scope: 'pool',
    since: 'end',
    withinMs: RETURN_MS,
    why: 'all nodes of the pool were dead, and are used again only when their checks pass',
  },
  {
    symptoms: ['502'],
    kinds: ['backend-refusing'],
    scope: 'node',
    since: 'begin',
    withinMs: 500,
    holds: ({ isSafe }) => !isSafe,
    why: 'the node closed a kept connection under a request that may not be sent twice',
  },
  {
    symptoms: ['504'],
    kinds: ['backend-paused'],
    scope: 'node',
    since: 'end',
    withinMs: 500,
    why: 'the node was stopped for longer than response_timeout',
  },
  {
    symptoms: ['truncated', '502'],
    kinds: ['backend-resetting'],
    scope: 'node',
    since: 'end',
    withinMs: 500,
    why: 'the node resets its connections within the answer',
  },
  {
    symptoms: ['502'],
    kinds: ['backend-garbage'],
    scope: 'node',
    since: 'end',
    withinMs: 500,
    why: 'the node answers garbage',
  },
  {
    symptoms: ['moved'],
    kinds: ['backend-killed', 'backend-refusing', 'backend-paused', 'backend-garbage', 'pool-outage', 'node-removed'],
    scope: 'node',
    since: 'end',
    withinMs: RETURN_MS,
    why: "the cookie's node is out, or not taken back yet",
  },
  {
    symptoms: ['moved'],
    kinds: ['node-added', 'reload-pools'],
    scope: 'node',
    since: 'end',
    withinMs: RETURN_MS,
    why: "the cookie's node was in the pool for a while, or at one edge alone",
  },
  {
    symptoms: ['full-handshake'],
    kinds: ['keys-revoked'],
    scope: 'any',
    since: 'end',
    withinMs: Number.POSITIVE_INFINITY,
    holds: ({ ticketMs }, { untilMs }) => ticketMs !== null && ticketMs <= untilMs + SLACK_MS,
    why: 'the ticket was made before the keys were revoked',
  },
  {
    symptoms: ['full-handshake'],
    kinds: ['edge-paused', 'partition'],
    scope: 'edge',
    since: 'end',
    withinMs: 1_500,
    why: 'the edge was cut off while the others went over to another key, and had not caught up',
  },
  {
    symptoms: ['full-handshake'],
    kinds: ['keys-revoked'],
    scope: 'any',
    since: 'end',
    withinMs: 1_500,
    why: 'a revocation is under way: edges go over one after another',
  },
  {
    symptoms: ['admin'],
    kinds: GROUP_TROUBLE,
    scope: 'any',
    since: 'end',
    withinMs: 3_000,
    why: 'the group had no leader, or the edge that was asked was away',
  },
  {
    symptoms: ['error-line'],
    kinds: ['thread-killed'],
    scope: 'edge',
    since: 'begin',
    withinMs: 5_000,
    holds: ({ detail }) => /^listener thread ended; another takes its place/.test(detail),
    why: 'a listener thread was killed',
  },
  {
    symptoms: ['error-line'],
    kinds: ['pool-outage'],
    scope: 'any',
    since: 'end',
    withinMs: RETURN_MS,
    holds: ({ detail }) => detail === 'all nodes of the pool are down: requests get 503',
    why: 'they were',
  },
  {
    symptoms: ['error-line'],
    kinds: ['reload-faulty'],
    scope: 'edge',
    since: 'end',
    withinMs: 1_000,
    holds: ({ detail }) => /^reload refused|stekbal\.yaml:\d+:\d+: /.test(detail),
    why: 'the configuration had a fault that was put there',
  },
];

/** Why the failure is none of the program's; null where no fault explains it. */
export function explain(failure: Failure, faults: readonly Fault[]): { rule: Rule; fault: Fault } | null {
  const pauses = faults.filter(({ kind, edge }) => kind === 'edge-paused' && edge === failure.edge);
  for (const rule of RULES) {
    if (!rule.symptoms.includes(failure.symptom)) continue;
    const fault = faults.find((one) => matches(rule, failure, one, pauses));
    if (fault !== undefined) return { rule, fault };
  }
  return null;
}

function matches(rule: Rule, failure: Failure, fault: Fault, pauses: readonly Fault[]): boolean {
  if (!rule.kinds.includes(fault.kind) || !isThere(rule.scope, failure, fault)) return false;
  const endMs = (rule.since === 'begin' ? fault.fromMs : fault.untilMs) + rule.withinMs + SLACK_MS;
  // what an edge was to meet while it was stopped, it meets when it goes on
  const laterMs = pauses.map(({ fromMs, untilMs }) => (fromMs <= endMs && untilMs > endMs ? untilMs + SLACK_MS : 0));
  const isThen = failure.atMs >= fault.fromMs - SLACK_MS && failure.fromMs <= Math.max(endMs, ...laterMs);
  return isThen && (rule.holds?.(failure, fault) ?? true);
}

function isThere(scope: Scope, { edge, node, pool }: Failure, fault: Fault): boolean {
  switch (scope) {
    case 'any':
      return true;
    case 'edge':
      return fault.edge === edge;
    case 'pool':
      return fault.pool !== null && fault.pool === pool;
    case 'node':
      // one that is not known may have been any of its pool's
      return node === null ? pool !== null && fault.pool === pool : fault.node === node || isOfOutage(fault, pool);
  }
}

function isOfOutage({ kind, pool }: Fault, wanted: PoolName | null): boolean {
  return kind === 'pool-outage' && pool === wanted;
}
