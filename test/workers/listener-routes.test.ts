/** Which service a Host leads to. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListenerRoutes } from '../../workers/listener-routes.ts';
import type { Service } from '../../workers/service.ts';

const SERVICES = ['default', 'exact', 'wide', 'narrow'].map((name) => ({ settings: { name } }) as Service);
const HOSTS = [
  { pattern: 'www.example.com', service: 1 },
  { pattern: '[::1]', service: 1 },
  { pattern: '*.example.com', service: 2 },
  { pattern: '*.b.example.com', service: 3 },
];

test('a Host leads to its exact entry, else to the longest wildcard, else to the default', () => {
  const routes = newRoutes(0, HOSTS);
  const expected: Record<string, string> = {
    'www.example.com': 'exact',
    'WWW.Example.COM': 'exact',
    'www.example.com:8080': 'exact',
    'www.example.com:': 'exact',
    'www.example.com.': 'exact',
    'www.example.com.:443': 'exact',
    'a.example.com': 'wide',
    'x.www.example.com': 'wide',
    'b.example.com': 'wide',
    'a.b.example.com:80': 'narrow',
    'x.y.b.example.com': 'narrow',
    'example.com': 'default',
    'notexample.com': 'default',
    'www.example.com.evil': 'default',
    'www.example.org': 'default',
    '[::1]': 'exact',
    '[::1]:8080': 'exact',
    '[::2]:8080': 'default',
    '': 'default',
  };
  for (const [host, service] of Object.entries(expected)) assert.equal(serviceOf(routes, host), service, host);
});

test('without a default an unknown Host leads nowhere', () => {
  const routes = newRoutes(null, HOSTS);
  assert.equal(serviceOf(routes, 'example.org'), null);
  assert.equal(serviceOf(routes, ''), null);
  assert.equal(serviceOf(routes, 'www.example.com'), 'exact');
});

test('without hosts every request goes to the default', () => {
  const routes = newRoutes(2, []);
  for (const host of ['', 'a', 'www.example.com']) assert.equal(serviceOf(routes, host), 'wide');
});

test('10,000 hosts take as many steps as one, however many labels a client sends', (t) => {
  const many = Array.from({ length: 10_000 }, (_, i) => ({
    pattern: `${i % 2 ? '*.' : ''}h${i}.example.com`,
    service: 1,
  }));
  const stepsOf = (hosts: typeof HOSTS, host: string) => {
    const routes = newRoutes(0, hosts);
    const get = t.mock.method(Map.prototype, 'get');
    serviceOf(routes, host);
    get.mock.restore();
    return get.mock.callCount();
  };
  const one = [{ pattern: '*.h9999.example.com', service: 1 }];
  for (const host of ['h1.example.com', 'a.h9.example.com', 'www.example.org', `${'a.'.repeat(127)}b`]) {
    assert.ok(stepsOf(many, host) <= stepsOf(one, host), host);
    assert.ok(stepsOf(many, host) <= 1 + 'h9999.example.com'.length / 2 + 1, host);
  }
});

function newRoutes(service: number | null, hosts: typeof HOSTS): ListenerRoutes {
  return new ListenerRoutes({ service, hosts }, SERVICES);
}

function serviceOf(routes: ListenerRoutes, host: string): string | null {
  const bytes = Buffer.from(`Host: ${host}\r\n`, 'latin1');
  return routes.serviceFor(bytes, 6, 6 + host.length)?.settings.name ?? null;
}
