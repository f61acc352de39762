/**
 * Which service a request's Host header leads to, on one listener. Listener threads.
 */

import type { ListenerSettings } from '../src/boards/listener-task.ts';
import { latin1 } from './http1/latin1.ts';
import type { Service } from './service.ts';

export class ListenerRoutes {
  readonly #default: Service | null;
  readonly #exact = new Map<string, Service>();
  /** By what follows the star, beginning with its dot: ".example.com". */
  readonly #wildcard = new Map<string, Service>();
  /** Characters of the longest of them: no longer end of a Host is looked for. */
  #suffixMax = 0;

  constructor(settings: Pick<ListenerSettings, 'service' | 'hosts'>, services: readonly Service[]) {
    this.#default = settings.service === null ? null : (services[settings.service] as Service);
    for (const { pattern, service } of settings.hosts) {
      if (!pattern.startsWith('*.')) this.#exact.set(pattern, services[service] as Service);
      else {
        this.#wildcard.set(pattern.slice(1), services[service] as Service);
        this.#suffixMax = Math.max(this.#suffixMax, pattern.length - 1);
      }
    }
  }

  /** The service for the authority `bytes[start, end)`; null where there is none. The port does not matter. */
  serviceFor(bytes: Buffer, start: number, end: number): Service | null {
    if (this.#exact.size === 0 && this.#wildcard.size === 0) return this.#default;
    const host = latin1(bytes, start, end).toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
    const exact = this.#exact.get(host);
    if (exact !== undefined) return exact;
    // the longest suffix first: "*.b.example" before "*.example"
    for (let dot = host.indexOf('.', host.length - this.#suffixMax); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const service = this.#wildcard.get(host.slice(dot));
      if (service !== undefined) return service;
    }
    return this.#default;
  }
}
