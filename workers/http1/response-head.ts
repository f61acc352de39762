/**
 * The head of a response: read from bytes, strictly, without allocation (RFC 9112 sections 4 and 6.3). A faulty head is
 * the backend's fault: the client gets a 502. Listener threads; one object a thread, overwritten by each parse.
 */

import { CLASS, CR, DIGIT, LF, SP, VALUE } from './chars.ts';
import { FAULT, INCOMPLETE } from './errors.ts';
import { BODY, type BodyKind, NO_LENGTH } from './framing.ts';
import { KnownNames } from './known-names.ts';
import { COMMON_NAMES, MessageHead } from './message-head.ts';

const VERSION = Buffer.from('HTTP/1.', 'latin1');

/** Whether a response may begin with `bytes[start, end)`, of which all may still be to come. */
export function isResponseStart(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < VERSION.length && start + i < end; i++) if (bytes[start + i] !== VERSION[i]) return false;
  return true;
}

const KNOWN = new KnownNames(COMMON_NAMES);

export class ResponseHead extends MessageHead {
  protected override readonly known = KNOWN;
  /** Where the status code stands; a reason may follow it. */
  statusStart = 0;
  /** The status line's CR. */
  lineEnd = 0;
  /** 100 to 999. */
  status = 0;
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

  /** It says how long a body is that it cannot have: some servers send one all the same (RFC 9112 section 6.3, point 1). */
  get isFramedInVain(): boolean {
    return (this.status === 204 || this.status === 304) && (this.isChunked || this.contentLength > 0);
  }

  /** HTTP-version SP status-code [ SP reason-phrase ] CRLF; the space is often left out with the reason. */
  protected override parseStartLine(bytes: Uint8Array, start: number, end: number): number {
    this.start = start;
    if (!isResponseStart(bytes, start, end)) return this.fail(FAULT.statusLine);
    let i = start + VERSION.length;
    if (i + 5 >= end) return INCOMPLETE;
    const minor = bytes[i] as number;
    if ((minor !== 0x30 && minor !== 0x31) || bytes[i + 1] !== SP) return this.fail(FAULT.statusLine);
    this.minorVersion = minor === 0x30 ? 0 : 1;
    this.statusStart = i + 2;
    this.status = 0;
    for (i = this.statusStart; i < this.statusStart + 3; i++) {
      const c = bytes[i] as number;
      if (((CLASS[c] as number) & DIGIT) === 0) return this.fail(FAULT.statusLine);
      this.status = this.status * 10 + (c - 0x30);
    }
    if (this.status < 100) return this.fail(FAULT.statusLine);
    if (i >= end) return INCOMPLETE;
    if (bytes[i] === SP) {
      while (i < end && ((CLASS[bytes[i] as number] as number) & VALUE) !== 0) i++;
    }
    if (i + 1 >= end) return INCOMPLETE;
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return this.fail(FAULT.statusLine);
    this.lineEnd = i;
    return i + 2;
  }

  protected override reset(): void {}

  protected override interpretField(i: number, nameLength: number): void {
    this.interpretCommonField(i, nameLength);
  }

  protected override conclude(): boolean {
    if (!this.concludeCommon()) return false;
    // RFC 9110 section 8.6: no Content-Length in 1xx or 204; one that is there would promise a body to some clients
    if (this.contentLengthLine >= 0 && (this.status < 200 || this.status === 204)) {
      this.fields.drop(this.contentLengthLine);
    }
    return true;
  }
}
