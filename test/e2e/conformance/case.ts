/**
 * A case of the conformance suite: the bytes that a client sends on one connection, and what must come of them. Test
 * support.
 *
 * Every request in the bytes carries TAG in its Host or target; a run puts its own in its place, of the same length, so
 * that whatever reaches a backend, by whatever way, can be told to be that run's.
 */

/** Stands in a case's bytes for the run's own tag. */
export const TAG = 'tagtagta';
export const TAG_PATTERN = /r[0-9a-z]{7}/;

/** The tag of run `number`, 0 to 36^7 - 1. */
export function tagOf(number: number): string {
  return `r${number.toString(36).padStart(TAG.length - 1, '0')}`;
}

/** A request as a backend has to read it. */
export interface ExpectedRead {
  readonly method: string;
  readonly target: string;
  /** Content, decoded; empty where left out. */
  readonly body?: string;
  /** Values by lower-case name, several lines joined by "|"; null: no such line may be there. */
  readonly fields?: Readonly<Record<string, string | null>>;
  /** Trailer lines as they must arrive. */
  readonly trailers?: readonly string[];
}

export interface Expectation {
  /** What the backend reads, whole and in this order. */
  readonly requests: readonly ExpectedRead[];
  /** Statuses, one of which ends the connection after the answers to `requests`; none: every request is answered. */
  readonly refusal: readonly number[];
  /** The backend may have seen the beginning of another request, on a connection that ends within it. */
  readonly mayBegin: boolean;
  /** Each of these requests is the last on its connection to the backend. */
  readonly isLast: boolean;
  /** The client's connection is closed after the answers, though nothing was refused. */
  readonly closes: boolean;
  /** The backend may answer before the body is there: it reads a beginning then, and the client's connection closes. */
  readonly mayBeEarly: boolean;
  /** Answered by 101, and echoed from there on. */
  readonly echo: string;
}

export interface Case {
  readonly group: string;
  readonly name: string;
  readonly bytes: string;
  /** The client ends its side after the bytes. */
  readonly halfCloses: boolean;
  readonly expected: Expectation;
}

const NOTHING: Expectation = {
  requests: [],
  refusal: [],
  mayBegin: false,
  isLast: false,
  closes: false,
  mayBeEarly: false,
  echo: '',
};

/** Refused with one of `statuses`, and the backend saw nothing of it. */
export function refused(...statuses: number[]): Expectation {
  return { ...NOTHING, refusal: statuses };
}

/** Refused within its body: of the request that is refused, the backend saw an unfinished beginning at most. */
export function refusedInBody(...statuses: number[]): Expectation {
  return { ...NOTHING, refusal: statuses, mayBegin: true };
}

export function forwarded(...requests: ExpectedRead[]): Expectation {
  return { ...NOTHING, requests };
}

/** Ended by the client within a message: nobody answers, and no backend reads a whole request. */
export const UNFINISHED: Expectation = { ...NOTHING, mayBegin: true, closes: true };

export function get(target = '/', fields?: ExpectedRead['fields']): ExpectedRead {
  return { method: 'GET', target, ...(fields && { fields }) };
}

export function post(body: string, fields?: ExpectedRead['fields'], target = '/'): ExpectedRead {
  return { method: 'POST', target, body, ...(fields && { fields }) };
}

/** A request smuggled, if anybody reads it. */
export const SMUGGLED = `GET /smuggled HTTP/1.1\r\nHost: ${TAG}\r\n\r\n`;

/** A whole request: `lines` are field lines after Host. */
export function request(lines: readonly string[], body = '', start = 'POST / HTTP/1.1'): string {
  return `${start}\r\n${[`Host: ${TAG}`, ...lines].map((line) => `${line}\r\n`).join('')}\r\n${body}`;
}

/** A request that is chunked by the letter, with these bytes as its body. */
export function chunked(body: string, ...lines: string[]): string {
  return request(['Transfer-Encoding: chunked', ...lines], body);
}

export interface CaseOptions {
  readonly halfCloses?: boolean;
}

/** The cases of one group, from rows of name, bytes and what must come of them. */
export function group(
  name: string,
  rows: readonly (readonly [name: string, bytes: string, expected: Expectation, options?: CaseOptions])[],
): Case[] {
  return rows.map(([title, bytes, expected, options]) => ({
    group: name,
    name: title,
    bytes,
    expected,
    halfCloses: options?.halfCloses ?? false,
  }));
}
