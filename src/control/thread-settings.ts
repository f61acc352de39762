/**
 * The configuration as listener threads need it: names resolved to indexes, units to milliseconds. Pure, main thread.
 */

import { renderCookieAttributes } from '../affinity/cookie.ts';
import type {
  AffinitySettings,
  BindAddress,
  ListenerSettings,
  ServiceSettings,
  TlsSettings,
} from '../boards/listener-task.ts';
import type { Config, ListenerConfig, ServiceConfig, TlsConfig } from '../config/config.ts';

/** A pool hashed with a salt: what one route board holds. */
export interface Route {
  readonly pool: string;
  /** Null: the cluster's. Empty: none. */
  readonly salt: string | null;
}

export interface Routing {
  readonly routes: readonly Route[];
  readonly services: readonly ServiceSettings[];
  readonly listeners: readonly ListenerSettings[];
}

/**
 * Resolves services and listeners. Throws where the configuration refers to what it does not hold: the loader lets none
 * such pass.
 */
export function resolveRouting(config: Config): Routing {
  const routes: Route[] = [];
  const services = config.services.map((service) => resolveService(service, routes));
  const indexOf = new Map(config.services.map(({ name }, i) => [name, i]));
  const serviceIndex = (name: string): number => {
    const index = indexOf.get(name);
    if (index === undefined) throw new Error(`no service ${name}`);
    return index;
  };
  const listeners = config.listeners.map((listener) => ({
    address: bindAddress(listener),
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

function resolveService(service: ServiceConfig, routes: Route[]): ServiceSettings {
  const { affinity, role: _role, ...rest } = service;
  // domain mode hashes nothing
  const salt = affinity?.useSalt && !affinity.useDomain ? affinity.salt : '';
  let route = routes.findIndex((r) => r.pool === service.pool && r.salt === salt);
  if (route < 0) route = routes.push({ pool: service.pool, salt }) - 1;
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

function bindAddress({ address }: ListenerConfig): BindAddress {
  if (address.kind === 'fd') throw new Error('socket activation is not served by this version');
  return address;
}

/** The settings of one thread: a unix socket has no SO_REUSEPORT, so each is served by a single thread. */
export function listenersOfThread(
  listeners: readonly ListenerSettings[],
  thread: number,
  threads: number,
): ListenerSettings[] {
  return listeners.map((listener, i) =>
    listener.address?.kind === 'unix' && i % threads !== thread ? { ...listener, address: null } : listener,
  );
}
