/**
 * What must hold between our reading of a byte stream and llhttp's: whatever we accept, it accepts with the same
 * meaning, and what we then pass on it reads with that meaning too. Test support.
 */

import { METHODS } from 'node:http';
import { BODY } from '../../workers/http1/framing.ts';
import type { HeadLimits } from '../../workers/http1/message-head.ts';
import { type OracleMessage, RequestOracle, ResponseOracle } from './llhttp-oracle.ts';
import { HOP, type OwnField, type OwnRequest, OwnRequests, type OwnResponse, OwnResponses } from './own-reading.ts';

export interface Verdict {
  /** Messages that we accepted whole, and compared. */
  accepted: number;
  /** 1: the stream ends within a message that neither reading refuses. */
  unfinished: 0 | 1;
  /** What is not as it must be, or null. */
  difference: string | null;
  /** Our fault, where llhttp went on and accepted: allowed, and counted. */
  strictness: string | null;
  /** Our fault, where llhttp refused too. */
  refusal: string | null;
  /** The known difference that ended the comparison, by its name. */
  explained: string | null;
}

/**
 * Known differences, each as narrow as it can be told: a comparison that differs in this respect, behind a message that
 * looks like this, ends there. Three more are met where they occur and end nothing: see `forOracle` and
 * `announcesClose`.
 */
const EXPLAINED: readonly { name: string; why: string; difference: RegExp; messages: RegExp }[] = [
  {
    name: 'interim response that closes',
    why: 'RFC 9112 section 9.6: the connection closes after the final response; llhttp refuses to read on',
    difference: /HPE_CLOSED_CONNECTION/,
    messages: /HTTP\/1\.(0 1\d\d|1 1\d\d[\s\S]*^connection:.*close)/im,
  },
  {
    name: 'Proxy-Connection',
    why: 'RFC 9112 appendix C.2.2: no field of HTTP; we leave it out, llhttp takes it for Connection',
    difference: /HPE_CLOSED_CONNECTION|^connection kept/,
    messages: /^proxy-connection:.*close/im,
  },
  {
    name: 'field that may not stand in a trailer section',
    why: 'RFC 9110 section 6.5.1: we leave it out; llhttp interprets it like one in the head, and ends there',
    difference:
      /HPE_(INVALID_TRANSFER_ENCODING|INVALID_CONTENT_LENGTH|UNEXPECTED_CONTENT_LENGTH|CLOSED_CONNECTION)|complete at its end|messages begun/,
    messages: /^0+(;.*)?\r\n(.+\r\n)*(transfer-encoding|content-length|connection|proxy-connection):/im,
  },
];

function explanationOf(difference: string, messages: string): string | null {
  const applies = (known: (typeof EXPLAINED)[number]) =>
    known.difference.test(difference) && known.messages.test(messages);
  return EXPLAINED.find(applies)?.name ?? null;
}

function isFraming(name: string): boolean {
  return /^(content-length|transfer-encoding)$/i.test(name);
}

/**
 * Whether llhttp should see that the backend keeps the connection. It decides before node:http tells it that the
 * request was HEAD, so that it takes a head without framing for one of a body until close (RFC 9112 section 6.3).
 */
function announcesClose({ keepsConnection, fields }: OwnResponse, isHeadRequest: boolean): boolean {
  return !keepsConnection || (isHeadRequest && !fields.some(({ name }) => isFraming(name)));
}

type RawHeaders = readonly string[];

class Differs extends Error {}

function same(what: string, ours: unknown, theirs: unknown): void {
  const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
  if (a !== b) throw new Differs(`${what}: ours ${a}, llhttp's ${b}`);
}

function flat(fields: readonly OwnField[]): string[] {
  return fields.flatMap(({ name, value }) => [name, value]);
}

function pairs(raw: RawHeaders): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string]);
}

function valuesOf(raw: RawHeaders, wanted: string): string[] {
  return pairs(raw).flatMap(([name, value]) => (name.toLowerCase() === wanted ? [value] : []));
}

function listOf(raw: RawHeaders, wanted: string): string[] {
  return valuesOf(raw, wanted).flatMap((value) =>
    value.split(',').map((member) => member.replaceAll(/^[ \t]+|[ \t]+$/g, '').toLowerCase()),
  );
}

