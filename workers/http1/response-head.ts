/**
 * The head of a response: read from bytes, strictly, without allocation (RFC 9112 sections 4 and 6.3). A faulty head is
 * the backend's fault: the client gets a 502. Listener threads; one object a thread, overwritten by each parse.
 */

import { CLASS, CR, DIGIT, equalsIgnoringCase, LF, lower, SP, VALUE } from './chars.ts';
import { ConnectionOptions } from './connection-options.ts';
import { FAULT, FAULTY, INCOMPLETE, type MessageFault } from './errors.ts';
import { FieldTable } from './fields.ts';
import { BODY, type BodyKind, NO_LENGTH, parseContentLength, readTransferEncoding } from './framing.ts';
import type { HeadLimits } from './request-head.ts';

const NAME = {
  upgrade: lower('upgrade'),
  connection: lower('connection'),
  keepAlive: lower('keep-alive'),
  contentLength: lower('content-length'),
  proxyConnection: lower('proxy-connection'),
  transferEncoding: lower('transfer-encoding'),
} as const;

export class ResponseHead {
  readonly fields: FieldTable;
  readonly connection = new ConnectionOptions();
  fault: MessageFault | null = null;

  /** First byte of the status line. */
  start = 0;
  /** Where the status code stands; a reason may follow it. */
  statusStart = 0;
  /** The status line's CR. */
  lineEnd = 0;
  fieldsStart = 0;
  minorVersion: 0 | 1 = 1;
  /** 100 to 999. */
  status = 0;
  contentLength = NO_LENGTH;
  isChunked = false;
  upgradeStart = -1;
  upgradeEnd = -1;

  readonly #headBytesMax: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #contentLengthLine = -1;

  constructor(limits: HeadLimits) {
    this.#headBytesMax = limits.headBytesMax;
    this.fields = new FieldTable(limits.headersMax);
  }

  /** 1xx: another response to the same request follows. 101 is final in its way, and is not one of these. */
  get isInterim(): boolean {
    return this.status < 200 && this.status !== 101;
  }

  /** Whether the backend keeps the connection open after this response (RFC 9112 section 9.3). */
  get keepsConnection(): boolean {
    return !this.connection.close && (this.minorVersion === 1 || this.connection.keepAlive);
  }

  /** How the body of this response to a request by `method` ends (RFC 9112 section 6.3). */
  bodyKind(isHeadRequest: boolean): BodyKind {
    if (isHeadRequest || this.status < 200 || this.status === 204 || this.status === 304) return BODY.none;
    if (this.isChunked) return BODY.chunked;
    if (this.contentLength === NO_LENGTH) return BODY.untilClose;
    return this.contentLength === 0 ? BODY.none : BODY.length;
  }

  /**
   * Parses the head in `bytes[start, end)`. Returns the index of the first byte after it, INCOMPLETE where it is not
   * whole, or FAULTY with `fault` set.
   */
  parse(bytes: Uint8Array, start: number, end: number): number {
    this.#bytes = bytes;
    this.fault = null;
    const limit = Math.min(end, start + this.#headBytesMax);
    let pos = this.#parseStatusLine(bytes, start, limit);
    if (pos > 0) {
      this.fieldsStart = pos;
      pos = this.fields.scan(bytes, pos, limit);
      if (pos === FAULTY) return this.#fail(this.fields.fault as MessageFault);
      if (pos > 0) return this.#interpret() ? pos : FAULTY;
    }
    return pos === INCOMPLETE && limit < end ? this.#fail(FAULT.headTooLarge) : pos;
  }

  #fail(fault: MessageFault): typeof FAULTY {
    this.fault = fault;
    return FAULTY;
  }

