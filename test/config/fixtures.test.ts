/**
 * Bad configuration files and the exact list of diagnostics each must give. They are called .conf, not .yaml, because
 * the formatter would mend them.
 * After a change of a message: `STEKBAL_RECORD=1 node --test test/config/fixtures.test.ts`, and read the difference.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { formatDiagnostic } from '../../src/config/diagnostics.ts';
import { loadConfig } from '../../src/config/load.ts';

const folder = fileURLToPath(new URL('fixtures/bad/', import.meta.url));

for (const name of readdirSync(folder).filter((file) => file.endsWith('.conf'))) {
  test(`the faults of ${name} are all reported, each at its place`, () => {
    const { config, diagnostics } = loadConfig(`${folder}${name}`);
    const text = diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic).replaceAll(folder, '')}\n`).join('');
    const golden = `${folder}${name.replace(/conf$/, 'txt')}`;
    if (process.env.STEKBAL_RECORD !== undefined) writeFileSync(golden, text);
    assert.equal(text, readFileSync(golden, 'utf8'));
    assert.equal(
      config === null,
      diagnostics.some((diagnostic) => diagnostic.severity === 'error'),
    );
  });
}
