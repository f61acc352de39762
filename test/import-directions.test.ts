/**
 * Who may import whom (DESIGN section 1): read from the import statements of every file in src/ and workers/. The
 * folder boundary is the thread boundary.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

interface Rule {
  /** Folders besides its own that it may import from. */
  readonly folders: readonly string[];
  /** Folders of which it may import types alone. */
  readonly types?: readonly string[];
  /** node: modules; PURE: none at all. */
  readonly node: boolean;
  /** npm packages. */
  readonly packages: boolean;
}

const BELOW_COMMANDS = ['admin', 'control', 'cluster', 'raft', 'stek', 'affinity', 'boards', 'config'];

const RULES: Readonly<Record<string, Rule>> = {
  'src/raft': { folders: [], node: false, packages: false },
  'src/stek': { folders: [], node: true, packages: false },
  'src/boards': { folders: [], node: true, packages: false },
  'src/names': { folders: [], node: true, packages: false },
  'src/affinity': { folders: ['src/boards'], node: true, packages: false },
  // the file formats of ticket keys, and how many of them a ring holds
  'src/config': { folders: ['src/stek'], node: true, packages: true },
  'src/cluster': { folders: ['src/raft'], node: true, packages: true },
  'src/control': {
    folders: inSrc('cluster', 'stek', 'affinity', 'boards', 'names', 'config'),
    node: true,
    packages: true,
  },
  'src/admin': { folders: inSrc('control', 'config'), node: true, packages: true },
  'src/commands': { folders: inSrc(...BELOW_COMMANDS), node: true, packages: true },
  // src/main.ts
  src: { folders: inSrc('commands'), node: true, packages: true },
  workers: { folders: inSrc('boards', 'affinity', 'names'), types: inSrc('stek'), node: true, packages: false },
};

interface Import {
  readonly from: string;
  readonly isType: boolean;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));

test('every file in src/ and workers/ belongs to a known folder and imports in the allowed directions', () => {
  const files = ['src', 'workers'].flatMap((folder) =>
    readdirSync(posix.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[cm]?[jt]s$/.test(name))
      .map((name) => posix.join(folder, name)),
  );
  assert.ok(files.length > 50);
  assert.deepEqual(
    files.flatMap((file) => violations(file, readFileSync(posix.join(ROOT, file), 'utf8'))),
    [],
  );
});

test('each kind of planted violation is caught', () => {
  const planted: [file: string, source: string, expected: RegExp][] = [
    ['src/raft/core.ts', "import { hash } from 'node:crypto';", /may not import node:crypto/],
    ['src/raft/core.ts', "import type { Socket } from 'node:net';", /may not import node:net/],
    ['src/raft/core.ts', "export { run } from '../cluster/driver.ts';", /may not import src\/cluster/],
    ['src/stek/ring.ts', "import { pino } from 'pino';", /may not import pino/],
    ['src/boards/epoch.ts', "import type { Config } from '../config/config.ts';", /may not import src\/config/],
    ['src/affinity/cookie.ts', "import { a,\n  b,\n} from '../control/edge.ts';", /may not import src\/control/],
    ['src/config/load.ts', "import { Edge } from '../control/edge.ts';", /may not import src\/control/],
    ['src/cluster/driver.ts', "import { Edge } from '../control/edge.ts';", /may not import src\/control/],
    ['src/control/edge.ts', "import { run } from '../commands/run.ts';", /may not import src\/commands/],
    ['src/control/edge.ts', "import type { Service } from '../../workers/service.ts';", /may not import workers/],
    ['src/commands/run.ts', "await import('../../workers/listener.ts');", /may not import workers/],
    ['src/commands/run.ts', 'await import(name);', /imports what cannot be read from the source/],
    ['src/admin/server.ts', "import http, { type Server } from 'node:http';", /may import only types of node:http/],
    ['workers/http1/fields.ts', "import { Edge } from '../../src/control/edge.ts';", /may not import src\/control/],
    ['workers/tls.ts', "import { KeyRing } from '../src/stek/ring.ts';", /may import only types of src\/stek/],
    ['workers/listener.ts', "import '../test/workers/service.test.ts';", /may not import test/],
    ['workers/listener.ts', "import fs from 'fs';", /may not import fs/],
    ['src/helpers/strings.ts', '', /in no known folder/],
  ];
  for (const [file, source, expected] of planted) {
    const found = violations(file, source);
    assert.equal(found.length, 1, `${file}: ${source}`);
    assert.match(found[0] as string, expected);
  }
});

test('what is allowed is no violation', () => {
  const source = `
    import type { A } from '../src/stek/ring.ts';
    import { b } from '../src/boards/epoch.ts';
    import net from 'node:net';
    export * from './accept.ts';
    // import { x } from '../src/control/edge.ts';
    const text = "import x from '../src/control/edge.ts'";`.replaceAll('\n    ', '\n');
  assert.deepEqual(violations('workers/tls.ts', source), []);
  assert.deepEqual(
    violations('src/control/supervisor.ts', "new URL('../../workers/listener.ts', import.meta.url);"),
    [],
  );
});

function inSrc(...folders: string[]): string[] {
  return folders.map((folder) => `src/${folder}`);
}

/** `src/NAME`, `src` for what lies in it directly, or the first folder elsewhere. */
function folderOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  return first === 'src' && second.includes('.') === false ? `src/${second}` : first;
}

function violations(file: string, source: string): string[] {
  const own = folderOf(file);
  const rule = RULES[own];
  if (rule === undefined) return [`${file} is in no known folder`];
  return importsOf(source).flatMap(({ from, isType }) => {
    const verdict = judge(rule, own, file, from, isType);
    return verdict === null ? [] : [`${file} ${verdict}`];
  });
}

function judge(rule: Rule, own: string, file: string, from: string, isType: boolean): string | null {
  if (from === '') return 'imports what cannot be read from the source';
  if (/^(node:)?http$/.test(from) && !isType)
    return 'may import only types of node:http: src/control/node-http.ts has it';
  if (from.startsWith('node:')) return rule.node ? null : `may not import ${from}`;
  if (!from.startsWith('.')) return rule.packages ? null : `may not import ${from}`;
  const folder = folderOf(posix.join(posix.dirname(file), from));
  if (folder === own || rule.folders.includes(folder)) return null;
  if (rule.types?.includes(folder) !== true) return `may not import ${folder}`;
  return isType ? null : `may import only types of ${folder}`;
}

/** Static imports and re-exports, which begin a line, and dynamic ones; an empty `from` is one that is computed. */
function importsOf(source: string): Import[] {
  const imports: Import[] = [];
  for (const [, isType, from = ''] of source.matchAll(
    /^(?:import|export)\s+(type\s)?[^'"`;()=]*?from\s*['"]([^'"]+)['"]/gm,
  ))
    imports.push({ from, isType: isType !== undefined });
  for (const [, from = ''] of source.matchAll(/^import\s*['"]([^'"]+)['"]/gm)) imports.push({ from, isType: false });
  for (const [, from = ''] of source.matchAll(
    /^(?!\s*(?:\/\/|\*|\/\*)).*?\b(?:import|require)\((?:\s*['"]([^'"]+)['"])?/gm,
  ))
    imports.push({ from, isType: false });
  return imports;
}
