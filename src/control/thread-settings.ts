/**
 * The configuration as listener threads need it: names resolved to indexes, units to milliseconds. Pure, main thread.
 */

import { renderCookieAttributes } from '../affinity/cookie.ts';
import type { AffinitySettings, ListenerSettings, ServiceSettings, TlsSettings } from '../boards/listener-task.ts';
import type { Config, ServiceConfig, TlsConfig } from '../config/config.ts';

/** A pool hashed with a salt: what one route board holds. */
export interface Route {
  readonly pool: string;
  /** Null: the cluster's. Empty: none. */
  readonly salt: string | null;
}

/** A listener, but for its sockets. */
export type ListenerPlan = Omit<ListenerSettings, 'id' | 'sockets'>;

/** A service, but for its place on the boards. */
export type ServicePlan = Omit<ServiceSettings, 'id'>;

export interface Routing {
  readonly routes: readonly Route[];
  /** Their `route` is an index into `routes`. */
  readonly services: readonly ServicePlan[];
  readonly listeners: readonly ListenerPlan[];
}

/**
 * Resolves services and listeners. Throws where the configuration refers to what it does not hold: the loader lets none
 * such pass.
 */
export function resolveRouting(config: Config): Routing {
  const routes: Route[] = [];
  const known = new Map<string, number>();
  const routeIndex = (route: Route): number => {
    const key = JSON.stringify([route.pool, route.salt]);
    const index = known.get(key) ?? routes.push(route) - 1;
    known.set(key, index);
    return index;
  };
  const services = config.services.map((service) => resolveService(service, routeIndex));
  const indexOf = new Map(config.services.map(({ name }, i) => [name, i]));
  const serviceIndex = (name: string): number => {
    const index = indexOf.get(name);
    if (index === undefined) throw new Error(`no service ${name}`);
    return index;
  };
  const listeners = config.listeners.map((listener) => ({
    address: listener.address,
    service: listener.service === null ? null : serviceIndex(listener.service),
    hosts: listener.hosts.map(({ pattern, service }) => ({ pattern, service: serviceIndex(service) })),
    tls: listener.tls === null ? null : tlsSettings(listener.tls),
  }));
  return { routes, services, listeners };
}

/** What the listener threads need of a listener's TLS. Holds the private keys. */
export function tlsSettings({ certificates, clientCa, ticketLifetimeMs, ...rest }: TlsConfig): TlsSettings {
  return {
    ...rest,
    certificates: certificates.map(({ cert, key, names, keyType }) => ({ cert, key, names, keyType })),
    ticketLifetimeS: Math.floor(ticketLifetimeMs / 1000),
    clientCa: clientCa?.pem ?? null,
  };
}

function resolveService(service: ServiceConfig, routeIndex: (route: Route) => number): ServicePlan {
  const { affinity, role: _role, ...rest } = service;
  // domain mode hashes nothing
  const salt = affinity?.useSalt && !affinity.useDomain ? affinity.salt : '';
  const route = routeIndex({ pool: service.pool, salt });
  return { ...rest, route, affinity: affinity === null ? null : resolveAffinity(affinity) };
}

function resolveAffinity(affinity: NonNullable<ServiceConfig['affinity']>): AffinitySettings {
  const { secure, ...options } = affinity.cookie;
  return {
    cookieName: affinity.cookieName,
    useDomain: affinity.useDomain,
    attributesPlain: renderCookieAttributes({ ...options, secure: secure === true }),
    attributesTls: renderCookieAttributes({ ...options, secure: secure !== false }),
  };
}
