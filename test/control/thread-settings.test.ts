/** The configuration resolved for the listener threads: names to indexes, and one route for each pool and salt. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AffinityConfig, Config, ListenerConfig, ServiceConfig, TlsConfig } from '../../src/config/config.ts';
import { resolveRouting, tlsSettings } from '../../src/control/thread-settings.ts';

const COOKIE = {
  httpOnly: true,
  secure: 'auto',
  sameSite: null,
  maxAgeS: null,
  domain: null,
  partitioned: false,
} as const;
const AFFINITY: AffinityConfig = {
  cookieName: 'X-SERVERID',
  useSalt: false,
  salt: null,
  useDomain: false,
  cookie: COOKIE,
};

test("services of one pool and salt share a route, others have their own; a salt that is not given is the cluster's", () => {
  const salted = (salt: string | null) => ({ ...AFFINITY, useSalt: true, salt });
  const { routes, services } = resolveRouting(
    config([
      service('a', 'web'),
      service('b', 'web', AFFINITY),
      service('c', 'web', salted('s')),
      service('d', 'api', salted('s')),
      service('e', 'web', salted('s')),
      service('f', 'web', salted(null)),
      service('g', 'web', salted(null)),
      service('h', 'web', { ...salted(null), useDomain: true }),
    ]),
  );
  assert.deepEqual(
    services.map((s) => routes[s.route]),
    [
      { pool: 'web', salt: '' },
      { pool: 'web', salt: '' },
      { pool: 'web', salt: 's' },
      { pool: 'api', salt: 's' },
      { pool: 'web', salt: 's' },
      { pool: 'web', salt: null },
      { pool: 'web', salt: null },
      { pool: 'web', salt: '' },
    ],
  );
  assert.equal(routes.length, 4);
});

test('Secure is set on TLS listeners alone, unless the configuration says otherwise', () => {
  const attributes = (secure: 'auto' | boolean) => {
    const { services } = resolveRouting(config([service('a', 'web', { ...AFFINITY, cookie: { ...COOKIE, secure } })]));
    return [services[0]?.affinity?.attributesPlain, services[0]?.affinity?.attributesTls];
  };
  assert.deepEqual(attributes('auto'), ['; path=/; HttpOnly', '; path=/; Secure; HttpOnly']);
  assert.deepEqual(attributes(true), ['; path=/; Secure; HttpOnly', '; path=/; Secure; HttpOnly']);
  assert.deepEqual(attributes(false), ['; path=/; HttpOnly', '; path=/; HttpOnly']);
});

test('listeners name their services by index', () => {
  const listeners = [
    listener({ service: 'b', hosts: [{ pattern: '*.example', service: 'a' }] }),
    listener({ service: null, hosts: [{ pattern: 'a.example', service: 'b' }] }),
  ];
  const resolved = resolveRouting(config([service('a', 'web'), service('b', 'web')], listeners)).listeners;
  assert.deepEqual(resolved, [
    { address: listeners[0]?.address, service: 1, hosts: [{ pattern: '*.example', service: 0 }], tls: null },
    { address: listeners[1]?.address, service: null, hosts: [{ pattern: 'a.example', service: 1 }], tls: null },
  ]);
});

test('a TLS listener is told what to show and accept, and no file names', () => {
  const shared = { cert: 'certificate', key: 'key', names: ['a.example'], keyType: 'ec' };
  const rules = { minVersion: 'TLSv1.3', handshakeTimeoutMs: 7, sessionIdContext: 'context' } as const;
  const tls: TlsConfig = {
    ...rules,
    certificates: [{ ...shared, certFile: '/a.crt', keyFile: '/a.key' }],
    ticketLifetimeMs: 60_500,
    clientCa: { file: '/ca.crt', pem: 'authority' },
  };
  const settings = { ...rules, certificates: [shared], ticketLifetimeS: 60, clientCa: 'authority' };
  const resolved = resolveRouting(config([service('a', 'web')], [listener({ service: 'a', tls })])).listeners;
  assert.deepEqual(resolved[0]?.tls, settings);
  assert.equal(tlsSettings({ ...tls, clientCa: null }).clientCa, null);
});

test('what the configuration does not hold is refused', () => {
  const unknown = listener({ service: 'nobody' });
  assert.throws(() => resolveRouting(config([service('a', 'web')], [unknown])), /no service nobody/);
});

test('what a thread is sent can be cloned, and holds nothing that it has no use for', () => {
  const { services } = resolveRouting(config([service('a', 'web', AFFINITY)]));
  assert.deepEqual(structuredClone(services), services);
  assert.equal('role' in (services[0] ?? {}), false);
});

function config(services: ServiceConfig[], listeners: ListenerConfig[] = []): Config {
  const pools = services.map(({ pool }) => ({ name: pool, pipelining: 1, nodes: [] }));
  return { pools, services, listeners } as unknown as Config;
}

function service(name: string, pool: string, affinity: AffinityConfig | null = null): ServiceConfig {
  return { name, pool, role: 'reverse_proxy', balance: 'least_conn', affinity } as unknown as ServiceConfig;
}

function listener(fields: Partial<ListenerConfig>): ListenerConfig {
  const address = { kind: 'tcp', host: '127.0.0.1', port: 8080 } as const;
  return { address, service: null, hosts: [], tls: null, path: {} as ListenerConfig['path'], ...fields };
}
