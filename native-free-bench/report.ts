/** What a run is told as, for people: tables that a page can take as they are. */

import { figureLine, type Sampled } from './figures.ts';
import type { GroupResult, Row } from './macro.ts';

export function partText(title: string, figures: readonly Sampled[]): string {
  return `\n${title}\n${figures.map(figureLine).join('')}`;
}

export function groupText({ title, unit, reference, rows }: GroupResult): string {
  const head = ['', unit, 'from', 'to', `of ${reference}`];
  const cells = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] as string).length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join(' | ')} |\n`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |\n`;
  const [first = head, ...others] = cells;
  const faults = rows.flatMap(({ subject, faults }) => faults.map((fault) => `${subject} failed: ${fault}\n`));
  return `\n${title}\n\n${line(first)}${rule}${others.map(line).join('')}${faults.length > 0 ? '\n' : ''}${faults.join('')}`;
}

function cellsOf({ subject, figure, ratio }: Row): string[] {
  if (figure === null) return [subject, 'failed', '', '', ''];
  const { value, min, max } = figure;
  return [subject, ...[value, min, max].map(short), ratio === null ? '' : ratio.toFixed(2)];
}

/** Three digits or all before the point. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
