/**
 * The configuration loader: whatever the file, it returns, in bounded time; an error stands at a place that is in a file;
 * and what it accepts resolves. Test support.
 */

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../../src/config/config.ts';
import { type Diagnostic, formatDiagnostic } from '../../../src/config/diagnostics.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createAuthority, writeCredentials } from '../../cluster/certificates.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';
import { bytesOf, mutateText } from '../text-mutations.ts';

const ROOT = join(import.meta.dirname, '../../..');
const FIXTURES = join(ROOT, 'test/config/fixtures');
const BATCH = 64;
/** What is quoted of a file is cut short. */
const MESSAGE_CHARS_MAX = 1_003;
/** An error a line of the largest file that is made here. */
const TEXT_CHARS_MAX = 40 * 1024 * 1024;

export class ConfigTarget implements FuzzTarget {
  readonly #folder = mkdtempSync(join(tmpdir(), 'stekbal-fuzz-'));
  readonly #file = join(this.#folder, 'main.yaml');
  readonly #bases: readonly string[];

  constructor() {
    cpSync(join(FIXTURES, 'bad/stek'), join(this.#folder, 'stek'), { recursive: true });
    cpSync(join(ROOT, 'config/three-edges/server_list.yaml'), join(this.#folder, 'server_list.yaml'));
    this.#writeCertificates();
    this.#bases = [
      ...['config/quickstart.yaml', 'config/example.yaml', 'config/example-fleet.yaml'],
      ...['config/three-edges/stekbal.yaml', 'test/config/fixtures/design.conf'],
      ...readdirSync(join(FIXTURES, 'bad'))
        .filter((name) => name.endsWith('.conf'))
        .map((name) => `test/config/fixtures/bad/${name}`),
    ].map((name) => readFileSync(join(ROOT, name), 'utf8'));
  }

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      // the first four are sound
      const base = random.below(3) === 0 ? random.pick(this.#bases) : (this.#bases[random.below(4)] as string);
      const text = mutateText(base, 'yaml', random, 1 + random.below(5));
      return { target: 'config', tag: 'yaml', bytes: bytesOf(text, random) };
    });
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, ({ bytes }) => this.#checkOne(bytes));
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #checkOne(bytes: Buffer): CaseVerdict {
    writeFileSync(this.#file, bytes);
    const { config, diagnostics } = loadConfig(this.#file);
    const hasError = diagnostics.some(({ severity }) => severity === 'error');
    let difference = hasError === (config === null) ? null : 'accepted with an error, or refused without one';
    const files = new Map<string, readonly string[]>();
    let chars = 0;
    for (const diagnostic of diagnostics) {
      chars += diagnostic.message.length;
      difference ??= faultOf(diagnostic, files);
    }
    if (chars > TEXT_CHARS_MAX) difference ??= 'the errors are without bound';
    if (config !== null) difference ??= unresolved(config);
    return { messages: 1, classes: { [config === null ? 'refused' : 'accepted']: 1 }, difference };
  }

  #writeCertificates(): void {
    const authority = createAuthority();
    const names = ['www.example.com', 'api.example.com', 'edge'];
    for (const name of names) {
      const leaf = authority.issue(`/CN=${name}`, { names: [name] });
      writeFileSync(join(this.#folder, `${name}.crt`), leaf.certificate);
      writeFileSync(join(this.#folder, `${name}.key`), leaf.key);
    }
    writeFileSync(join(this.#folder, 'ca.crt'), authority.certificate);
    writeCredentials(this.#folder, 'own', [authority], authority.issue('/CN=own'));
  }
}

/** What is wrong with a diagnostic: its place is in no text, or not at what it is about. */
function faultOf(diagnostic: Diagnostic, files: Map<string, readonly string[]>): string | null {
  const { file, line, column, message } = diagnostic;
  const said = formatDiagnostic(diagnostic).slice(0, 300);
  if (message.length > MESSAGE_CHARS_MAX) return `a long message: ${said}`;
  let lines = files.get(file);
  if (lines === undefined) {
    lines = linesOf(file);
    files.set(file, lines);
  }
  if (!Number.isSafeInteger(line) || line < 1 || line > lines.length) return `no such line: ${said}`;
  const text = lines[line - 1] as string;
  if (!Number.isSafeInteger(column) || column < 1 || column > text.length + 1) return `no such column: ${said}`;
  const unknown = /^unknown key "?(zq\d+)/.exec(message)?.[1];
  if (
    unknown === undefined ||
    text
      .slice(column - 1)
      .replace(/^[&!]\S* /, '')
      .startsWith(unknown)
  )
    return null;
  return `not at the key: ${said}`;
}

/** A file that cannot be read has one line, which is where that is said. */
function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [''];
  }
}

/** What the rest of the program takes for granted: config.ts. */
function unresolved(config: Config): string | null {
  const pools = new Set(config.pools.map(({ name }) => name));
  const services = new Set(config.services.map(({ name }) => name));
  try {
    assert.ok(config.listeners.length > 0);
    for (const { pool } of config.services) assert.ok(pools.has(pool));
    for (const { service, hosts } of config.listeners) {
      if (service !== null) assert.ok(services.has(service));
      for (const host of hosts) assert.ok(services.has(host.service));
    }
    assert.ok(config.limits.targetBytesMax <= config.limits.headBytesMax);
    // it is posted to the threads
    structuredClone(config);
    return null;
  } catch (error) {
    return `accepted, and not resolved: ${(error as Error).stack}`;
  }
}
