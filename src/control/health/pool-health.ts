/**
 * The health of one pool's nodes: its checks, the marks of the listener threads, and what follows for the boards and the
 * log. Main thread.
 */

import { isDeepStrictEqual } from 'node:util';
import { NODE_DOWN, NODE_FAILING, NODE_UP, type NodeState } from '../../boards/route-board.ts';
import type { HealthCheckConfig, NodeConfig } from '../../config/config.ts';
import type { Log } from '../log.ts';
import type { HealthStatus } from '../status.ts';
import type { CheckSchedule, Job } from './check-schedule.ts';
import { CheckStreak } from './check-streak.ts';
import { type HealthState, NodeRecord } from './node-record.ts';
import { CHECK_RESULTS, type CheckResult, type StartProbe } from './probe.ts';

/** The first checks of nodes that come together begin this far apart, within an interval. */
const FIRST_GAP_MS = 1;
/** Nodes looked at in one turn of the event loop: about 5 ms where their checks are set up. */
const SLICE = 1_000;

const BOARD_STATE: Readonly<Record<HealthState, NodeState>> = { up: NODE_UP, down: NODE_DOWN, failing: NODE_FAILING };

/** For the metrics. */
export interface PoolHealthCounts {
  readonly pool: string;
  /** Since the start. */
  readonly checks: Readonly<Record<CheckResult['result'], number>>;
  /** Changes of a node to this state, since the start. */
  readonly changes: Readonly<Record<HealthState, number>>;
  /** Nodes now. */
  readonly nodes: Readonly<Record<HealthState, number>>;
}

export interface PoolHealthOptions {
  readonly name: string;
  /** Those in force. */
  readonly nodes: () => readonly NodeConfig[];
  readonly setState: (address: string, state: NodeState) => void;
  readonly schedule: CheckSchedule;
  readonly startProbe: StartProbe;
  readonly random: () => number;
  readonly log: Log;
}

/** A node and its check. */
interface Known {
  readonly record: NodeRecord;
  /** Null: no check. */
  job: Job | null;
  /** What `job` was made for. */
  check: HealthCheckConfig | null;
}

export class PoolHealth {
  readonly #options: PoolHealthOptions;
  #check: HealthCheckConfig | null = null;
  /** Those that are checked, were marked, or both. */
  readonly #known = new Map<string, Known>();
  /** Takes over which nodes there are, a slice at each step. Null: nothing is left to be taken over. */
  #sweep: Iterator<void> | null = null;
  #turn: NodeJS.Immediate | null = null;
  /** There is something new since `#sweep` began. */
  #isOutdated = false;
  #nodeCount = 0;
  #isAllDown = false;
  #canCheck = true;
  /** Checks in a row that this machine could make, since it could not. */
  #madeInRow = 0;
  readonly #checks = Object.fromEntries(CHECK_RESULTS.map((result) => [result, 0])) as Record<
    CheckResult['result'],
    number
  >;
  readonly #changes: Record<HealthState, number> = { up: 0, down: 0, failing: 0 };
  /** Of those known. */
  readonly #states: Record<HealthState, number> = { up: 0, down: 0, failing: 0 };

  constructor(options: PoolHealthOptions) {
    this.#options = options;
  }

