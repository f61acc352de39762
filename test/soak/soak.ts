/**
 * A soak: three edges as a group, their backends, clients of every kind, faults from a seed; then what came of it.
 *
 *   start ─► traffic, faults, samples ─► faults undone ─► traffic ends ─► invariants ─► edges end ─► verdict
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgramProcess } from '../e2e/harness.ts';
import { Scope } from '../scope.ts';
import { Random } from '../sim/random.ts';
import { CounterWatch } from './counters.ts';
import type { SoakEdge } from './edges.ts';
import { explain } from './explain.ts';
import type { Symptom } from './failure.ts';
import { FaultLog } from './fault.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { Injector } from './injector.ts';
import { checkInvariants, type Invariant } from './invariants.ts';
import { Ledger } from './ledger.ts';
import type { SoakResult } from './result.ts';
import { Samples } from './samples.ts';
import { type Planned, planFaults } from './schedule.ts';
import { runTraffic } from './traffic/traffic.ts';
import { classify, failuresOfLog, NOWHERE, warningsOf } from './verdict.ts';

/** At least this long, growth is told from warming up. */
const JUDGED_MS_MIN = 5 * 60_000;
const SAMPLE_MS = 10_000;
const SHORT_SAMPLE_MS = 5_000;

export interface SoakOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** From one fault to the next, on average. */
  readonly everyMs: number;
  /** Without faults, at the beginning and at the end. */
  readonly quietMs: number;
  readonly ending: AbortSignal;
  readonly onPlan: (plan: readonly Planned[]) => void;
  /** A line about how it goes, each `progressMs`. */
  readonly onProgress: (line: string) => void;
  readonly progressMs: number;
}

export class Soak {
  readonly #options: SoakOptions;
  readonly #scope = new Scope();
  readonly #ledger = new Ledger();
  readonly #faults = new FaultLog();
  readonly #samples = new Samples();
  readonly #counters = new CounterWatch();
  /** Each that there was, and whose it was. */
  readonly #programs: { readonly edge: SoakEdge; readonly program: ProgramProcess }[] = [];

  constructor(options: SoakOptions) {
    this.#options = options;
  }

