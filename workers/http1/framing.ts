/**
 * Where a body ends (RFC 9112 section 6): the fields that say so, read strictly. Listener threads.
 */

import { CLASS, COMMA, DIGIT, equalsIgnoringCase, lower } from './chars.ts';
import { FAULT, type MessageFault } from './errors.ts';
import { forEachMember } from './fields.ts';

/** There is no Content-Length. */
export const NO_LENGTH = -1;

/** How the end of a body is known. */
export const BODY = {
  none: 0,
  length: 1,
  chunked: 2,
  /** Until the connection closes; responses only. */
  untilClose: 3,
} as const;
export type BodyKind = (typeof BODY)[keyof typeof BODY];

const CHUNKED = lower('chunked');

/**
 * The value of a Content-Length, or NO_LENGTH where it is anything but digits: no sign, no list, no leading zero (which
 * some read as octal), at most 15 digits, so that it is exact in a double.
 */
export function parseContentLength(bytes: Uint8Array, start: number, end: number): number {
  const digits = end - start;
  if (digits < 1 || digits > 15 || (digits > 1 && bytes[start] === 0x30)) return NO_LENGTH;
  let length = 0;
  for (let i = start; i < end; i++) {
    const c = bytes[i] as number;
    if (((CLASS[c] as number) & DIGIT) === 0) return NO_LENGTH;
    length = length * 10 + (c - 0x30);
  }
  return length;
}

/**
 * Checks a Transfer-Encoding: null where it is `chunked` and nothing else. Other codings are not decoded here, and
 * where `chunked` is not last the body's end cannot be known (RFC 9112 section 6.3, point 4).
 */
export function readTransferEncoding(bytes: Uint8Array, start: number, end: number): MessageFault | null {
  if (equalsIgnoringCase(bytes, start, end, CHUNKED)) return null;
  let chunkedAt = -1;
  let members = 0;
  let chunkedCount = 0;
  forEachMember(bytes, start, end, (s, e) => {
    if (equalsIgnoringCase(bytes, s, e, CHUNKED)) {
      chunkedAt = members;
      chunkedCount++;
    }
    members++;
  });
  const endsInChunked = chunkedCount === 1 && chunkedAt === members - 1 && bytes[end - 1] !== COMMA;
  return endsInChunked && members > 1 ? FAULT.codingUnknown : FAULT.coding;
}
