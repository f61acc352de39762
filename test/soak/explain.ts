/** Which fault a failure may be put down to, by the rules. What none explains fails the run. Pure. */

import type { Failure } from './failure.ts';
import type { Fault, PoolName } from './fault.ts';
import { RULES, type Rule, type Scope, SLACK_MS } from './rules.ts';

/** Why the failure is none of the program's; null where no fault explains it. */
export function explain(failure: Failure, faults: readonly Fault[]): { rule: Rule; fault: Fault } | null {
  const pauses = faults.filter(({ kind, edge }) => kind === 'edge-paused' && edge === failure.edge);
  for (const rule of RULES) {
    if (!rule.symptoms.includes(failure.symptom)) continue;
    const fault = faults.find((one) => matches(rule, failure, one, pauses) && hasBeside(rule, failure, one, faults));
    if (fault !== undefined) return { rule, fault };
  }
  return null;
}

function matches(rule: Rule, failure: Failure, fault: Fault, pauses: readonly Fault[]): boolean {
  if (!rule.kinds.includes(fault.kind) || !isThere(rule.scope, failure, fault)) return false;
  const endMs = (rule.since === 'begin' ? fault.fromMs : fault.untilMs) + rule.withinMs + SLACK_MS;
  // what an edge was to meet while it was stopped, it meets when it goes on
  const laterMs = pauses.map(({ fromMs, untilMs }) => (fromMs <= endMs ? untilMs + SLACK_MS : 0));
  const isThen = failure.atMs >= fault.fromMs - SLACK_MS && failure.fromMs <= Math.max(endMs, ...laterMs);
  return isThen && (rule.holds?.(failure, fault) ?? true);
}

function hasBeside({ beside }: Rule, { atMs }: Failure, { fromMs }: Fault, faults: readonly Fault[]): boolean {
  const isOn = (other: Fault) => other.kind === beside && other.untilMs >= fromMs - SLACK_MS && other.fromMs <= atMs;
  return beside === undefined || faults.some(isOn);
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
