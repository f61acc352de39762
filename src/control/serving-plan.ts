/**
 * From the configuration to what the listener threads serve: services get their places on the boards, routes their boards.
 * Main thread.
 */

import type { RouteRef, ServiceSettings, ThreadSettings } from '../boards/listener-task.ts';
import { SERVICES_MAX } from '../boards/service-board.ts';
import type { Config } from '../config/config.ts';
import { descriptorShares, OPEN_FILES_MAX } from './open-files.ts';
import type { Pools } from './pools.ts';
import { type ListenerPlan, resolveRouting } from './thread-settings.ts';

/** What the threads serve. */
export interface ServingPlan {
  readonly workers: number;
  readonly hangTimeoutMs: number;
  readonly settings: Omit<ThreadSettings, 'listeners'>;
  readonly listeners: readonly ListenerPlan[];
  /** A board for each route that a service names. */
  readonly boards: readonly RouteRef[];
}

export class ServingPlans {
  readonly #pools: Pick<Pools, 'open'>;
  /** By name. A name keeps its place, so that its counters go on where it comes back. */
  readonly #serviceIds = new Map<string, number>();

  constructor(pools: Pick<Pools, 'open'>) {
    this.#pools = pools;
  }

  /**
   * Opens the boards that `config` needs; Pools.publish fills them. Throws where there were too many services since the
   * start.
   */
  planOf(config: Config): ServingPlan {
    const { routes, services, listeners } = resolveRouting(config);
    const boards = this.#pools.open(routes);
    const settings = {
      ...config.limits,
      ...descriptorShares(config, OPEN_FILES_MAX),
      drainTimeoutMs: config.drainTimeoutMs,
      accessLog: config.accessLog,
      services: services.map((service): ServiceSettings => {
        const { id } = boards[service.route] as RouteRef;
        return { ...service, id: this.#serviceId(service.name), route: id };
      }),
    };
    return { workers: config.workers, hangTimeoutMs: config.workerHangTimeoutMs, settings, listeners, boards };
  }

  /** The places of its services. After `planOf`. */
  servicesOf({ services }: Config): { id: number; name: string }[] {
    return services.map(({ name }) => ({ id: this.#serviceId(name), name }));
  }

  #serviceId(name: string): number {
    const id = this.#serviceIds.get(name) ?? this.#serviceIds.size;
    if (id >= SERVICES_MAX) throw new RangeError(`more than ${SERVICES_MAX} services since the start; restart`);
    this.#serviceIds.set(name, id);
    return id;
  }
}
