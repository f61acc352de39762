/**
 * One edge: what `stekbal run` runs. Takes part in the cluster, publishes the pools, supervises the listener threads,
 * reloads, drains. Main thread.
 *
 *   preload() ─► join() ─► the cluster's member runs ─► start() ─► serving ─► drain()
 */

import type { BindAddress } from '../boards/listener-task.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { ClusterOptions } from '../cluster/types.ts';
import type { Config } from '../config/config.ts';
import { clusterOptions, rotationRules } from './cluster-options.ts';
import { ClusterSalt, usesClusterSalt } from './cluster-salt.ts';
import { Health } from './health/health.ts';
import { Helper } from './helper.ts';
import { KeyKeeper } from './key-keeper.ts';
import type { PassedSockets } from './listening-sockets.ts';
import { LiveCanary } from './live-canary.ts';
import { LocalEdits } from './local-edits.ts';
import type { Log } from './log.ts';
import { MetricsReader } from './metrics-reader.ts';
import type { MetricsView } from './metrics-view.ts';
import { descriptorShares, OPEN_FILES_MAX } from './open-files.ts';
import { PoolEditor } from './pool-editor.ts';
import { originOf } from './pool-edits.ts';
import { Pools } from './pools.ts';
import { ReloadCounts } from './reload-counts.ts';
import type { Readiness, ReloadResult } from './reload-result.ts';
import { Reloader } from './reloader.ts';
import { ServingPlans } from './serving-plan.ts';
import { StartError } from './start-error.ts';
import { ReplicatedState, type StateChange } from './state.ts';
import type { EdgeStatus, EdgeSummary } from './status.ts';
import { Supervisor } from './supervisor.ts';
import { tlsSettings } from './thread-settings.ts';

/** How long a start waits for what only the cluster can give. */
const JOIN_TIMEOUT_MS = 10_000;

export interface EdgeOptions {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  /** Sockets that the service manager passed. */
  readonly passedSockets?: PassedSockets;
  /** A reload begins; nothing has been read yet. */
  readonly onReloading?: () => void;
  /** What `config` has that its file has not, put into the file that is read again. Default: nothing. */
  readonly amend?: (file: Config) => void;
  /** A good file has been read again: for those who read it too. Settled before the reload is said to be done. */
  readonly onReload?: (file: Config) => Promise<void>;
  /** A reload is over, whatever came of it. */
  readonly onReloaded?: (result: ReloadResult) => void;
  /** For tests. */
  readonly createCluster?: (options: ClusterOptions) => Pick<Cluster, keyof Cluster>;
  readonly joinTimeoutMs?: number;
}

export class Edge {
  readonly pools: PoolEditor;
  readonly keys: KeyKeeper;
  readonly #options: EdgeOptions;
  readonly #log: Log;
  readonly #state = new ReplicatedState();
  readonly #cluster: Pick<Cluster, keyof Cluster>;
  readonly #helper = new Helper();
  readonly #local: LocalEdits;
  readonly #pools: Pools;
  readonly #plans: ServingPlans;
  readonly #health: Health;
  readonly #supervisor: Supervisor;
  readonly #salt: ClusterSalt;
  readonly #metrics: MetricsReader;
  readonly #canary: LiveCanary;
  readonly #reloader: Reloader;
  readonly #reloads = new ReloadCounts();
  #joined: Promise<void> | null = null;
  #isMember = false;
  #isServing = false;
  #left: Promise<void> | null = null;
  readonly #ending = new AbortController();

