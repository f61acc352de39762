/** Certificates, keys and CAs that a configuration names: what is wrong with them is said where they are named. */

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { altNames, dnsNames, readChain, unusableReason } from '../../src/config/certificates.ts';
import type { TlsConfig } from '../../src/config/config.ts';
import { type LoadOptions, type LoadResult, loadConfig } from '../../src/config/load.ts';
import { createAuthority, type Leaf, type LeafOptions } from '../cluster/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'stekbal-certificates-'));
after(() => rmSync(folder, { recursive: true }));

const HOUR_MS = 3_600_000;
const YESTERDAY = new Date(Date.now() - 24 * HOUR_MS);
const authority = createAuthority();
const leaf = issue({ names: ['A.example', '*.b.example'] });
const other = issue({ names: ['c.example'] });

test('a certificate and its key are loaded, with the names it is for and the type of its key', () => {
  assert.deepEqual(accepted({ 'a.crt': leaf.certificate, 'a.key': leaf.key }).certificates, [
    {
      certFile: join(folder, 'a.crt'),
      keyFile: join(folder, 'a.key'),
      cert: leaf.certificate,
      key: leaf.key,
      names: ['a.example', '*.b.example'],
      keyType: 'ec',
    },
  ]);
});

test('of a file, only the blocks that are wanted are kept: one file may hold both', () => {
  const both = `a comment\n${leaf.key}${leaf.certificate}another\n${authority.certificate}`;
  const [certificate] = accepted({ 'a.crt': both, 'a.key': both }).certificates;
  assert.equal(certificate?.cert, leaf.certificate + authority.certificate);
  assert.equal(certificate?.key, leaf.key);
});

test("a key in OpenSSL's older form, after its parameters, is loaded", () => {
  const older = createPrivateKey(leaf.key).export({ type: 'sec1', format: 'pem' });
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  assert.equal(accepted({ 'a.crt': leaf.certificate, 'a.key': parameters + older }).certificates[0]?.key, older);
});

test('a certificate file without a certificate, or with one that cannot be decoded, is an error', () => {
  const der = new X509Certificate(leaf.certificate).raw.toString('latin1');
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const faults = {
    '': /a\.crt holds no certificate in PEM form; /,
    [der]: /holds no certificate in PEM form; /,
    [leaf.certificate.slice(0, -10)]: /holds no certificate in PEM form; /,
    [leaf.key]: /holds a private key and no certificate; name the file that holds the certificate/,
    [leaf.certificate + broken]: /holds a certificate \(number 2\) that cannot be decoded; /,
  };
  for (const [text, fault] of Object.entries(faults)) {
    assertOnly(load({ 'a.crt': text, 'a.key': leaf.key }), 'error', 'cert_file', fault);
  }
});