function without(raw: RawHeaders, names: readonly string[]): string[] {
  return pairs(raw)
    .filter(([name]) => !names.includes(name.toLowerCase()))
    .flat();
}

/** RFC 9110 section 7.8: token, with or without a version. */
const PROTOCOL = /^[\w!#$%&'*+\-.^`|~]+(\/[\w!#$%&'*+\-.^`|~]+)?$/;
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];
const TWINS = ['content-length', 'transfer-encoding', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'];
const REQUEST_ONLY = ['te', 'http2-settings', 'forwarded', ...TWINS.slice(2)];
const NOT_IN_TRAILERS = ['authorization', 'connection', 'content-encoding', 'content-length', 'content-range']
  .concat(['content-type', 'cookie', 'expect', 'host', 'keep-alive', 'proxy-connection', 'set-cookie', 'te'])
  .concat(['trailer', 'transfer-encoding', 'upgrade', 'forwarded', 'via'])
  .concat(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])
  .concat(['cache-control', 'http2-settings', 'if-match', 'if-modified-since', 'if-none-match', 'if-range'])
  .concat(['if-unmodified-since', 'max-forwards', 'pragma', 'proxy-authenticate', 'proxy-authorization', 'range'])
  .concat(['www-authenticate']);

/** Names that CGI would take for one of TWINS. */
function twins(raw: RawHeaders): string[] {
  const names = pairs(raw).map(([name]) => name.toLowerCase());
  return names.filter((name) => name.includes('_') && TWINS.includes(name.replaceAll('_', '-')));
}

/** Names that a Connection field makes hop-by-hop; `close` and the like are none. */
function nominated(raw: RawHeaders): string[] {
  return listOf(raw, 'connection').filter((option) => option !== 'close');
}

/** The trailer section as it is passed on. */
function keptTrailers({ incoming, rawHeaders }: OracleMessage): string[] {
  const hop = nominated(rawHeaders);
  return pairs(incoming.rawTrailers)
    .filter(([name]) => !NOT_IN_TRAILERS.includes(name.toLowerCase().replaceAll('_', '-')))
    .filter(([name]) => !hop.includes(name.toLowerCase()))
    .flat();
}

/** What a backend must be sent for a request that llhttp read as `message`, from RFC 9110 section 7.6 alone. */
function forwardedFields(message: OracleMessage): string[] {
  const raw = message.rawHeaders;
  const { url = '', httpVersionMinor } = message.incoming;
  const absolute = /^https?:\/\/([^/?]*)/i.exec(url);
  const isChunked = valuesOf(raw, 'transfer-encoding').length > 0;
  const hosts = valuesOf(raw, 'host');
  const authority = absolute?.[1] ?? hosts[0] ?? '';
  const fields: string[] = [];
  const omitted = [...HOP_BY_HOP, ...REQUEST_ONLY, ...twins(raw), ...nominated(raw)];
  if (absolute !== null || hosts.length === 0) {
    fields.push('Host', absolute?.[1] ?? HOP.localAuthority);
    omitted.push('host');
  }
  if (httpVersionMinor === 0) omitted.push('expect');
  fields.push(...without(raw, omitted));
  if (isChunked) fields.push('Transfer-Encoding', 'chunked');
  const forwardedFor = valuesOf(raw, 'x-forwarded-for').filter((value) => value !== '');
  fields.push('X-Forwarded-For', [...forwardedFor, HOP.clientAddress].join(', '), 'X-Forwarded-Proto', 'http');
  if (authority !== '') fields.push('X-Forwarded-Host', authority);
  const upgrade = valuesOf(raw, 'upgrade')[0] ?? '';
  const hasBody = isChunked || Number(valuesOf(raw, 'content-length')[0] ?? 0) > 0;
  const protocols = listOf(raw, 'upgrade').filter((protocol) => protocol !== '');
  const mayUpgrade =
    httpVersionMinor === 1 &&
    !hasBody &&
    protocols.length > 0 &&
    protocols.every((p) => PROTOCOL.test(p) && !['h2c', 'http'].includes(p.split('/')[0] as string));
  if (mayUpgrade && listOf(raw, 'connection').includes('upgrade')) {
    fields.push('Connection', 'upgrade', 'Upgrade', upgrade);
  }
  return fields;
}

