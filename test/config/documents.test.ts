/** The documents in config/ agree with the schema, and the examples with the program. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { renderJsonSchema, renderReadme } from '../../src/config/documents.ts';
import { loadConfig } from '../../src/config/load.ts';

const folder = new URL('../../config/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');

test('config/README.md is what npm run generate writes', () => {
  assert.equal(read('README.md'), renderReadme());
});

test('config/stekbal.schema.json is what npm run generate writes', () => {
  assert.equal(read('stekbal.schema.json'), renderJsonSchema());
});

for (const name of ['quickstart.yaml', 'example.yaml']) {
  test(`config/${name} has neither errors nor warnings`, () => {
    assert.deepEqual(loadConfig(fileURLToPath(new URL(name, folder))).diagnostics, []);
  });
}

test('config/example-fleet.yaml lacks nothing but the files that its reader has to make', () => {
  const { diagnostics } = loadConfig(fileURLToPath(new URL('example-fleet.yaml', folder)));
  const errors = diagnostics.filter((item) => item.severity === 'error');
  assert.equal(errors.length, 8);
  for (const { message } of errors) assert.match(message, /there is no such file/);
});
