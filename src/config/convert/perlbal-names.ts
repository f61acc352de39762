/**
 * Names for stekbal from Perlbal's: the same wherever they are lawful. Main thread of a command.
 */

import type { DiagnosticList, SourcePosition } from '../diagnostics.ts';
import { NAME_PATTERN } from '../schema.ts';
import { show } from '../units.ts';

const CHARS_MAX = 64;

/** The names of one kind, unique. */
export class Names {
  readonly #byPerlbal = new Map<string, string>();
  readonly #taken = new Set<string>();
  /** By name: the number that the next name like it is tried with. */
  readonly #next = new Map<string, number>();

  /** Gives a name; one that had to be changed is reported. */
  give(name: string, at: SourcePosition, diagnostics: DiagnosticList): void {
    const given = this.#unique(lawful(name));
    this.#byPerlbal.set(name, given);
    this.#taken.add(given);
    if (given === name) return;
    const advice = 'a name begins with a letter or digit and has letters, digits, "_", ".", "-", 64 at most';
    diagnostics.warning(at, `the name ${show(name)} becomes ${given}: ${advice}`);
  }

  /** What the name became. Perlbal has names in lower case, and compares them with what SET says as it is written. */
  of(name: string): string | undefined {
    return this.#byPerlbal.get(name) ?? this.#byPerlbal.get(name.toLowerCase());
  }

  #unique(name: string): string {
    const stem = name.slice(0, CHARS_MAX - 8);
    let unique = name;
    let number = this.#next.get(stem) ?? 2;
    for (; this.#taken.has(unique); number++) unique = `${stem}-${number}`;
    this.#next.set(stem, number);
    return unique;
  }
}

function lawful(name: string): string {
  if (NAME_PATTERN.test(name)) return name;
  const tried = name
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, CHARS_MAX);
  return tried === '' ? 'unnamed' : tried;
}