  constructor(options: EdgeOptions) {
    const { config, log, createCluster = (o) => new Cluster(o), passedSockets = new Map() } = options;
    this.#options = options;
    this.#log = log;
    // the log of a group has the folder locked
    const local = new LocalEdits(config.stateDir, log, config.stekShare !== null);
    this.#local = local;
    this.#pools = new Pools({
      pools: config.pools,
      threads: config.workers,
      state: this.#state,
      local,
      helper: this.#helper,
      onOutgrown: (route) => this.#supervisor.replaceBoard(route),
    });
    this.#health = new Health({ pools: this.#pools, log });
    this.#pools.onPublished = (pool) => this.#health.poolChanged(pool);
    this.#plans = new ServingPlans(this.#pools);
    const propose = (data: Uint8Array) => this.#cluster.propose(data);
    this.keys = new KeyKeeper({
      state: this.#state,
      rules: rotationRules(config),
      importKey: config.ticketKeys?.importKey ?? null,
      clusterStatus: () => this.#cluster.status(),
      propose,
      ending: this.#ending.signal,
      log,
    });
    this.#supervisor = new Supervisor({
      keys: this.keys.board.buffer,
      passedSockets,
      log,
      onNodeMark: (thread, { route, slot, generation, isOut, reason }) => {
        const node = this.#pools.nodeAt(route, slot, generation);
        if (node !== null) this.#health.mark(thread, node.pool, node.address, isOut, reason);
      },
      onThreadRetires: (thread) => this.#health.withdraw(thread),
      onThreadEnded: (thread) => {
        this.#pools.threadEnded(thread);
        this.#health.withdraw(thread);
      },
    });
    this.#metrics = new MetricsReader(this.#supervisor.stats, () => this.#supervisor.serviceBoards);
    this.#canary = new LiveCanary(config.canary, log);
    const report: ClusterOptions['report'] = (level, message, fields) => log[level](fields ?? {}, message);
    this.#cluster = createCluster(clusterOptions(config, { stateMachine: this.#state, report }));
    this.pools = new PoolEditor({
      pools: this.#pools,
      state: this.#state,
      local,
      propose: config.stekShare === null ? null : propose,
      sources: {
        activity: (pool, address) => this.#pools.activity(pool, address),
        origin: (pool, address) => originOf(address, this.#state.editsOf(pool), local.of(pool)),
        health: (pool, address) => this.#health.status(pool, address),
        troubled: (pool) => this.#health.troubled(pool),
      },
    });
    this.#salt = new ClusterSalt(this.#state, propose, this.#ending.signal, log);
    this.#state.onChange = (change) => this.#onStateChange(change);
    local.onChange = (pool) => this.#republish({ kind: 'pool', pool });
    this.#reloader = new Reloader({
      config,
      passedSockets,
      log,
      helper: this.#helper,
      pools: this.#pools,
      plans: this.#plans,
      supervisor: this.#supervisor,
      health: this.#health,
      canary: this.#canary,
      keys: this.keys,
      salt: this.#salt,
      cluster: this.#cluster,
      amend: options.amend ?? (() => {}),
      onReload: options.onReload ?? (async () => {}),
    });
  }

  /** Before join(): the listener threads load their code meanwhile. */
  preload(): void {
    const { workers, listeners } = this.#options.config;
    const secure = listeners.find(({ tls }) => tls !== null)?.tls ?? null;
    this.#supervisor.preload(workers, secure === null ? null : (tlsSettings(secure).certificates[0] ?? null));
  }

  /**
   * Starts this edge's member of the cluster; does not wait until there is a leader. Rejects with a StartError where
   * it cannot, or was told to drain before; nothing is left running then.
   */
  async join(): Promise<void> {
    if (this.#ending.signal.aborted) throw new StartError('draining');
    this.#joined = this.#cluster.start();
    try {
      await this.#joined;
      this.#isMember = true;
      this.keys.start();
      this.#seekSalt();
    } catch (error) {
      await this.#supervisor.kill();
      await this.#leave();
      throw new StartError((error as Error).message);
    }
  }

  /** After join(): publishes the pools and listens. Resolves to the addresses, in the order of the file's listeners. */
  async start(): Promise<BindAddress[]> {
    try {
      await this.#waitForCluster(this.#options.joinTimeoutMs ?? JOIN_TIMEOUT_MS);
      const addresses = await this.#reloader.start();
      this.#isServing = true;
      this.#canary.start();
      return addresses;
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  /** After join(). */
  status(): EdgeStatus {
    return {
      version: this.#options.version,
      pid: process.pid,
      uptimeS: Math.floor(process.uptime()),
      ...this.#vitals(),
      keys: this.keys.status(),
      canary: this.#canary.status,
      pools: this.pools.list(),
    };
  }

  /** After join(). */
  summary(): EdgeSummary {
    const { nodeCount } = this.pools;
    const notUp = this.#health.counts.reduce((sum, { nodes }) => sum + nodes.down + nodes.failing, 0);
    return { ...this.#vitals(), nodeCount, nodesUp: nodeCount - notUp };
  }

  /** Whether this edge should get requests. */
  readiness(): Readiness {
    const { listeners } = this.#reloader.config;
    const reasons: string[] = [];
    if (this.#ending.signal.aborted) reasons.push('draining');
    else if (!this.#isServing) reasons.push('starting');
    if (listeners.some(({ tls }) => tls !== null) && !this.keys.isHeld) reasons.push('no ticket keys from the cluster');
    return { isReady: reasons.length === 0, reasons };
  }

  /** All listener threads serve, and their event loops turn. */
  get areAllAlive(): boolean {
    return this.#supervisor.areAllAlive;
  }

  /** In force. */
  get workerHangTimeoutMs(): number {
    return this.#reloader.config.workerHangTimeoutMs;
  }

  /** After join(). */
  metrics(): MetricsView {
    const { config } = this.#reloader;
    return this.#metrics.read({
      status: this.status(),
      readiness: this.readiness(),
      services: this.#plans.servicesOf(config),
      listeners: config.listeners,
      reloads: this.#reloads.status,
      health: this.#health.counts,
    });
  }

  /**
   * Reads the configuration file again. The whole file is checked first: with an error, or an address that cannot be
   * had, nothing changes. What needs a restart is named in the log. The access log is opened anew either way, for its
   * rotation. Reloads follow one another: of two, the file read last is the one in force. Never rejects.
   */
  reload(): Promise<ReloadResult> {
    return this.#reloader.reload({
      onBegin: () => this.#options.onReloading?.(),
      onEnd: (result) => {
        this.#reloads.record(result.isOk);
        this.#options.onReloaded?.(result);
      },
    });
  }

  /** Answers what is in flight, leaves the cluster and ends. Resolves to how many connections the drain timeout cut. */
  async drain(): Promise<number> {
    this.#ending.abort();
    await this.#canary.stop();
    const cut = await this.#supervisor.drain();
    await this.#leave();
    return cut;
  }

  /** For what only the cluster can give. Tickets that no other machine can open are worse than none. */
  async #waitForCluster(timeoutMs: number): Promise<void> {
    const hasTls = this.#reloader.config.listeners.some(({ tls }) => tls !== null);
    await Promise.all([
      usesClusterSalt(this.#reloader.config) ? this.#salt.wait(timeoutMs) : null,
      hasTls ? this.keys.waitForRing(timeoutMs) : null,
    ]);
  }

  #vitals(): Pick<EdgeStatus, 'isDraining' | 'cluster' | 'workers'> {
    return {
      isDraining: this.#ending.signal.aborted,
      cluster: this.#cluster.status(),
      workers: {
        connectionsMax: descriptorShares(this.#reloader.config, OPEN_FILES_MAX).connectionsMax,
        threads: this.#reloader.config.workers,
        replaced: this.#supervisor.replaced,
        retiring: this.#supervisor.retiring,
        list: this.#supervisor.workers(),
      },
    };
  }

  #seekSalt(): void {
    if (usesClusterSalt(this.#reloader.config)) this.#salt.seek();
  }

  /** Once: a start that fails and a drain may both ask for it. */
  #leave(): Promise<void> {
    this.#left ??= this.#stopCluster().finally(() => Promise.all([this.#helper.close(), this.#local.close()]));
    return this.#left;
  }

  async #stopCluster(): Promise<void> {
    this.#ending.abort();
    this.#health.stop();
    this.keys.stop();
    const isRunning = await this.#joined?.then(
      () => true,
      () => false, // join() has said so
    );
    if (isRunning) await this.#cluster.stop();
  }

  #onStateChange(change: StateChange): void {
    if (change.kind === 'keys' || change.kind === 'all') this.keys.stateChanged();
    this.#republish(change);
    // a cluster that has lost its state needs a new salt
    if (change.kind === 'all' && this.#isMember && this.#state.salt === null) this.#seekSalt();
  }

  #republish(change: StateChange): void {
    this.#pools.stateChanged(change)?.catch((err: unknown) => {
      if (!this.#ending.signal.aborted) this.#log.error({ err }, 'a change of the pools could not be published');
    });
  }
}
