/**
 * The affinity cookie: found in a request's bytes, and rendered for a response. Pure, listener threads.
 *
 * Reading follows CGI::Cookie->parse, which SessionAffinity uses: pairs are split at ';' or ',', each is trimmed, name
 * and value are URL-decoded, the value ends at '&', and the first pair with the name wins, whatever it holds.
 */

import { ID_CHARS, ID_WORDS, writeIdWords } from './backend-id.ts';

export const COOKIE_ABSENT = 0;
/** The cookie is there, and what it holds is no id. */
export const COOKIE_MALFORMED = 1;
export const COOKIE_ID = 2;

export type CookieResult = typeof COOKIE_ABSENT | typeof COOKIE_MALFORMED | typeof COOKIE_ID;

export interface SetCookieOptions {
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite: 'Strict' | 'Lax' | 'None' | null;
  readonly maxAgeS: number | null;
  readonly domain: string | null;
  readonly partitioned: boolean;
}

const SEMICOLON = 0x3b;
const COMMA = 0x2c;
const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const PERCENT = 0x25;
const PLUS = 0x2b;

/** Value of a lower-case hex digit, 255 for any other byte: ids are compared as strings, so 'A' is no digit of one. */
const HEX = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) HEX[i.toString(16).charCodeAt(0)] = i;

/**
 * Looks for cookie `name` (its bytes, not encoded) in a Cookie header's value, `bytes[start, end)`. Where it holds
 * an id, the id's five words are written to `id`. Allocates nothing unless a name or value is percent-encoded.
 */
export function findAffinityId(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: Uint8Array,
  id: Int32Array,
): CookieResult {
  let i = start;
  while (i < end) {
    while (i < end && isSpace(bytes[i] as number)) i++;
    const keyStart = i;
    let encoded = false;
    let c = 0;
    for (; i < end; i++) {
      c = bytes[i] as number;
      if (c === EQUALS || c === SEMICOLON || c === COMMA) break;
      if (c === PERCENT || c === PLUS) encoded = true;
    }
    const isPair = i < end && c === EQUALS;
    const matches = isPair && (encoded ? decodesTo(bytes, keyStart, i, name) : equals(bytes, keyStart, i, name));
    if (isPair) i++;
    const valueStart = i;
    if (matches && isPlainId(bytes, i, end) && parseId(bytes, i, id)) return COOKIE_ID;
    while (i < end && !endsPair(bytes[i] as number)) i++;
    if (matches) return readId(bytes, valueStart, i, id);
    i++;
  }
  return COOKIE_ABSENT;
}

/** Whether the value that begins at `start` is as long as an id. */
function isPlainId(bytes: Uint8Array, start: number, end: number): boolean {
  const past = start + ID_CHARS;
  return past === end || (past < end && endsPair(bytes[past] as number));
}

function endsPair(c: number): boolean {
  return c === SEMICOLON || c === COMMA;
}

function readId(bytes: Uint8Array, start: number, limit: number, id: Int32Array): CookieResult {
  let end = start;
  while (end < limit && bytes[end] !== AMPERSAND) end++;
  // only the end of the whole pair is trimmed, so a space before '&' is part of the value
  if (end === limit) while (end > start && isSpace(bytes[end - 1] as number)) end--;
  if (end - start === ID_CHARS && parseId(bytes, start, id)) return COOKIE_ID;
  for (let i = start; i < end; i++) {
    if (bytes[i] === PERCENT) return readEncodedId(bytes, start, end, id);
  }
  return COOKIE_MALFORMED;
}

function readEncodedId(bytes: Uint8Array, start: number, end: number, id: Int32Array): CookieResult {
  const decoded = decode(bytes, start, end);
  if (!/^[0-9a-f]{40}$/.test(decoded)) return COOKIE_MALFORMED;
  writeIdWords(decoded, id, 0);
  return COOKIE_ID;
}

/** Parses 40 lower-case hex characters at `start`; false where one of them is none. */
function parseId(bytes: Uint8Array, start: number, id: Int32Array): boolean {
  for (let w = 0, i = start; w < ID_WORDS; w++) {
    let word = 0;
    let seen = 0;
    for (const stop = i + 8; i < stop; i++) {
      const digit = HEX[bytes[i] as number] as number;
      seen |= digit;
      word = (word << 4) | digit;
    }
    if (seen > 15) return false;
    id[w] = word;
  }
  return true;
}

function equals(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}

function decodesTo(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  // an encoded character takes up to six: what cannot be the name is not decoded
  const length = end - start;
  if (length < name.length || length > name.length * 6) return false;
  return decode(bytes, start, end) === Buffer.from(name).toString('latin1');
}

/** URL-decoding as CGI::Util's unescape does it: '+' is a space, %XX a byte, %uXXXX a character. */
function decode(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    .toString('latin1')
    .replaceAll('+', ' ')
    .replace(/%(?:([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/g, (_: string, byte?: string, unit?: string) =>
      String.fromCharCode(Number.parseInt(byte ?? unit ?? '', 16)),
    );
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09;
}

/**
 * A cookie's name as it is sent: escaped as CGI::Cookie escapes it, because what it reads back is decoded. Of an
 * RFC 9110 token's characters all but letters, digits and "_.-~" are.
 */
export function encodeCookieName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_.~-]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** The attributes that follow "NAME=id" in Set-Cookie, beginning with "; path=/" as SessionAffinity writes it. */
export function renderCookieAttributes(o: SetCookieOptions): string {
  let s = '; path=/';
  if (o.domain !== null) s += `; Domain=${o.domain}`;
  if (o.maxAgeS !== null) s += `; Max-Age=${o.maxAgeS}`;
  if (o.secure) s += '; Secure';
  if (o.httpOnly) s += '; HttpOnly';
  if (o.sameSite !== null) s += `; SameSite=${o.sameSite}`;
  if (o.partitioned) s += '; Partitioned';
  return s;
}
