/**
 * The Connection field (RFC 9110 section 7.6.1) of a message: what it asks of the connection, and which fields it
 * says are meant for this hop alone. Listener threads.
 */

import { CLASS, equalsIgnoringCase, lower, TOKEN } from './chars.ts';
import { type FieldTable, forEachMember } from './fields.ts';

const CLOSE = lower('close');
const KEEP_ALIVE = lower('keep-alive');
const UPGRADE = lower('upgrade');

/** Fields that no Connection field may name: leaving them out would change what the message means. */
const PROTECTED = ['content-length', 'host', 'transfer-encoding', 'connection'].map(lower);

export const NO_NAMES: readonly Uint8Array[] = [];

/** More names than any honest message gives: each is looked for among all fields. */
const NOMINATED_MAX = 32;

export class ConnectionOptions {
  close = false;
  keepAlive = false;
  upgrade = false;
  /** The field is no list of tokens, or names a field it must not. */
  malformed = false;
  /** Pairs of start and end of the other options' names. */
  readonly #nominated = new Int32Array(2 * NOMINATED_MAX);
  #nominatedCount = 0;

  reset(): void {
    this.close = this.keepAlive = this.upgrade = this.malformed = false;
    this.#nominatedCount = 0;
  }

  /** Adds a Connection field's value. */
  add(bytes: Uint8Array, start: number, end: number): void {
    // the two values seen on nearly every connection, without a closure
    if (equalsIgnoringCase(bytes, start, end, KEEP_ALIVE)) this.keepAlive = true;
    else if (equalsIgnoringCase(bytes, start, end, CLOSE)) this.close = true;
    else forEachMember(bytes, start, end, (s, e) => this.#addOption(bytes, s, e));
  }

  #addOption(bytes: Uint8Array, start: number, end: number): void {
    if (equalsIgnoringCase(bytes, start, end, CLOSE)) this.close = true;
    else if (equalsIgnoringCase(bytes, start, end, KEEP_ALIVE)) this.keepAlive = true;
    else if (equalsIgnoringCase(bytes, start, end, UPGRADE)) this.upgrade = true;
    else if (PROTECTED.some((name) => equalsIgnoringCase(bytes, start, end, name))) this.malformed = true;
    else {
      for (let i = start; i < end; i++)
        if (((CLASS[bytes[i] as number] as number) & TOKEN) === 0) this.malformed = true;
      this.#nominate(start, end);
    }
  }

  #nominate(start: number, end: number): void {
    if (this.#nominatedCount === NOMINATED_MAX) {
      this.malformed = true;
      return;
    }
    this.#nominated[2 * this.#nominatedCount] = start;
    this.#nominated[2 * this.#nominatedCount++ + 1] = end;
  }

  /** The names that the Connection field gave, as of `lower`. */
  nominated(bytes: Uint8Array): readonly Uint8Array[] {
    if (this.#nominatedCount === 0) return NO_NAMES;
    return Array.from({ length: this.#nominatedCount }, (_, n) => {
      const name = bytes.subarray(this.#nominated[2 * n], this.#nominated[2 * n + 1]);
      return lower(Buffer.from(name).toString('latin1'));
    });
  }

  /** Drops the lines whose names the Connection field gave. */
  dropNominated(bytes: Uint8Array, fields: FieldTable): void {
    for (const name of this.nominated(bytes)) {
      for (let i = 0; i < fields.count; i++) {
        if (equalsIgnoringCase(bytes, fields.start(i), fields.nameEnd(i), name)) fields.drop(i);
      }
    }
  }
}
