/**
 * Paths in a configuration file: relative to the file that names them, and whether they can be read.
 * Main thread.
 */

import { dirname, resolve } from 'node:path';
import type { DiagnosticList } from './diagnostics.ts';
import { subject } from './issues.ts';
import { type KeyPath, unreadableReason, type YamlSource } from './source.ts';

/** An absolute path; relative ones start from the folder of the file that names them. */
export function resolvePath(source: YamlSource, path: string): string {
  return resolve(dirname(source.file), path);
}

/** Reports a named file that cannot be read. What is not text is left to the schema. */
export function checkFile(source: YamlSource, path: KeyPath, raw: unknown, diagnostics: DiagnosticList): void {
  if (typeof raw !== 'string' || raw === '') return;
  const file = resolvePath(source, raw);
  const reason = unreadableReason(file);
  if (reason === null) return;
  const advice = 'name a file that can be read (paths are relative to the file that names them)';
  diagnostics.error(source.locate(path), `${subject(path)}${file} cannot be read: ${reason}; ${advice}`);
}
