/**
 * The rules by which a failure may be put down to a fault: which symptoms it may cause, where, and for how long after the
 * moment that counts. Each as narrow as it can be: what they excuse too much is what a soak does not find.
 */

import type { Failure, Symptom } from './failure.ts';
import type { Fault, FaultKind } from './fault.ts';

export type Scope = 'edge' | 'node' | 'pool' | 'any';

export interface Rule {
  readonly symptoms: readonly Symptom[];
  readonly kinds: readonly FaultKind[];
  readonly scope: Scope;
  /** Counted from the beginning of the fault, for what happens once; or from its end. */
  readonly since: 'begin' | 'end';
  readonly withinMs: number;
  /** A fault of this kind has to have been on as well, at any time from the beginning of the other to the failure. */
  readonly beside?: FaultKind;
  readonly holds?: (failure: Failure, fault: Fault) => boolean;
  readonly why: string;
}

/** Two processes see one event at different times: the scheduler of a busy machine, and the time a message takes. */
export const SLACK_MS = 500;
/** Checks (1 s apart, 2 to rise) and `fail_timeout` (1 s) until a node is used again, and as long once more for a busy machine. */
const RETURN_MS = 6_000;
/** Connections between edges come back, and what was missed with them. */
const CATCH_UP_MS = 2_500;
const EDGE_ENDS: readonly FaultKind[] = ['edge-killed', 'leader-killed', 'edge-restarted'];
const GROUP_TROUBLE: readonly FaultKind[] = [...EDGE_ENDS, 'edge-paused', 'partition'];

/** A silent client whose connection was closed before `header_timeout`. */
function isSentAway({ traffic }: Failure): boolean {
  return traffic === 'silent';
}

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
    symptoms: ['broken'],
    kinds: ['reload-threads'],
    scope: 'edge',
    since: 'end',
    withinMs: 2_000,
    holds: isSentAway,
    why: 'a thread that retires gives connections without a request one second',
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
    // a safe one that came over a kept connection has been tried again
    holds: ({ isSafe, attempts }) => !isSafe || attempts === 1,
    why: 'the node closed the connection under a request that may not be sent twice, or whose connection was new',
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
    kinds: ['edge-paused', 'partition'],
    scope: 'any',
    since: 'end',
    // a ticket is used again within seconds
    withinMs: 10_000,
    beside: 'keys-revoked',
    holds: ({ ticketEdge, ticketMs }, { edge, fromMs, untilMs }) =>
      ticketEdge === edge && ticketMs !== null && ticketMs >= fromMs - SLACK_MS && ticketMs <= untilMs + CATCH_UP_MS,
    why: 'the edge that made the ticket was cut off while the keys were revoked, and had not caught up',
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
