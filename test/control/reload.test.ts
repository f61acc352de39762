/** What a reload brings into force, and what waits for a restart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateConfig, Config, ListenAddress, ListenerConfig, TlsConfig } from '../../src/config/config.ts';
import { changedFiles, waitingKeys, withLiveParts } from '../../src/control/reload.ts';

const A: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 443 };
const B: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 444 };

test('all that a running program can change is as the file says, and what it cannot is as it was', () => {
  const before = { ...config([listener(A, tls())]), workers: 1, stateDir: '/a', logLevel: 'info' } as Config;
  const file = { ...config([listener(B, null)]), workers: 4, stateDir: '/b', logLevel: 'debug' } as Config;
  const after = withLiveParts(before, file);
  assert.deepEqual(after, { ...file, stateDir: '/a' });
  assert.deepEqual(waitingKeys(after, file), ['state_dir']);
});

test('the admin address waits for a restart, with its token; a token file alone is live', () => {
  const admin = (address: ListenAddress, tokenFile: string | null) => ({
    ...config([]),
    admin: { address, tokenFile },
  });
  const moved = withLiveParts(admin(A, '/a'), admin(B, null));
  assert.deepEqual(moved.admin, { address: A, tokenFile: '/a' });
  assert.deepEqual(waitingKeys(moved, admin(B, null)), ['admin']);
  const renewed = withLiveParts(admin(A, '/a'), admin(A, '/b'));
  assert.deepEqual(renewed.admin, { address: A, tokenFile: '/b' });
  assert.deepEqual(waitingKeys(renewed, admin(A, '/b')), []);
  assert.deepEqual(waitingKeys(withLiveParts(config([]), admin(A, null)), admin(A, null)), ['admin']);
});

test('a certificate that moves with its listener has not changed', () => {
  const before = [listener(A, tls())];
  assert.deepEqual(changedFiles(before, [listener(B, null), listener(A, tls())]), []);
  assert.deepEqual(changedFiles(before, [listener(A, null)]), []);
});

test('the files that were changed are named: new ones, and those with another text', () => {
  const ca = (pem: string) => ({ file: '/ca.crt', pem });
  const before = [listener(A, tls({ certificates: ['a', 'b', 'c'].map(certificate), clientCa: ca('one') }))];
  const same = changedFiles(before, before);
  assert.deepEqual(same, []);
  const certificates = [certificate('b'), { ...certificate('a'), key: 'other' }, certificate('d')];
  const after = [listener(A, tls({ certificates, clientCa: ca('two') }))];
  assert.deepEqual(changedFiles(before, after), ['/a.crt', '/d.crt', '/ca.crt']);
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
  return {
    listeners,
    pools: [],
    admin: null,
    stekShare: null,
    ticketKeys: null,
    sessionIdContext: 'stekbal',
  } as unknown as Config;
}