function originForm({ method = '', url = '' }: OracleMessage['incoming']): string {
  const rest = url.replace(/^https?:\/\/[^/?]*/i, '');
  if (rest === url || rest.startsWith('/')) return url === rest ? url : rest;
  return rest === '' && method === 'OPTIONS' ? '*' : `/${rest}`;
}

function newVerdict(): Verdict {
  return { accepted: 0, unfinished: 0, difference: null, strictness: null, refusal: null, explained: null };
}

/**
 * A message in the words that llhttp knows, of the same meaning and with the same end. It knows registered methods
 * alone, where RFC 9110 section 9.1 allows any token: POST stands for the others. And it takes HTAB behind a
 * Transfer-Encoding for a part of it, where section 5.6.3 allows it as white space: SP stands for it.
 */
function forOracle(text: string, method: string): string {
  const known = METHODS.includes(method) ? text : text.replace(method, () => 'POST');
  const headEnd = known.indexOf('\r\n\r\n', 2);
  const head = known
    .slice(0, headEnd)
    .replaceAll(/^(transfer-encoding:.*?)([ \t]+)\r?$/gim, (line, field: string, spaces: string) =>
      line.replace(field + spaces, () => field + ' '.repeat(spaces.length)),
    );
  return head + known.slice(headEnd);
}

/** Compares the readings of a stream of requests. Bytes are the text's latin1. */
export function compareRequests(text: string): Verdict {
  const verdict = newVerdict();
  const bytes = Buffer.from(text, 'latin1');
  const own = new OwnRequests();
  const original = new RequestOracle();
  let forwarded: RequestOracle | null = null;
  let seen = 0;
  try {
    own.feed(bytes, 0, bytes.length);
    own.settle();
    let start = 0;
    for (const [i, message] of own.messages.entries()) {
      seen = message.end;
      readRequest(original, forOracle(text.slice(start, message.end), message.method), message, i, 'original');
      checkRequest(message, original.messages[i] as OracleMessage);
      forwarded ??= new RequestOracle();
      readRequest(forwarded, forOracle(message.rewritten + message.framed, message.method), message, i, 'forwarded');
      checkForwardedRequest(message, original.messages[i] as OracleMessage, forwarded.messages[i] as OracleMessage);
      checkOwnReading(message, readAgain(new OwnRequests(WIDE), message.rewritten + message.framed));
      if (message.isComplete) verdict.accepted++;
      start = message.end;
    }
    if (own.fault === null && !own.isLast && own.isBegun) verdict.unfinished = 1;
    if (own.fault !== null) {
      original.feed(bytes.subarray(start));
      const last = original.messages[own.messages.length - (own.isFaultInBody ? 1 : 0)];
      const isAccepted = last !== undefined && (!own.isFaultInBody || last.incoming.complete);
      verdict[isAccepted ? 'strictness' : 'refusal'] = own.fault;
    }
  } catch (error) {
    conclude(verdict, error, text.slice(0, seen));
  } finally {
    original.close();
    forwarded?.close();
  }
  return verdict;
}

/** What we pass on is longer than what came. */
const WIDE: HeadLimits = { headBytesMax: 64 * 1024, headersMax: 200, targetBytesMax: 16 * 1024 };

interface Again {
  readonly fault: string | null;
  readonly messages: readonly (OwnRequest | OwnResponse)[];
  readonly consumed: number;
  readonly fed: number;
}

function readAgain(reader: OwnRequests | OwnResponses, text: string): Again {
  const bytes = Buffer.from(text, 'latin1');
  reader.feed(bytes, 0, bytes.length);
  const { fault, messages, consumed } = reader;
  return { fault, messages, consumed, fed: bytes.length };
}

