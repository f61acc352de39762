/**
 * Backend ids: what the affinity cookie holds. Pure, either thread.
 *
 * id = sha1hex(salt + "ip:port"), byte-compatible with Perlbal's SessionAffinity 0.110, so that cookies survive a
 * migration.
 */

import { hash } from 'node:crypto';

/** Characters of an id: lower-case hexadecimal. */
export const ID_CHARS = 40;
/** An id as 32-bit words, each big-endian. */
export const ID_WORDS = 5;

/** The id of the node at `address` ("ip:port", as it stands in the configuration): 40 lower-case hex characters. */
export function backendId(address: string, salt = ''): string {
  return hash('sha1', salt + address);
}

/** Writes the five words of a 40-character hex id to `words` from `at` on. */
export function writeIdWords(id: string, words: Int32Array, at: number): void {
  for (let i = 0; i < ID_WORDS; i++) words[at + i] = Number.parseInt(id.slice(i * 8, i * 8 + 8), 16);
}

/** The 40 hex characters of the five words at `at`. */
export function readIdWords(words: Int32Array, at: number): string {
  for (let i = 0; i < ID_WORDS; i++) BYTES.writeInt32BE(words[at + i] as number, i * 4);
  return BYTES.toString('hex');
}

/** For readIdWords: a thread that meets 100,000 nodes writes as many ids. */
const BYTES = Buffer.alloc(ID_WORDS * 4);
