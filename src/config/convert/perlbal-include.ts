/**
 * INCLUDE, of Perlbal's Include plugin: the files that it names, bounded. Main thread of a command.
 */

import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { DiagnosticList, SourcePosition } from '../diagnostics.ts';
import { errnoReason } from '../source.ts';
import { type Parsed, parsed, refused, show } from '../units.ts';
import { type ConvertInput, readTextFile } from './input.ts';

const FILES_MAX = 256;
const DEPTH_MAX = 8;

/** The files included in one conversion. */
export class IncludedFiles {
  readonly #main: ConvertInput;
  #files = 0;
  #depth = 0;

  constructor(main: ConvertInput) {
    this.#main = main;
  }

  /** Gives every file that the patterns match to `run`, in Perl's order; what cannot be followed is reported. */
  follow(patterns: string, at: SourcePosition, diagnostics: DiagnosticList, run: (input: ConvertInput) => void): void {
    for (const pattern of patterns.split(' ')) {
      const files = filesOf(pattern, this.#main.folder);
      if (!files.ok) diagnostics.warning(at, `${show(pattern)} is not included: ${files.message}`);
      else for (const file of files.value) this.#include(file, at, diagnostics, run);
    }
  }

  #include(file: string, at: SourcePosition, diagnostics: DiagnosticList, run: (input: ConvertInput) => void): void {
    if (this.#depth === DEPTH_MAX || this.#files === FILES_MAX) {
      diagnostics.warning(at, `${file} is not included: there are too many files, or they include each other`);
      return;
    }
    const text = readTextFile(file);
    if (!text.ok) {
      diagnostics.warning(at, `${file} is not included: it ${text.message}`);
      return;
    }
    this.#files += 1;
    this.#depth += 1;
    run({ name: file, folder: this.#main.folder, text: text.value });
    this.#depth -= 1;
  }
}

/** Stars and question marks are read in a path's last part. */
function filesOf(pattern: string, folder: string): Parsed<string[]> {
  const path = resolve(folder, pattern);
  if (!/[*?[\]{}~]/.test(pattern)) return parsed([path]);
  const [directory, name] = [dirname(path), basename(path)];
  if (/[*?[\]{}~]/.test(directory) || /[[\]{}~]/.test(name)) {
    return refused('only * and ? in the name of a file are followed; include the files by their names');
  }
  // a leading * takes no hidden file, as in Perl's glob
  const escaped = name
    .replace(/[.+^$()|\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  const matcher = new RegExp(`^(?!\\.)${escaped}$`);
  try {
    const files = readdirSync(directory)
      .filter((file) => matcher.test(file))
      .sort();
    return files.length > 0 ? parsed(files.map((file) => join(directory, file))) : refused('no file has such a name');
  } catch (error) {
    return refused(errnoReason(error));
  }
}
