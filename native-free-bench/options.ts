/** The command line of `npm run bench`. */

import { parseArgs } from 'node:util';
import { type Effort, FULL } from './figures.ts';
import { GROUPS, type Group } from './groups.ts';
import { PARTS, type Part } from './micro.ts';
import { SUBJECTS } from './subjects/list.ts';
import type { Subject } from './subjects/subject.ts';

export interface Options {
  readonly parts: readonly Part[];
  readonly groups: readonly Group[];
  readonly subjects: readonly Subject[];
  /** The subjects were named: one that is missing is a fault. */
  readonly isChoice: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly effort: Effort;
  readonly isJson: boolean;
}

/** What is wrong with the command line, for its user. */
export class UsageError extends Error {}

const QUICK = { rounds: 1, seconds: 0.5, warmUpSeconds: 0, effort: { rounds: 1, share: 0.01 } };
const USUAL = { rounds: 5, seconds: 2, warmUpSeconds: 3, effort: FULL };
const ROUNDS_MAX = 1_000;
const SECONDS_MAX = 3_600;

const handshakes = GROUPS.filter(({ kind }) => kind === 'handshakes');
const named = (all: readonly { readonly name: string }[]): string => all.map(({ name }) => name).join(', ');
/** Names that stand for several. */
const SETS: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  micro: PARTS,
  macro: GROUPS,
  handshakes,
};

export const HELP = `Usage: npm run bench -- [options]

  --only NAMES       what to measure, with commas between. Default: all
                       micro: ${named(PARTS)}
                       macro: ${named(GROUPS.filter(({ kind }) => kind === 'requests'))},
                         handshakes: ${named(handshakes)}
  --micro            the same as --only micro
  --subjects NAMES   what to measure it of. Default: all that are installed of
                       ${named(SUBJECTS)}
  --rounds N         rounds of each subject. Default: ${USUAL.rounds}
  --seconds N        of a round. Default: ${USUAL.seconds}
  --warm-up N        seconds, once for each subject and group; 0: none. Default: ${USUAL.warmUpSeconds}
  --quick            a look whether all of it works: one short round. The figures say nothing
  --json             everything, for machines, on stdout
  --help             this

Exit code 0; 1 where a subject or a round failed; 2 for a wrong option. Progress goes to stderr. What the figures mean, and what they do not, stands in native-free-bench/README.md.
`;

/** null: help was asked for. Throws a UsageError. */
export function readOptions(args: readonly string[]): Options | null {
  const values = parse(args);
  if (values.help) return null;
  if (values.micro && values.only !== undefined) throw new UsageError('--micro and --only say both what to measure');
  const only = values.micro ? 'micro' : values.only;
  const usual = values.quick ? QUICK : USUAL;
  const chosen = only === undefined ? null : chosenOf(only);
  return {
    parts: PARTS.filter(({ name }) => chosen?.has(name) ?? true),
    groups: GROUPS.filter(({ name }) => chosen?.has(name) ?? true),
    subjects: values.subjects === undefined ? SUBJECTS : subjectsOf(values.subjects),
    isChoice: values.subjects !== undefined,
    rounds: numberOf('--rounds', values.rounds, usual.rounds, { min: 1, max: ROUNDS_MAX, isWhole: true }),
    seconds: numberOf('--seconds', values.seconds, usual.seconds, { min: 0.1, max: SECONDS_MAX }),
    warmUpSeconds: numberOf('--warm-up', values['warm-up'], usual.warmUpSeconds, { min: 0, max: SECONDS_MAX }),
    effort: usual.effort,
    isJson: values.json,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = { only: text, subjects: text, rounds: text, seconds: text, 'warm-up': text } as const;
  const flags = { micro: flag, quick: flag, json: flag, help: { ...flag, short: 'h' } } as const;
  try {
    return parseArgs({ args: [...args], options: { ...options, ...flags }, strict: true }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Names of groups and parts. */
function chosenOf(list: string): ReadonlySet<string> {
  const single = [...PARTS, ...GROUPS];
  const names = split('--only', list).flatMap((name) => {
    const found = SETS[name] ?? single.filter((one) => one.name === name);
    if (found.length > 0) return found.map((one) => one.name);
    throw new UsageError(
      `--only: there is no ${JSON.stringify(name)}; there are ${named(single)}, ${Object.keys(SETS).join(', ')}`,
    );
  });
  return new Set(names);
}

/** In the order asked for. */
function subjectsOf(list: string): Subject[] {
  return split('--subjects', list).map((name) => {
    const subject = SUBJECTS.find((one) => one.name === name);
    if (subject === undefined)
      throw new UsageError(`--subjects: there is no ${JSON.stringify(name)}; there are ${named(SUBJECTS)}`);
    return subject;
  });
}

function split(option: string, list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${option}: ${JSON.stringify(twice)} stands there twice`);
  return names;
}

function numberOf(
  option: string,
  text: string | undefined,
  usual: number,
  { min, max, isWhole = false }: { min: number; max: number; isWhole?: boolean },
): number {
  const value = text === undefined ? usual : text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max && (!isWhole || Number.isInteger(value))) return value;
  throw new UsageError(
    `${option}: ${isWhole ? 'a whole number' : 'a number'} from ${min} to ${max}, not ${JSON.stringify(text)}`,
  );
}
