/** What can be made to fail in a soak, and what is known of each time that it was. Plain data. */

export const EDGE_FAULTS = [
  'edge-killed',
  'leader-killed',
  'edge-restarted',
  'edge-paused',
  'partition',
  'thread-killed',
  'flood',
  'reload-certificates',
  'reload-pools',
  'reload-threads',
  'reload-faulty',
  'log-rotated',
] as const;

export const BACKEND_FAULTS = [
  'backend-killed',
  'backend-refusing',
  'backend-paused',
  'backend-resetting',
  'backend-trickling',
  'backend-garbage',
  'backend-trailing',
] as const;

export const GROUP_FAULTS = [
  'pool-outage',
  'node-added',
  'node-removed',
  'node-drained',
  'keys-rotated',
  'keys-revoked',
] as const;

export const FAULT_KINDS = [...EDGE_FAULTS, ...BACKEND_FAULTS, ...GROUP_FAULTS] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export type PoolName = 'sticky' | 'plain';

/** Times are ms of `performance.now()`. */
export interface Fault {
  readonly kind: FaultKind;
  /** Null: none in particular. */
  readonly edge: number | null;
  /** "host:port" of a backend. */
  readonly node: string | null;
  readonly pool: PoolName | null;
  readonly fromMs: number;
  /** Infinity while it is on. */
  untilMs: number;
}

export class FaultLog {
  readonly faults: Fault[] = [];

  begin(kind: FaultKind, where: Partial<Pick<Fault, 'edge' | 'node' | 'pool'>> = {}): Fault {
    const fault: Fault = {
      kind,
      edge: where.edge ?? null,
      node: where.node ?? null,
      pool: where.pool ?? null,
      fromMs: performance.now(),
      untilMs: Number.POSITIVE_INFINITY,
    };
    this.faults.push(fault);
    return fault;
  }

  end(fault: Fault): void {
    fault.untilMs = performance.now();
  }

  /** Those that are on. */
  get current(): Fault[] {
    return this.faults.filter(({ untilMs }) => untilMs === Number.POSITIVE_INFINITY);
  }
}
