/**
 * Ticket key files of other servers, read: the reverse of export-formats.ts. Pure.
 *
 *   nginx     48 bytes, name|aes|hmac: one key a file                        ssl_session_ticket_key
 *   haproxy   a line of base64 a key, name|aes|hmac: the last but one encrypts   tls-ticket-keys
 *   ats       48 bytes a key, name|hmac|aes: the first encrypts              ssl_ticket_key.config
 *
 * nginx and HAProxy also know keys of 80 bytes, for AES-256: no such ticket can be opened here.
 */

import { TICKET_KEY_BYTES, type TicketKey } from './ticket-key.ts';

export type ImportFormat = 'nginx' | 'haproxy' | 'ats';

/** The key, or the end of a sentence that begins with the file's name. It holds nothing of the file. */
export type Imported =
  | { readonly ok: true; readonly key: TicketKey }
  | { readonly ok: false; readonly message: string };

const LONG_KEY_BYTES = 80;
const ONLY_SHORT = 'only AES-128 keys, of 48 bytes, can be used: have the fleet use such before it is migrated';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** The key of the file that encrypts, as a copy in the order of this program. */
export function importTicketKey(file: Uint8Array, format: ImportFormat): Imported {
  switch (format) {
    case 'nginx':
      return importNginx(file);
    case 'haproxy':
      return importHaproxy(file);
    case 'ats':
      return importAts(file);
  }
}

function importNginx(file: Uint8Array): Imported {
  if (file.length === TICKET_KEY_BYTES) return { ok: true, key: fromNameAesHmac(file) };
  if (file.length === LONG_KEY_BYTES) return refuse(`holds an AES-256 key of nginx's; ${ONLY_SHORT}`);
  return refuse(`has ${file.length} bytes; a key file of nginx's has 48: name the file of ssl_session_ticket_key`);
}

function importAts(file: Uint8Array): Imported {
  if (file.length >= TICKET_KEY_BYTES && file.length % TICKET_KEY_BYTES === 0) {
    return { ok: true, key: new Uint8Array(file.subarray(0, TICKET_KEY_BYTES)) };
  }
  return refuse(`has ${file.length} bytes; a key file of Traffic Server's has a multiple of 48: name that file`);
}

function importHaproxy(file: Uint8Array): Imported {
  const lines = latin1(file)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const keys: Uint8Array[] = [];
  for (const [i, line] of lines.entries()) {
    const key = BASE64.test(line) ? Buffer.from(line, 'base64') : new Uint8Array();
    if (key.length === LONG_KEY_BYTES) return refuse(`holds AES-256 keys of HAProxy's; ${ONLY_SHORT}`);
    if (key.length !== TICKET_KEY_BYTES) {
      return refuse(`has no key in line ${i + 1} of those with text; write 48 bytes a line, in base64`);
    }
    keys.push(key);
  }
  const encrypting = keys.at(-2) ?? keys[0];
  if (encrypting === undefined) return refuse("is empty; a key file of HAProxy's has a line of base64 a key");
  return { ok: true, key: fromNameAesHmac(encrypting) };
}

function fromNameAesHmac(bytes: Uint8Array): TicketKey {
  const key = new Uint8Array(TICKET_KEY_BYTES);
  key.set(bytes.subarray(0, 16));
  key.set(bytes.subarray(32, 48), 16);
  key.set(bytes.subarray(16, 32), 32);
  return key;
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

function refuse(message: string): Imported {
  return { ok: false, message };
}
