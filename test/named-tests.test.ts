/** THREATS.md and docs/failing-parts.md: the tests that they name are there. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SELF = 'named-tests.test.ts';
/** A name with parts that are filled in. */
const TEMPLATE = /`([^`\n]*\$\{[^`\n]*)`/g;
/** What is fixed of it has to be as long. */
const FIXED_CHARS_MIN = 12;
/** In failing-parts: `file: *name*`, where `file` is a test file or a folder of some; … stands for the rest of a name. */
const BY_FILE = /([a-z-]+): \*([^*]+?)(?:…)?\*(?!\*)/g;

const sources = globSync('test/**/*.ts', { cwd: ROOT })
  .filter((path) => !path.endsWith(SELF))
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8').replaceAll('\\', '') }));

function isIn(text: string, name: string): boolean {
  return text.includes(name) || patternsIn(text).some((pattern) => pattern.test(name));
}

function patternsIn(text: string): RegExp[] {
  return [...text.matchAll(TEMPLATE)].flatMap(([, template = '']) => {
    const parts = template.split(/\$\{[^}]*\}/);
    if (parts.join('').length < FIXED_CHARS_MIN) return [];
    return new RegExp(`^${parts.map((part) => part.replace(/[^\w ]/g, '\\$&')).join('.+')}$`);
  });
}

test('every test that the threat model names is there', () => {
  const rows = readFileSync(join(ROOT, 'THREATS.md'), 'utf8').split('\n');
  // between double quotes in the last cell
  const cells = rows.filter((line) => line.startsWith('| ')).map((row) => row.split(' | ').at(-1) ?? '');
  const named = cells.flatMap((cell) => [...cell.matchAll(/"([^"]{12,})"/g)].map(([, name = '']) => name));
  assert.ok(named.length > 50);
  assert.deepEqual(
    named.filter((name) => !sources.some(({ text }) => isIn(text, name))),
    [],
  );
});

test('every test that the page on failing parts names is where it says', () => {
  const page = readFileSync(join(ROOT, 'docs/failing-parts.md'), 'utf8');
  const named = [...page.matchAll(BY_FILE)];
  assert.ok(named.length > 40, `${named.length} names`);
  for (const [, file = '', name = ''] of named) {
    const its = sources.filter(({ path }) => path.split(/[/.]/).includes(file));
    assert.ok(
      its.some(({ text }) => isIn(text, name)),
      `${file}: ${name}`,
    );
  }
});
