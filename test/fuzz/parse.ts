/** Heads parsed from text, for the unit tests of workers/http1. Texts are latin1. */

import { FAULTY, INCOMPLETE } from '../../workers/http1/errors.ts';
import type { HeadLimits } from '../../workers/http1/message-head.ts';
import { RequestHead } from '../../workers/http1/request-head.ts';
import { ResponseHead } from '../../workers/http1/response-head.ts';
import { LIMITS } from './own-reading.ts';

export interface Parsed<Head> {
  readonly head: Head;
  readonly bytes: Buffer;
  /** Index past the head, INCOMPLETE or FAULTY. */
  readonly past: number;
  /** The fault, 'incomplete', or null where the head was accepted. */
  readonly verdict: unknown;
}

function parsed<Head extends RequestHead | ResponseHead>(head: Head, text: string): Parsed<Head> {
  const bytes = Buffer.from(text, 'latin1');
  const past = head.parse(bytes, 0, bytes.length);
  const verdict = past === INCOMPLETE ? 'incomplete' : past === FAULTY ? head.fault : null;
  return { head, bytes, past, verdict };
}

export function parseRequest(text: string, limits: HeadLimits = LIMITS): Parsed<RequestHead> {
  return parsed(new RequestHead(limits), text);
}

export function parseResponse(text: string, limits: HeadLimits = LIMITS): Parsed<ResponseHead> {
  return parsed(new ResponseHead(limits), text);
}

/** A request with Host and the `lines` (each without its CRLF). */
export function requestWith(lines: readonly string[], version = 'HTTP/1.1'): string {
  return ['POST /a HTTP/1.1'.replace('HTTP/1.1', version), 'Host: a.example', ...lines, '', ''].join('\r\n');
}

export function responseWith(lines: readonly string[], statusLine = 'HTTP/1.1 200 OK'): string {
  return [statusLine, ...lines, '', ''].join('\r\n');
}
