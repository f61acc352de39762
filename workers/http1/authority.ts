/**
 * The authority of a request: uri-host [ ":" port ] (RFC 9112 section 3.2, RFC 3986 section 3.2.2). Services are chosen by it,
 * so what could be read as another host by a backend is refused: a comma, a second colon, an empty label. Listener threads.
 */

import { CLASS, COLON, DIGIT, HEX_VALUE, HOST } from './chars.ts';

/** RFC 1035 section 2.3.4. */
const HOST_BYTES_MAX = 255;
const PORT_DIGITS_MAX = 5;
const DOT = 0x2e;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Whether `bytes[start, end)` is an authority, or empty, as a target without one demands. */
export function isAuthority(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  const hostEnd = bytes[start] === OPEN_BRACKET ? endOfLiteral(bytes, start, end) : endOfName(bytes, start, end);
  if (hostEnd < 0 || hostEnd - start > HOST_BYTES_MAX) return false;
  return hostEnd === end || isPort(bytes, hostEnd, end);
}

/** Index after an IPv6 literal's bracket, or -1. That it is an address is not checked: no other host looks like one. */
function endOfLiteral(bytes: Uint8Array, start: number, end: number): number {
  let i = start + 1;
  while (i < end && ((HEX_VALUE[bytes[i] as number] as number) < 16 || bytes[i] === COLON || bytes[i] === DOT)) i++;
  return i > start + 1 && bytes[i] === CLOSE_BRACKET && i < end ? i + 1 : -1;
}

/** Index after a name or IPv4 address, or -1 where it holds another byte or an empty label; one dot may end it. */
function endOfName(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  for (let label = 0; i < end && bytes[i] !== COLON; i++) {
    const c = bytes[i] as number;
    if (c === DOT) {
      if (label === 0) return -1;
      label = 0;
    } else if (((CLASS[c] as number) & HOST) !== 0) label++;
    else return -1;
  }
  return i > start ? i : -1;
}

/** ":" and digits; none at all is allowed (RFC 3986 section 3.2.3). */
function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] !== COLON || end - start > 1 + PORT_DIGITS_MAX) return false;
  for (let i = start + 1; i < end; i++) if (((CLASS[bytes[i] as number] as number) & DIGIT) === 0) return false;
  return true;
}