test('a key file without a key, with a public or an encrypted one, or one that cannot be decoded is an error', () => {
  const key = createPrivateKey(leaf.key);
  const encryption = { format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
  const publicKey = new X509Certificate(leaf.certificate).publicKey.export({ type: 'spki', format: 'pem' });
  const faults = {
    none: /a\.key holds no private key in PEM form; /,
    [leaf.certificate]: /holds a certificate and no private key; /,
    [String(publicKey)]: /holds a public key and no private key; /,
    [String(key.export({ type: 'pkcs8', ...encryption }))]: /holds an encrypted key; write it without a passphrase/,
    [String(key.export({ type: 'sec1', ...encryption }))]: /holds an encrypted key; write it without a passphrase/,
    [leaf.key.replace(/\n.{9}/, '\nAAAAAAAAA')]: /holds a private key that cannot be decoded; /,
  };
  for (const [text, fault] of Object.entries(faults)) {
    assertOnly(load({ 'a.crt': leaf.certificate, 'a.key': text }), 'error', 'key_file', fault);
  }
});

test('files that were swapped are one error, which says so', () => {
  const result = load({ 'a.crt': leaf.key, 'a.key': leaf.certificate });
  assertOnly(result, 'error', 'cert_file', /holds a private key, and key_file a certificate; swap the two/);
});

test('a key of another certificate is an error, also where it is of another type', () => {
  const rsa = issue({ keyType: 'rsa' });
  for (const { key } of [other, rsa]) {
    const result = load({ 'a.crt': leaf.certificate, 'a.key': key });
    assertOnly(result, 'error', 'key_file', /a\.key does not belong to the certificate in .*a\.crt; name the key/);
  }
});

test("a chain that does not begin with the key's certificate is an error, one with a gap a warning", () => {
  const reversed = load({ 'a.crt': authority.certificate + leaf.certificate, 'a.key': leaf.key });
  const errors = reversed.diagnostics.filter(({ severity }) => severity === 'error');
  assert.match(errors[0]?.message ?? '', /holds the certificate of this key as number 2; write it first/);
  accepted({ 'a.crt': leaf.certificate + authority.certificate, 'a.key': leaf.key });
  const stranger = createAuthority('stranger').certificate;
  const gap = load({ 'a.crt': leaf.certificate + stranger, 'a.key': leaf.key });
  assertOnly(gap, 'warning', 'cert_file', /has certificate 1 before one that did not sign it; /);
});

test('an expired certificate is an error with its date, and a warning at a start', () => {
  const files = filesOf(issue({ validTo: YESTERDAY }));
  const date = YESTERDAY.toISOString().slice(0, 16).replace('T', ' ');
  const message = new RegExp(`a certificate that expired on ${date} UTC; renew it`);
  assertOnly(load(files), 'error', 'cert_file', message);
  assertOnly(load(files, { expired: 'warning' }), 'warning', 'cert_file', message);
});

test('a certificate that is not valid yet, and an expired issuer, are warnings', () => {
  const early = issue({ validFrom: new Date(Date.now() + HOUR_MS), validTo: new Date(Date.now() + 2 * HOUR_MS) });
  assertOnly(load(filesOf(early)), 'warning', 'cert_file', /valid from .* UTC on; until then clients refuse it/);
  const { subIssuer, issued } = chainOf({ validTo: YESTERDAY });
  const expired = load({ 'a.crt': issued.certificate + subIssuer.certificate, 'a.key': issued.key });
  assertOnly(expired, 'warning', 'cert_file', /an issuer \(certificate 2\) that expired on .* UTC; /);
});

test('a key that is too weak for TLS is an error, of the certificate or of an issuer', () => {
  const weak = issue({ keyType: 'rsa', modulusBits: 1024 });
  const message = /has too weak a key \(rsa, 1024 bits\); make one of EC P-256, or of RSA with 2048 bits/;
  assertOnly(load(filesOf(weak)), 'error', 'cert_file', message);
  const chain = load({ 'a.crt': leaf.certificate + weak.certificate, 'a.key': leaf.key });
  assert.match(
    chain.diagnostics.find(({ severity }) => severity === 'error')?.message ?? '',
    /an issuer with too weak a key/,
  );
  assert.equal(accepted(filesOf(issue({ keyType: 'rsa' }))).certificates[0]?.keyType, 'rsa');
});

test('a key that signs nothing is refused', () => {
  const chain = readChain(leaf.certificate);
  const { privateKey } = generateKeyPairSync('x25519');
  assert.ok(chain.ok);
  assert.match(unusableReason(chain.value, { pem: '', object: privateKey }) ?? '', /has a key of type x25519, with/);
});

test('a certificate without DNS names is fine as the default, and a warning anywhere else', () => {
  const nameless = issue({});
  accepted(filesOf(nameless));
  const result = load({ ...filesOf(leaf), 'b.crt': nameless.certificate, 'b.key': nameless.key });
  assertOnly(result, 'warning', 'cert_file', /b\.crt holds a certificate without DNS names, which no SNI chooses; /);
});

test('two certificates for one name are a warning, unless their keys are of different types', () => {
  const again = issue({ names: ['c.example', 'a.example'] });
  const twice = load({ ...filesOf(leaf), 'b.crt': again.certificate, 'b.key': again.key });
  assertOnly(twice, 'warning', 'cert_file', /b\.crt is for a\.example, as is the certificate on line 6: that one is/);
  const rsa = issue({ names: ['a.example'], keyType: 'rsa' });
  accepted({ ...filesOf(leaf), 'b.crt': rsa.certificate, 'b.key': rsa.key });
});

test('every fault is reported at once', () => {
  const expired = issue({ validTo: YESTERDAY });
  const { diagnostics } = load({ 'a.crt': '', 'a.key': '', 'b.crt': expired.certificate, 'b.key': leaf.key });
  assert.deepEqual(
    diagnostics.map(({ line, column, severity }) => [line, column, severity]),
    [
      [6, 23, 'error'],
      [6, 40, 'error'],
      [7, 23, 'error'],
      [7, 40, 'error'],
    ],
  );
});

test('no message holds anything of a key', () => {
  const lines = leaf.key.split('\n').filter((line) => /^[A-Za-z0-9+/=]{16,}$/.test(line));
  assert.ok(lines.length > 0);
  const mangled = leaf.key.replace(/\n.{9}/, '\nAAAAAAAAA');
  for (const files of [
    { 'a.crt': leaf.key, 'a.key': leaf.key },
    { 'a.crt': leaf.certificate, 'a.key': mangled },
    { 'a.crt': other.certificate, 'a.key': leaf.key },
  ]) {
    const text = JSON.stringify(load(files).diagnostics);
    for (const line of lines) assert.ok(!text.includes(line));
  }
});

test('the CAs of clients are loaded; a file without one is an error', () => {
  const files = filesOf(leaf);
  const two = authority.certificate + createAuthority('second').certificate;
  assert.deepEqual(accepted({ ...files, 'ca.crt': `text\n${two}` }).clientCa, {
    file: join(folder, 'ca.crt'),
    pem: two,
  });
  assertOnly(load({ ...files, 'ca.crt': leaf.key }), 'error', 'client_ca_file', /holds a private key and no certifi/);
});

test("a client CA that can sign nobody's certificate is a warning", () => {
  const files = filesOf(leaf);
  const noCa = load({ ...files, 'ca.crt': leaf.certificate });
  assertOnly(noCa, 'warning', 'client_ca_file', /holds one \(certificate 1\) that is no CA's/);
  const { root, subIssuer } = chainOf();
  const rootless = load({ ...files, 'ca.crt': subIssuer.certificate });
  assertOnly(rootless, 'warning', 'client_ca_file', /a CA \(certificate 1\) without the one that signed it; add it/);
  accepted({ ...files, 'ca.crt': subIssuer.certificate + root.certificate });
});

test('an expired client CA is an error where there is no other, and a warning at a start', () => {
  const files = filesOf(leaf);
  const { root, subIssuer } = chainOf({ validTo: YESTERDAY });
  const alone = { ...files, 'ca.crt': subIssuer.certificate };
  assertOnly(load(alone), 'error', 'client_ca_file', /a CA \(certificate 1\) that expired on .* UTC; write its succ/);
  assertOnly(load(alone, { expired: 'warning' }), 'warning', 'client_ca_file', /that expired on/);
  const beside = { ...files, 'ca.crt': subIssuer.certificate + root.certificate };
  assertOnly(load(beside), 'warning', 'client_ca_file', /that expired on/);
});

test("the session id context is the listener's, else the one at top level", () => {
  const files = filesOf(leaf);
  assert.equal(accepted(files).sessionIdContext, 'stekbal');
  assert.equal(accepted(files, { top: 'session_id_context: fleet' }).sessionIdContext, 'fleet');
  const own = { top: 'session_id_context: fleet', tls: 'session_id_context: mine' };
  assert.equal(accepted(files, own).sessionIdContext, 'mine');
});

test('with client CAs the session id context is made of them too, in whatever order they stand', () => {
  const files = filesOf(leaf);
  const [a, b] = [authority.certificate, createAuthority('second').certificate];
  const contextOf = (ca: string, tls = '') => accepted({ ...files, 'ca.crt': ca }, { tls }).sessionIdContext;
  const fingerprints = [a, b].map((pem) => new X509Certificate(pem).fingerprint256).sort();
  const expected = createHash('sha256')
    .update(`stekbal\0${fingerprints.join('\0')}`)
    .digest('hex')
    .slice(0, 32);
  assert.equal(contextOf(a + b), expected);
  assert.equal(contextOf(`${b}a comment\n${a}${a}`), expected);
  const others = [contextOf(a), contextOf(b), contextOf(a + b, 'session_id_context: mine')];
  assert.equal(new Set([expected, ...others]).size, 4);
});

test('durations and versions of TLS are read, and have defaults', () => {
  const files = filesOf(leaf);
  const { minVersion, ticketLifetimeMs, handshakeTimeoutMs, clientCa } = accepted(files);
  assert.deepEqual([minVersion, ticketLifetimeMs, handshakeTimeoutMs, clientCa], ['TLSv1.2', 86_400_000, 10_000, null]);
  const tls = 'min_version: TLSv1.3\n      ticket_lifetime: 90s\n      handshake_timeout: 10ms';
  const written = accepted(files, { tls });
  assert.deepEqual([written.minVersion, written.ticketLifetimeMs, written.handshakeTimeoutMs], ['TLSv1.3', 90_000, 10]);
});

test('names of a certificate are told apart from what only looks like them', () => {
  assert.deepEqual(
    altNames('DNS:a, IP Address:10.0.0.1, URI:"http://x, DNS:b", othername:"1.2;UTF8:x, DNS:c", DNS:d'),
    [
      ['DNS', 'a'],
      ['IP Address', '10.0.0.1'],
      ['URI', 'http://x, DNS:b'],
      ['othername', '1.2;UTF8:x, DNS:c'],
      ['DNS', 'd'],
    ],
  );
  assert.deepEqual(altNames(''), []);
  const names = ['x", DNS:evil.example', 'a.example, DNS:evil.example', 'f*.example', 'a.*.example', '-', 'A.example'];
  assert.deepEqual(dnsNames(new X509Certificate(issue({ names }).certificate)), ['a.example']);
});

function issue(options: LeafOptions): Leaf {
  return authority.issue('/CN=test', options);
}

/** A root, an intermediate of it that is valid until `validTo`, and a certificate of the intermediate's. */
function chainOf(options: { validTo?: Date } = {}) {
  const root = createAuthority('root');
  const subIssuer = root.issueAuthority('intermediate', options);
  return { root, subIssuer, issued: subIssuer.issue('/CN=issued') };
}

function filesOf({ certificate, key }: Leaf): Record<string, string> {
  return { 'a.crt': certificate, 'a.key': key };
}

interface Extra extends LoadOptions {
  /** Further lines of the top, and of the listener's `tls`. */
  readonly top?: string;
  readonly tls?: string;
}

/** Loads a configuration with a TLS listener whose certificates are those of `files`, by pairs; ca.crt is the clients' CA. */
function load(files: Record<string, string>, { top = '', tls = '', ...options }: Extra = {}): LoadResult {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, 'latin1');
  const names = Object.keys(files).filter((name) => /^[a-z]\.crt$/.test(name));
  const lines = names.map((name) => `        - {cert_file: ${name}, key_file: ${name.replace('crt', 'key')}}`);
  const yaml = `listeners:
  - address: 127.0.0.1:443
    service: web
    tls:
      certificates:
${lines.join('\n')}
      ${'ca.crt' in files ? 'client_ca_file: ca.crt' : ''}
      ${tls}
services: {web: {pool: web}}
pools: {web: {nodes: [10.0.0.1]}}
${top}
`;
  const file = join(folder, 'stekbal.yaml');
  writeFileSync(file, yaml);
  return loadConfig(file, options);
}

function accepted(files: Record<string, string>, extra: Extra = {}): TlsConfig {
  const { config, diagnostics } = load(files, extra);
  assert.deepEqual(diagnostics, []);
  return config?.listeners[0]?.tls ?? assert.fail();
}

/** That there is one diagnostic, about the file that `key` names; and a configuration exactly where it is a warning. */
function assertOnly(result: LoadResult, severity: 'error' | 'warning', key: string, message: RegExp): void {
  assert.deepEqual(
    result.diagnostics.map((one) => one.severity),
    [severity],
    JSON.stringify(result.diagnostics),
  );
  const text = result.diagnostics[0]?.message ?? '';
  assert.ok(text.startsWith(`${key}: ${folder}`), text);
  assert.match(text, message);
  assert.equal(result.config === null, severity === 'error');
}
