/** The differential fuzzer: messages by their grammar, and mutants of each, read by us and by llhttp. Test support. */

import fc from 'fast-check';
import { compareRequests, compareResponses, type Verdict } from '../compare.ts';
import { requestStream, responseStream } from '../messages.ts';
import { mutate, splice } from '../mutations.ts';
import { Random } from '../random.ts';
import { splitDifference } from '../splits.ts';
import type { CaseVerdict, FuzzCase, FuzzTarget } from '../target.ts';

const MUTANTS = 11;
const BASES = 24;
const KINDS = ['request', 'response'] as const;

export class HttpTarget implements FuzzTarget {
  /** BASES streams of requests and as many of responses, with MUTANTS of each. */
  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return KINDS.flatMap((kind) => {
      const arbitrary = kind === 'request' ? requestStream : responseStream;
      const bases = fc.sample(arbitrary, { seed: random.next() | 0, numRuns: BASES });
      return bases.flatMap((base) => {
        const method = random.pick(['GET', 'GET', 'GET', 'HEAD']);
        const mutants = Array.from({ length: MUTANTS }, (_, i) => {
          const from = i % 4 === 3 ? splice(base, random.pick(bases), random) : base;
          return mutate(from, random.next(), 1 + (i & 1) + (i >> 3));
        });
        return [base, ...mutants].map((text) => caseOfText(kind, method, text));
      });
    });
  }

  async check(cases: readonly FuzzCase[]): Promise<CaseVerdict[]> {
    const streams = cases.map(({ tag, bytes }) => {
      const [kind = '', method = ''] = tag.split('-');
      return { kind, method, text: bytes.toString('latin1') };
    });
    const responses = await compareResponses(streams.filter(({ kind }) => kind === 'response'));
    let next = 0;
    return streams.map(({ kind, method, text }) => {
      const verdict = kind === 'request' ? compareRequests(text) : (responses[next++] as Verdict);
      const split = verdict.difference ?? splitDifference(kind === 'request', text, method);
      return { ...verdictOf(verdict, kind), difference: split };
    });
  }

  async close(): Promise<void> {
    // the oracles' sockets are closed a turn of the event loop later
    await new Promise(setImmediate);
  }
}

export function caseOfText(kind: string, method: string, text: string): FuzzCase {
  return { target: 'http', tag: `${kind}-${method}`, bytes: Buffer.from(text, 'latin1') };
}

function verdictOf(verdict: Verdict, kind: string): CaseVerdict {
  const classes: Record<string, number> = {};
  let messages = 0;
  for (const [name, count] of [
    ['accepted by both', verdict.accepted],
    ['begun, and not whole in either reading', verdict.unfinished],
    [`refused by both: ${verdict.refusal}`, verdict.refusal === null ? 0 : 1],
    [`refused by us alone: ${verdict.strictness}`, verdict.strictness === null ? 0 : 1],
    [`explained: ${verdict.explained}`, verdict.explained === null ? 0 : 1],
  ] as const) {
    if (count === 0) continue;
    classes[`${kind} ${name}`] = count;
    messages += count;
  }
  return { messages, classes, difference: verdict.difference };
}
