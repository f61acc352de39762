/**
 * Configurations of Perlbal's and Traffic Server's, what each becomes (.out, YAML) and what is said of it (.txt): by
 * convert, and by the loader that then reads the result.
 * After a change: `STEKBAL_RECORD=1 node --test test/config/convert/convert.test.ts`, and read the difference.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { convert } from '../../../src/config/convert/convert.ts';
import { readInput } from '../../../src/config/convert/input.ts';
import { type Diagnostic, formatDiagnostic } from '../../../src/config/diagnostics.ts';
import { loadConfig } from '../../../src/config/load.ts';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'stekbal-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

for (const folder of ['perlbal/', 'trafficserver/']) {
  for (const name of readdirSync(fixtures + folder).filter((file) => file.endsWith('.conf'))) {
    test(`${folder}${name} becomes what was recorded, and every loss is named`, () => {
      const { yaml, said } = convertFixture(folder + name);
      const stem = `${fixtures}${folder}${name.replace(/\.conf$/, '')}`;
      if (process.env.STEKBAL_RECORD !== undefined) {
        writeFileSync(`${stem}.txt`, said);
        if (yaml === null) rmSync(`${stem}.out`, { force: true });
        else writeFileSync(`${stem}.out`, yaml);
      }
      assert.equal(said, readFileSync(`${stem}.txt`, 'utf8'));
      assert.equal(yaml, existsSync(`${stem}.out`) ? readFileSync(`${stem}.out`, 'utf8') : null);
    });
  }
}

function convertFixture(name: string): { yaml: string | null; said: string } {
  const input = readInput(fixtures + name);
  assert.ok(input.ok);
  const { yaml, diagnostics } = convert(input.value, null);
  const file = join(scratch, 'stekbal.yaml');
  let said = listed(diagnostics);
  if (yaml !== null) {
    writeFileSync(file, yaml);
    const result = loadConfig(file);
    said += `--- stekbal check: ${result.config === null ? 'refused' : 'ok'}\n${listed(result.diagnostics)}`;
  }
  const plain = (text: string) => text.replaceAll(file, 'RESULT').replaceAll(fixtures, 'FIXTURES/');
  return { yaml: yaml === null ? null : plain(yaml), said: plain(said) };
}

function listed(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n`).join('');
}
