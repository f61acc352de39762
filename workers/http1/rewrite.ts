/**
 * Heads as they are passed on: hop-by-hop fields left out, what this hop has to say added. Listener threads.
 *
 * The text is latin1, one character a byte, so that every byte passes unchanged. It is cut out of one string made
 * from the head's bytes: a call into C++ a piece would cost more than the pieces do.
 */

import type { MessageFault } from './errors.ts';
import type { FieldTable } from './fields.ts';
import { BODY, type BodyKind } from './framing.ts';
import { latin1 } from './latin1.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/** What a request head needs to know of its connection. */
export interface Hop {
  /** The client's address for X-Forwarded-For; empty (unix socket): none is added. */
  readonly clientAddress: string;
  /** "X-Forwarded-Proto: http" or "https", and Via where it is on, each with CRLF. */
  readonly forwardedLines: string;
  /** Host for an HTTP/1.0 request that has none: where the client connected to. */
  readonly localAuthority: string;
}

/**
 * The request head in `bytes`, parsed as `head`, for a backend: HTTP/1.1, origin-form. `keepUpstream` false asks the
 * backend to close.
 */
export function rewriteRequest(bytes: Buffer, head: RequestHead, hop: Hop, keepUpstream: boolean): string {
  const { fields, start } = head;
  const text = latin1(bytes, start, fieldsEnd(fields, head.fieldsStart));
  let out: string;
  if (head.minorVersion === 1 && !head.isAbsolute) out = keptLines(text, fields, start, start);
  else {
    out = `${text.slice(0, head.methodEnd - start)} ${originForm(text, head)} HTTP/1.1\r\n`;
    if (head.isAbsolute) out += `Host: ${text.slice(head.hostStart - start, head.hostEnd - start)}\r\n`;
    else if (!head.hasHost) out += `Host: ${hop.localAuthority}\r\n`;
    out += keptLines(text, fields, head.fieldsStart, start);
  }
  if (head.isChunked) out += 'Transfer-Encoding: chunked\r\n';
  if (hop.clientAddress !== '') {
    out += `X-Forwarded-For: ${forwardedFor(text, head)}${hop.clientAddress}\r\n`;
  }
  out += hop.forwardedLines;
  if (head.hostEnd > head.hostStart) {
    out += `X-Forwarded-Host: ${text.slice(head.hostStart - start, head.hostEnd - start)}\r\n`;
  }
  if (head.upgradeStart >= 0) {
    return `${out}Connection: upgrade\r\nUpgrade: ${text.slice(head.upgradeStart - start, head.upgradeEnd - start)}\r\n\r\n`;
  }
  return keepUpstream ? `${out}\r\n` : `${out}Connection: close\r\n\r\n`;
}

/** RFC 9112 section 3.2.1, and 3.2.4 for OPTIONS without a path. */
function originForm(text: string, head: RequestHead): string {
  const { start } = head;
  if (!head.isAbsolute) return text.slice(head.targetStart - start, head.targetEnd - start);
  const path = text.slice(head.pathStart - start, head.targetEnd - start);
  if (path.startsWith('/')) return path;
  return path === '' && text.startsWith('OPTIONS ') ? '*' : `/${path}`;
}

/** The members that the client's own X-Forwarded-For lines hold, each followed by ", ". */
function forwardedFor(text: string, head: RequestHead): string {
  if (head.forwardedForLines === 0) return '';
  const { fields, start } = head;
  let members = '';
  for (let i = 0; i < fields.count; i++) {
    const nameStart = fields.start(i);
    if (fields.nameEnd(i) - nameStart !== 15 || fields.valueEnd(i) === fields.valueStart(i)) continue;
    if (text.slice(nameStart - start, fields.nameEnd(i) - start).toLowerCase() !== 'x-forwarded-for') continue;
    members += `${text.slice(fields.valueStart(i) - start, fields.valueEnd(i) - start)}, `;
  }
  return members;
}

/**
 * The response head in `bytes`, parsed as `head`, for the client, up to the empty line: the caller adds its own lines
 * and ends the head. `kind` is how the client will know the body's end.
 */
export function rewriteResponse(bytes: Buffer, head: ResponseHead, kind: BodyKind): string {
  const { fields, start } = head;
  const text = latin1(bytes, start, fieldsEnd(fields, head.fieldsStart));
  let out: string;
  if (head.minorVersion === 1) out = keptLines(text, fields, start, start);
  else {
    out = `HTTP/1.1 ${text.slice(head.statusStart - start, head.lineEnd - start)}\r\n`;
    out += keptLines(text, fields, head.fieldsStart, start);
  }
  return kind === BODY.chunked ? `${out}Transfer-Encoding: chunked\r\n` : out;
}

/**
 * Makes the response head in `bytes`, parsed as `head`, one for a client that nothing has to be added for: lines that are
 * left out are overwritten by what stands before them. Returns where it begins then, or less than 0 where it cannot stay as
 * it is. What is one piece is copied once less than what is put together.
 */
export function closeRanks(bytes: Buffer, head: ResponseHead): number {
  const { fields } = head;
  if (head.minorVersion !== 1 || head.isChunked) return -1;
  let start = head.start;
  for (let i = 0; i < fields.count && fields.dropped > 0; i++) {
    if (!fields.isDropped(i)) continue;
    const moved = start + fields.end(i) - fields.start(i);
    bytes.copyWithin(moved, start, fields.start(i));
    start = moved;
  }
  return start;
}

/** What the text has from `first` on, without dropped lines. `start` is the index that its first character had in the bytes. */
function keptLines(text: string, fields: FieldTable, first: number, start: number): string {
  if (fields.dropped === 0) return text.slice(first - start);
  let out = '';
  let run = first;
  for (let i = 0; i < fields.count; i++) {
    if (!fields.isDropped(i)) continue;
    if (fields.start(i) > run) out += text.slice(run - start, fields.start(i) - start);
    run = fields.end(i);
  }
  return out + text.slice(run - start);
}

function fieldsEnd(fields: FieldTable, fieldsStart: number): number {
  return fields.count === 0 ? fieldsStart : fields.end(fields.count - 1);
}

const REASON: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** A whole response of our own: short, plain text, saying no more than the status does. */
export function localResponse(status: number, options: { close: boolean; withoutBody: boolean }): string {
  const reason = REASON[status] ?? 'Error';
  const body = `${status} ${reason}\n`;
  return (
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n` +
    `Cache-Control: no-store\r\n${options.close ? 'Connection: close\r\n' : ''}` +
    `${status === 503 || status === 429 ? 'Retry-After: 1\r\n' : ''}\r\n${options.withoutBody ? '' : body}`
  );
}

/** The answer to a request that could not be read: always the last on its connection. */
export function faultResponse(fault: MessageFault): string {
  return localResponse(fault.status, { close: true, withoutBody: false });
}
