/**
 * The ring of ticket keys as text for a terminal. Pure, main thread of a command.
 */

import type { KeysStatus } from '../control/status.ts';
import type { KeyInfo, Stage } from '../stek/key-ring.ts';
import { count } from './count.ts';
import { table } from './table.ts';
import { formatTimeSpan } from './time-span.ts';

/** Of a status; `stekbal keys list` shows all. */
const SHOWN_MAX = 5;
/** As a key lives. */
const STAGES: readonly Stage[] = ['staged', 'active', 'retiring'];

/** All keys. Ages are by the clock of this machine, the times by that of the leader of then. */
export function renderKeys(status: KeysStatus, nowMs: number): string {
  const rows = inOrder(status.keys).map((key) => [key.id, key.stage, formatTime(key.sinceMs), ageOf(key, nowMs)]);
  const lines = rows.length === 0 ? ['no keys yet'] : table([['key', 'stage', 'since', 'age'], ...rows]);
  return `${[...lines, ...issuingLines(status)].join('\n')}\n`;
}

/** A block of a status. */
export function keyLines(status: KeysStatus, nowMs: number): string[] {
  const { keys, intervalMs, lifetimeMs } = status;
  const [interval, lifetime] = [intervalMs, lifetimeMs].map((ms) => formatTimeSpan(ms / 1000));
  const rows = inOrder(keys).map((key) => [`  ${key.id}`, key.stage, ageOf(key, nowMs)]);
  const more = rows.length - SHOWN_MAX;
  return [
    `${count(keys.length, 'ticket key')}, a new one every ${interval}, tickets last ${lifetime}`,
    ...table(rows.slice(0, SHOWN_MAX)),
    ...(more > 0 ? [`  and ${more} more, retiring`] : []),
    ...issuingLines(status),
  ];
}

function issuingLines({ isIssuing, activeAgeMs }: KeysStatus): string[] {
  if (isIssuing) return [];
  const why = activeAgeMs === null ? 'no key is active' : 'the active key is too old, and the cluster makes no other';
  return [`not issuing tickets: ${why}`];
}

/** Within a stage, youngest first. */
function inOrder(keys: readonly KeyInfo[]): KeyInfo[] {
  return STAGES.flatMap((wanted) => keys.filter(({ stage }) => stage === wanted).reverse());
}

function ageOf({ sinceMs }: KeyInfo, nowMs: number): string {
  return formatTimeSpan((nowMs - sinceMs) / 1000);
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
