/** THREATS.md: the tests that it names are there. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SELF = 'threats.test.ts';
const TEMPLATE = /`([^`\n]*\$\{[^`\n]*)`/g;
/** Of a name with parts that are filled in, what stands there has to be as long. */
const FIXED_CHARS_MIN = 12;

/** Names in the rows' last cell, as they stand between double quotes. */
function namedTests(): string[] {
  const rows = readFileSync(join(ROOT, 'THREATS.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return rows.flatMap((row) => [...(row.split(' | ').at(-1) ?? '').matchAll(/"([^"]{12,})"/g)].map(([, n]) => n ?? ''));
}

/** A name that is made by a template, as a pattern; null where hardly anything of it is fixed. */
function patternOf(template: string): RegExp | null {
  const parts = template.split(/\$\{[^}]*\}/);
  if (parts.join('').length < FIXED_CHARS_MIN) return null;
  return new RegExp(`^${parts.map((part) => part.replace(/[^\w ]/g, '\\$&')).join('.+')}$`);
}

test('every test that the threat model names is there', () => {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  const sources = files
    .filter((name) => name.endsWith('.ts') && name !== SELF)
    .map((name) => readFileSync(join(ROOT, 'test', name), 'utf8').replaceAll('\\', ''))
    .join('\n');
  const patterns = [...sources.matchAll(TEMPLATE)].flatMap(([, template = '']) => patternOf(template) ?? []);
  const named = namedTests();
  assert.ok(named.length > 50);
  assert.deepEqual(
    named.filter((name) => !sources.includes(name) && !patterns.some((pattern) => pattern.test(name))),
    [],
  );
});
