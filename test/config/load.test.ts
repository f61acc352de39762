/** The loader: what a file becomes, and that nothing makes it throw. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { Config } from '../../src/config/config.ts';
import { formatDiagnostic } from '../../src/config/diagnostics.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createAuthority } from '../cluster/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'stekbal-config-'));
after(() => rmSync(folder, { recursive: true }));

const LEAF = createAuthority().issue('/CN=a.example', { names: ['a.example'] });
const MINIMAL = `
listeners: [{address: "127.0.0.1:8080", service: web}]
pools: {nodes: {nodes: [10.0.0.1]}}
services: {web: {pool: nodes`;
const minimal = (serviceKeys = '', rest = '') => `${MINIMAL}${serviceKeys}}}\n${rest}`;

test("the design's own example loads, with every key where it belongs", () => {
  const config = accepted(writeDesign(fixture('design.conf')));
  assert.equal(config.stateDir, '/run/stekbal');
  assert.equal(config.listeners[1]?.tls?.certificates[0]?.keyFile, join(folder, 'a.key'));
  assert.equal(config.listeners[1]?.tls?.ticketLifetimeMs, 86_400_000);
  assert.deepEqual(
    config.pools[0]?.nodes.map((node) => [node.address, node.weight]),
    [
      ['10.20.20.100:80', 1],
      ['10.20.20.101:80', 1],
      ['10.20.20.102:8080', 2],
    ],
  );
  assert.equal(config.services[0]?.verifyBackend, true);
  assert.equal(config.services[0]?.affinity?.cookieName, 'X-SERVERID');
  assert.equal(config.stekShare?.keyUpdateIntervalMs, 3_600_000);
  assert.equal(config.stekShare?.servers.length, 3);
  assert.deepEqual(config.admin, { address: { kind: 'tcp', host: '127.0.0.1', port: 9900 }, tokenFile: null });
});

test("the design's example gives only the warnings that this version owes", () => {
  const { diagnostics } = loadConfig(writeDesign(fixture('design.conf')));
  assert.deepEqual(
    diagnostics.map((item) => [item.severity, item.line, item.message.split(/[ :]/)[0]]),
    [
      ['warning', 28, 'affinity_salt'],
      ['warning', 34, 'asio_thread_pool_size'],
    ],
  );
});

test('what is left out takes its default', () => {
  const config = accepted(write(minimal(', affinity: yes')));
  const service = config.services[0];
  assert.equal(config.workers, Math.min(availableParallelism(), 256));
  assert.deepEqual(
    [config.drainTimeoutMs, config.workerHangTimeoutMs, config.sessionIdContext, config.logLevel],
    [30_000, 5000, 'stekbal', 'info'],
  );
  assert.deepEqual(config.limits, {
    headBytesMax: 32_768,
    headersMax: 128,
    targetBytesMax: 8192,
    headerTimeoutMs: 10_000,
    connectionsMax: 'auto',
    connectionsPerThreadMax: 0,
    connectionsPerAddressMax: 0,
    handshakesMax: 1_000,
    requestsPerConnectionMax: 0,
  });
  assert.deepEqual([config.stekShare, config.admin, config.listeners[0]?.tls], [null, null, null]);
  assert.deepEqual([config.ticketKeys, config.canary], [null, null]);
  assert.deepEqual(service, {
    name: 'web',
    role: 'reverse_proxy',
    pool: 'nodes',
    balance: 'least_conn',
    persistClient: true,
    persistClientIdleTimeoutMs: 60_000,
    persistBackend: true,
    backendPersistCache: 512,
    backendIdleTimeoutMs: 4000,
    verifyBackend: false,
    verifyBackendPath: '*',
    connectTimeoutMs: 3000,
    responseTimeoutMs: 60_000,
    bodyTimeoutMs: 60_000,
    bodyRateMin: 240,
    tunnelTimeoutMs: 3_600_000,
    retries: 2,
    maxFails: 3,
    failTimeoutMs: 5_000,
    via: null,
    affinity: {
      cookieName: 'X-SERVERID',
      useSalt: false,
      salt: null,
      useDomain: false,
      cookie: { httpOnly: true, secure: 'auto', sameSite: null, maxAgeS: null, domain: null, partitioned: false },
    },
  });
});

test('affinity is off unless it is asked for', () => {
  assert.equal(accepted(write(minimal())).services[0]?.affinity, null);
});

test('every cookie attribute can be set', () => {
  const keys = [
    'http_only: no',
    'secure: yes',
    'same_site: none',
    'max_age: 90m',
    'domain: .A.example',
    'partitioned: 1',
  ];
  const text = minimal(`, affinity: yes, ${keys.map((key) => `affinity_cookie_${key}`).join(', ')}`);
  assert.deepEqual(accepted(write(text)).services[0]?.affinity?.cookie, {
    httpOnly: false,
    secure: true,
    sameSite: 'None',
    maxAgeS: 5400,
    domain: 'a.example',
    partitioned: true,
  });
});

test('a salt left out with use_salt on is for the cluster to agree on', () => {
  const affinity = accepted(write(minimal(', affinity: yes, affinity_use_salt: yes'))).services[0]?.affinity;
  assert.deepEqual([affinity?.useSalt, affinity?.salt], [true, null]);
});

test('the default of max_target_size yields to a smaller max_head_size', () => {
  const { limits } = accepted(write(minimal('', 'limits: {max_head_size: 4KiB}')));
  assert.deepEqual([limits.headBytesMax, limits.targetBytesMax], [4096, 4096]);
});

test("state_dir defaults to the first of systemd's runtime directories", () => {
  const before = process.env.RUNTIME_DIRECTORY;
  process.env.RUNTIME_DIRECTORY = '/run/stekbal:/run/other';
  try {
    assert.equal(accepted(write(minimal())).stateDir, '/run/stekbal');
    assert.equal(accepted(write(minimal('', 'state_dir: state'))).stateDir, join(folder, 'state'));
  } finally {
    if (before === undefined) delete process.env.RUNTIME_DIRECTORY;
    else process.env.RUNTIME_DIRECTORY = before;
  }
});

test('a unix address is relative to the file', () => {
  const text = minimal().replace('127.0.0.1:8080', 'unix:edge.sock');
  assert.deepEqual(accepted(write(text)).listeners[0]?.address, { kind: 'unix', path: join(folder, 'edge.sock') });
});

test('several listeners may ask the kernel for a port', () => {
  const text = minimal().replace(
    '[{',
    '[{address: "127.0.0.1:0", service: web}, {address: "127.0.0.1:0", service: web}, {',
  );
  assert.equal(accepted(write(text)).listeners.length, 3);
});

test('an admin address beyond loopback is accepted with a token file', () => {
  writeFileSync(join(folder, 'token'), 'secret');
  const config = accepted(write(minimal('', 'admin: {address: "0.0.0.0:9900", token_file: token}')));
  assert.equal(config.admin?.tokenFile, join(folder, 'token'));
});

test('nodes shared through an alias load, and their faults point at the text', () => {
  const text =
    'listeners: [{address: "127.0.0.1:80", service: s}]\npools: {a: {nodes: &n [10.0.0.1]}, b: {nodes: *n}}\n';
  const config = accepted(write(`${text}services: {s: {pool: a}, t: {pool: b}}\n`));
  assert.deepEqual(config.pools[1]?.nodes, config.pools[0]?.nodes);
  const { diagnostics } = loadConfig(
    write(`${text.replace('10.0.0.1', '10.0.0')}services: {s: {pool: a}, t: {pool: b}}\n`),
  );
  assert.deepEqual(
    diagnostics.filter((item) => item.severity === 'error').map((item) => [item.line, item.column]),
    [[2, 24]],
  );
});

test("Traffic Server's example file works as the stek_share file, in place or by name", () => {
  const design = fixture('design.conf');
  const inPlace = accepted(writeDesign(design)).stekShare;
  const options = /^stek_share:.*\n((?: {2}.*\n)+)/m.exec(design);
  assert.ok(options?.[1] !== undefined);
  writeFileSync(join(folder, 'server_conf.yaml'), options[1].replaceAll(/^ {2}/gm, ''));
  const byName = accepted(writeDesign(design.replace(options[0], 'stek_share: server_conf.yaml\n'))).stekShare;
  assert.deepEqual(byName, inPlace);
});

test('the ticket key of a fleet that is migrated is read, in the order used here', () => {
  const [name, aes, hmac] = ['n', 'a', 'h'].map((letter) => letter.repeat(16));
  writeFileSync(join(folder, 'ticket.key'), `${name}${aes}${hmac}`);
  const { ticketKeys } = accepted(write(minimal('', 'ticket_keys: {import_file: ticket.key, import_format: nginx}\n')));
  assert.equal(ticketKeys?.importFile, join(folder, 'ticket.key'));
  assert.equal(Buffer.from(ticketKeys.importKey).toString(), `${name}${hmac}${aes}`);
  const { config, diagnostics } = loadConfig(
    write(minimal('', 'ticket_keys: {import_file: ticket.key, import_format: haproxy}\n')),
  );
  assert.equal(config, null);
  assert.match(diagnostics[0]?.message ?? '', /^import_file: .*ticket\.key has no key in line 1/);
});

test('a health check is off, by one word with its defaults, or a map; the default of its timeout yields', () => {
  const check = (value: string) => {
    const pools = `pools: {nodes: {nodes: [10.0.0.1]${value === '' ? '' : `, health_check: ${value}`}}}`;
    return accepted(write(minimal().replace(/^pools: .*$/m, pools))).pools[0]?.healthCheck;
  };
  assert.equal(check(''), null);
  const defaults = {
    http: { method: 'GET', path: '/', host: null, expectedStatus: [{ from: 200, to: 399 }] },
    port: null,
    intervalMs: 2_000,
    jitter: 0.1,
    timeoutMs: 1_000,
    rise: 2,
    fall: 3,
  };
  assert.deepEqual(check('http'), defaults);
  assert.deepEqual(check('{}'), defaults);
  assert.deepEqual(check('tcp'), { ...defaults, http: null });
  const text =
    '{method: HEAD, path: "/up?a=b", host: "A.example:8080", port: "81", jitter: 12.5%, interval: 500ms, rise: 1, fall: 1}';
  assert.deepEqual(check(text), {
    http: { ...defaults.http, method: 'HEAD', path: '/up?a=b', host: 'a.example:8080' },
    port: 81,
    intervalMs: 500,
    jitter: 0.125,
    timeoutMs: 500,
    rise: 1,
    fall: 1,
  });
  const statuses = (value: string) => check(`{expected_status: ${value}}`)?.http?.expectedStatus;
  for (const value of ['"204, 300 - 399"', '[204, 300-399]', '["204", "300-399"]']) {
    assert.deepEqual(
      statuses(value),
      [
        { from: 204, to: 204 },
        { from: 300, to: 399 },
      ],
      value,
    );
  }
  assert.deepEqual(statuses('200'), [{ from: 200, to: 200 }]);
  assert.equal(check('{host: "::1"}')?.http?.host, '[::1]');
});

test('a canary has targets, an interval and names', () => {
  const targets = 'targets: ["A.example:443", "[::1]:8443"]';
  assert.deepEqual(accepted(write(minimal('', `canary: {${targets}}`))).canary, {
    targets: [
      { host: 'a.example', port: 443 },
      { host: '::1', port: 8443 },
    ],
    intervalMs: 60_000,
    serverNames: [],
  });
  const { canary } = accepted(write(minimal('', `canary: {${targets}, interval: 1s, server_names: [B.example]}`)));
  assert.deepEqual([canary?.intervalMs, canary?.serverNames], [1_000, ['b.example']]);
});

test('keys that come faster than the ring can hold them are an error, by the longest lifetime of a ticket', () => {
  const design = fixture('design.conf');
  const withInterval = (seconds: number, lifetime = '24h') =>
    writeDesign(
      design.replace('interval: 3600', `interval: ${seconds}`).replace('lifetime: 24h', `lifetime: ${lifetime}`),
    );
  accepted(withInterval(90));
  accepted(withInterval(1, '16m'));
  accepted(withInterval(2_592_000, '1m'));
  const { diagnostics } = loadConfig(withInterval(89));
  const error = diagnostics.find(({ severity }) => severity === 'error');
  const line = design.slice(0, design.indexOf('key_update_interval')).split('\n').length;
  assert.deepEqual([error?.line, error?.column], [line, 24]);
  assert.match(
    error?.message ?? '',
    /^key_update_interval: tickets that last 1d take 971 keys, and 960 can be kept; write at least 90 seconds, or/,
  );
});

test('a file that is missing, a folder, or too large is a diagnostic at line 1, column 1', () => {
  const large = join(folder, 'large.yaml');
  writeFileSync(large, Buffer.alloc(16 * 1024 * 1024 + 1, '#'));
  const reasons = { [join(folder, 'none.yaml')]: /no such file/, [folder]: /directory/, [large]: /larger than 16MiB/ };
  for (const [file, reason] of Object.entries(reasons)) {
    const { config, diagnostics } = loadConfig(file);
    assert.equal(config, null);
    assert.equal(diagnostics.length, 1);
    assert.match(formatDiagnostic(diagnostics[0]!), reason);
    assert.ok(formatDiagnostic(diagnostics[0]!).startsWith(`${file}:1:1: `));
  }
});

test('each of 100,000 nodes costs what one of 10,000 does, and so does each of as many faults', () => {
  const text = (count: number, port: number) => {
    const nodes = Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:${port}`);
    return minimal().replace('[10.0.0.1]', `[${nodes.join(',\n ')}]`);
  };
  /** CPU time, us. */
  const costOf = (count: number) => {
    const before = process.cpuUsage();
    assert.equal(accepted(write(text(count, 80))).pools[0]?.nodes.length, count);
    assert.equal(loadConfig(write(text(count, 0))).diagnostics.length, count);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const [few, many] = [costOf(10_000), costOf(100_000)];
  // a quadratic step would make it 100
  assert.ok(many < 20 * few, `ten times as many cost ${many / few} times as much`);
  assert.ok(many < 30_000_000, `${many} us`);
});

