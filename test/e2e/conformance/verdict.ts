/**
 * What came of the runs, held against what the cases say must come, against the lenient readings of what reached the
 * backend, and against what the program says of it. Test support.
 */

import { type Expectation, type ExpectedRead, TAG, TAG_PATTERN } from './case.ts';
import { LENIENT, type ReadRequest, readConnection } from './reading.ts';
import { READ_FIELD, type Recorded } from './recording-backend.ts';
import type { Outcome } from './runner.ts';

/** What a backend got of one run. */
export interface Arrived {
  /** Whole requests in the order of their coming. */
  readonly requests: ReadRequest[];
  /** Beginnings of requests, on connections that have ended since, or have not. */
  readonly beginnings: { readonly bytes: string; readonly hasEnded: boolean }[];
  /** Requests behind which the connection did not end. */
  readonly followed: Set<ReadRequest>;
  readonly tunnelled: string[];
  /** Readings under which the connection says something else from this run's bytes on, and what. */
  readonly ambiguous: string[];
  /** What a strict reader refuses to read on. */
  readonly malformed: string[];
}

/** What reached the backend, by the runs' tags. */
export function arrivals(recorded: readonly Recorded[]): Map<string, Arrived> {
  const byTag = new Map<string, Arrived>();
  const placed: { request: ReadRequest; place: number; tag: string }[] = [];
  for (const record of recorded) {
    let tag = '';
    record.requests.forEach(({ request, place }, i) => {
      tag = tagIn(record.bytes.slice(request.start, request.headEnd)) || 'untagged';
      placed.push({ request, place, tag });
      if (i + 1 < record.requests.length || !record.hasEnded) of(byTag, tag).followed.add(request);
    });
    const rest = record.bytes.slice(record.requests.at(-1)?.request.end ?? 0);
    if (rest !== '') {
      const arrived = of(byTag, tagIn(rest) || tag || 'untagged');
      arrived.beginnings.push({ bytes: rest, hasEnded: record.hasEnded });
      if (record.malformed !== '') arrived.malformed.push(record.malformed);
    }
    if (record.tunnelled !== '') of(byTag, tag).tunnelled.push(record.tunnelled);
    for (const { tag: blamed, difference } of differences(record)) of(byTag, blamed || tag).ambiguous.push(difference);
  }
  placed.sort((a, b) => a.place - b.place);
  for (const { request, tag } of placed) of(byTag, tag).requests.push(request);
  return byTag;
}

function of(byTag: Map<string, Arrived>, tag: string): Arrived {
  let arrived = byTag.get(tag);
  if (arrived === undefined) {
    arrived = { requests: [], beginnings: [], followed: new Set(), tunnelled: [], ambiguous: [], malformed: [] };
    byTag.set(tag, arrived);
  }
  return arrived;
}

function tagIn(text: string): string {
  return TAG_PATTERN.exec(text)?.[0] ?? '';
}

/**
 * The lenient readings under which a connection holds other requests, each with the tag from which on it does: others than
 * the strict reading's, or where that cannot read on, than the first lenient one's.
 */
function differences(record: Recorded): { tag: string; difference: string }[] {
  const strict = record.requests.map(({ request }) => request);
  const all = LENIENT.map((reading) => ({ reading, requests: readConnection(record.bytes, reading).requests }));
  const base = record.malformed === '' ? strict : (all[0]?.requests ?? []);
  const found: { tag: string; difference: string }[] = [];
  for (const { reading, requests } of all) {
    const other = requests.findIndex((request, i) => !isSame(request, base[i]));
    const at = other >= 0 ? other : requests.length === base.length ? -1 : requests.length;
    if (at < 0) continue;
    const start = base[at]?.start ?? base[at - 1]?.end ?? 0;
    const read = requests[at];
    const shown = read === undefined ? 'no request' : `${read.method} ${read.target} ${read.body.length}`;
    found.push({ tag: tagIn(record.bytes.slice(start)), difference: `${reading.name}: ${shown}` });
  }
  return found;
}

function isSame(a: ReadRequest, b: ReadRequest | undefined): boolean {
  return b !== undefined && a.method === b.method && a.target === b.target && a.body === b.body && a.end === b.end;
}

/** What is wrong with an outcome, by what its case says must come; empty where nothing is. */
export function complaints(outcome: Outcome, arrived: Arrived | undefined): string[] {
  const { run, tag } = outcome;
  const { expected } = run.case;
  const wanted = expected.requests.map((request) => withTag(request, tag));
  if (expected.mayBeEarly && arrived?.requests.length === 0) return earlyComplaints(outcome, arrived, wanted);
  const wrong = readsComplaints(expected, arrived, wanted);
  for (const { bytes, hasEnded } of arrived?.beginnings ?? []) {
    if (!expected.mayBegin) wrong.push(`the backend saw ${JSON.stringify(bytes)}`);
    else if (!hasEnded) wrong.push('the connection with an unfinished request stays open');
  }
  wrong.push(...(arrived?.ambiguous ?? []).map((reading) => `ambiguous: ${reading}`));
  wrong.push(...(arrived?.malformed ?? []).map((what) => `malformed: ${what}`));
  const echo = expected.echo.replaceAll(TAG, tag);
  if ((arrived?.tunnelled.join('') ?? '') !== echo) wrong.push(`through the tunnel came ${arrived?.tunnelled}`);
  return [...wrong, ...answerComplaints(outcome, wanted, expected, echo)];
}