/** Another edge behind this one reads what we pass on as the one message that we read. */
function checkOwnReading(sent: OwnRequest | OwnResponse, reader: Again): void {
  const [again] = reader.messages;
  const untilClose = 'kind' in sent && sent.kind === BODY.untilClose;
  same('read again: fault', null, reader.fault);
  same('read again: messages', 1, reader.messages.length);
  same('read again: whole', sent.isComplete && !untilClose, again?.isComplete);
  if (sent.isComplete) same('read again: content', sent.content, again?.content);
  else same('read again: content is no more', true, sent.content.startsWith(again?.content ?? ''));
  if (sent.isComplete) same('read again: nothing is left over', reader.fed, reader.consumed);
  if ('status' in sent) same('read again: status', sent.status, (again as OwnResponse).status);
  else same('read again: method', sent.method, (again as OwnRequest).method);
}

function conclude(verdict: Verdict, error: unknown, messages: string): void {
  const difference = error instanceof Differs ? error.message : `threw ${(error as Error).stack}`;
  verdict.explained = explanationOf(difference, messages);
  if (verdict.explained === null) verdict.difference = difference;
}

/** Feeds one message up to its last byte, then that: llhttp must see it end there, and not before. */
function readRequest(oracle: RequestOracle, text: string, message: OwnRequest, i: number, which: string): void {
  const bytes = Buffer.from(text, 'latin1');
  const cut = message.isComplete ? bytes.length - 1 : bytes.length;
  oracle.feed(bytes.subarray(0, cut));
  if (oracle.error === null) same(`${which} ${i}: messages complete before its end`, i, oracle.completeCount);
  oracle.feed(bytes.subarray(cut));
  same(`${which} ${i}: error`, null, oracle.error);
  same(`${which} ${i}: messages begun`, i + 1, oracle.messages.length);
  same(`${which} ${i}: messages complete at its end`, message.isComplete ? i + 1 : i, oracle.completeCount);
}

function checkRequest(ours: OwnRequest, theirs: OracleMessage): void {
  const { incoming } = theirs;
  if (METHODS.includes(ours.method)) same('method', ours.method, incoming.method);
  same('target', ours.target, incoming.url);
  same('version', `1.${ours.minorVersion}`, incoming.httpVersion);
  same('fields', flat(ours.fields), theirs.rawHeaders);
  same('body', ours.content, theirs.body);
  if (ours.keepsConnection) same('connection kept', true, theirs.keepsConnection);
}

function checkForwardedRequest(ours: OwnRequest, original: OracleMessage, forwarded: OracleMessage): void {
  same('forwarded method', original.incoming.method, forwarded.incoming.method);
  same('forwarded target', originForm(original.incoming), forwarded.incoming.url);
  same('forwarded version', '1.1', forwarded.incoming.httpVersion);
  same('forwarded fields', forwardedFields(original), forwarded.rawHeaders);
  same('forwarded connection kept', true, forwarded.keepsConnection);
  if (ours.isComplete) {
    same('forwarded body', original.body, forwarded.body);
    same('forwarded trailers', keptTrailers(original), forwarded.incoming.rawTrailers);
  } else same('forwarded body is no more than the original', true, original.body.startsWith(forwarded.body));
}

/** Compares the readings of streams of responses, each to a request by its method. */
export async function compareResponses(streams: readonly { text: string; method: string }[]): Promise<Verdict[]> {
  const readings = streams.map(({ text, method }) => {
    const bytes = Buffer.from(text, 'latin1');
    const own = new OwnResponses(method === 'HEAD');
    own.feed(bytes, 0, bytes.length);
    own.close();
    // one for the original, and where there is something to pass on, two for that
    return { text, method, own, count: own.messages.length === 0 ? 1 : 3 };
  });
  const oracles = await ResponseOracle.open(
    readings.flatMap(({ method, count }) => Array.from({ length: count }, () => method)),
  );
  let opened = 0;
  return readings.map(({ text, method, own, count }) => {
    const verdict = newVerdict();
    const its = oracles.slice(opened, opened + count);
    opened += count;
    try {
      compareResponse(text, method, own, its, verdict);
    } catch (error) {
      conclude(verdict, error, text);
    } finally {
      for (const oracle of its) oracle.close();
    }
    return verdict;
  });
}

