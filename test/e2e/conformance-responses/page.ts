/** docs/conformance-responses.md: groups, cases, and what became of each in three programs. */

import type { CaseGroup, ResponseCase } from './response-case.ts';
import { MEANINGS, VERDICTS, type Verdict } from './verdict.ts';

export interface Column {
  /** Program and version. */
  readonly title: string;
  readonly verdicts: ReadonlyMap<ResponseCase, Verdict>;
}

/** The first column is the program's own. */
export function renderPage(groups: readonly CaseGroup[], columns: readonly Column[]): string {
  const all = groups.flatMap(({ cases }) => cases);
  const sums = [...groups.map(({ name, cases }) => summaryRow(name, cases, columns)), summaryRow('all', all, columns)];
  return [
    INTRODUCTION,
    VERDICTS.map((verdict) => `- **${verdict}**: ${MEANINGS[verdict]}.`).join('\n'),
    `\n${row(['group', 'cases', 'passed', ...columns.map(({ title }) => title)])}\n${row(Array(3 + columns.length).fill('---'))}\n${sums.join('\n')}\n`,
    ...groups.map((group) => detail(group, columns)),
  ].join('\n');
}

/** What a page says of the other programs. */
export function recordedColumns(page: string, groups: readonly CaseGroup[]): Column[] {
  const sections = page.split('\n## ').slice(1);
  const [, , ...titles] = cellsOf(sections[0]?.split('\n')[2] ?? '');
  return titles.map((title, column) => {
    const verdicts = new Map<ResponseCase, Verdict>();
    for (const [i, { cases }] of groups.entries()) {
      const rows = (sections[i] ?? '').split('\n').map(cellsOf);
      for (const one of cases) {
        const verdict = rows.find(([name]) => name === one.name)?.[column + 2];
        if (verdict !== undefined) verdicts.set(one, verdict as Verdict);
      }
    }
    return { title, verdicts };
  });
}

function cellsOf(line: string): string[] {
  return line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, ''));
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** A case that does not pass fails the suite, so that all of a recorded page have. */
function summaryRow(name: string, cases: readonly ResponseCase[], columns: readonly Column[]): string {
  const counts = columns.map(({ verdicts }) =>
    VERDICTS.map((verdict) => [verdict, cases.filter((one) => verdicts.get(one) === verdict).length] as const)
      .filter(([, count]) => count > 0)
      .map(([verdict, count]) => `${count} ${verdict}`)
      .join('; '),
  );
  return row([name, `${cases.length}`, `${cases.length}`, ...counts]);
}

function detail({ name, cases }: CaseGroup, columns: readonly Column[]): string {
  const head = [row(['case', ...columns.map(({ title }) => title)]), row(Array(1 + columns.length).fill('---'))];
  const rows = cases.map((one) => row([one.name, ...columns.map(({ verdicts }) => verdicts.get(one) ?? '')]));
  return `## ${name[0]?.toUpperCase()}${name.slice(1)}\n\n${[...head, ...rows].join('\n')}\n`;
}

const INTRODUCTION = `# Hostile and broken backends: what became of each case

The cases stand as data in \`test/e2e/conformance-responses\`: what the backend sends and when, what each client must get, byte
by byte, and whether the backend's connection may serve another request. They run through the real program with clients of
HTTP/1.1 and 1.0, each with and without keep-alive; byte by byte; cut at every offset; those that break off over TLS, too. On
every case another client asks for something of its own next, and must get nothing else.

Beside it, Debian's nginx and HAProxy in front of the same backend, as reverse proxies with kept backend connections, their
answers sorted by the worst that a client of HTTP/1.1 or 1.0 saw. That they pass on what stekbal refuses is mostly leniency
that harms nobody, and where a fault in a trailer races with the answer HAProxy refuses it in some runs and not in others; what
counts is the last two of these:
`;
