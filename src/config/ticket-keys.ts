/**
 * Reads the ticket key of a fleet that is migrated, and checks the canary's targets against each other.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import { type ImportFormat, importTicketKey } from '../stek/import-formats.ts';
import { parseTarget } from './addresses.ts';
import { joinHostPort, type TicketKeysConfig } from './config.ts';
import type { DiagnosticList } from './diagnostics.ts';
import { readNamedFile, resolvePath } from './files.ts';
import { asList, asMap, type YamlSource } from './source.ts';

const FORMATS: readonly unknown[] = ['nginx', 'haproxy', 'ats'] satisfies ImportFormat[];

/** Null where the section is left out or faulty. */
export function readTicketKeys(source: YamlSource, diagnostics: DiagnosticList): TicketKeysConfig | null {
  const section = asMap(asMap(source.value)?.ticket_keys);
  if (section === null) return null;
  const path = ['ticket_keys', 'import_file'];
  const bytes = readNamedFile(source, path, section.import_file, diagnostics);
  if (bytes === null || !FORMATS.includes(section.import_format)) return null;
  const importFile = resolvePath(source, String(section.import_file));
  const imported = importTicketKey(bytes, section.import_format as ImportFormat);
  bytes.fill(0);
  if (imported.ok) return { importFile, importKey: imported.key };
  diagnostics.error(source.locate(path), `import_file: ${importFile} ${imported.message}`);
  return null;
}

/** A target that stands in the list twice would be tried against itself. */
export function checkCanary(source: YamlSource, diagnostics: DiagnosticList): void {
  const lines = new Map<string, number>();
  for (const [index, raw] of asList(asMap(asMap(source.value)?.canary)?.targets).entries()) {
    const target = parseTarget(raw);
    if (!target.ok) continue;
    const name = joinHostPort(target.value.host, target.value.port);
    const at = source.locate(['canary', 'targets', index]);
    const first = lines.get(name);
    if (first === undefined) lines.set(name, at.line);
    else diagnostics.error(at, `${name} stands on line ${first} already; keep one of the two`);
  }
}
