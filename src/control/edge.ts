/**
 * One edge: what `stekbal run` runs. Takes part in the cluster, publishes the pools, supervises the listener threads,
 * reloads, drains. Main thread.
 *
 *   join() ─► the cluster's member runs ─► start() ─► serving ─► drain()
 */

import { isDeepStrictEqual } from 'node:util';
import type { BindAddress } from '../boards/listener-task.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { ClusterOptions } from '../cluster/types.ts';
import type { Config, ListenerConfig, StekShareConfig } from '../config/config.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import { Canary } from './canary.ts';
import { clusterOptions, peeringOptions, rotationRules } from './cluster-options.ts';
import { ClusterSalt } from './cluster-salt.ts';
import { Counters } from './counters.ts';
import { Helper } from './helper.ts';
import { KeyKeeper } from './key-keeper.ts';
import type { Log } from './log.ts';
import { type MetricsView, metricsView } from './metrics-view.ts';
import { PoolEditor } from './pool-editor.ts';
import { Pools } from './pools.ts';
import { changedKeys, changedTlsFiles, withLiveParts, withLiveStekShare } from './reload.ts';
import { StartError } from './start-error.ts';
import { ReplicatedState, type StateChange } from './state.ts';
import { type EdgeStatus, poolStatus } from './status.ts';
import { Supervisor } from './supervisor.ts';
import { resolveRouting, tlsSettings } from './thread-settings.ts';

/** How long a start waits for what only the cluster can give. */
const JOIN_TIMEOUT_MS = 10_000;

export interface EdgeOptions {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  /** A good file has been read again: for those who read it too. Settled before the reload is said to be done. */
  readonly onReload?: (file: Config) => Promise<void>;
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
  readonly #pools: Pools;
  readonly #supervisor: Supervisor;
  /** Null: no service hashes with the cluster's salt. */
  readonly #salt: ClusterSalt | null;
  readonly #counters: Counters;
  /** Null: the configuration has none. */
  readonly #canary: Canary | null;
  /** What is in force, which after a reload is not all that the file says. */
  #config: Config;
  #joined: Promise<void> | null = null;
  #isMember = false;
  #left: Promise<void> | null = null;
  readonly #ending = new AbortController();
  /** Reloads follow one another: of two, the file read last is the one in force. */
  #lastReload: Promise<boolean> = Promise.resolve(true);

