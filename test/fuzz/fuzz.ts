/** The differential fuzzer: messages by their grammar, and mutants of each, compared in batches. Test support. */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { compareRequests, compareResponses, type Verdict } from './compare.ts';
import { requestStream, responseStream } from './messages.ts';
import { mutate } from './mutations.ts';
import { Random } from './random.ts';

export type FuzzKind = 'request' | 'response';

/** A stream to compare. As a file: the kind, and for responses the method, stand in its name. */
export interface FuzzCase {
  readonly kind: FuzzKind;
  /** The request's method, which a response's meaning hangs on. */
  readonly method: string;
  /** latin1. */
  readonly text: string;
}

export interface FuzzFinding {
  readonly fuzzCase: FuzzCase;
  readonly difference: string;
}

export class FuzzTotals {
  streams = 0;
  accepted = 0;
  /** By our fault: llhttp refused too, and llhttp accepted. */
  readonly refusals = new Map<string, number>();
  readonly strictness = new Map<string, number>();
  readonly explained = new Map<string, number>();

  add(verdict: Verdict): void {
    this.streams++;
    this.accepted += verdict.accepted;
    for (const [counts, key] of [
      [this.refusals, verdict.refusal],
      [this.strictness, verdict.strictness],
      [this.explained, verdict.explained],
    ] as const) {
      if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }

  toString(): string {
    const list = (counts: Map<string, number>) =>
      [...counts]
        .sort((a, b) => b[1] - a[1])
        .map(([key, count]) => `\n    ${count} ${key}`)
        .join('');
    return (
      `${this.streams} streams, ${this.accepted} messages accepted by both with one meaning` +
      `\n  refused by both:${list(this.refusals)}\n  refused by us alone:${list(this.strictness)}` +
      `\n  explained:${list(this.explained)}`
    );
  }
}

const MUTANTS = 7;
const BASES = 32;

/** The `batch`th batch of a seed: BASES streams and their mutants. */
export function batchOf(kind: FuzzKind, seed: number, batch: number): FuzzCase[] {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
  const arbitrary = kind === 'request' ? requestStream : responseStream;
  return fc.sample(arbitrary, { seed: random.next() | 0, numRuns: BASES }).flatMap((base) => {
    const method = random.pick(['GET', 'GET', 'GET', 'HEAD']);
    const mutants = Array.from({ length: MUTANTS }, (_, i) => mutate(base, random.next(), 1 + (i & 1) + (i >> 2)));
    return [base, ...mutants].map((text) => ({ kind, method, text }));
  });
}

export async function compare(cases: readonly FuzzCase[]): Promise<Verdict[]> {
  const responses = await compareResponses(cases.filter(({ kind }) => kind === 'response'));
  const requests = cases.filter(({ kind }) => kind === 'request').map(({ text }) => compareRequests(text));
  let [nextRequest, nextResponse] = [0, 0];
  return cases.map(({ kind }) =>
    kind === 'request' ? (requests[nextRequest++] as Verdict) : (responses[nextResponse++] as Verdict),
  );
}

/** Runs one batch. Returns what it found, each finding as small as leaving bytes out can make it. */
export async function runBatch(
  kind: FuzzKind,
  seed: number,
  batch: number,
  totals: FuzzTotals,
): Promise<FuzzFinding[]> {
  const cases = batchOf(kind, seed, batch);
  const verdicts = await compare(cases);
  const findings: FuzzFinding[] = [];
  for (const [i, verdict] of verdicts.entries()) {
    totals.add(verdict);
    if (verdict.difference !== null) findings.push(await minimize(cases[i] as FuzzCase, verdict.difference));
  }
  return findings;
}

/** Leaves out runs of bytes, long ones first, as long as what is left still differs in the same respect. */
async function minimize(fuzzCase: FuzzCase, difference: string): Promise<FuzzFinding> {
  const respect = (text: string) => text.replace(/: ours[\s\S]*/, '').replaceAll(/\d+/g, '');
  let [best, why] = [fuzzCase, difference];
  for (let length = fuzzCase.text.length >> 1; length > 0; length >>= 1) {
    for (let at = 0; at < best.text.length; ) {
      const smaller = { ...best, text: best.text.slice(0, at) + best.text.slice(at + length) };
      const now = (await compare([smaller]))[0]?.difference ?? null;
      if (now !== null && respect(now) === respect(difference)) [best, why] = [smaller, now];
      else at += length;
    }
  }
  return { fuzzCase: best, difference: why };
}

/** `response-HEAD-0a1b2c3d.http` */
export function fileNameOf({ kind, method, text }: FuzzCase): string {
  return `${kind}-${method}-${createHash('sha1').update(text, 'latin1').digest('hex').slice(0, 8)}.http`;
}

/** Null where the name is no case's. */
export function caseOf(fileName: string, bytes: Buffer): FuzzCase | null {
  const match = /^(request|response)-([A-Z]+)-.*\.http$/.exec(fileName);
  if (match === null) return null;
  return { kind: match[1] as FuzzKind, method: match[2] as string, text: bytes.toString('latin1') };
}
