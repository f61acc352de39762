/**
 * A page of docs/ as a list of what its reader types. An invisible comment before a fenced block says what it is for:
 *
 *   <!-- run: edge1 edge2 -->                 typed on each of these machines, at the same time
 *   <!-- run: edge1; until: REGEX -->         again and again, until what it prints matches
 *   <!-- run: edge1; prints: REGEX -->        what it prints matches
 *   <!-- setup: edge4 by 2 5 -->              no block of its own: those of sections 2 and 5, on this machine
 *   <!-- file: PATH -->                       the text of this file, as it is
 */

export interface Run {
  readonly kind: 'run';
  readonly machines: readonly string[];
  readonly until: RegExp | null;
  readonly prints: RegExp | null;
  readonly script: string;
  /** Its number in the heading. */
  readonly section: number;
  readonly line: number;
}

export interface Setup {
  readonly kind: 'setup';
  readonly machine: string;
  readonly sections: readonly number[];
}

export interface FileText {
  readonly kind: 'file';
  readonly path: string;
  readonly text: string;
}

export type Step = Run | Setup | FileText;

const BLOCK = /^## (\d+)\.|^<!-- (run|setup|file): (.*?) -->$(?:\n\n```\w*\n([\s\S]*?)^```$)?/gm;

export function stepsOf(page: string): Step[] {
  const steps: Step[] = [];
  let section = 0;
  for (const match of page.matchAll(BLOCK)) {
    const [, heading, kind, words = '', text = ''] = match;
    const line = page.slice(0, match.index).split('\n').length;
    if (heading !== undefined) section = Number(heading);
    else if (kind === 'run') steps.push(runOf(words, text, section, line));
    else if (kind === 'file') steps.push({ kind, path: words, text });
    else steps.push(setupOf(words));
  }
  return steps;
}

function runOf(words: string, script: string, section: number, line: number): Run {
  const [where = '', ...conditions] = words.split('; ');
  const condition = (name: string) => {
    const found = conditions.find((one) => one.startsWith(`${name}: `));
    return found === undefined ? null : new RegExp(found.slice(name.length + 2), 'm');
  };
  const machines = where.split(' ');
  return { kind: 'run', machines, until: condition('until'), prints: condition('prints'), script, section, line };
}

function setupOf(words: string): Setup {
  const [machine = '', sections = ''] = words.split(' by ');
  return { kind: 'setup', machine, sections: sections.split(' ').map(Number) };
}
