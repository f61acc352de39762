/**
 * INCLUDE, of Perlbal's Include plugin: the files that it names. Main thread of a command.
 */

import { resolve } from 'node:path';
import type { DiagnosticList, SourcePosition } from '../diagnostics.ts';
import { show } from '../units.ts';
import type { ConvertInput } from './input.ts';
import type { NamedFiles } from './named-files.ts';

const DEPTH_MAX = 8;

/** The files included in one conversion. */
export class IncludedFiles {
  readonly #folder: string;
  readonly #files: NamedFiles;
  /** Absolute paths: the main file, the one that it is including, and so on. */
  readonly #open: string[];

  constructor(main: ConvertInput, files: NamedFiles) {
    this.#folder = main.folder;
    this.#files = files;
    this.#open = [resolve(main.name)];
  }

  /** Gives every file that the patterns match to `run`, in Perl's order; what cannot be followed is reported. */
  follow(patterns: string, at: SourcePosition, diagnostics: DiagnosticList, run: (input: ConvertInput) => void): void {
    for (const pattern of patterns.split(' ')) {
      const files = this.#files.list(resolve(this.#folder, pattern));
      if (!files.ok) diagnostics.warning(at, `${show(pattern)} is not included: ${files.message}`);
      else for (const file of files.value) this.#include(file, at, diagnostics, run);
    }
  }

  #include(file: string, at: SourcePosition, diagnostics: DiagnosticList, run: (input: ConvertInput) => void): void {
    if (this.#open.includes(file)) {
      diagnostics.warning(at, `${file} is not included: it is being read, and would include itself without an end`);
      return;
    }
    if (this.#open.length > DEPTH_MAX) {
      diagnostics.warning(at, `${file} is not included: files include each other more than ${DEPTH_MAX} deep`);
      return;
    }
    const text = this.#files.read(file);
    if (!text.ok) {
      diagnostics.warning(at, `${file} is not included: it ${text.message}`);
      return;
    }
    this.#open.push(file);
    run({ name: file, folder: this.#folder, text: text.value });
    this.#open.pop();
  }
}
