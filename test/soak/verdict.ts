/** From all that was noted in a soak to its result: failures that the logs tell of, and each put down to a fault or to none. */

import { timeOf } from '../e2e/cluster-harness.ts';
import type { LogLine } from '../e2e/harness.ts';
import { readAccessLogs } from './access-lines.ts';
import { explain } from './explain.ts';
import type { Failure } from './failure.ts';
import type { Fault } from './fault.ts';
import type { Explained, SoakResult } from './result.ts';

const WARN_LEVEL = 40;
const ERROR_LEVEL = 50;

export type Classified = Pick<SoakResult, 'explained' | 'unexplained' | 'accessLines'> & { readonly tornLines: number };

/** Lines of an edge's log that want an explanation, as failures. */
export function failuresOfLog(edge: number, log: readonly LogLine[]): Failure[] {
  return log.filter(isTrouble).map((line) => {
    const atMs = timeOf(line) - performance.timeOrigin;
    return { ...NOWHERE, traffic: 'log', symptom: 'error-line', edge, fromMs: atMs, atMs, detail: line.msg };
  });
}

/** What is not known of a failure that no request met. */
export const NOWHERE = {
  id: '',
  node: null,
  pool: null,
  isSafe: false,
  isReused: false,
  attempts: null,
  ticketMs: null,
  ticketEdge: null,
} as const satisfies Partial<Failure>;

export async function classify(
  failures: readonly Failure[],
  faults: readonly Fault[],
  accessLogs: readonly string[],
): Promise<Classified> {
  const ids = new Set(failures.map(({ id }) => id).filter((id) => id !== ''));
  const access = await readAccessLogs(accessLogs, ids);
  const explained: Explained[] = [];
  const unexplained: Failure[] = [];
  for (const failure of failures) {
    // of one that was moved, the node that counts is the one it was moved from
    const line = failure.symptom === 'moved' ? undefined : access.requests.get(failure.id);
    const { node = failure.node, attempts = null, reason: said = '' } = line ?? {};
    const detail = said === '' ? failure.detail : `${failure.detail} (${said})`;
    const placed = { ...failure, node, attempts, detail };
    const reason = explain(placed, faults);
    if (reason === null) unexplained.push(placed);
    else explained.push({ failure: placed, kind: reason.fault.kind, rule: reason.rule });
  }
  return { explained, unexplained, accessLines: access.lines, tornLines: access.broken };
}

/** Lines at level warn and above, by how often they came. */
export function warningsOf(logs: readonly (readonly LogLine[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { level, msg } of logs.flat()) {
    if (level >= WARN_LEVEL) counts.set(msg, (counts.get(msg) ?? 0) + 1);
  }
  return counts;
}

/** A thread that hangs is said at a lower level, and was none of our faults. */
function isTrouble({ level, msg }: LogLine): boolean {
  return level >= ERROR_LEVEL || msg === 'listener thread hangs';
}
