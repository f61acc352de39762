/**
 * Brings in force what the configuration file says now, while all goes on. Main thread.
 *
 *   read and check all ─► open boards and sockets ─► publish, commit ─► the cluster, keys, checks, canary, log
 *        an error: nothing was changed ◄─┘              no way back
 */

import type { BindAddress } from '../boards/listener-task.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Config, StekShareConfig } from '../config/config.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import { explainUnwritable } from './access-log-file.ts';
import { peeringOptions, rotationRules } from './cluster-options.ts';
import { type ClusterSalt, usesClusterSalt } from './cluster-salt.ts';
import { explainListenError } from './explain-listen.ts';
import type { Health } from './health/health.ts';
import type { Helper } from './helper.ts';
import type { KeyKeeper } from './key-keeper.ts';
import type { PassedSockets } from './listening-sockets.ts';
import type { LiveCanary } from './live-canary.ts';
import type { Log } from './log.ts';
import { explainShortage, OPEN_FILES_MAX } from './open-files.ts';
import type { Pools } from './pools.ts';
import { certificatesOf, changedFiles, waitingKeys, withLiveParts, withLiveStekShare } from './reload.ts';
import type { ReloadResult } from './reload-result.ts';
import type { ServingPlans } from './serving-plan.ts';
import type { Supervisor } from './supervisor.ts';
import { explainUnservable } from './systemd/passed-sockets.ts';
import { ListenError } from './thread-link.ts';

/** How long a reload waits for what only the cluster can give. */
const SALT_TIMEOUT_MS = 3_000;

const NOTHING: ReloadResult = { isOk: false, isServed: false, errors: [], warnings: [], waiting: [] };

export interface ReloaderOptions {
  /** In force at the start. */
  readonly config: Config;
  readonly passedSockets: PassedSockets;
  readonly log: Log;
  readonly helper: Pick<Helper, 'loadConfig'>;
  readonly pools: Pools;
  readonly plans: ServingPlans;
  readonly supervisor: Supervisor;
  readonly health: Health;
  readonly canary: LiveCanary;
  readonly keys: KeyKeeper;
  readonly salt: ClusterSalt;
  readonly cluster: Pick<Cluster, 'reload'>;
  /** Changes what was read, as what the program was started with. */
  readonly amend: (file: Config) => void;
  readonly onReload: (file: Config) => Promise<void>;
}

