/**
 * What the configuration loader has to say: one diagnostic a fault, each with its place in a file.
 * Main thread.
 */

/** A place in a file; line and column count from 1, columns in UTF-16 units. */
export interface SourcePosition {
  file: string;
  line: number;
  column: number;
}

/** A message may quote a path, as long as the file has it. */
const MESSAGE_CHARS_MAX = 1_000;

export type Severity = 'error' | 'warning';

/** One fault. The message says what is wrong and what would be right. */
export interface Diagnostic extends SourcePosition {
  severity: Severity;
  message: string;
}

/** `FILE:LINE:COLUMN: message`, the form that editors and compilers share; warnings say so. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, message } = diagnostic;
  return `${file}:${line}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${message}`;
}

/** Collects diagnostics in any order and gives them back in the order of the files' text. */
export class DiagnosticList {
  readonly #items: Diagnostic[] = [];
  readonly #files: string[] = [];
  readonly #seen = new Set<string>();

  error(at: SourcePosition, message: string): void {
    this.report('error', at, message);
  }

  warning(at: SourcePosition, message: string): void {
    this.report('warning', at, message);
  }

  /** For what is an error or a warning by circumstance. */
  report(severity: Severity, at: SourcePosition, said: string): void {
    this.mention(at.file);
    const message = said.length > MESSAGE_CHARS_MAX ? `${said.slice(0, MESSAGE_CHARS_MAX)}...` : said;
    const diagnostic: Diagnostic = { file: at.file, line: at.line, column: at.column, severity, message };
    const text = formatDiagnostic(diagnostic);
    // The YAML parser says the same of one place many times over: once for each bracket left open, say.
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    this.#items.push(diagnostic);
  }

  get hasErrors(): boolean {
    return this.#items.some((item) => item.severity === 'error');
  }

  get length(): number {
    return this.#items.length;
  }

  /** Sorted by file (in order of first mention), line and column. */
  sorted(): Diagnostic[] {
    return this.#items.toSorted(
      (a, b) => this.#files.indexOf(a.file) - this.#files.indexOf(b.file) || a.line - b.line || a.column - b.column,
    );
  }

  /** Fixes a file's place in the order, before anything was found in it. */
  mention(file: string): void {
    if (!this.#files.includes(file)) this.#files.push(file);
  }
}
