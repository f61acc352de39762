/**
 * What the heads of requests and responses have in common: field lines, and the fields that frame a message or speak of
 * its connection (RFC 9112 section 6, RFC 9110 section 7). One home for the rules that smuggling lives by breaking.
 * Listener threads; one object a thread and kind, overwritten by each parse, which allocates nothing.
 */

import { equalsIgnoringCase, lower } from './chars.ts';
import { ConnectionOptions, NO_NAMES } from './connection-options.ts';
import { FAULT, FAULTY, INCOMPLETE, type MessageFault } from './errors.ts';
import { FieldTable } from './fields.ts';
import { NO_LENGTH, parseContentLength, readTransferEncoding } from './framing.ts';
import type { KnownNames } from './known-names.ts';

export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headersMax: number;
  readonly targetBytesMax: number;
}

const NAME = {
  upgrade: lower('upgrade'),
  connection: lower('connection'),
  keepAlive: lower('keep-alive'),
  contentLength: lower('content-length'),
  proxyConnection: lower('proxy-connection'),
  transferEncoding: lower('transfer-encoding'),
} as const;

/** What `interpretCommonField` takes. */
export const COMMON_NAMES: readonly Uint8Array[] = Object.values(NAME);

export abstract class MessageHead {
  readonly fields: FieldTable;
  readonly connection = new ConnectionOptions();
  fault: MessageFault | null = null;

  /** First byte of the start line. */
  start = 0;
  /** Where the field lines begin. */
  fieldsStart = 0;
  /** HTTP/1.x: 0 or 1. */
  minorVersion: 0 | 1 = 1;
  /** Body bytes that Content-Length announces, or NO_LENGTH. */
  contentLength = NO_LENGTH;
  isChunked = false;
  /** First byte and end of Upgrade's value; upgradeStart is -1 where there is none, or none that may be passed on. */
  upgradeStart = -1;
  upgradeEnd = -1;

  protected bytes: Uint8Array = new Uint8Array(0);
  protected contentLengthLine = -1;
  readonly #headBytesMax: number;

  constructor(limits: HeadLimits) {
    this.#headBytesMax = limits.headBytesMax;
    this.fields = new FieldTable(limits.headersMax);
  }

  /** Reads the start line; returns the index after it, INCOMPLETE or FAULTY. */
  protected abstract parseStartLine(bytes: Uint8Array, start: number, end: number): number;
  /** Forgets what the last message's fields said. */
  protected abstract reset(): void;
  /** Names that `interpretField` wants to see, of `lower`. It may be shown others. */
  protected abstract readonly known: KnownNames;
  /** Field `i`, by the length of its name first. */
  protected abstract interpretField(i: number, nameLength: number): void;
  /** What follows from the start line and several fields together; false where `fault` is set. */
  protected abstract conclude(): boolean;

  /**
   * Parses the head in `bytes[start, end)`. Returns the index of the first byte after it, INCOMPLETE where it is not
   * whole, or FAULTY with `fault` set. Bytes after `end` are never read, bytes are never written.
   */
  parse(bytes: Uint8Array, start: number, end: number): number {
    this.bytes = bytes;
    this.fault = null;
    const limit = Math.min(end, start + this.#headBytesMax);
    let pos = this.parseStartLine(bytes, start, limit);
    if (pos > 0) {
      this.fieldsStart = pos;
      pos = this.fields.scan(bytes, pos, limit);
      if (pos === FAULTY) return this.fail(this.fields.fault as MessageFault);
      if (pos > 0) return this.#interpret() ? pos : FAULTY;
    }
    return pos === INCOMPLETE && limit < end ? this.fail(FAULT.headTooLarge) : pos;
  }

  protected fail(fault: MessageFault): typeof FAULTY {
    this.fault = fault;
    return FAULTY;
  }

  #interpret(): boolean {
    const { fields, bytes, known } = this;
    this.contentLength = NO_LENGTH;
    this.contentLengthLine = -1;
    this.isChunked = false;
    this.upgradeStart = this.upgradeEnd = -1;
    this.connection.reset();
    this.reset();
    for (let i = 0; i < fields.count; i++) {
      const start = fields.start(i);
      const length = fields.nameEnd(i) - start;
      if (!known.mayHold(length, bytes[start] as number)) continue;
      this.interpretField(i, length);
      if (this.fault !== null) return false;
    }
    return this.conclude();
  }

  protected is(i: number, name: Uint8Array): boolean {
    return equalsIgnoringCase(this.bytes, this.fields.start(i), this.fields.nameEnd(i), name);
  }

  /** Takes field `i` where it frames the message or speaks of the connection; false where it is none of those. */
  protected interpretCommonField(i: number, nameLength: number): boolean {
    switch (nameLength) {
      case 7:
        return this.is(i, NAME.upgrade) && this.#interpretUpgrade(i);
      case 10:
        return (
          (this.is(i, NAME.connection) && this.#interpretConnection(i)) || (this.is(i, NAME.keepAlive) && this.#drop(i))
        );
      case 14:
        return this.is(i, NAME.contentLength) && this.#interpretContentLength(i);
      case 16:
        return this.is(i, NAME.proxyConnection) && this.#drop(i);
      case 17:
        return this.is(i, NAME.transferEncoding) && this.#interpretTransferEncoding(i);
      default:
        return false;
    }
  }

  /** Two framings at once, or a Connection field that cannot be followed: refused. What Connection names is left out. */
  protected concludeCommon(): boolean {
    if (this.isChunked && this.contentLength !== NO_LENGTH) this.fault = FAULT.lengthAndCoding;
    else if (this.connection.malformed) this.fault = FAULT.connection;
    else this.connection.dropNominated(this.bytes, this.fields);
    return this.fault === null;
  }

  /** Trailer fields of these names are for this hop, too (RFC 9110 section 7.6.1). */
  get hopTrailers(): readonly Uint8Array[] {
    return this.isChunked ? this.connection.nominated(this.bytes) : NO_NAMES;
  }

  #drop(i: number): true {
    this.fields.drop(i);
    return true;
  }

  #interpretConnection(i: number): true {
    this.connection.add(this.bytes, this.fields.valueStart(i), this.fields.valueEnd(i));
    return this.#drop(i);
  }

  #interpretUpgrade(i: number): true {
    if (this.upgradeStart >= 0) this.fault = FAULT.upgrade;
    this.upgradeStart = this.fields.valueStart(i);
    this.upgradeEnd = this.fields.valueEnd(i);
    return this.#drop(i);
  }

  #interpretContentLength(i: number): true {
    if (this.contentLength !== NO_LENGTH) {
      this.fault = FAULT.contentLengthRepeated;
      return true;
    }
    this.contentLengthLine = i;
    this.contentLength = parseContentLength(this.bytes, this.fields.valueStart(i), this.fields.valueEnd(i));
    if (this.contentLength === NO_LENGTH) this.fault = FAULT.contentLength;
    return true;
  }

  #interpretTransferEncoding(i: number): true {
    // RFC 9112 section 6.1: the framing of an HTTP/1.0 message that has it is to be treated as faulty
    if (this.minorVersion === 0) this.fault = FAULT.codingIn10;
    else if (this.isChunked) this.fault = FAULT.coding;
    else this.fault = readTransferEncoding(this.bytes, this.fields.valueStart(i), this.fields.valueEnd(i));
    this.isChunked = true;
    return this.#drop(i);
  }
}
