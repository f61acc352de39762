/**
 * A soak: three edges as a group, their backends, clients of every kind, faults from a seed; then what came of it.
 *
 *   start ─► traffic, faults, samples ─► faults undone ─► traffic ends ─► invariants ─► edges end ─► verdict
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../cluster/certificates.ts';
import { timeOf } from '../e2e/cluster-harness.ts';
import { freePort } from '../e2e/cluster-network.ts';
import { type LogLine, type ProgramProcess, temporaryFolder } from '../e2e/harness.ts';
import { Random } from '../sim/random.ts';
import { readAccessLogs } from './access-lines.ts';
import { SoakBackend } from './backends.ts';
import { CounterWatch } from './counters.ts';
import { SoakEdge } from './edges.ts';
import { explain, type Failure, type Symptom } from './explain.ts';
import { FaultLog, type PoolName } from './fault.ts';
import { Injector } from './injector.ts';
import { checkInvariants, type Invariant } from './invariants.ts';
import { Ledger } from './ledger.ts';
import type { CutOff, FromNetwork, ToNetwork } from './peer-network.ts';
import type { Explained, SoakResult } from './result.ts';
import { Samples } from './samples.ts';
import { type Planned, planFaults } from './schedule.ts';
import { Scope } from './scope.ts';
import { runTraffic } from './traffic/traffic.ts';

const EDGES = [1, 2, 3];
const POOL_NODES = 3;
const NETWORK = fileURLToPath(new URL('./peer-network.ts', import.meta.url));
const ERROR_LEVEL = 50;
/** At least this long, growth is told from warming up. */
const JUDGED_MS_MIN = 5 * 60_000;

export interface SoakOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** From one fault to the next, on average. */
  readonly everyMs: number;
  /** Without faults, at the beginning and at the end. */
  readonly quietMs: number;
  readonly ending: AbortSignal;
  readonly onPlan: (plan: readonly Planned[]) => void;
  /** A line about how it goes. */
  readonly onProgress: (line: string) => void;
  readonly progressMs: number;
}

export class Soak {
  readonly #options: SoakOptions;
  readonly #scope = new Scope();
  readonly #ledger = new Ledger();
  readonly #log = new FaultLog();
  readonly #samples = new Samples();
  readonly #counters = new CounterWatch();
  readonly #edges: SoakEdge[] = [];
  readonly #backends: SoakBackend[] = [];
  /** Each that there was, and whose it was. */
  readonly #programs: { readonly edge: SoakEdge; readonly program: ProgramProcess }[] = [];
  readonly #invariants: Invariant[] = [];

  constructor(options: SoakOptions) {
    this.#options = options;
  }

  async run(): Promise<SoakResult> {
    try {
      return await this.#run();
    } finally {
      await this.close();
    }
  }

  /** Ends all processes and removes all files; for when all else has failed. */
  close(): Promise<void> {
    return this.#scope.close();
  }

  async #run(): Promise<SoakResult> {
    const { seed, durationMs, everyMs, quietMs, ending, onPlan } = this.#options;
    const injector = await this.#start();
    const plan = planFaults(seed, durationMs, { everyMs, quietMs });
    onPlan(plan);
    const beganMs = performance.now();
    const trafficEnds = new AbortController();
    const world = { edges: this.#edges, random: new Random(seed), ledger: this.#ledger, ending: trafficEnds.signal };
    const traffic = runTraffic(world);
    // a fault of the soak's own ends it at once
    const failed = traffic.then(() => new Promise<never>(() => {}));
    const watching = this.#watch(beganMs, trafficEnds.signal);
    const body = async () => {
      for (const planned of plan) {
        await sleep(Math.max(0, beganMs + planned.atMs - performance.now()), undefined, { signal: ending }).catch(
          () => {},
        );
        if (ending.aborted) break;
        injector.begin(planned);
      }
      await sleep(Math.max(0, beganMs + durationMs - performance.now()), undefined, { signal: ending }).catch(() => {});
      await injector.settled();
    };
    await Promise.race([body(), failed]);
    trafficEnds.abort();
    await Promise.all([traffic, watching]);
    const ranMs = performance.now() - beganMs;
    this.#invariants.push(...(await checkInvariants(this.#edges)));
    await this.#lookAtCounters();
    await this.#endEdges();
    return await this.#result(plan, ranMs);
  }