function compareResponse(
  text: string,
  method: string,
  own: OwnResponses,
  oracles: readonly ResponseOracle[],
  verdict: Verdict,
): void {
  const [original, forwarded, untilClose] = oracles as [ResponseOracle, ResponseOracle, ResponseOracle];
  const bytes = Buffer.from(text, 'latin1');
  let start = 0;
  for (const [i, message] of own.messages.entries()) {
    readResponse(original, forOracle(text.slice(start, message.end), 'GET'), message, i, 'original');
    const theirs = original.messages[i] as ResponseOracle['messages'][number];
    same('status', message.status, theirs.status);
    same('reason', message.reason, theirs.reason);
    same('version', `1.${message.minorVersion}`, theirs.version);
    same('fields', flat(message.fields), theirs.rawHeaders);
    start = message.end;
    if (message.status === 101) return;
    readResponse(forwarded, `${message.rewritten}\r\n${message.framed}`, message, i, 'forwarded');
    checkForwardedResponse(message, theirs.rawHeaders, forwarded.messages[i]);
    const reader = new OwnResponses(method === 'HEAD', WIDE);
    checkOwnReading(message, readAgain(reader, `${message.rewritten}\r\n${message.framed}`));
    // to a client of HTTP/1.0, which is sent no interim response
    if (message.status >= 200) {
      const kind = message.kind === BODY.chunked ? BODY.untilClose : message.kind;
      const sent = `${message.rewrittenUntilClose}\r\n${message.content}`;
      readResponse(untilClose, sent, { ...message, kind }, 0, 'until close');
    }
    if (message.isComplete) verdict.accepted++;
  }
  if (own.fault === null && !own.isLast && own.messages.at(-1)?.isComplete !== true) verdict.unfinished = 1;
  if (original.final !== null) {
    const final = own.messages.at(-1) as OwnResponse;
    checkBodies(final, original, forwarded, untilClose);
    if (!announcesClose(final, method === 'HEAD')) same('connection kept', true, original.keepsConnection);
  }
  if (own.fault !== null) {
    original.feed(bytes.subarray(start));
    original.end();
    const isAccepted = own.isFaultInBody ? original.isComplete : original.messages.length > own.messages.length;
    verdict[isAccepted ? 'strictness' : 'refusal'] = own.fault;
  }
}

function readResponse(oracle: ResponseOracle, text: string, message: OwnResponse, i: number, which: string): void {
  const bytes = Buffer.from(text, 'latin1');
  const cut = message.isComplete ? bytes.length - 1 : bytes.length;
  oracle.feed(bytes.subarray(0, cut));
  if (oracle.error === null) same(`${which} ${i}: complete before its end`, false, oracle.isComplete);
  oracle.feed(bytes.subarray(cut));
  if (message.isComplete && message.kind === BODY.untilClose) {
    if (oracle.error === null) same(`${which} ${i}: complete before the connection closes`, false, oracle.isComplete);
    oracle.end();
  }
  same(`${which} ${i}: error`, null, oracle.error);
  same(`${which} ${i}: responses begun`, i + 1, oracle.messages.length);
  if (message.status >= 200) same(`${which} ${i}: complete at its end`, message.isComplete, oracle.isComplete);
}

function checkForwardedResponse(
  ours: OwnResponse,
  raw: RawHeaders,
  forwarded: ResponseOracle['messages'][number] | undefined,
): void {
  const omitted = [...HOP_BY_HOP, ...nominated(raw)];
  if (ours.status < 200 || ours.status === 204) omitted.push('content-length');
  const expected = without(raw, omitted);
  if (ours.kind === BODY.chunked) expected.push('Transfer-Encoding', 'chunked');
  same('forwarded fields', expected, forwarded?.rawHeaders);
  same(
    'forwarded status',
    [ours.status, ours.reason, '1.1'],
    [forwarded?.status, forwarded?.reason, forwarded?.version],
  );
}

function checkBodies(
  ours: OwnResponse,
  original: ResponseOracle,
  forwarded: ResponseOracle,
  untilClose: ResponseOracle,
): void {
  const body = original.final?.body ?? '';
  same('body', ours.content, body);
  same('body of the response until close', body, untilClose.final?.body);
  if (ours.isComplete) {
    same('forwarded body', body, forwarded.final?.body);
    const trailers = original.final === null ? [] : keptTrailers(original.final);
    same('forwarded trailers', trailers, forwarded.final?.incoming.rawTrailers);
  } else same('forwarded body is no more than the original', true, body.startsWith(forwarded.final?.body ?? ''));
}
