/**
 * A Perlbal file as statements, each as Perlbal's own reader sees it (lib/Perlbal.pm, run_manage_command): a line each,
 * without comment and superfluous space, in lower case up to the equals sign. Pure; main thread of a command.
 */

import type { DiagnosticList, SourcePosition } from '../diagnostics.ts';
import { hasControl, show } from '../units.ts';

export interface Statement {
  readonly at: SourcePosition;
  /** The first word, in lower case. */
  readonly command: string;
  /** All of it. */
  readonly text: string;
}

const LINE_CHARS_MAX = 4096;
/** In all files of a configuration together: a line a node, 200,000 nodes. */
export const LINES_MAX = 200_000;
/** Perlbal replaces these by its environment and by the addresses of its machine. */
const EXPANSION = /\$\{.+?\}|\$\w+/;

/** Every statement, in order. Lines that cannot be read are reported. */
export function readStatements(name: string, lines: readonly string[], diagnostics: DiagnosticList): Statement[] {
  const statements: Statement[] = [];
  for (const [index, line] of lines.entries()) {
    const column = line.search(/\S/) + 1;
    if (column === 0) continue;
    const at = { file: name, line: index + 1, column };
    const bare = line.replace(/#.*/, '').trim();
    const fault = faultOf(bare);
    if (fault !== null) diagnostics.warning(at, fault);
    else if (bare !== '') statements.push(statementOf(at, bare));
  }
  return statements;
}

/** For messages: names, and never more of a line than a terminal's width. */
export function quote(statement: Statement): string {
  return show(statement.text);
}

function statementOf(at: SourcePosition, bare: string): Statement {
  const text = bare.replace(/\s+/g, ' ').replace(/^[^=]+/, (head) => head.toLowerCase());
  return { at, command: /^[^\s=]+/.exec(text)?.[0] ?? text, text };
}

function faultOf(bare: string): string | null {
  if (bare.length > LINE_CHARS_MAX) return `the line has more than ${LINE_CHARS_MAX} characters; it is left out`;
  if (bare.includes('\uFFFD')) return 'the line is not UTF-8; it is left out: write what it says as UTF-8';
  if (hasControl(bare.replace(/\t/g, ' '))) return 'the line holds a control character; it is left out';
  const variable = EXPANSION.exec(bare)?.[0];
  if (variable === undefined) return null;
  return `Perlbal puts the value of ${show(variable)} here, which is not known now; the line is left out: write the value in its place`;
}
