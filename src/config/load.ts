/**
 * Loads a configuration file: from its path to a Config, or to everything that is wrong with it.
 *
 *     readYamlSource ─► configSchema ─► reportIssues ─┐
 *            └──► check*, read* over the raw values ──┴─► resolveConfig, when there was no error
 *
 * The checks run over raw values because zod gives no output where anything failed: one wrong duration must not hide
 * a misspelt pool. Main thread; synchronous.
 */

import { resolve } from 'node:path';
import { readTls } from './check-certificates.ts';
import { checkHealthChecks } from './check-health.ts';
import { checkListeners } from './check-listeners.ts';
import { checkPools } from './check-pools.ts';
import { checkLimits, checkReferences } from './check-references.ts';
import { checkServices } from './check-services.ts';
import type { Config } from './config.ts';
import { type Diagnostic, DiagnosticList, type Severity } from './diagnostics.ts';
import { reportIssues } from './issues.ts';
import { resolveConfig } from './resolve.ts';
import { configSchema } from './schema.ts';
import { asMap, readYamlSource, type YamlSource } from './source.ts';
import { readStekShare } from './stek-share.ts';
import { checkCanary, readTicketKeys } from './ticket-keys.ts';
import { show } from './units.ts';

/** Config is null exactly when a diagnostic is an error. */
export interface LoadResult {
  config: Config | null;
  /** In the order of the text; the main file's first. */
  diagnostics: Diagnostic[];
}

export interface LoadOptions {
  /**
   * What an expired certificate is: an error, so that no reload brings one in; at a start a warning, as a restart at
   * night must not take every other site down with it, and to a command that asks the running program.
   */
  readonly expired?: Severity;
  /**
   * Certificates that are in force, as PEM: one of them that has expired meanwhile is a warning, as the file does not bring
   * it in. An error there would keep every other site's renewed certificate from coming in too.
   */
  readonly inForce?: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/** Reads the file, and the files that it names. Never throws. Reads RUNTIME_DIRECTORY from the environment. */
export function loadConfig(file: string, { expired = 'error', inForce = NONE }: LoadOptions = {}): LoadResult {
  const diagnostics = new DiagnosticList();
  const source = readYamlSource(resolve(file), diagnostics);
  const config = source === null ? null : checkSource(source, { expired, inForce }, diagnostics);
  return { config: diagnostics.hasErrors ? null : config, diagnostics: diagnostics.sorted() };
}

function checkSource(source: YamlSource, expiry: Required<LoadOptions>, diagnostics: DiagnosticList): Config | null {
  if (asMap(source.value) === null) {
    if (!source.damaged) diagnostics.error(source.locate([]), describeTop(source.value));
    return null;
  }
  const result = configSchema.safeParse(source.value);
  if (!result.success) reportIssues(result.error.issues, { source, base: [], schema: configSchema }, diagnostics);
  checkReferences(source, diagnostics);
  checkLimits(source, diagnostics);
  checkListeners(source, diagnostics);
  checkPools(source, diagnostics);
  checkHealthChecks(source, diagnostics);
  checkServices(source, diagnostics);
  const read = {
    tls: readTls(source, expiry, diagnostics),
    stekShare: readStekShare(source, diagnostics),
    ticketKeys: readTicketKeys(source, diagnostics),
  };
  checkCanary(source, diagnostics);
  return result.success && !diagnostics.hasErrors ? resolveConfig(source, result.data, read) : null;
}

function describeTop(value: unknown): string {
  const what = value === null ? 'the file holds no configuration' : `${show(value)} stands where keys are wanted`;
  return `${what}; write at least listeners, services and pools (config/quickstart.yaml is an example)`;
}
