/**
 * One edge: what `stekbal run` runs. Publishes the pools, supervises the listener threads, reloads, drains. Main thread.
 */

import { isDeepStrictEqual } from 'node:util';
import type { BindAddress } from '../boards/listener-task.ts';
import type { Config } from '../config/config.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import { Helper } from './helper.ts';
import type { Log } from './log.ts';
import { RoutePublisher } from './route-publisher.ts';
import { Supervisor } from './supervisor.ts';
import { type Routing, resolveRouting } from './thread-settings.ts';

export class Edge {
  readonly #log: Log;
  readonly #helper = new Helper();
  readonly #routing: Routing;
  readonly #publishers: RoutePublisher[];
  readonly #supervisor: Supervisor;
  #config: Config;
  /** Reloads follow one another: of two, the file read last is the one in force. */
  #lastReload: Promise<boolean> = Promise.resolve(true);

  constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#routing = resolveRouting(config);
    this.#publishers = this.#routing.routes.map((route, index) => {
      const onOutgrown = (buffer: SharedArrayBuffer) => this.#supervisor.replaceBoard(index, buffer);
      return new RoutePublisher(nodesOf(config, route.pool), route.salt, config.workers, this.#helper, onOutgrown);
    });
    this.#supervisor = new Supervisor({
      workers: config.workers,
      boards: this.#publishers.map(({ board }) => board.buffer),
      hangTimeoutMs: config.workerHangTimeoutMs,
      log,
      settings: {
        ...config.limits,
        drainTimeoutMs: config.drainTimeoutMs,
        accessLog: config.accessLog,
        services: this.#routing.services,
        listeners: this.#routing.listeners,
      },
    });
  }

  /** Publishes the pools and listens. Resolves to the addresses, in the order of the configuration's listeners. */
  async start(): Promise<(BindAddress | null)[]> {
    try {
      await this.#publishPools(this.#config);
      return await this.#supervisor.start();
    } catch (error) {
      await this.#helper.close();
      throw error;
    }
  }

  /**
   * Reads the configuration file again. The whole file is checked first: with an error, nothing changes. The nodes of
   * pools change at once; what needs a restart is named in the log. The access log is opened anew either way, for its
   * rotation. Resolves to whether the file was good.
   */
  reload(): Promise<boolean> {
    const reload = this.#lastReload.then(() => this.#reload());
    this.#lastReload = reload.catch(() => false);
    return reload;
  }

  async #reload(): Promise<boolean> {
    this.#supervisor.reopenLogs();
    const { config, diagnostics } = await this.#helper.loadConfig(this.#config.file);
    for (const d of diagnostics) this.#log[d.severity === 'error' ? 'error' : 'warn'](formatDiagnostic(d));
    if (config === null) {
      this.#log.error({ file: this.#config.file }, 'reload refused: the configuration has errors; nothing was changed');
      return false;
    }
    const gone = this.#routing.routes.map(({ pool }) => pool).filter((pool) => !hasPool(config, pool));
    if (gone.length > 0) {
      this.#log.warn({ pools: gone }, 'not in the file any more, in use as they were until a restart');
    }
    await this.#publishPools(config);
    const waiting = changedKeys(this.#config, config);
    if (waiting.length > 0) this.#log.warn({ keys: waiting }, 'changed in the file, in force after a restart');
    this.#config = { ...this.#config, pools: config.pools };
    this.#log.info({ pools: config.pools.map(({ name, nodes }) => `${name}: ${nodes.length} nodes`) }, 'reloaded');
    return true;
  }

  /** Answers what is in flight and ends. Resolves to how many connections the drain timeout cut. */
  async drain(): Promise<number> {
    const cut = await this.#supervisor.drain();
    await this.#helper.close();
    return cut;
  }

  /** A pool that is not in `config` stays as it is: the services that run still need it. */
  async #publishPools(config: Config): Promise<void> {
    await Promise.all(
      this.#routing.routes.map(({ pool }, i) => {
        return hasPool(config, pool) ? this.#publishers[i]?.update(nodesOf(config, pool)) : undefined;
      }),
    );
  }
}

function hasPool(config: Config, pool: string): boolean {
  return config.pools.some(({ name }) => name === pool);
}

function nodesOf(config: Config, pool: string): Config['pools'][number]['nodes'] {
  return config.pools.find(({ name }) => name === pool)?.nodes ?? [];
}

/** The parts of the configuration, other than the nodes of known pools, that differ. */
function changedKeys(before: Config, after: Config): string[] {
  const names = (config: Config) => config.pools.map(({ name }) => name).sort();
  const keys = (Object.keys(after) as (keyof Config)[]).filter((key) => key !== 'pools');
  const changed: string[] = keys.filter(
    (key) => !isDeepStrictEqual(withoutPositions(before[key]), withoutPositions(after[key])),
  );
  if (!isDeepStrictEqual(names(before), names(after))) changed.push('pools (one was added, removed or renamed)');
  return changed;
}

/** Where a listener stands in the file says nothing of what it is. */
function withoutPositions(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value ?? null, (key, v: unknown) => (key === 'path' && isPosition(v) ? undefined : v)),
  );
}

function isPosition(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'line' in value && 'column' in value;
}
