/** What a soak has shown. Plain data. */

import type { Failure } from './failure.ts';
import type { Fault, FaultKind } from './fault.ts';
import type { Invariant } from './invariants.ts';
import { judgeLeak, LEAK_LIMITS } from './leaks.ts';
import type { Tally, TlsTally } from './ledger.ts';
import type { Rule } from './rules.ts';
import type { Series } from './samples.ts';
import type { Planned } from './schedule.ts';

export interface Explained {
  readonly failure: Failure;
  readonly kind: FaultKind;
  readonly rule: Rule;
}

export interface SoakResult {
  readonly seed: number;
  readonly ranMs: number;
  readonly plan: readonly Planned[];
  readonly faults: readonly Fault[];
  readonly traffic: ReadonlyMap<string, Tally>;
  readonly tls: TlsTally;
  readonly explained: readonly Explained[];
  readonly unexplained: readonly Failure[];
  readonly invariants: readonly Invariant[];
  readonly series: readonly Series[];
  /** To tell a leak from warming up. */
  readonly isLongEnough: boolean;
  readonly accessLines: number;
  /** Lines of the logs at level warn and above, by text. */
  readonly warnings: ReadonlyMap<string, number>;
}

/** What is wrong; empty: the soak has passed. */
export function faultsFound({ unexplained, invariants, series, isLongEnough }: SoakResult): string[] {
  const grown = isLongEnough
    ? series.filter(({ values, figure }) => judgeLeak(values, LEAK_LIMITS[figure]).verdict === 'grows')
    : [];
  return [
    ...(unexplained.length === 0 ? [] : [`${unexplained.length} failures that no fault explains`]),
    ...invariants.filter(({ fault }) => fault !== '').map(({ name }) => `not so: ${name}`),
    ...grown.map(({ of, figure }) => `${figure} of ${of} grows`),
  ];
}
