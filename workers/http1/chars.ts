/** Character classes of HTTP/1.1 heads, as a table over the byte's value. Listener threads. */

/** tchar, RFC 9110 section 5.6.2. */
export const TOKEN = 1;
/** field-vchar, SP and HTAB, RFC 9110 section 5.5: no control character, no NUL; obs-text is let through. */
export const VALUE = 2;
/** Bytes of a request-target: visible ASCII but '#', which starts a fragment and never belongs on the wire. */
export const TARGET = 4;
/** Bytes of a reg-name, RFC 3986 section 3.2.2, less ',' and '.': no '@', so no userinfo. */
export const HOST = 8;
export const DIGIT = 16;

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;

/** The classes of each byte, as a set of the bits above. */
export const CLASS = new Uint8Array(256);

for (let c = 0; c < 256; c++) {
  const s = String.fromCharCode(c);
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(s)) CLASS[c]! |= TOKEN;
  if (c === HTAB || (c >= SP && c !== 0x7f)) CLASS[c]! |= VALUE;
  if (c > SP && c < 0x7f && s !== '#') CLASS[c]! |= TARGET;
  if (/^[A-Za-z0-9\-_~!$&'()*+;=%]$/.test(s)) CLASS[c]! |= HOST;
  if (c >= 0x30 && c <= 0x39) CLASS[c]! |= DIGIT;
}

/** Value of a hexadecimal digit of either case, 255 for any other byte. */
export const HEX_VALUE = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  HEX_VALUE[i.toString(16).charCodeAt(0)] = i;
  HEX_VALUE[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}

/** The bytes of a lower-case ASCII string, for `equalsIgnoringCase`. */
export function lower(s: string): Uint8Array {
  return Uint8Array.from(s.toLowerCase(), (c) => c.charCodeAt(0));
}

/** Whether `bytes[start, end)` is `name` (from `lower`) in any letter case. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    const c = bytes[start + i] as number;
    // letters alone have a case: '^' and '~' differ by the same bit
    if (c !== name[i] && ((c | 0x20) !== name[i] || c < 0x41 || c > 0x5a)) return false;
  }
  return true;
}

/** Whether `bytes[start, end)` begins with `text`. */
export function startsWith(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** The same for a field's name, '_' taken for '-' as CGI and its kin do: the field, or what would be it to them. */
export function isNameOrTwin(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    const c = bytes[start + i] === UNDERSCORE ? HYPHEN : (bytes[start + i] as number);
    if (c !== name[i] && (c | 0x20) !== name[i]) return false;
  }
  return true;
}