  // ---------------------------------------------------------------- beginning and end

  async #start(): Promise<Injector> {
    const { durationMs, ending } = this.#options;
    const folder = temporaryFolder(this.#scope);
    const taken: number[] = [];
    const peerPorts: Record<number, number> = {};
    for (const id of EDGES) {
      const port = await freePort(taken);
      taken.push(port);
      peerPorts[id] = port;
    }
    const pools: PoolName[] = ['sticky', 'plain'];
    for (const pool of pools) {
      for (let i = 0; i < POOL_NODES; i++) this.#backends.push(await SoakBackend.start(pool, taken, this.#scope));
    }
    const spare = await SoakBackend.start('plain', taken, this.#scope);
    const network = this.#network();
    const relays = once(network, 'message') as Promise<[FromNetwork]>;
    network.send({ type: 'open', ports: peerPorts } satisfies ToNetwork);
    const [{ relays: ports }] = await relays;
    const nodes = Object.fromEntries(
      pools.map((pool) => [pool, this.#backends.filter((one) => one.pool === pool).map(({ address }) => address)]),
    ) as Record<PoolName, string[]>;
    const [peerAuthority, siteAuthority] = [createAuthority('peers'), createAuthority('sites')];
    for (const id of EDGES) {
      const peers = Object.fromEntries(
        EDGES.map((to) => [to, (to === id ? peerPorts[to] : ports[`${id}-${to}`]) as number]),
      );
      const options = {
        id,
        folder: join(folder, String(id)),
        peerPort: peerPorts[id] as number,
        peers,
        peerAuthority,
        siteAuthority,
        sampleMs: durationMs < JUDGED_MS_MIN ? 1_000 : 10_000,
        onSpawn: (edge: SoakEdge) => this.#onSpawn(edge),
      };
      this.#edges.push(new SoakEdge(options, nodes, this.#scope));
    }
    await Promise.all(this.#edges.map((edge) => edge.start()));
    return new Injector({
      edges: this.#edges,
      backends: this.#backends,
      spare,
      cut: (edge) => network.send({ type: 'cut', edge } satisfies CutOff),
      log: this.#log,
      ending,
      onFailed: (kind, edge, fromMs, error) =>
        this.#failed('faults', 'admin', edge, fromMs, `${kind}: ${error.message}`),
    });
  }

  #network(): ChildProcess {
    const network = fork(NETWORK, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true });
    this.#scope.after(() => network.kill('SIGKILL'));
    return network;
  }

  #onSpawn(edge: SoakEdge): void {
    const { program } = edge;
    this.#programs.push({ edge, program });
    this.#samples.watch(edge);
    void program.exited.then((code) => {
      if (edge.program === program && edge.isUp)
        this.#failed('edges', 'wrong', edge.id, performance.now(), `ended by itself: ${code}`);
    });
  }

  async #endEdges(): Promise<void> {
    for (const edge of this.#edges) {
      const code = await edge.end('SIGTERM');
      this.#invariants.push({
        name: `edge ${edge.id} ends with 0 on SIGTERM`,
        fault: code === 0 ? '' : `it was ${code}`,
      });
    }
  }

  // ---------------------------------------------------------------- meanwhile

  async #watch(beganMs: number, ending: AbortSignal): Promise<void> {
    const { progressMs, durationMs, onProgress } = this.#options;
    while (!ending.aborted) {
      await sleep(progressMs, undefined, { signal: ending }).catch(() => {});
      await this.#lookAtCounters();
      const failures = this.#ledger.failures;
      const unexplained = failures.filter((failure) => explain(failure, this.#log.faults) === null).length;
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      const on = this.#log.current.map(({ kind, edge, node }) => `${kind} ${edge ?? node ?? ''}`.trim());
      onProgress(
        `${seconds} of ${durationMs / 1000} s: ${this.#ledger.total} done, ${failures.length} failed, ` +
          `${unexplained} without a reason so far; on: ${on.join(', ') || 'nothing'}`,
      );
    }
  }

  async #lookAtCounters(): Promise<void> {
    await Promise.all(
      this.#edges.map(async (edge) => {
        const { pid } = edge;
        // one that goes away meanwhile is the injector's doing
        const scraped = edge.isUp ? await edge.scrape().catch(() => null) : null;
        if (scraped !== null && pid === edge.pid) this.#counters.look(edge.id, pid, scraped);
      }),
    );
  }

  #failed(
    traffic: string,
    symptom: Symptom,
    edge: number,
    fromMs: number,
    detail: string,
    atMs = performance.now(),
  ): void {
    const nowhere = { id: '', node: null, pool: null, isSafe: false, isReused: false, ticketMs: null };
    this.#ledger.failed({ ...nowhere, traffic, symptom, edge, fromMs, atMs, detail });
  }

  // ---------------------------------------------------------------- what came of it

  async #result(plan: readonly Planned[], ranMs: number): Promise<SoakResult> {
    const errors = this.#programs.flatMap(({ edge, program }) =>
      program.log.filter(isTrouble).map((line) => ({ edge: edge.id, line })),
    );
    for (const { edge, line } of errors) {
      const atMs = timeOf(line) - performance.timeOrigin;
      this.#failed('log', 'error-line', edge, atMs, line.msg, atMs);
    }
    const failures = this.#ledger.failures;
    const ids = new Set(failures.map(({ id }) => id).filter((id) => id !== ''));
    const access = await readAccessLogs(
      this.#edges.flatMap(({ accessLogs }) => accessLogs),
      ids,
    );
    const violations = this.#backends.flatMap((backend) => backend.violations);
    this.#invariants.push(
      { name: 'no counter fell', fault: this.#counters.violations.slice(0, 5).join('; ') },
      { name: 'nothing smuggled reached a backend', fault: violations.slice(0, 5).join('; ') },
      { name: 'every line of the access logs is whole', fault: this.#tornLines(access.broken) },
    );
    const explained: Explained[] = [];
    const unexplained: Failure[] = [];
    for (const failure of failures) {
      // of one that was moved, the node that counts is the one it was moved from
      const served = failure.symptom === 'moved' ? undefined : access.nodes.get(failure.id);
      const placed = { ...failure, node: served ?? failure.node };
      const reason = explain(placed, this.#log.faults);
      if (reason === null) unexplained.push(placed);
      else explained.push({ failure: placed, kind: reason.fault.kind, rule: reason.rule });
    }
    return {
      seed: this.#options.seed,
      ranMs,
      plan,
      faults: this.#log.faults,
      traffic: this.#ledger.traffic,
      tls: this.#ledger.tls,
      explained,
      unexplained,
      invariants: this.#invariants,
      series: this.#samples.all,
      isLongEnough: ranMs >= JUDGED_MS_MIN,
      accessLines: access.lines,
      warnings: this.#warnings(),
    };
  }

  /** A process that is killed may tear its last line. */
  #tornLines(broken: number): string {
    const kills = this.#log.faults.filter(({ kind }) => kind === 'edge-killed' || kind === 'leader-killed').length;
    const threads = this.#log.faults.filter(({ kind }) => kind === 'thread-killed').length;
    return broken <= kills + threads ? '' : `${broken} are not, with ${kills} edges and ${threads} threads killed`;
  }

  #warnings(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { program } of this.#programs) {
      for (const { level, msg } of program.log) {
        if (level >= 40) counts.set(msg, (counts.get(msg) ?? 0) + 1);
      }
    }
    return counts;
  }
}

/** A thread that hangs is said at a lower level, and was none of our faults. */
function isTrouble({ level, msg }: LogLine): boolean {
  return level >= ERROR_LEVEL || msg === 'listener thread hangs';
}
