/** What every fuzz target has in common: cases that are bytes, verdicts on them, totals, findings made small. Test support. */

import { createHash } from 'node:crypto';

export const TARGET_NAMES = [
  ...['http', 'config', 'perlbal', 'trafficserver', 'hello', 'cookie', 'wal', 'codec', 'member', 'peer', 'admin'],
] as const satisfies readonly string[];
export type TargetName = (typeof TARGET_NAMES)[number];

/** One input. As a file, target and tag stand in its name. */
export interface FuzzCase {
  readonly target: TargetName;
  /** What of its meaning does not stand in the bytes: `request-GET`. Letters, digits and '-'. */
  readonly tag: string;
  readonly bytes: Buffer;
}

export interface CaseVerdict {
  /** Messages, files or requests in the case that were judged. */
  readonly messages: number;
  /** How often each class of outcome was met. */
  readonly classes: Readonly<Record<string, number>>;
  /** What is not as it must be, or null. */
  readonly difference: string | null;
}

export interface FuzzTarget {
  /** The `batch`th batch of a seed: the same on every machine. */
  batchOf(seed: number, batch: number): readonly FuzzCase[];
  /** `about` is called with a case before it is tried, so that one that never ends can be named. */
  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]>;
  close(): Promise<void>;
}

export interface FuzzFinding {
  readonly fuzzCase: FuzzCase;
  readonly difference: string;
}

/** As a plain object it passes between threads. */
export interface Totals {
  cases: number;
  messages: number;
  classes: Record<string, number>;
}

export function newTotals(): Totals {
  return { cases: 0, messages: 0, classes: {} };
}

export function addTo(totals: Totals, { cases, messages, classes }: Totals): void {
  totals.cases += cases;
  totals.messages += messages;
  for (const [name, count] of Object.entries(classes)) totals.classes[name] = (totals.classes[name] ?? 0) + count;
}

export function describeTotals({ cases, messages, classes }: Totals): string {
  const rows = Object.entries(classes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `\n  ${String(count).padStart(9)}  ${name}`);
  return `${cases} cases, ${messages} messages${rows.join('')}`;
}

/** Checks one case at a time, and says what it took too long for or threw at. Cases of such targets are synchronous. */
export async function checkEach(
  cases: readonly FuzzCase[],
  about: (fuzzCase: FuzzCase) => void,
  checkOne: (fuzzCase: FuzzCase) => CaseVerdict,
): Promise<readonly CaseVerdict[]> {
  const timed = (fuzzCase: FuzzCase): { verdict: CaseVerdict; ms: number } => {
    const startedAt = process.threadCpuUsage();
    const verdict = checkSafely(fuzzCase, checkOne);
    const { user, system } = process.threadCpuUsage(startedAt);
    return { verdict, ms: (user + system) / 1000 };
  };
  return cases.map((fuzzCase) => {
    about(fuzzCase);
    const first = timed(fuzzCase);
    const msMax = HANG_MS + fuzzCase.bytes.length * HANG_MS_PER_BYTE;
    // a machine that is busy elsewhere makes one slow, and not twice
    const { verdict, ms } = first.ms > msMax ? timed(fuzzCase) : first;
    return verdict.difference === null && ms > msMax
      ? { ...verdict, difference: `took: ${Math.round(ms)} ms` }
      : verdict;
  });
}

function checkSafely(fuzzCase: FuzzCase, checkOne: (fuzzCase: FuzzCase) => CaseVerdict): CaseVerdict {
  try {
    return checkOne(fuzzCase);
  } catch (error) {
    return { messages: 1, classes: {}, difference: `threw: ${(error as Error).stack ?? String(error)}` };
  }
}

/** CPU time that no case may take: a file may be large, and YAML's reader takes 4 us a byte of nested brackets. */
const HANG_MS = 2_000;
const HANG_MS_PER_BYTE = 0.02;
/** Findings of one batch that are made smaller: more of them are mostly the same. */
const MINIMIZED_MAX = 3;
const MINIMIZE_CHECKS_MAX = 2_000;
const MINIMIZE_MS_MAX = 10_000;

/** Runs one batch. Returns what it found, each finding made smaller where that is cheap. */
export async function runBatch(
  target: FuzzTarget,
  { seed, batch, totals }: { seed: number; batch: number; totals: Totals },
  about: (fuzzCase: FuzzCase) => void = () => {},
): Promise<FuzzFinding[]> {
  const cases = target.batchOf(seed, batch);
  const findings: FuzzFinding[] = [];
  for (const [i, { messages, classes, difference }] of (await target.check(cases, about)).entries()) {
    addTo(totals, { cases: 1, messages, classes });
    if (difference === null) continue;
    const fuzzCase = cases[i] as FuzzCase;
    const isSmallWanted = findings.length < MINIMIZED_MAX;
    findings.push(isSmallWanted ? await minimize(target, fuzzCase, difference) : { fuzzCase, difference });
  }
  return findings;
}

/** Leaves out runs of bytes, long ones first, as long as what is left still differs in the same respect. */
async function minimize(target: FuzzTarget, fuzzCase: FuzzCase, difference: string): Promise<FuzzFinding> {
  const respect = (text: string) => text.replace(/: [\s\S]*/, '').replaceAll(/\d+/g, '');
  const until = performance.now() + MINIMIZE_MS_MAX;
  let [best, why, checks] = [fuzzCase, difference, 0];
  for (let length = fuzzCase.bytes.length >> 1; length > 0; length >>= 1) {
    for (let at = 0; at < best.bytes.length; checks++) {
      if (checks >= MINIMIZE_CHECKS_MAX || performance.now() > until) return { fuzzCase: best, difference: why };
      const bytes = Buffer.concat([best.bytes.subarray(0, at), best.bytes.subarray(at + length)]);
      const [verdict] = await target.check([{ ...best, bytes }], () => {});
      const now = verdict?.difference ?? null;
      if (now !== null && respect(now) === respect(difference)) [best, why] = [{ ...best, bytes }, now];
      else at += length;
    }
  }
  return { fuzzCase: best, difference: why };
}

/** `http-response-HEAD-0a1b2c3d.case` */
export function fileNameOf({ target, tag, bytes }: FuzzCase): string {
  return `${target}-${tag}-${createHash('sha1').update(bytes).digest('hex').slice(0, 8)}.case`;
}

/** Null where the name is no case's. */
export function caseOf(fileName: string, bytes: Buffer): FuzzCase | null {
  const [, target, tag] = /^([a-z]+)-(.+)-[0-9a-f]{8}\.case$/.exec(fileName) ?? [];
  const name = TARGET_NAMES.find((known) => known === target);
  return name === undefined || tag === undefined ? null : { target: name, tag, bytes };
}