  async run(): Promise<SoakResult> {
    const { seed, durationMs, everyMs, quietMs, onPlan } = this.#options;
    const sampleMs = durationMs < JUDGED_MS_MIN ? SHORT_SAMPLE_MS : SAMPLE_MS;
    try {
      const fleet = await startFleet(this.#scope, sampleMs, (edge) => this.#onSpawn(edge));
      const plan = planFaults(seed, durationMs, { everyMs, quietMs });
      onPlan(plan);
      const ranMs = await this.#load(fleet, plan);
      const invariants = await checkInvariants(fleet.edges);
      await this.#lookAtCounters(fleet);
      invariants.push(...(await Promise.all(fleet.edges.map(endOf))));
      return await this.#result(fleet, { plan, ranMs }, invariants);
    } finally {
      await this.close();
    }
  }

  /** Ends all processes and removes all files; for when all else has failed. */
  close(): Promise<void> {
    return this.#scope.close();
  }

  /** Traffic with faults. Resolves to how long it was, when all is undone and no client is left. */
  async #load(fleet: Fleet, plan: readonly Planned[]): Promise<number> {
    const beganMs = performance.now();
    const trafficEnds = new AbortController();
    const ending = trafficEnds.signal;
    const random = new Random(this.#options.seed);
    const traffic = runTraffic({ edges: fleet.edges, random, ledger: this.#ledger, ending });
    const watching = this.#watch(fleet, beganMs, ending);
    // a client that fails by a fault of the soak's own ends it at once
    const broken = traffic.then(() => new Promise<never>(() => {}));
    await Promise.race([this.#inject(fleet, plan, beganMs), broken]);
    trafficEnds.abort();
    await Promise.all([traffic, watching]);
    return performance.now() - beganMs;
  }

  async #inject(fleet: Fleet, plan: readonly Planned[], beganMs: number): Promise<void> {
    const { ending, durationMs } = this.#options;
    const until = (atMs: number) =>
      sleep(Math.max(0, beganMs + atMs - performance.now()), undefined, { signal: ending }).catch(() => {});
    const injector = new Injector({
      ...fleet,
      log: this.#faults,
      ending,
      onFailed: (kind, edge, fromMs, error) =>
        this.#failed({ traffic: 'faults', symptom: 'admin', edge, fromMs, detail: `${kind}: ${error.message}` }),
    });
    for (const planned of plan) {
      await until(planned.atMs);
      if (ending.aborted) break;
      injector.begin(planned);
    }
    await until(durationMs);
    await injector.settled();
  }

  #onSpawn(edge: SoakEdge): void {
    const { program } = edge;
    this.#programs.push({ edge, program });
    this.#samples.watch(edge);
    void program.exited.then((code) => {
      if (edge.program !== program || !edge.isUp) return;
      const detail = `ended by itself: ${code}`;
      this.#failed({ traffic: 'edges', symptom: 'wrong', edge: edge.id, fromMs: performance.now(), detail });
    });
  }

  async #watch(fleet: Fleet, beganMs: number, ending: AbortSignal): Promise<void> {
    const { progressMs, durationMs, onProgress } = this.#options;
    while (!ending.aborted) {
      await sleep(progressMs, undefined, { signal: ending }).catch(() => {});
      await this.#lookAtCounters(fleet);
      const failures = this.#ledger.failures;
      const unexplained = failures.filter((failure) => explain(failure, this.#faults.faults) === null).length;
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      const on = this.#faults.current.map(({ kind, edge, node }) => `${kind} ${edge ?? node ?? ''}`.trim());
      onProgress(
        `${seconds} of ${durationMs / 1000} s: ${this.#ledger.total} done, ${failures.length} failed, ` +
          `${unexplained} without a reason so far; on: ${on.join(', ') || 'nothing'}`,
      );
    }
  }

  async #lookAtCounters({ edges }: Fleet): Promise<void> {
    const look = async (edge: SoakEdge) => {
      const { pid } = edge;
      // one that goes away meanwhile is the injector's doing
      const scraped = edge.isUp ? await edge.scrape().catch(() => null) : null;
      if (scraped !== null && pid === edge.pid) this.#counters.look(edge.id, pid, scraped);
    };
    await Promise.all(edges.map(look));
  }

  #failed(what: { traffic: string; symptom: Symptom; edge: number; fromMs: number; detail: string }): void {
    this.#ledger.failed({ ...NOWHERE, ...what, atMs: performance.now() });
  }

  async #result(
    { edges, backends }: Fleet,
    { plan, ranMs }: Pick<SoakResult, 'plan' | 'ranMs'>,
    invariants: readonly Invariant[],
  ): Promise<SoakResult> {
    const { faults } = this.#faults;
    for (const { edge, program } of this.#programs) {
      for (const failure of failuresOfLog(edge.id, program.log)) this.#ledger.failed(failure);
    }
    const accessLogs = edges.flatMap((edge) => edge.accessLogs);
    const { tornLines, ...classified } = await classify(this.#ledger.failures, faults, accessLogs);
    const violations = backends.flatMap((backend) => backend.violations);
    return {
      seed: this.#options.seed,
      ranMs,
      plan,
      faults,
      traffic: this.#ledger.traffic,
      tls: this.#ledger.tls,
      ...classified,
      invariants: [
        ...invariants,
        { name: 'no counter fell', fault: this.#counters.violations.slice(0, 5).join('; ') },
        { name: 'nothing smuggled reached a backend', fault: violations.slice(0, 5).join('; ') },
        { name: 'the lines of the access logs are whole', fault: this.#torn(tornLines) },
      ],
      series: this.#samples.all,
      isLongEnough: ranMs >= JUDGED_MS_MIN,
      warnings: warningsOf(this.#programs.map(({ program }) => program.log)),
    };
  }

  /** A process or thread that is killed may tear its last line. */
  #torn(lines: number): string {
    const killed = ['edge-killed', 'leader-killed', 'thread-killed'];
    const kills = this.#faults.faults.filter(({ kind }) => killed.includes(kind)).length;
    return lines <= kills ? '' : `${lines} are not, with ${kills} edges and threads killed`;
  }
}

async function endOf(edge: SoakEdge): Promise<Invariant> {
  const code = await edge.end('SIGTERM');
  return { name: `edge ${edge.id} ends with 0 on SIGTERM`, fault: code === 0 ? '' : `it was ${code}` };
}