  get counts(): PoolHealthCounts {
    const { down, failing } = this.#states;
    const nodes = { up: this.#nodeCount - down - failing, down, failing };
    return { pool: this.#options.name, checks: { ...this.#checks }, changes: { ...this.#changes }, nodes };
  }

  /** From now on nodes are checked so; null: not at all. What is held of them stays until their next check. */
  configure(check: HealthCheckConfig | null): void {
    if (isDeepStrictEqual(check, this.#check)) return;
    this.#check = check;
    this.refresh();
  }

  /**
   * Takes over which nodes there are, and tells the boards anew of those that are not up: a slot's new tenant begins so.
   * All at once where they are few, else in slices between which the event loop turns.
   */
  refresh(): void {
    if (this.#sweep !== null) {
      this.#isOutdated = true;
      return;
    }
    this.#sweep = this.#takeOver();
    this.#advance();
  }

  /** Thread `thread` leaves a node out, or uses it again. */
  mark(thread: number, address: string, isOut: boolean, reason: string): void {
    const known = this.#known.get(address);
    if (isOut) {
      const { record } = known ?? this.#meet(address);
      record.mark(thread, reason);
      this.#judge(record);
    } else if (known?.record.withdraw(thread)) this.#judge(known.record);
  }

  /** No mark of `thread` counts any more. */
  withdraw(thread: number): void {
    for (const { record } of this.#known.values()) if (record.withdraw(thread)) this.#judge(record);
  }

  status(address: string): HealthStatus {
    const record = this.#known.get(address)?.record;
    const isChecked = this.#check !== null;
    if (record === undefined) return { state: 'up', isChecked, reason: '', changedAtMs: null };
    const { reason } = record.verdict;
    return { state: record.state, isChecked, reason, changedAtMs: record.changedAtMs };
  }

  /** Addresses of those that are not up. */
  get troubled(): readonly string[] {
    const { down, failing } = this.#states;
    if (down + failing === 0) return [];
    return [...this.#known].flatMap(([address, { record }]) => (record.state === 'up' ? [] : address));
  }

  /** Checks no more. */
  stop(): void {
    if (this.#turn !== null) clearImmediate(this.#turn);
    for (const known of this.#known.values()) this.#endChecks(known);
  }

  #advance(): void {
    this.#turn = null;
    if (this.#sweep?.next().done !== true) {
      this.#turn = setImmediate(() => this.#advance());
      return;
    }
    this.#sweep = null;
    if (!this.#isOutdated) return;
    this.#isOutdated = false;
    this.refresh();
  }

  *#takeOver(): Generator<void> {
    const { nodes, setState } = this.#options;
    const check = this.#check;
    const present = nodes();
    const unchecked = present.filter(({ address }) => (this.#known.get(address)?.check ?? null) !== check);
    // many begin spread over an interval, few at once
    const spreadMs = check === null ? 0 : Math.min(check.intervalMs, (unchecked.length - 1) * FIRST_GAP_MS);
    const addresses = new Set<string>();
    let looks = 0;
    for (const node of present) {
      if (++looks % SLICE === 0) yield;
      addresses.add(node.address);
      const known = this.#known.get(node.address);
      if (known !== undefined && known.record.state !== 'up') {
        setState(node.address, BOARD_STATE[known.record.state]);
      }
      if ((known?.check ?? null) === check) continue;
      if (known !== undefined) this.#endChecks(known);
      if (check !== null) this.#beginCheck(node, check, spreadMs);
      else if (known !== undefined) this.#judge(known.record);
    }
    for (const [address, known] of this.#known) {
      if (++looks % SLICE === 0) yield;
      if (!addresses.has(address)) this.#forget(known);
    }
    this.#nodeCount = present.length;
    this.#judgePool();
  }

  #meet(address: string): Known {
    const known: Known = { record: new NodeRecord(address), job: null, check: null };
    this.#known.set(address, known);
    this.#states.up++;
    return known;
  }

  #forget(known: Known): void {
    this.#endChecks(known);
    this.#known.delete(known.record.address);
    this.#states[known.record.state]--;
  }

  #beginCheck(node: NodeConfig, check: HealthCheckConfig, spreadMs: number): void {
    const { schedule, random, startProbe } = this.#options;
    const known = this.#known.get(node.address) ?? this.#meet(node.address);
    const { record } = known;
    record.checks = new CheckStreak(record.state !== 'down', check);
    known.job = {
      periodMs: () => check.intervalMs * (1 - check.jitter * random()),
      run: (onDone) =>
        startProbe(node, check, (result) => {
          onDone();
          this.#onResult(record, result);
        }),
    };
    known.check = check;
    schedule.add(known.job, spreadMs * random());
  }

  #endChecks(known: Known): void {
    if (known.job !== null) this.#options.schedule.remove(known.job);
    known.job = null;
    known.check = null;
    known.record.checks = null;
  }

  #onResult(record: NodeRecord, { result, reason }: CheckResult): void {
    this.#checks[result]++;
    this.#judgeOurselves(result === 'local' ? reason : null);
    if (result === 'local') return;
    const hasPassed = result === 'passed';
    if (!hasPassed) record.failure = reason;
    if (record.checks?.take(hasPassed) !== true) return;
    // who left it out did so before the checks found it down; that it is back, they have seen now
    if (hasPassed) record.withdrawAll();
    this.#judge(record);
  }

  /** `reason`: why a check could not be made here; null: it could. */
  #judgeOurselves(reason: string | null): void {
    const { name, log } = this.#options;
    if (reason !== null) {
      this.#madeInRow = 0;
      if (this.#canCheck)
        log.warn({ pool: name, reason }, 'health checks cannot be made here: nodes stay as they were');
      this.#canCheck = false;
      return;
    }
    // near a limit some can be made and others cannot: a line for each would be a flood
    if (this.#canCheck || ++this.#madeInRow < this.#nodeCount) return;
    this.#canCheck = true;
    log.info({ pool: name }, 'health checks can be made again');
  }

  #judge(record: NodeRecord): void {
    const { state, reason } = record.verdict;
    if (state === record.state) return;
    const { name, log, setState } = this.#options;
    const { address, state: from } = record;
    this.#states[from]--;
    this.#states[state]++;
    this.#changes[state]++;
    record.state = state;
    record.changedAtMs = Date.now();
    setState(address, BOARD_STATE[state]);
    const fields = { pool: name, node: address, from, to: state };
    if (state === 'up') log.info(fields, 'node is up');
    else log.warn({ ...fields, reason }, `node is ${state}`);
    this.#judgePool();
  }

  #judgePool(): void {
    const { name, log } = this.#options;
    const isAllDown = this.#nodeCount > 0 && this.#states.down === this.#nodeCount;
    if (isAllDown === this.#isAllDown) return;
    this.#isAllDown = isAllDown;
    if (isAllDown)
      log.error({ pool: name, nodes: this.#nodeCount }, 'all nodes of the pool are down: requests get 503');
    else log.info({ pool: name }, 'the pool has a live node again');
  }
}
