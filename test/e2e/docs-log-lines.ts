/** What the program says in its log at the levels warn and error, as its source has it. */

import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** A log by any of the names it has here, the cluster's report, or a counter of refusals, which says what it is told to. */
const CALL = /(?:\b(?:log|this)|#log)\.(?:warn|error)\(|\b#?report\('(?:warn|error)',|new Refusals\(/g;
const TEXT = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/;
const HOLE = /\$\{[^}]*\}/;

export interface LogMessage {
  /** FILE: what is given as the message. */
  readonly place: string;
  /** The text around what is filled in. Empty where the source does not say. */
  readonly parts: readonly string[];
}

export function logMessages(): LogMessage[] {
  const files = globSync(['src/**/*.ts', 'workers/**/*.ts'], { cwd: ROOT }).sort();
  return files.flatMap((file) => {
    const source = readFileSync(`${ROOT}/${file}`, 'utf8');
    return [...source.matchAll(CALL)].map(({ index, 0: call }) => {
      const message = messageOf(argumentsFrom(source, index + call.length), call.includes("('"));
      return { place: `${file}: ${message}`, parts: partsOf(source, message) };
    });
  });
}

/** The arguments of a call from `start` on, to the bracket that closes it. */
function argumentsFrom(source: string, start: number): string[] {
  const all: string[] = [];
  let depth = 0;
  let begin = start;
  for (let i = start; i < source.length; i++) {
    const text = TEXT.exec(source.slice(i, i + 400));
    if (text?.index === 0) {
      i += text[0].length - 1;
      continue;
    }
    const character = source[i] as string;
    if ('([{'.includes(character)) depth++;
    if ((character === ',' || character === ')') && depth === 0) {
      all.push(source.slice(begin, i).trim());
      begin = i + 1;
    }
    if (character === ')' && depth === 0) break;
    if (')]}'.includes(character)) depth--;
  }
  return all.filter((one) => one !== '');
}

/** The fields come first in the main thread's log, and last in a report or a listener thread's. */
function messageOf(all: readonly string[], isReport: boolean): string {
  const [first = '', second] = all;
  return isReport || second === undefined || TEXT.exec(first)?.index === 0 || /^[A-Z_]+$/.test(first) ? first : second;
}

function partsOf(source: string, message: string): string[] {
  const name = /^[A-Za-z_]+$/.exec(message)?.[0];
  const given = name === undefined ? message : (source.split(new RegExp(`const ${name} =\\s*`))[1] ?? '');
  const text = TEXT.exec(given);
  if (text === null || text.index > 0) return [];
  const [, single, double, template] = text;
  return (single ?? double ?? template ?? '')
    .split(HOLE)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
