/**
 * The readers of Perlbal's and Traffic Server's files: whatever the text, they return, in bounded time, and what they write
 * is loaded, or it was said why not. Test support.
 */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convert } from '../../../src/config/convert/convert.ts';
import type { ConvertKind } from '../../../src/config/convert/kind.ts';
import { formatDiagnostic } from '../../../src/config/diagnostics.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';
import { bytesOf, mutateText } from '../text-mutations.ts';

const FIXTURES = join(import.meta.dirname, '../../config/convert/fixtures');
const BATCH = 64;

export class ConvertTarget implements FuzzTarget {
  readonly #kind: ConvertKind;
  readonly #folder = mkdtempSync(join(tmpdir(), 'stekbal-fuzz-'));
  readonly #bases: readonly string[];

  constructor(kind: ConvertKind) {
    this.#kind = kind;
    const folder = join(FIXTURES, kind);
    cpSync(folder, this.#folder, { recursive: true });
    this.#bases = readdirSync(folder)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => readFileSync(join(folder, name), 'utf8'));
  }

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    const dialect = this.#kind === 'perlbal' ? 'perlbal' : 'yaml';
    return Array.from({ length: BATCH }, () => {
      const text = mutateText(random.pick(this.#bases), dialect, random, 1 + random.below(5));
      return { target: this.#kind, tag: random.below(4) === 0 ? 'guessed' : 'named', bytes: bytesOf(text, random) };
    });
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, (fuzzCase) => this.#checkOne(fuzzCase));
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #checkOne({ tag, bytes }: FuzzCase): CaseVerdict {
    // as input.ts reads it: a zero byte is refused there
    const text = new TextDecoder('utf-8').decode(bytes).replaceAll('\0', '?');
    const input = { name: 'input', folder: this.#folder, text };
    const { yaml, diagnostics } = convert(input, tag === 'guessed' ? null : this.#kind);
    const said = diagnostics.map(formatDiagnostic);
    const lines = text.split('\n');
    const misplaced = diagnostics.find(({ file, line, column }) => file === 'input' && !isWithin(lines, line, column));
    if (misplaced !== undefined)
      return verdict('misplaced', `no such place: ${formatDiagnostic(misplaced).slice(0, 300)}`);
    if (yaml === null) {
      const isSaid = diagnostics.some(({ severity }) => severity === 'error');
      return verdict('refused', isSaid ? null : 'refused: without an error');
    }
    const file = join(this.#folder, 'written.yaml');
    writeFileSync(file, yaml);
    const { config, diagnostics: faults } = loadConfig(file);
    if (config !== null) return verdict('converted, and loaded', null);
    // what only the operator can add, and what the reader warned of
    if (said.length > 0) return verdict('converted, not loaded, and something was said', null);
    return verdict('unsaid', `not loaded: ${faults.map(formatDiagnostic).join('\n').slice(0, 600)}`);
  }
}

function verdict(outcome: string, difference: string | null): CaseVerdict {
  return { messages: 1, classes: { [outcome]: 1 }, difference };
}

function isWithin(lines: readonly string[], line: number, column: number): boolean {
  return line >= 1 && line <= lines.length && column >= 1 && column <= (lines[line - 1] as string).length + 1;
}
