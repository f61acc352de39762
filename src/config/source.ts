/**
 * One YAML file: its values as plain data, and the place of each value in the text.
 * Main thread. Reads synchronously: at start and at a reload, never while requests depend on it.
 */

import { isUtf8 } from 'node:buffer';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { type Document, type ParsedNode, parseDocument } from 'yaml';
import type { DiagnosticList, SourcePosition } from './diagnostics.ts';
import { LineIndex } from './line-index.ts';
import { formatSize } from './units.ts';
import { YamlValues } from './yaml-values.ts';

export type YamlMap = Record<string, unknown>;
export type KeyPath = readonly PropertyKey[];

const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** Of what the parser says: it quotes whole tokens, which may be as long as the file. */
const PARSER_CHARS_MAX = 160;

/** A file that was read and parsed, if with faults. Maps have no prototype; their keys are the file's own. */
export interface YamlSource {
  file: string;
  value: unknown;
  /** Some of the text could not be parsed: what is missing from `value` may be there. */
  damaged: boolean;
  /** Where the value at a path stands; for a path that does not exist, the nearest thing around it. */
  locate(path: KeyPath): SourcePosition;
  /** Where the key stands that a path ends in; for an item of a list, where the item begins. */
  locateKey(path: KeyPath): SourcePosition;
}

/** Reads a file. Faults go to the diagnostics; null when there is nothing to look at. Never throws. */
export function readYamlSource(file: string, diagnostics: DiagnosticList): YamlSource | null {
  diagnostics.mention(file);
  const text = readText(file);
  if (typeof text === 'string') return parseYamlSource(file, text, diagnostics);
  diagnostics.error({ file, line: text.line, column: 1 }, text.message);
  return null;
}

/** As readYamlSource, of text that was read already. */
export function parseYamlSource(file: string, text: string, diagnostics: DiagnosticList): YamlSource | null {
  try {
    return parseSource(file, text, diagnostics);
  } catch (error) {
    // The parser recurses: text nested deeply enough ends its stack, in whichever way.
    const reason = error instanceof RangeError ? 'it is nested too deeply' : String(error);
    diagnostics.error({ file, line: 1, column: 1 }, `the file cannot be parsed: ${reason}; write plain YAML`);
    return null;
  }
}

/** Why a file cannot be read, as the end of a sentence; null when it can. */
export function unreadableReason(file: string): string | null {
  try {
    if (statSync(file).isDirectory()) return 'it is a directory';
    accessSync(file, constants.R_OK);
    return null;
  } catch (error) {
    return errnoReason(error);
  }
}

/** A value as a map, or null when it is something else. */
export function asMap(value: unknown): YamlMap | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as YamlMap) : null;
}

/** A value as a list, or an empty one when it is something else. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function parseSource(file: string, text: string, diagnostics: DiagnosticList): YamlSource {
  const lines = new LineIndex(text);
  // uniqueKeys compares every key with every other: YamlValues does it in one pass.
  const document: Document.Parsed<ParsedNode> = parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
    // Also under a %YAML 1.1 directive, where yes would become a boolean and 12:30 a number.
    schema: 'core',
  });
  const at = (offset: number): SourcePosition => ({ file, ...lines.placeOf(offset) });
  for (const fault of document.errors) diagnostics.error(at(fault.pos[0]), adviseOn(fault.code, fault.message));
  for (const fault of document.warnings) diagnostics.warning(at(fault.pos[0]), cutShort(fault.message));
  const values = new YamlValues((offset, message) => diagnostics.error(at(offset), message));
  const value = values.convert(document.contents);
  return {
    file,
    value,
    damaged: document.errors.length > 0 || values.damaged,
    locate: (path) => at(values.offsetOf(document.contents, path)),
    locateKey: (path) => at(values.offsetOfKey(document.contents, path)),
  };
}

function readText(file: string): string | { line: number; message: string } {
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) return { line: 1, message: 'this is a directory; name a YAML file' };
    if (!stat.isFile() && !stat.isFIFO()) return { line: 1, message: 'this is not a regular file; name a YAML file' };
    const bytes = stat.size > FILE_BYTES_MAX ? null : readFileSync(file);
    if (bytes === null || bytes.length > FILE_BYTES_MAX) {
      return { line: 1, message: `the file is larger than ${formatSize(FILE_BYTES_MAX)}; split it, or check its name` };
    }
    if (isUtf8(bytes)) return bytes.toString('utf8');
    return { line: lineOfBadByte(bytes), message: 'the file is not UTF-8 from here on; save it as UTF-8' };
  } catch (error) {
    return { line: 1, message: `the file cannot be read: ${errnoReason(error)}; name a readable YAML file` };
  }
}

function lineOfBadByte(bytes: Buffer): number {
  let line = 1;
  let start = 0;
  // A newline byte is never part of a longer UTF-8 sequence, so that lines can be judged one by one.
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
    line += 1;
  }
  return line;
}

/** Why a file cannot be read, from what the system said. */
export function errnoReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission is denied';
  return code === '' ? 'it failed to open' : `it failed to open (${code})`;
}

function cutShort(message: string): string {
  return message.length > PARSER_CHARS_MAX ? `${message.slice(0, PARSER_CHARS_MAX)}...` : message;
}

function adviseOn(code: string, raw: string): string {
  const whole = raw.replace(/; please use YAML\..*/, '');
  const message = cutShort(whole);
  const advice = YAML_ADVICE[code];
  return advice === undefined ? `this is not YAML: ${message}` : `this is not YAML: ${message}; ${advice}`;
}

const YAML_ADVICE: Record<string, string> = {
  TAB_AS_INDENT: 'indent with spaces',
  MULTIPLE_DOCS: 'keep one document in the file: nothing after a second "---"',
  MISSING_CHAR: 'add what is missing',
  BAD_INDENT: 'align it with its neighbours, or close the bracket before it',
  BLOCK_AS_IMPLICIT_KEY: 'put each key on a line of its own, and text with ": " in quotes',
  BAD_SCALAR_START: 'put the text in quotes',
  BAD_ALIAS: 'put text that begins with "*" in quotes',
  UNEXPECTED_TOKEN: 'check the indentation and the quotes',
};