test('text nested without end is a diagnostic', () => {
  for (const text of [`a: ${'['.repeat(200_000)}`, `${'{a: '.repeat(200_000)}`, '- '.repeat(200_000)]) {
    assert.equal(loadConfig(write(text)).config, null);
  }
});

test('no text makes the loader throw, and a config is given exactly when there is no error', () => {
  const design = fixture('design.conf');
  const words = [
    ...design.split(/(\s+|[:,{}[\]"])/).filter((word) => word !== ''),
    '&a ',
    '*a',
    '- ',
    '? ',
    '|',
    '!!',
    '\t',
  ];
  const scrambled = fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((parts) => parts.join(''));
  const mutated = fc
    .tuple(fc.nat(design.length), fc.nat(40), fc.constantFrom(...words))
    .map(([at, length, word]) => design.slice(0, at) + word + design.slice(at + length));
  fc.assert(
    fc.property(fc.oneof(scrambled, mutated, fc.string({ unit: 'binary' })), (text) => {
      const { config, diagnostics } = loadConfig(write(text));
      assert.equal(
        config === null,
        diagnostics.some((item) => item.severity === 'error'),
      );
      for (const { line, column, message } of diagnostics) assert.ok(line >= 1 && column >= 1 && message !== '');
    }),
    { numRuns: 500 },
  );
});

test('no value in any place makes the loader throw', () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  const keys = [
    'workers',
    'limits',
    'listeners',
    'pools',
    'services',
    'stek_share',
    'admin',
    '__proto__',
    'constructor',
  ];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys), value), (root) => {
      loadConfig(write(JSON.stringify(root)));
    }),
    { numRuns: 300 },
  );
});

function accepted(file: string): Config {
  const { config, diagnostics } = loadConfig(file);
  assert.ok(config !== null, diagnostics.map(formatDiagnostic).join('\n'));
  return config;
}

function write(text: string): string {
  const file = join(folder, 'stekbal.yaml');
  writeFileSync(file, text);
  return file;
}

/** The design's example among the files that it names. */
function writeDesign(text: string): string {
  mkdirSync(folder, { recursive: true });
  for (const name of ['ca.crt', 'edge.crt', 'edge.key']) writeFileSync(join(folder, name), '');
  writeFileSync(join(folder, 'a.crt'), LEAF.certificate);
  writeFileSync(join(folder, 'a.key'), LEAF.key);
  writeFileSync(join(folder, 'server_list.yaml'), fixture('server-list.conf'));
  return write(text);
}

function fixture(name: string): string {
  return readFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)), 'utf8');
}
