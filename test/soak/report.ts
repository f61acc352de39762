/** The report of a soak, as Markdown. Pure. */

import { availableParallelism, cpus, release } from 'node:os';
import type { Failure } from './failure.ts';
import type { Fault } from './fault.ts';
import { judgeLeak, LEAK_LIMITS, type LeakFigure } from './leaks.ts';
import { faultsFound, type SoakResult } from './result.ts';
import type { Planned } from './schedule.ts';

const MIB = 2 ** 20;
/** Faults that ended so long before a failure are named with it. */
const NEAR_MS = 6_000;
const LISTED_MAX = 50;
const IN_MIB: readonly LeakFigure[] = ['rss', 'heapUsed', 'external'];

export function reportOf(result: SoakResult): string {
  const found = faultsFound(result);
  const sections = [
    `# Soak: seed ${result.seed}, ${(result.ranMs / 1000).toFixed(0)} s, ${found.length === 0 ? 'passed' : 'FAILED'}\n`,
    `Node ${process.version}, Linux ${release()}, ${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}).`,
    found.map((line) => `- ${line}`).join('\n'),
    `## Traffic\n\n${trafficTable(result)}`,
    `TLS: ${tlsLine(result)}`,
    `${result.accessLines} lines in the access logs.`,
    `## Faults\n\n${faultTable(result)}`,
    `## Failures that no fault explains: ${result.unexplained.length}\n\n${listed(result)}`,
    `## Invariants\n\n${result.invariants.map(({ name, fault }) => `- ${name}: ${fault === '' ? 'yes' : `NO: ${fault}`}`).join('\n')}`,
    `## Leaks\n\n${leakTable(result)}`,
    `## Log lines at level warn and above\n\n${warningTable(result)}`,
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

export function planText(seed: number, plan: readonly Planned[]): string {
  const lines = plan.map(({ atMs, kind, forMs }) => `${(atMs / 1000).toFixed(1).padStart(8)} s  ${kind} (${forMs} ms)`);
  return `${plan.length} faults of seed ${seed}:\n${lines.join('\n')}\n`;
}

function trafficTable({ traffic, explained, unexplained }: SoakResult): string {
  const rows = [...traffic].map(([name, { ok, failed }]) => {
    const [why, without] = [explained.filter(isOf(name)), unexplained.filter(({ traffic: of }) => of === name)];
    const reasons = counted(why.map(({ failure, kind }) => `${failure.symptom} by ${kind}`));
    return [name, ok, failed, without.length, reasons];
  });
  return table(['traffic', 'ok', 'failed', 'unexplained', 'explained by'], rows);
}

function isOf(name: string) {
  return ({ failure }: { readonly failure: Failure }) => failure.traffic === name;
}

function tlsLine({ tls: { first, offered, resumed, elsewhere } }: SoakResult): string {
  return (
    `${first} connections without a ticket to offer; ${offered} with one, of which ${resumed} resumed, ` +
    `${elsewhere} of those at another edge than the ticket's.`
  );
}

function faultTable({ faults, plan, explained }: SoakResult): string {
  const kinds = [...new Set([...plan, ...faults].map(({ kind }) => kind))].sort();
  const rows = kinds.map((kind) => [
    kind,
    plan.filter((planned) => planned.kind === kind).length,
    faults.filter((fault) => fault.kind === kind).length,
    explained.filter((one) => one.kind === kind).length,
  ]);
  return table(['fault', 'planned', 'made', 'failures put down to it'], rows);
}

/** Each with the faults that were on near it: where a rule is missing, they say which. */
function listed({ unexplained, faults }: SoakResult): string {
  const lines = unexplained.slice(0, LISTED_MAX).map(({ fromMs, atMs, traffic, symptom, edge, node, id, detail }) => {
    const near = faults.filter((one) => one.fromMs <= atMs && one.untilMs >= fromMs - NEAR_MS).map(described);
    const where = `edge ${edge}, node ${node ?? 'unknown'}`;
    return `- ${span(fromMs, atMs)}: ${traffic}: ${symptom} at ${where}, ${id}: ${detail}; near it: ${near.join('; ')}`;
  });
  if (unexplained.length > LISTED_MAX) lines.push(`- and ${unexplained.length - LISTED_MAX} more`);
  return lines.join('\n');
}

function described({ kind, edge, node, fromMs, untilMs }: Fault): string {
  return `${kind} ${edge ?? node ?? ''} ${span(fromMs, untilMs)}`;
}

function span(fromMs: number, untilMs: number): string {
  return `${(fromMs / 1000).toFixed(2)} to ${(untilMs / 1000).toFixed(2)} s`;
}

function leakTable({ series, isLongEnough }: SoakResult): string {
  const rows = series.map(({ of, figure, values }) => {
    const { samples, early, late, max, verdict } = judgeLeak(values, LEAK_LIMITS[figure]);
    const shown = (value: number) => (IN_MIB.includes(figure) ? `${(value / MIB).toFixed(1)} MiB` : value.toFixed(0));
    return { verdict, row: [of, figure, samples, shown(early), shown(late), shown(max), verdict] };
  });
  const judged = rows.filter(({ verdict }) => verdict !== 'too few samples');
  const limits = Object.entries(LEAK_LIMITS).map(
    ([figure, { growthMax, why }]) => `- ${figure}: ${(growthMax * 100).toFixed(0)} %, and some: ${why}`,
  );
  const head = ['of', 'figure', 'samples', 'second quarter', 'last quarter', 'most', 'verdict'];
  const few = `${rows.length - judged.length} series of processes and threads that did not live for long are left out.`;
  const note = isLongEnough ? '' : 'Too short a run to tell a leak from warming up: nothing is judged.\n\n';
  return `${note}${table(
    head,
    judged.map(({ row }) => row),
  )}\n\n${few} How much a median may grow:\n\n${limits.join('\n')}`;
}

function warningTable({ warnings }: SoakResult): string {
  const rows = [...warnings].sort(([, a], [, b]) => b - a);
  return table(['line', 'times'], rows);
}

/** "3 a, 1 b" */
function counted(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
