/** What a proxy makes of a case, in a word: the worst of what its clients saw. */

import type { Observation } from './observe.ts';
import type { ResponseCase } from './response-case.ts';

/** From good to bad, by how little the client can tell. */
export const VERDICTS = ['refused', 'passed on', 'cut, and seen', 'no answer', 'cut, unseen', 'leaked'] as const;
export type Verdict = (typeof VERDICTS)[number];

export const MEANINGS: Readonly<Record<Verdict, string>> = {
  refused: 'the client gets an error of the proxy, mostly 502',
  'passed on': 'the client gets it as a response',
  'cut, and seen': 'the client gets the beginning, and can tell that the rest is missing',
  'no answer': 'the client gets nothing, or nothing that is HTTP, and its connection ends or is left open',
  'cut, unseen': 'the client takes the beginning for the whole',
  leaked: "bytes of it are another request's answer",
};

export function verdictOf(one: ResponseCase, { answer, leaked, received }: Observation): Verdict {
  if (leaked !== '') return 'leaked';
  if (answer.status === 0) return 'no answer';
  if (isOwnError(answer.status, received)) return 'refused';
  if (!answer.isWhole) return 'cut, and seen';
  return one.isCut === true && answer.content !== one.lenient ? 'cut, unseen' : 'passed on';
}

/** No case's backend answers with one of these. */
function isOwnError(status: number, received: string): boolean {
  return [500, 502, 503, 504].includes(status) && received !== '';
}

export function worst(verdicts: readonly Verdict[]): Verdict {
  return VERDICTS[Math.max(...verdicts.map((verdict) => VERDICTS.indexOf(verdict)))] as Verdict;
}