/** Told of each reload where it is its turn. */
export interface ReloadWatcher {
  onBegin(): void;
  onEnd(result: ReloadResult): void;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #config: Config;
  #isServing = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#config = options.config;
  }

  /** What is in force, which after a reload is not all that the file says. */
  get config(): Config {
    return this.#config;
  }

  /** Publishes the pools and has the threads serve what is in force. Resolves to the addresses, or rejects. */
  start(): Promise<BindAddress[]> {
    return this.#inTurn(async () => {
      const { pools, plans, supervisor, health } = this.#options;
      const plan = plans.planOf(this.#config);
      this.#warnOfShortage(this.#config);
      health.configure(this.#config.pools);
      await pools.publish();
      const addresses = await supervisor.start(plan);
      this.#isServing = true;
      return addresses;
    });
  }

  /** One after the other, and after a start that is under way. Never rejects. */
  reload(watcher: ReloadWatcher): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      watcher.onBegin();
      const result = await this.#reload().catch((error: Error) => {
        this.#options.log.error({ err: error }, 'reload failed: nothing was changed');
        return { ...NOTHING, errors: [error.message] };
      });
      watcher.onEnd(result);
      return result;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #reload(): Promise<ReloadResult> {
    const { supervisor, helper, log, passedSockets } = this.#options;
    supervisor.reopenLogs();
    const inForce = certificatesOf(this.#config.listeners);
    const { config: file, diagnostics } = await helper.loadConfig(this.#config.file, inForce);
    const said = (severity: string) => diagnostics.filter((d) => d.severity === severity).map(formatDiagnostic);
    const warnings = said('warning');
    for (const warning of warnings) log.warn(warning);
    if (file === null) return this.#refuse(said('error'), warnings);
    this.#options.amend(file);
    const faults = [...explainUnservable(file, passedSockets), explainUnwritable(file)].filter((why) => why !== null);
    if (faults.length > 0) return this.#refuse(faults, warnings);
    await this.#agreeOnSalt(file);
    const before = this.#config;
    const next = withLiveParts(before, file);
    try {
      await this.#serve(next);
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      return this.#refuse([explainListenError(error, file)], warnings);
    }
    this.#config = next;
    try {
      await this.#takeOver(file);
    } catch (error) {
      log.error({ err: error }, 'reload failed in part: what is served is as the file says, other settings may not be');
      return { ...NOTHING, isServed: true, errors: [(error as Error).message], warnings };
    }
    this.#warnOfShortage(next);
    const waiting = waitingKeys(this.#config, file);
    const files = changedFiles(before.listeners, next.listeners);
    if (files.length > 0) log.info({ files }, 'new connections get the TLS settings of the file');
    if (waiting.length > 0) log.warn({ keys: waiting }, 'changed in the file, in force after a restart');
    log.info({ pools: file.pools.map(({ name, nodes }) => `${name}: ${nodes.length} nodes`) }, 'reloaded');
    return { isOk: true, isServed: true, errors: [], warnings, waiting };
  }

  #warnOfShortage(config: Config): void {
    const why = explainShortage(config, OPEN_FILES_MAX);
    if (why !== null) this.#options.log.warn({ why }, 'fewer connections than the configuration allows');
  }

  #refuse(errors: readonly string[], warnings: readonly string[]): ReloadResult {
    const { log } = this.#options;
    for (const error of errors) log.error(error);
    log.error({ file: this.#config.file }, 'reload refused: the configuration has errors; nothing was changed');
    return { ...NOTHING, errors, warnings };
  }

  /** Where a service needs the cluster's salt, and none did before. */
  async #agreeOnSalt(file: Config): Promise<void> {
    const { salt } = this.#options;
    if (!usesClusterSalt(file) || usesClusterSalt(this.#config)) return;
    salt.seek();
    await salt.wait(SALT_TIMEOUT_MS);
  }

  /** Has the listener threads serve `next`, and publishes its pools; or changes nothing. */
  async #serve(next: Config): Promise<void> {
    const { pools, plans, supervisor, health, log } = this.#options;
    if (!this.#isServing) {
      pools.configure(next.pools);
      return;
    }
    const before = this.#config;
    const routes = plans.planOf(before).boards;
    try {
      // threads that are added serve as soon as they are there: their pools must be there before them
      pools.admit(next.pools);
      plans.planOf(next);
      const threads = supervisor.threadsFor(next.workers);
      if (threads.length < next.workers) {
        log.warn({ workers: threads.length }, 'fewer than the file says: threads of before still serve connections');
      }
      pools.growTo(Math.max(...threads) + 1);
      await pools.publish();
      // boards may have been replaced by larger ones
      const plan = plans.planOf(next);
      await supervisor.apply(plan, async () => {
        pools.configure(next.pools);
        health.configure(next.pools);
        await pools.publish();
      });
      pools.retain(plan.boards);
    } catch (error) {
      pools.configure(before.pools);
      health.configure(before.pools);
      pools.retain(routes);
      await pools.publish();
      throw error;
    }
  }

  /** What cannot fail, or is in force as it was where it does. */
  async #takeOver(file: Config): Promise<void> {
    const { keys, canary, log, onReload } = this.#options;
    const { stekShare } = this.#config;
    const live = stekShare && file.stekShare && withLiveStekShare(stekShare, file.stekShare);
    if (live !== null && (await this.#reloadCluster(live))) this.#config = { ...this.#config, stekShare: live };
    keys.setLifetime(rotationRules(this.#config).lifetimeMs);
    canary.configure(this.#config.canary);
    log.level = this.#config.logLevel;
    await onReload(file);
  }

  /** False, with the reason in the log, where the cluster goes on as it was. */
  async #reloadCluster(stekShare: StekShareConfig): Promise<boolean> {
    const { cluster, log } = this.#options;
    try {
      await cluster.reload(stekShare.servers, peeringOptions(stekShare));
      return true;
    } catch (error) {
      const why = (error as Error).message;
      log.error(`stek_share was not taken over, and is in force as it was: ${why}`);
      return false;
    }
  }
}
