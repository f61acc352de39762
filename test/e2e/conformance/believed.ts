/** What the program says that it forwarded, from its access log, held against what the backend read. Test support. */

import { readFileSync } from 'node:fs';
import { TAG_PATTERN } from './case.ts';
import type { Outcome } from './runner.ts';
import type { Arrived } from './verdict.ts';

/** Of a line of the access log, what is compared. */
export interface Believed {
  readonly method: string;
  readonly requestBytes: number;
  readonly outcome: 'ok' | 'refused' | 'cut' | 'aborted' | 'tunnel';
}

/** The lines of the access log whose head could be read, by the runs' tags, in the order of their end. */
export function believedByTag(file: string): Map<string, Believed[]> {
  const byTag = new Map<string, Believed[]>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue;
    const entry = JSON.parse(line) as Believed & { readonly target?: string; readonly host?: string };
    const tag = TAG_PATTERN.exec(`${entry.host} ${entry.target}`)?.[0];
    if (tag === undefined) continue;
    const entries = byTag.get(tag) ?? [];
    entries.push(entry);
    byTag.set(tag, entries);
  }
  return byTag;
}

/** What the program believes otherwise than the backend read it; empty where nothing is. */
export function beliefComplaints(
  { run }: Outcome,
  arrived: Arrived | undefined,
  believed: readonly Believed[] = [],
): string[] {
  if (run.case.expected.mayBeEarly && arrived?.requests.length === 0) return [];
  const whole = believed.filter(({ outcome }) => outcome === 'ok' || outcome === 'tunnel');
  const said = whole.map(({ method, requestBytes }) => `${method} ${requestBytes}`).join();
  const read = (arrived?.requests ?? []).map(({ method, body }) => `${method} ${body.length}`).join();
  const wrong = said === read ? [] : [`the program says that it forwarded [${said}], the backend read [${read}]`];
  const begun = arrived?.beginnings.length ?? 0;
  if (begun > believed.length - whole.length) wrong.push('the program does not know of a request that it began');
  return wrong;
}