function readsComplaints(
  expected: Expectation,
  arrived: Arrived | undefined,
  wanted: readonly ExpectedRead[],
): string[] {
  const wrong: string[] = [];
  const requests = arrived?.requests ?? [];
  if (requests.length !== wanted.length) {
    wrong.push(`the backend read ${shownReads(requests)} instead of ${wanted.length} requests`);
  }
  wanted.forEach((want, i) => {
    const read = requests[i];
    if (read === undefined) return;
    wrong.push(...readComplaints(read, want));
    if (expected.isLast && arrived?.followed.has(read))
      wrong.push('its connection to the backend does not end with it');
  });
  return wrong;
}

/** The backend answered before the body was there: its connection and the client's end. */
function earlyComplaints(outcome: Outcome, arrived: Arrived, wanted: readonly ExpectedRead[]): string[] {
  const reads = answersIn(outcome.received).map(({ read }) => read);
  const wrong: string[] = [];
  if (reads.join() !== wanted.map(({ method, target }) => `${method} ${target} 0`).join())
    wrong.push(`answered ${reads}`);
  if (arrived.beginnings.some(({ hasEnded }) => !hasEnded)) wrong.push('the unfinished request stays open');
  if (!outcome.endedEarly) wrong.push('the connection stays open though the body is not read');
  return wrong;
}

function withTag(request: ExpectedRead, tag: string): ExpectedRead {
  return JSON.parse(JSON.stringify(request).replaceAll(TAG, tag)) as ExpectedRead;
}

function readComplaints(read: ReadRequest, want: ExpectedRead): string[] {
  const wrong: string[] = [];
  const say = (what: string, is: unknown, must: unknown) => {
    const [a, b] = [JSON.stringify(is), JSON.stringify(must)];
    if (a !== b) wrong.push(`${what} is ${a}, not ${b}`);
  };
  say('the method', read.method, want.method);
  say('the target', read.target, want.target);
  say('the body', read.body, want.body ?? '');
  if (want.trailers !== undefined) say('the trailer section', read.trailers, want.trailers);
  for (const [name, value] of Object.entries(want.fields ?? {})) {
    const values = read.fields.filter((field) => field.name.toLowerCase() === name).map((field) => field.value);
    say(name, values.length === 0 ? null : values.join('|'), value);
  }
  return wrong;
}

function shownReads(requests: readonly ReadRequest[]): string {
  return `[${requests.map((r) => `${r.method} ${r.target} ${r.body.length}`).join(', ')}]`;
}

/** A response as the client reads it; its body is known by Content-Length, which all of them have. */
export interface Answer {
  readonly status: number;
  readonly read: string;
  readonly closes: boolean;
}

export function answersIn(received: string): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < received.length; ) {
    const end = received.indexOf('\r\n\r\n', at);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(received.slice(at, at + 16))?.[1] ?? 0);
    if (end < 0 || status === 0) return [...answers, { status: 0, read: '', closes: false }];
    const head = received.slice(at, end);
    const length = Number(/\r\nContent-Length: (\d+)/i.exec(head)?.[1] ?? 0);
    const read = new RegExp(`\r\n${READ_FIELD}: ([^\r]*)`, 'i').exec(head)?.[1] ?? '';
    at = end + 4 + length;
    if (status !== 100) answers.push({ status, read, closes: /\r\nConnection: close/i.test(head) });
    if (status === 101) break;
  }
  return answers;
}

function answerComplaints(
  outcome: Outcome,
  wanted: readonly ExpectedRead[],
  expected: Expectation,
  echo: string,
): string[] {
  const wrong: string[] = [];
  const answers = answersIn(outcome.received);
  const own = wanted.map(({ method, target, body = '' }) => `${method} ${target} ${body.length}`);
  const read = answers.map((answer) => answer.read).filter((text) => text !== '');
  const isSwitched = echo !== '';
  if (!isSwitched && read.join() !== own.join()) wrong.push(`the client was answered for [${read}], not [${own}]`);
  if (isSwitched && !outcome.received.endsWith(`\r\n\r\n${echo}`)) wrong.push('the tunnel did not echo');
  const refusals = answers.filter((answer) => answer.read === '' && answer.status !== 101);
  if (expected.refusal.length === 0 && refusals.length > 0) wrong.push(`refused with ${refusals[0]?.status}`);
  if (expected.refusal.length > 0) {
    const last = answers.at(-1);
    if (refusals.length !== 1 || last !== refusals[0] || !expected.refusal.includes(last?.status ?? 0)) {
      wrong.push(`answered ${JSON.stringify(answers.map((a) => a.status))}, not ${expected.refusal.join(' or ')}`);
    }
    if (last?.closes !== true) wrong.push('the refusal does not say Connection: close');
    if (!outcome.endedEarly) wrong.push('the connection stays open behind the refusal');
  } else if (expected.closes !== outcome.endedEarly) {
    wrong.push(`the connection was ${outcome.endedEarly ? '' : 'not '}closed`);
  }
  if (!outcome.ended) wrong.push('the connection never ended');
  return wrong;
}
