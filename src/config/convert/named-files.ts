/**
 * The files that a configuration names, bounded all together: no text, however its files name each other, makes a
 * conversion endless. Main thread of a command; synchronous.
 */

import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoReason } from '../source.ts';
import { type Parsed, parsed, refused } from '../units.ts';
import { INPUT_BYTES_MAX, readRegularFile } from './input.ts';

/** Files and patterns. */
const NAMED_FILES_MAX = 1024;
const SPENT = `too much was read already: ${NAMED_FILES_MAX} files, or as many bytes as one may have`;
/** What Perl's glob reads in a path. */
const MAGIC = /[*?[\]{}~]/;

export class NamedFiles {
  #count = 0;
  #chars = 0;

  /** A regular file as text. Refused with the end of a sentence that begins with its name. */
  read(path: string): Parsed<string> {
    if (this.#isSpent) return refused(`is not read: ${SPENT}`);
    this.#count += 1;
    const text = readRegularFile(path);
    if (text.ok) this.#chars += text.value.length;
    return text;
  }

  /**
   * The paths that an absolute path stands for, in the order of Perl's glob; stars and question marks are read in its last
   * part. Refused with a reason.
   */
  list(path: string): Parsed<string[]> {
    if (!MAGIC.test(path)) return parsed([path]);
    const [directory, pattern] = [dirname(path), basename(path)];
    if (MAGIC.test(directory) || /[[\]{}~]/.test(pattern)) {
      return refused('only * and ? in the name of a file are followed; include the files by their names');
    }
    if (this.#isSpent) return refused(SPENT);
    this.#count += 1;
    try {
      const names = readdirSync(directory).filter((name) => matches(pattern, name));
      return names.length > 0
        ? parsed(names.sort(compareNames).map((name) => join(directory, name)))
        : refused('no file has such a name');
    } catch (error) {
      return refused(errnoReason(error));
    }
  }

  get #isSpent(): boolean {
    return this.#count >= NAMED_FILES_MAX || this.#chars >= INPUT_BYTES_MAX;
  }
}

/** Not by a regular expression, which tries every way to share a name among the stars. */
function matches(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false;
  let [at, next, star, from] = [0, 0, -1, 0];
  while (next < name.length) {
    if (pattern[at] === '*') {
      star = at;
      from = next;
      at += 1;
    } else if (pattern[at] === '?' || pattern[at] === name[next]) {
      at += 1;
      next += 1;
    } else if (star !== -1) {
      // the last star takes one more
      from += 1;
      next = from;
      at = star + 1;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(at));
}

/** Whatever the letter case, as Perl's glob sorts. */
function compareNames(a: string, b: string): number {
  const [lowA, lowB] = [a.toLowerCase(), b.toLowerCase()];
  if (lowA !== lowB) return lowA < lowB ? -1 : 1;
  return a < b ? -1 : 1;
}