  constructor(options: EdgeOptions) {
    const { config, log, createCluster = (o) => new Cluster(o) } = options;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    const routing = resolveRouting(config);
    this.#pools = new Pools({
      routes: routing.routes,
      pools: config.pools,
      workers: config.workers,
      state: this.#state,
      helper: this.#helper,
      onOutgrown: (index, buffer) => this.#supervisor.replaceBoard(index, buffer),
    });
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
      workers: config.workers,
      boards: this.#pools.boards,
      keys: this.keys.board.buffer,
      hangTimeoutMs: config.workerHangTimeoutMs,
      log,
      settings: {
        ...config.limits,
        drainTimeoutMs: config.drainTimeoutMs,
        accessLog: config.accessLog,
        services: routing.services,
        listeners: routing.listeners,
      },
    });
    this.#counters = new Counters(this.#supervisor.stats);
    this.#canary = config.canary === null ? null : new Canary({ config: config.canary, log });
    const report: ClusterOptions['report'] = (level, message, fields) => log[level](fields ?? {}, message);
    this.#cluster = createCluster(clusterOptions(config, { stateMachine: this.#state, report }));
    this.pools = new PoolEditor(this.#pools, this.#state, propose);
    const needsSalt = routing.routes.some(({ salt }) => salt === null);
    this.#salt = needsSalt ? new ClusterSalt(this.#state, propose, this.#ending.signal, log) : null;
    this.#state.onChange = (change) => this.#onStateChange(change);
  }

  /**
   * Starts this edge's member of the cluster; does not wait until there is a leader. Rejects with a StartError where
   * it cannot; nothing is left running then.
   */
  async join(): Promise<void> {
    this.#joined = this.#cluster.start();
    try {
      await this.#joined;
      this.#isMember = true;
      this.keys.start();
      this.#salt?.seek();
    } catch (error) {
      await this.#supervisor.kill();
      await this.#leave();
      throw new StartError((error as Error).message);
    }
  }

  /** After join(): publishes the pools and listens. Resolves to the addresses, in the order of the file's listeners. */
  async start(): Promise<(BindAddress | null)[]> {
    try {
      await this.#waitForCluster(this.#options.joinTimeoutMs ?? JOIN_TIMEOUT_MS);
      await this.#pools.publish();
      const addresses = await this.#supervisor.start();
      this.#canary?.start();
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
      isDraining: this.#ending.signal.aborted,
      cluster: this.#cluster.status(),
      workers: { threads: this.#config.workers, replaced: this.#supervisor.replaced },
      keys: this.keys.status(),
      canary: this.#canary?.status ?? null,
      pools: this.#pools.names.map((name) => poolStatus(name, this.#pools.nodes(name) ?? [])),
    };
  }

  /** After join(). */
  metrics(): MetricsView {
    const [keys, canary] = [this.keys.status(), this.#canary?.status ?? null];
    return metricsView(this.#counters, { keys, canary, cluster: this.#cluster.status() });
  }

  /**
   * Reads the configuration file again. The whole file is checked first: with an error, nothing changes. The nodes of
   * pools, the TLS of listeners that speak it, the group's server list and its certificates change at once; what needs a
   * restart is named in the log. The access log is opened anew either way, for its rotation. Resolves to whether the
   * file was good.
   */
  reload(): Promise<boolean> {
    const reload = this.#lastReload.then(() => this.#reload());
    this.#lastReload = reload.catch(() => false);
    return reload;
  }

  /** Answers what is in flight, leaves the cluster and ends. Resolves to how many connections the drain timeout cut. */
  async drain(): Promise<number> {
    this.#ending.abort();
    await this.#canary?.stop();
    const cut = await this.#supervisor.drain();
    await this.#leave();
    return cut;
  }

  /** For what only the cluster can give. Tickets that no other machine can open are worse than none. */
  async #waitForCluster(timeoutMs: number): Promise<void> {
    const hasTls = this.#config.listeners.some(({ tls }) => tls !== null);
    await Promise.all([this.#salt?.wait(timeoutMs), hasTls ? this.keys.waitForRing(timeoutMs) : null]);
  }

  /** Once: a start that fails and a drain may both ask for it. */
  #leave(): Promise<void> {
    this.#left ??= this.#stopCluster().finally(() => this.#helper.close());
    return this.#left;
  }

  async #stopCluster(): Promise<void> {
    this.#ending.abort();
    this.keys.stop();
    const isRunning = await this.#joined?.then(
      () => true,
      () => false, // join() has said so
    );
    if (isRunning) await this.#cluster.stop();
  }

  async #reload(): Promise<boolean> {
    this.#supervisor.reopenLogs();
    const { config: file, diagnostics } = await this.#helper.loadConfig(this.#config.file);
    for (const d of diagnostics) this.#log[d.severity === 'error' ? 'error' : 'warn'](formatDiagnostic(d));
    if (file === null) {
      this.#log.error({ file: this.#config.file }, 'reload refused: the configuration has errors; nothing was changed');
      return false;
    }
    const gone = this.#pools.configure(file.pools);
    if (gone.length > 0) {
      this.#log.warn({ pools: gone }, 'not in the file any more, in use as they were until a restart');
    }
    await this.#pools.publish();
    const before = withLiveParts(this.#config, file);
    this.#replaceTls(before.listeners);
    const stekShare = before.stekShare && file.stekShare && withLiveStekShare(before.stekShare, file.stekShare);
    const waiting = changedKeys({ ...before, stekShare: stekShare ?? before.stekShare }, file);
    const isTakenOver = stekShare !== null && (await this.#reloadCluster(stekShare));
    this.#config = isTakenOver ? { ...before, stekShare } : before;
    this.keys.setLifetime(rotationRules(this.#config).lifetimeMs);
    await this.#options.onReload?.(file);
    if (waiting.length > 0) this.#log.warn({ keys: waiting }, 'changed in the file, in force after a restart');
    this.#log.info({ pools: file.pools.map(({ name, nodes }) => `${name}: ${nodes.length} nodes`) }, 'reloaded');
    return true;
  }

  #replaceTls(listeners: readonly ListenerConfig[]): void {
    if (isDeepStrictEqual(listeners, this.#config.listeners)) return;
    this.#supervisor.replaceTls(listeners.map(({ tls }) => tls && tlsSettings(tls)));
    const files = changedTlsFiles(this.#config.listeners, listeners);
    this.#log.info({ files }, 'new connections get the TLS settings of the file');
  }

  /** False, with the reason in the log, where the cluster goes on as it was. */
  async #reloadCluster(stekShare: StekShareConfig): Promise<boolean> {
    try {
      await this.#cluster.reload(stekShare.servers, peeringOptions(stekShare));
      return true;
    } catch (error) {
      const why = (error as Error).message;
      this.#log.error(`stek_share was not taken over, and is in force as it was: ${why}`);
      return false;
    }
  }

  #onStateChange(change: StateChange): void {
    if (change.kind === 'keys' || change.kind === 'all') this.keys.stateChanged();
    this.#pools.stateChanged(change)?.catch((err: unknown) => {
      if (!this.#ending.signal.aborted) this.#log.error({ err }, 'a change of the pools could not be published');
    });
    // a cluster that has lost its state needs a new salt
    if (change.kind === 'all' && this.#isMember && this.#state.salt === null) this.#salt?.seek();
  }
}
