/** Perlbal files at random: whatever the lines and their order, convert returns, and its result can be loaded. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { convert } from '../../../src/config/convert/convert.ts';
import { formatDiagnostic } from '../../../src/config/diagnostics.ts';
import { loadConfig } from '../../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'stekbal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const name = fc.constantFrom(
  'a',
  'b',
  '_c',
  'Web',
  'x'.repeat(80),
  '*',
  '__',
  'pool',
  'add',
  'é',
  '"',
  "'",
  '&a',
  '- x',
);
const number = fc.constantFrom('0', '1', '80', '99999', '-1', '1e9', '9'.repeat(30), '');
const address = fc.oneof(
  fc
    .tuple(fc.constantFrom('10.0.0.1', '127.0.0.1', '300.1.1.1', '::1', '010.0.0.1'), number)
    .map(([ip, port]) => `${ip}:${port}`),
  number,
);
const word = fc.constantFrom(
  'on',
  'off',
  'yes',
  '1',
  'true',
  'random',
  'none',
  '*',
  '/health',
  '#',
  'a=b',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: what Perlbal expands
  '${ip:eth0}',
  '$HOME',
  '\u0000',
  '\u2028',
  'y: {',
  '<<',
);
const value = fc.oneof(name, number, address, word, fc.string({ maxLength: 12 }));
const key = fc.constantFrom(
  ...['role', 'listen', 'pool', 'plugins', 'persist_client', 'persist_client_timeout', 'persist_client_idle_timeout'],
  ...['persist_backend', 'backend_persist_cache', 'verify_backend', 'verify_backend_path', 'idle_timeout', 'nodefile'],
  ...['balance_method', 'default_service', 'connect_ahead', 'enable_reproxy', 'send_backend_proto', 'extra.x', 'é'],
);
const role = fc.constantFrom('reverse_proxy', 'selector', 'management', 'web_server');
const affinity = fc.constantFrom('cookie_header', 'salt', 'use_salt', 'use_domain', 'use_dynamic_cookie', 'x');
const line = fc.oneof(
  fc
    .tuple(fc.constantFrom('CREATE POOL', 'CREATE SERVICE', 'USE', 'ENABLE', 'DISABLE'), name)
    .map((words) => words.join(' ')),
  fc.tuple(name, fc.constantFrom('ADD', 'REMOVE'), address).map((words) => `POOL ${words.join(' ')}`),
  fc.tuple(key, value).map(([k, v]) => `SET ${k} = ${v}`),
  fc.tuple(name, key, value).map(([n, k, v]) => `SET ${n}.${k} = ${v}`),
  fc.tuple(key, value).map(([k, v]) => `DEFAULT ${k} = ${v}`),
  role.map((r) => `SET role = ${r}`),
  address.map((a) => `SET listen = ${a}`),
  fc.tuple(affinity, value).map(([k, v]) => `affinity_${k} = ${v}`),
  fc.tuple(fc.constantFrom('VHOST', 'VPATH'), value, name).map(([c, p, n]) => `${c} ${p} = ${n}`),
  fc.constantFrom('LOAD SessionAffinity', 'LOAD vhosts', 'LOAD vpaths', 'SET plugins = sessionaffinity'),
  fc.string({ maxLength: 40 }),
);

test('the result of any lines in any order can be loaded, unless nothing listens', () => {
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 60 }), (lines) => {
      const text = lines.join('\n').replaceAll('\u0000', '?');
      const { yaml, diagnostics } = convert({ name: 'perlbal.conf', folder, text }, 'perlbal');
      if (yaml === null || diagnostics.some(({ message }) => message.startsWith('nothing listens;'))) return;
      const file = join(folder, 'stekbal.yaml');
      writeFileSync(file, yaml);
      const loaded = loadConfig(file);
      assert.notEqual(loaded.config, null, `${loaded.diagnostics.map(formatDiagnostic).join('\n')}\n${text}\n${yaml}`);
    }),
    { numRuns: 500, examples: [[WELL_FORMED]] },
  );
});

test('the property holds for files that listen too', () => {
  const body = fc.array(line, { maxLength: 30 });
  fc.assert(
    fc.property(body, body, (before, after) => {
      const text = [...before, ...WELL_FORMED, ...after].join('\n').replaceAll('\u0000', '?');
      const { yaml } = convert({ name: 'perlbal.conf', folder, text }, 'perlbal');
      const file = join(folder, 'stekbal.yaml');
      writeFileSync(file, yaml ?? '');
      const { config, diagnostics } = loadConfig(file);
      const isQuiet = yaml?.includes('listeners: []') ?? false;
      assert.ok(config !== null || isQuiet, `${diagnostics.map(formatDiagnostic).join('\n')}\n${text}\n${yaml}`);
    }),
    { numRuns: 300 },
  );
});

const WELL_FORMED = [
  'LOAD SessionAffinity',
  'CREATE POOL backends',
  'POOL backends ADD 10.9.9.9',
  'CREATE SERVICE balancer',
  'SET role = reverse_proxy',
  'SET listen = 127.0.0.1:8080',
  'SET pool = backends',
  'SET plugins = sessionaffinity',
  'ENABLE balancer',
];
