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
/** Nodes whose checks are set up at a stretch: about 5 ms. */
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
}

export class PoolHealth {
  readonly #options: PoolHealthOptions;
  #check: HealthCheckConfig | null = null;
  /** Those that are checked, were marked, or both. */
  #known = new Map<string, Known>();
  /** Of those that are not checked yet. */
  #setUp: NodeJS.Immediate | null = null;
  #nodeCount = 0;
  #isAllDown = false;
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
    for (const known of this.#known.values()) this.#endChecks(known);
    this.refresh();
  }

  /** Takes over which nodes there are, and tells the boards anew of those that are not up: a slot's new tenant begins so. */
  refresh(): void {
    const { nodes, setState } = this.#options;
    const before = this.#known;
    const after = new Map<string, Known>();
    const fresh: NodeConfig[] = [];
    const present = nodes();
    for (const node of present) {
      const known = before.get(node.address);
      if (known !== undefined) after.set(node.address, known);
      if (this.#check !== null && (known?.job ?? null) === null) fresh.push(node);
    }
    for (const [address, known] of before) if (!after.has(address)) this.#forget(known);
    this.#known = after;
    this.#nodeCount = present.length;
    for (const { record } of after.values()) {
      if (record.state !== 'up') setState(record.address, BOARD_STATE[record.state]);
      if (this.#check === null) this.#judge(record);
    }
    this.#beginChecks(fresh);
    this.#judgePool();
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

  threadEnded(thread: number): void {
    for (const { record } of this.#known.values()) if (record.withdraw(thread)) this.#judge(record);
  }

  status(address: string): HealthStatus {
    const record = this.#known.get(address)?.record;
    const isChecked = this.#check !== null;
    if (record === undefined) return { state: 'up', isChecked, reason: '', changedAtMs: null };
    const { reason } = record.verdict;
    return { state: record.state, isChecked, reason, changedAtMs: record.changedAtMs };
  }

  /** Checks no more. */
  stop(): void {
    this.#cancelSetUp();
    for (const known of this.#known.values()) this.#endChecks(known);
  }

  #meet(address: string): Known {
    const known: Known = { record: new NodeRecord(address), job: null };
    this.#known.set(address, known);
    this.#states.up++;
    return known;
  }

  #forget(known: Known): void {
    this.#endChecks(known);
    this.#states[known.record.state]--;
  }

  /** Has the nodes that are not checked yet be checked, in slices between which the event loop turns. */
  #beginChecks(nodes: readonly NodeConfig[]): void {
    const check = this.#check;
    this.#cancelSetUp();
    if (check === null) return;
    // many begin spread over an interval, few at once
    const spreadMs = Math.min(check.intervalMs, (nodes.length - 1) * FIRST_GAP_MS);
    const setUp = (from: number) => {
      this.#setUp = null;
      for (const node of nodes.slice(from, from + SLICE)) this.#beginCheck(node, check, spreadMs);
      if (from + SLICE < nodes.length) this.#setUp = setImmediate(setUp, from + SLICE);
    };
    setUp(0);
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
    schedule.add(known.job, spreadMs * random());
  }

  #cancelSetUp(): void {
    if (this.#setUp !== null) clearImmediate(this.#setUp);
    this.#setUp = null;
  }

  #endChecks(known: Known): void {
    if (known.job !== null) this.#options.schedule.remove(known.job);
    known.job = null;
    known.record.checks = null;
  }

  #onResult(record: NodeRecord, { result, reason }: CheckResult): void {
    this.#checks[result]++;
    const hasPassed = result === 'passed';
    if (!hasPassed) record.failure = reason;
    if (record.checks?.take(hasPassed) !== true) return;
    // who left it out did so before the checks found it down; that it is back, they have seen now
    if (hasPassed) record.withdrawAll();
    this.#judge(record);
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
