/**
 * The ring as other programs read it. Pure; main thread of a command. What it returns is secret.
 *
 *   nginx    a file a key, 48 bytes: name, aes, hmac      the first `ssl_session_ticket_key` encrypts, all decrypt
 *   haproxy  a line a key, base64: name, aes, hmac        the last but one encrypts, the last three decrypt
 *   ats      one file, 48 bytes a key: name, hmac, aes    the first encrypts, all decrypt
 *
 * HAProxy: configuration manual, `tls-ticket-keys`; a build may keep more than three (TLS_TICKETS_NO), and refuses a file
 * with fewer. Traffic Server: records.yaml, `ssl.server.ticket_key.filename`.
 */

import type { RingKey } from './key-ring.ts';
import { nameOf, partsOf, type TicketKey } from './ticket-key.ts';

export const EXPORT_FORMATS = ['nginx', 'haproxy', 'ats'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** HAProxy's TLS_TICKETS_NO, as it is built by default. */
const HAPROXY_KEYS_MIN = 3;

export interface KeyFile {
  /** In hex, whole: the first 8 digits alone might be those of two keys. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One file a key, in the order in which nginx must name them. Throws where no key is active. */
export function nginxFiles(keys: readonly RingKey[]): KeyFile[] {
  return fromActive(keys).map((key) => ({ name: nameOf(key), bytes: aesFirst(key) }));
}

/** Throws where no key is active. */
export function haproxyLines(keys: readonly RingKey[]): string {
  const { active, staged, retiring } = byStage(keys);
  // The last place decrypts and never encrypts. Where no key is staged, the youngest of the retiring ones takes it: an
  // active one there, twice, would push out an older key that three places can still hold.
  const last = staged ?? retiring.pop() ?? active;
  const lines = [...retiring, active, last];
  // a key is found at its first place from the one that encrypts on, so that a second one changes nothing
  while (lines.length < HAPROXY_KEYS_MIN) lines.unshift(active);
  return lines.map((key) => `${Buffer.from(aesFirst(key)).toString('base64')}\n`).join('');
}

/** Throws where no key is active. */
export function atsBlocks(keys: readonly RingKey[]): Uint8Array {
  return Buffer.concat(fromActive(keys));
}

/** The active key, the staged one, then the retiring ones, youngest first: most tickets are opened by the first. */
function fromActive(keys: readonly RingKey[]): TicketKey[] {
  const { active, staged, retiring } = byStage(keys);
  return [active, ...(staged === null ? [] : [staged]), ...retiring.reverse()];
}

/** `retiring`: oldest first. */
function byStage(keys: readonly RingKey[]): { active: TicketKey; staged: TicketKey | null; retiring: TicketKey[] } {
  const of = (wanted: RingKey['stage']) => keys.filter(({ stage }) => stage === wanted).map(({ bytes }) => bytes);
  const [active] = of('active');
  if (active === undefined) throw new RangeError('a ring without an active key encrypts nothing');
  return { active, staged: of('staged')[0] ?? null, retiring: of('retiring') };
}

function aesFirst(key: TicketKey): Uint8Array {
  const { name, hmac, aes } = partsOf(key);
  return Buffer.concat([name, aes, hmac]);
}
