/** What a reload brings into force, and what waits for a restart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateConfig, Config, ListenAddress, ListenerConfig, TlsConfig } from '../../src/config/config.ts';
import { changedKeys, changedTlsFiles, withLiveParts } from '../../src/control/reload.ts';

const A: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 443 };
const B: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 444 };

test('of a listener that speaks TLS before and after, all of tls is live', () => {
  const before = config([listener(A, tls())]);
  const changes: Partial<TlsConfig>[] = [
    { certificates: [certificate('b')] },
    { certificates: [{ ...certificate('a'), cert: 'new text', key: 'new key' }] },
    { minVersion: 'TLSv1.3' },
    { ticketLifetimeMs: 60_000 },
    { handshakeTimeoutMs: 1_000 },
    { clientCa: { file: '/ca.crt', pem: 'authority' }, sessionIdContext: 'made of it' },
  ];
  for (const change of changes) {
    const file = config([listener(A, tls(change))]);
    const after = withLiveParts(before, file);
    assert.deepEqual(after.listeners[0]?.tls, file.listeners[0]?.tls);
    assert.deepEqual(changedKeys(after, file), []);
  }
});

test('from plain to TLS and back waits for a restart', () => {
  const [plain, secure] = [config([listener(A, null)]), config([listener(A, tls())])];
  for (const [before, file] of [
    [plain, secure],
    [secure, plain],
  ] as const) {
    const after = withLiveParts(before, file);
    assert.deepEqual(after.listeners, before.listeners);
    assert.deepEqual(changedKeys(after, file), ['listeners']);
  }
});

test('certificates are renewed also where a listener was written before theirs, which itself waits', () => {
  const before = config([listener(A, tls())]);
  const file = config([listener(B, tls()), listener(A, tls({ certificates: [certificate('b')] }))]);
  const after = withLiveParts(before, file);
  assert.deepEqual(after.listeners, [listener(A, tls({ certificates: [certificate('b')] }))]);
  assert.deepEqual(changedKeys(after, file), ['listeners']);
});

test('a listener with another address keeps its tls until a restart', () => {
  const before = config([listener(A, tls())]);
  const file = config([listener(B, tls({ minVersion: 'TLSv1.3' }))]);
  assert.deepEqual(withLiveParts(before, file).listeners, before.listeners);
});

test('the session id context at top level is live with the listeners that it is for', () => {
  const before = config([listener(A, tls())]);
  const file = { ...config([listener(A, tls({ sessionIdContext: 'other' }))]), sessionIdContext: 'other' };
  assert.deepEqual(changedKeys(withLiveParts(before, file), file), []);
});

test('the files that were changed are named: new ones, and those with another text', () => {
  const ca = (pem: string) => ({ file: '/ca.crt', pem });
  const before = [listener(A, tls({ certificates: ['a', 'b', 'c'].map(certificate), clientCa: ca('one') }))];
  const same = changedTlsFiles(before, before);
  assert.deepEqual(same, []);
  const certificates = [certificate('b'), { ...certificate('a'), key: 'other' }, certificate('d')];
  const after = [listener(A, tls({ certificates, clientCa: ca('two') }))];
  assert.deepEqual(changedTlsFiles(before, after), ['/a.crt', '/d.crt', '/ca.crt']);
});

function tls(change: Partial<TlsConfig> = {}): TlsConfig {
  return {
    certificates: [certificate('a')],
    minVersion: 'TLSv1.2',
    ticketLifetimeMs: 86_400_000,
    handshakeTimeoutMs: 10_000,
    clientCa: null,
    sessionIdContext: 'stekbal',
    ...change,
  };
}

function certificate(name: string): CertificateConfig {
  return {
    certFile: `/${name}.crt`,
    keyFile: `/${name}.key`,
    cert: `certificate ${name}`,
    key: `key ${name}`,
    names: [`${name}.example`],
    keyType: 'ec',
  };
}

function listener(address: ListenAddress, tls: TlsConfig | null): ListenerConfig {
  return { address, service: 'web', hosts: [], tls, path: { file: '/stekbal.yaml', line: 1, column: 1 } };
}

function config(listeners: ListenerConfig[]): Config {
  return { listeners, pools: [], admin: null, stekShare: null, sessionIdContext: 'stekbal' } as unknown as Config;
}
