/**
 * Turns another program's configuration into stekbal's: Perlbal's, or the file of Traffic Server's stek_share plugin.
 *
 *     readInput ─► detectKind ─┬─► readPerlbal ─► writePerlbal ─┬─► writeYaml
 *                              └─► convertStekShare ────────────┘
 *
 * What has no counterpart becomes a warning that names its line. Main thread of a command; synchronous.
 */

import { type Diagnostic, DiagnosticList } from '../diagnostics.ts';
import { orList } from '../units.ts';
import type { ConvertInput } from './input.ts';
import { CONVERT_KINDS, type ConvertKind, detectKind } from './kind.ts';
import { readPerlbal } from './perlbal-reader.ts';
import { writePerlbal } from './perlbal-writer.ts';
import { convertStekShare } from './stek-share-file.ts';
import { type Section, writeYaml } from './yaml-text.ts';

/** yaml is null exactly when a diagnostic is an error: the text could not be read as what it was taken for. */
export interface Conversion {
  readonly yaml: string | null;
  /** In the order of the text; the main file's first. */
  readonly diagnostics: Diagnostic[];
}

const EXPECTED =
  "a Perlbal configuration (CREATE POOL, CREATE SERVICE, SET key = value...) or the YAML file of Traffic Server's " +
  'stek_share plugin (server_id, server_list_file...) is wanted';

/** Converts a text; `from` null: it is looked at to see whose it is. Never throws for what stands in the text. */
export function convert(input: ConvertInput, from: ConvertKind | null): Conversion {
  const diagnostics = new DiagnosticList();
  diagnostics.mention(input.name);
  const kind = from ?? detectKind(input.text);
  const sections = kind === null ? refuse(input, diagnostics) : CONVERTERS[kind](input, diagnostics);
  const yaml = sections === null || diagnostics.hasErrors ? null : writeYaml(sections);
  return { yaml, diagnostics: diagnostics.sorted() };
}

type Converter = (input: ConvertInput, diagnostics: DiagnosticList) => Section[] | null;

const CONVERTERS: Readonly<Record<ConvertKind, Converter>> = {
  perlbal: (input, diagnostics) => {
    const perlbal = readPerlbal(input, diagnostics);
    return perlbal === null ? null : writePerlbal(perlbal, input, diagnostics);
  },
  trafficserver: convertStekShare,
};

function refuse(input: ConvertInput, diagnostics: DiagnosticList): null {
  const at = { file: input.name, line: 1, column: 1 };
  const empty = input.text.trim() === '' ? 'the file is empty' : 'no line of this file says whose it is';
  diagnostics.error(at, `${empty}; ${EXPECTED} (--from ${orList(CONVERT_KINDS)} says which)`);
  return null;
}