  /** HTTP-version SP status-code [ SP reason-phrase ] CRLF; the space is often left out with the reason. */
  #parseStatusLine(bytes: Uint8Array, start: number, end: number): number {
    const VERSION = 'HTTP/1.';
    this.start = start;
    for (let k = 0; k < VERSION.length; k++) {
      if (start + k >= end) return INCOMPLETE;
      if (bytes[start + k] !== VERSION.charCodeAt(k)) return this.#fail(FAULT.statusLine);
    }
    let i = start + VERSION.length;
    if (i + 5 >= end) return INCOMPLETE;
    const minor = bytes[i] as number;
    if ((minor !== 0x30 && minor !== 0x31) || bytes[i + 1] !== SP) return this.#fail(FAULT.statusLine);
    this.minorVersion = minor === 0x30 ? 0 : 1;
    this.statusStart = i + 2;
    this.status = 0;
    for (i = this.statusStart; i < this.statusStart + 3; i++) {
      const c = bytes[i] as number;
      if (((CLASS[c] as number) & DIGIT) === 0) return this.#fail(FAULT.statusLine);
      this.status = this.status * 10 + (c - 0x30);
    }
    if (this.status < 100) return this.#fail(FAULT.statusLine);
    if (i >= end) return INCOMPLETE;
    if (bytes[i] === SP) {
      while (i < end && ((CLASS[bytes[i] as number] as number) & VALUE) !== 0) i++;
    }
    if (i + 1 >= end) return INCOMPLETE;
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return this.#fail(FAULT.statusLine);
    this.lineEnd = i;
    return i + 2;
  }

  #interpret(): boolean {
    this.contentLength = NO_LENGTH;
    this.isChunked = false;
    this.upgradeStart = this.upgradeEnd = -1;
    this.#contentLengthLine = -1;
    this.connection.reset();
    const { fields } = this;
    for (let i = 0; i < fields.count; i++) {
      this.#interpretField(i, fields.nameEnd(i) - fields.start(i));
      if (this.fault !== null) return false;
    }
    return this.#conclude();
  }

  #is(i: number, name: Uint8Array): boolean {
    return equalsIgnoringCase(this.#bytes, this.fields.start(i), this.fields.nameEnd(i), name);
  }

  #interpretField(i: number, nameLength: number): void {
    const { fields } = this;
    switch (nameLength) {
      case 7:
        if (this.#is(i, NAME.upgrade)) this.#interpretUpgrade(i);
        return;
      case 10:
        if (this.#is(i, NAME.connection)) {
          this.connection.add(this.#bytes, fields.valueStart(i), fields.valueEnd(i));
          fields.drop(i);
        } else if (this.#is(i, NAME.keepAlive)) fields.drop(i);
        return;
      case 14:
        if (this.#is(i, NAME.contentLength)) this.#interpretContentLength(i);
        return;
      case 16:
        if (this.#is(i, NAME.proxyConnection)) fields.drop(i);
        return;
      case 17:
        if (this.#is(i, NAME.transferEncoding)) this.#interpretTransferEncoding(i);
        return;
    }
  }

  #interpretUpgrade(i: number): void {
    this.fields.drop(i);
    if (this.upgradeStart >= 0) this.fault = FAULT.upgrade;
    this.upgradeStart = this.fields.valueStart(i);
    this.upgradeEnd = this.fields.valueEnd(i);
  }

  #interpretContentLength(i: number): void {
    if (this.contentLength !== NO_LENGTH) {
      this.fault = FAULT.contentLengthRepeated;
      return;
    }
    this.#contentLengthLine = i;
    this.contentLength = parseContentLength(this.#bytes, this.fields.valueStart(i), this.fields.valueEnd(i));
    if (this.contentLength === NO_LENGTH) this.fault = FAULT.contentLength;
  }

  #interpretTransferEncoding(i: number): void {
    this.fields.drop(i);
    if (this.minorVersion === 0) this.fault = FAULT.codingIn10;
    else if (this.isChunked) this.fault = FAULT.coding;
    else this.fault = readTransferEncoding(this.#bytes, this.fields.valueStart(i), this.fields.valueEnd(i));
    this.isChunked = true;
  }

  #conclude(): boolean {
    if (this.isChunked && this.contentLength !== NO_LENGTH) this.fault = FAULT.lengthAndCoding;
    else if (this.connection.malformed) this.fault = FAULT.connection;
    if (this.fault !== null) return false;
    this.connection.dropNominated(this.#bytes, this.fields);
    // RFC 9110 section 8.6: no Content-Length in 1xx or 204; one that is there would promise a body to some clients
    if (this.#contentLengthLine >= 0 && (this.status < 200 || this.status === 204)) {
      this.fields.drop(this.#contentLengthLine);
    }
    return true;
  }
}
