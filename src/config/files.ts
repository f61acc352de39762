/**
 * Paths in a configuration file: relative to the file that names them, and whether they can be read.
 * Main thread.
 */

import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { DiagnosticList } from './diagnostics.ts';
import { subject } from './issues.ts';
import { errnoReason, type KeyPath, unreadableReason, type YamlSource } from './source.ts';
import { formatSize } from './units.ts';

/** Of a named file that is read whole: certificates, keys. The CAs of all the world take a quarter of it. */
const NAMED_BYTES_MAX = 1024 * 1024;

/** An absolute path; relative ones start from the folder of the file that names them. */
export function resolvePath(source: YamlSource, path: string): string {
  return resolve(dirname(source.file), path);
}

/** Reports a named file that cannot be read. What is not text is left to the schema. */
export function checkFile(source: YamlSource, path: KeyPath, raw: unknown, diagnostics: DiagnosticList): void {
  if (typeof raw !== 'string' || raw === '') return;
  const file = resolvePath(source, raw);
  const reason = unreadableReason(file);
  if (reason !== null) reportUnreadable(source, path, file, reason, diagnostics);
}

/** The bytes of a named file; null where it cannot be read, which is reported, or where no path is written. */
export function readNamedFile(
  source: YamlSource,
  path: KeyPath,
  raw: unknown,
  diagnostics: DiagnosticList,
): Buffer | null {
  if (typeof raw !== 'string' || raw === '') return null;
  const file = resolvePath(source, raw);
  const content = readSmall(file);
  if (typeof content !== 'string') return content;
  reportUnreadable(source, path, file, content, diagnostics);
  return null;
}

/** The file's bytes, or why there are none. */
function readSmall(file: string): Buffer | string {
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) return 'it is a directory';
    // a pipe could be read once, and not again by a reload
    if (!stat.isFile()) return 'it is not a regular file';
    if (stat.size > NAMED_BYTES_MAX) return `it is larger than ${formatSize(NAMED_BYTES_MAX)}`;
    return readFileSync(file);
  } catch (error) {
    return errnoReason(error);
  }
}

function reportUnreadable(
  source: YamlSource,
  path: KeyPath,
  file: string,
  reason: string,
  diagnostics: DiagnosticList,
): void {
  const advice = 'name a file that can be read (paths are relative to the file that names them)';
  diagnostics.error(source.locate(path), `${subject(path)}${file} cannot be read: ${reason}; ${advice}`);
}
