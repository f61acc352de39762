/**
 * The head of a request: read from bytes, strictly, without allocation (RFC 9112 sections 2, 3 and 6). Where two
 * readings are possible the request is refused, so that what a backend reads is what was routed here. Listener
 * threads; one object a thread, overwritten by each parse.
 */

import { isAuthority } from './authority.ts';
import {
  CLASS,
  CR,
  DIGIT,
  equalsIgnoringCase,
  isNameOrTwin,
  LF,
  lower,
  SP,
  startsWith,
  TARGET,
  TOKEN,
} from './chars.ts';
import { FAULT, INCOMPLETE } from './errors.ts';
import { forEachMember } from './fields.ts';
import { KnownNames } from './known-names.ts';
import { COMMON_NAMES, type HeadLimits, MessageHead } from './message-head.ts';

const NAME = {
  te: lower('te'),
  host: lower('host'),
  cookie: lower('cookie'),
  expect: lower('expect'),
  forwarded: lower('forwarded'),
  http2Settings: lower('http2-settings'),
  forwardedFor: lower('x-forwarded-for'),
  forwardedHost: lower('x-forwarded-host'),
  forwardedProto: lower('x-forwarded-proto'),
} as const;

/**
 * To CGI and its kin a '_' in a name is a '-': a twin of a field that frames the message, or that backends trust because this
 * hop writes it, would be that field to them.
 */
const NO_TWINS = [
  'content-length',
  'transfer-encoding',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
].map(lower);
const TWIN_BYTES_MIN = 14;
const TWIN_BYTES_MAX = 17;

const CONTINUE = lower('100-continue');
/** Protocols in which further requests would come, that nobody here reads. */
const NOT_TUNNELLED = ['h2c', 'http'].map(lower);
const HTTP_SCHEME = lower('http://');
const HTTPS_SCHEME = lower('https://');
const VERSION_1_1_LINE = Buffer.from('HTTP/1.1\r\n', 'latin1');
/** '0' stands for any digit. */
const VERSION_LINE = Buffer.from('HTTP/0.0\r\n', 'latin1');
const SLASH = 0x2f;
const UNDERSCORE = 0x5f;
const METHOD_BYTES_MAX = 32;
const COOKIE_LINES_MAX = 32;

const KNOWN = new KnownNames([...COMMON_NAMES, ...Object.values(NAME), ...NO_TWINS]);

export class RequestHead extends MessageHead {
  protected override readonly known = KNOWN;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  isHead = false;
  /** RFC 9110 section 9.2.2: sending it twice has the effect of once. */
  isIdempotent = false;
  /**
   * GET or OPTIONS: safe (RFC 9110 section 9.2.1), and an answer to it is framed by its own head alone. HEAD is safe, too, but
   * a backend that sends content all the same would have it read for the next answer.
   */
  isSafeAndFramed = false;
  /** RFC 9110 sections 9.3.1 to 9.3.8: content of such a request means nothing, and some servers do not read it. */
  hasNoUseForContent = false;
  /** Content comes when the server has asked for it by 100 (Continue), or when the client is tired of waiting. */
  expectsContinue = false;
  /** The target is absolute-form; `hostStart` and `pathStart` point into it. */
  isAbsolute = false;
  /** First byte of the path in an absolute-form target; equal to targetEnd where it has none. */
  pathStart = 0;
  /** The authority that the request is for: Host, or that of an absolute-form target. Empty where there is none. */
  hostStart = 0;
  hostEnd = 0;
  hasHost = false;
  /** Lines of X-Forwarded-For. */
  forwardedForLines = 0;
  /** Indexes into `fields` of the Cookie lines. */
  readonly cookieLines = new Int32Array(COOKIE_LINES_MAX);
  cookieCount = 0;

  readonly #targetBytesMax: number;
  #hostLine = -1;

  constructor(limits: HeadLimits) {
    super(limits);
    this.#targetBytesMax = limits.targetBytesMax;
  }

  get hasBody(): boolean {
    return this.isChunked || this.contentLength > 0;
  }

  /** It may be sent before those ahead of it are answered: nothing is lost where it has to be sent again. */
  get isPipelinable(): boolean {
    return (
      this.isSafeAndFramed && this.minorVersion === 1 && !this.hasBody && !this.expectsContinue && this.upgradeStart < 0
    );
  }

  /** RFC 9112 section 3: method SP request-target SP HTTP-version CRLF, one space each. */
  protected override parseStartLine(bytes: Uint8Array, start: number, end: number): number {
    let i = start;
    // section 2.2: an empty line before a request is ignored
    if (bytes[i] === CR && i < end) {
      if (i + 1 >= end) return INCOMPLETE;
      if (bytes[i + 1] !== LF) return this.fail(FAULT.lineEnd);
      i += 2;
    }
    this.start = i;
    while (i < end && ((CLASS[bytes[i] as number] as number) & TOKEN) !== 0) i++;
    if (i - this.start > METHOD_BYTES_MAX) return this.fail(FAULT.requestLine);
    if (i >= end) return INCOMPLETE;
    if (bytes[i] !== SP || i === this.start) return this.fail(FAULT.requestLine);
    this.methodEnd = i++;
    this.targetStart = i;
    while (i < end && ((CLASS[bytes[i] as number] as number) & TARGET) !== 0) i++;
    if (i - this.targetStart > this.#targetBytesMax) return this.fail(FAULT.targetTooLong);
    if (i >= end) return INCOMPLETE;
    if (bytes[i] !== SP || i === this.targetStart) return this.fail(FAULT.target);
    this.targetEnd = i++;
    return this.#parseVersion(bytes, i, end);
  }

  /** Another version of HTTP is a 505, told from no version at all only once all of it is there. */
  #parseVersion(bytes: Uint8Array, start: number, end: number): number {
    if (startsWith(bytes, start, end, VERSION_1_1_LINE)) {
      this.minorVersion = 1;
      return start + VERSION_1_1_LINE.length;
    }
    for (let k = 0; k < VERSION_LINE.length; k++) {
      if (start + k >= end) return INCOMPLETE;
      const c = bytes[start + k] as number;
      const isDigit = VERSION_LINE[k] === 0x30 && ((CLASS[c] as number) & DIGIT) !== 0;
      if (c !== VERSION_LINE[k] && !isDigit) return this.fail(FAULT.requestLine);
    }
    const [major, minor] = [bytes[start + 5], bytes[start + 7]];
    if (major !== 0x31 || (minor !== 0x30 && minor !== 0x31)) return this.fail(FAULT.version);
    this.minorVersion = minor === 0x30 ? 0 : 1;
    return start + VERSION_LINE.length;
  }

  protected override reset(): void {
    this.hasHost = this.isAbsolute = false;
    this.hostStart = this.hostEnd = 0;
    this.#hostLine = -1;
    this.cookieCount = this.forwardedForLines = 0;
    this.expectsContinue = false;
  }

  protected override interpretField(i: number, nameLength: number): void {
    switch (nameLength) {
      case 2:
        if (this.is(i, NAME.te)) this.fields.drop(i);
        return;
      case 4:
        if (this.is(i, NAME.host)) this.#interpretHost(i);
        return;
      case 6:
        if (this.is(i, NAME.cookie)) this.#interpretCookie(i);
        else if (this.is(i, NAME.expect)) this.#interpretExpect(i);
        return;
      case 9:
        // RFC 7239: it would contradict the X-Forwarded-Proto and -Host that are written here
        if (this.is(i, NAME.forwarded)) this.fields.drop(i);
        return;
      case 15:
        if (this.is(i, NAME.forwardedFor)) {
          this.forwardedForLines++;
          this.fields.drop(i);
        } else if (this.#isTwin(i)) this.fields.drop(i);
        return;
      default:
        if (this.interpretCommonField(i, nameLength)) return;
        if (
          (nameLength === 14 && this.is(i, NAME.http2Settings)) ||
          (nameLength === 16 && this.is(i, NAME.forwardedHost)) ||
          (nameLength === 17 && this.is(i, NAME.forwardedProto)) ||
          (nameLength >= TWIN_BYTES_MIN && nameLength <= TWIN_BYTES_MAX && this.#isTwin(i))
        ) {
          this.fields.drop(i);
        }
    }
  }

  #isTwin(i: number): boolean {
    const { bytes, fields } = this;
    const start = fields.start(i);
    const end = fields.nameEnd(i);
    for (let k = start; k < end; k++) {
      if (bytes[k] === UNDERSCORE) return NO_TWINS.some((name) => isNameOrTwin(bytes, start, end, name));
    }
    return false;
  }

  #interpretHost(i: number): void {
    if (this.hasHost) {
      this.fault = FAULT.hostRepeated;
      return;
    }
    this.hasHost = true;
    this.#hostLine = i;
    this.hostStart = this.fields.valueStart(i);
    this.hostEnd = this.fields.valueEnd(i);
    if (!isAuthority(this.bytes, this.hostStart, this.hostEnd)) this.fault = FAULT.host;
  }

  #interpretCookie(i: number): void {
    // further lines are forwarded all the same; they only are not searched
    if (this.cookieCount < COOKIE_LINES_MAX) this.cookieLines[this.cookieCount++] = i;
  }

  #interpretExpect(i: number): void {
    // RFC 9110 section 10.1.1: 100-continue is the only expectation there is, and an HTTP/1.0 client's is ignored
    if (!equalsIgnoringCase(this.bytes, this.fields.valueStart(i), this.fields.valueEnd(i), CONTINUE)) {
      this.fault = FAULT.expectation;
    } else if (this.minorVersion === 0) this.fields.drop(i);
    else this.expectsContinue = true;
  }

  #interpretMethod(): boolean {
    const length = this.methodEnd - this.start;
    this.isHead = length === 4 && this.#methodIs('HEAD');
    const isTrace = length === 5 && this.#methodIs('TRACE');
    this.isSafeAndFramed = (length === 3 && this.#methodIs('GET')) || (length === 7 && this.#methodIs('OPTIONS'));
    this.hasNoUseForContent =
      this.isSafeAndFramed || this.isHead || isTrace || (length === 6 && this.#methodIs('DELETE'));
    this.isIdempotent = this.hasNoUseForContent || (length === 3 && this.#methodIs('PUT'));
    if (isTrace && this.hasBody) this.fault = FAULT.traceContent;
    // no tunnel to anywhere: an edge in front of its own backends is no forward proxy
    if (length === 7 && this.#methodIs('CONNECT')) this.fault = FAULT.connect;
    return this.fault === null;
  }

  #methodIs(method: string): boolean {
    for (let k = 0; k < method.length; k++) {
      if (this.bytes[this.start + k] !== method.charCodeAt(k)) return false;
    }
    return true;
  }

  /** RFC 9112 section 3.2: origin-form, absolute-form, and asterisk-form for OPTIONS. */
  #interpretTarget(): boolean {
    const bytes = this.bytes;
    const first = bytes[this.targetStart];
    if (first === SLASH) return true;
    if (first === 0x2a && this.targetEnd - this.targetStart === 1) {
      if (!(this.methodEnd - this.start === 7 && this.#methodIs('OPTIONS'))) this.fault = FAULT.target;
      return this.fault === null;
    }
    const authority = afterScheme(bytes, this.targetStart, this.targetEnd);
    let end = authority;
    while (end < this.targetEnd && bytes[end] !== SLASH && bytes[end] !== 0x3f) end++;
    if (authority < 0 || end === authority || !isAuthority(bytes, authority, end)) {
      this.fault = FAULT.target;
      return false;
    }
    // section 3.2.2: the target's authority replaces Host, whatever that says; Host must be there all the same
    this.isAbsolute = true;
    this.pathStart = end;
    this.hostStart = authority;
    this.hostEnd = end;
    if (this.#hostLine >= 0) this.fields.drop(this.#hostLine);
    return true;
  }

  protected override conclude(): boolean {
    if (!this.#interpretMethod() || !this.#interpretTarget()) return false;
    if (!this.hasHost && this.minorVersion === 1) this.fault = FAULT.hostMissing;
    if (this.fault !== null || !this.concludeCommon()) return false;
    // RFC 9110 section 7.8: Upgrade counts only where Connection names it, and never in HTTP/1.0. With a body it is
    // left out, because where the body ends and the tunnel begins is read differently by different servers.
    if (!this.connection.upgrade || this.minorVersion === 0 || this.hasBody || !this.#mayUpgrade()) {
      this.upgradeStart = this.upgradeEnd = -1;
    }
    return true;
  }

  /** Protocols, each a token with or without a version, and none that is HTTP among them. */
  #mayUpgrade(): boolean {
    let protocols = 0;
    let isSound = true;
    forEachMember(this.bytes, this.upgradeStart, this.upgradeEnd, (start, end) => {
      protocols++;
      const slash = this.bytes.subarray(start, end).indexOf(SLASH);
      const nameEnd = slash < 0 ? end : start + slash;
      isSound &&=
        isProtocol(this.bytes, start, end) &&
        !NOT_TUNNELLED.some((p) => equalsIgnoringCase(this.bytes, start, nameEnd, p));
    });
    return protocols > 0 && isSound;
  }
}

/** token [ "/" token ], RFC 9110 section 7.8. */
function isProtocol(bytes: Uint8Array, start: number, end: number): boolean {
  let slashes = 0;
  for (let i = start; i < end; i++) {
    if (bytes[i] === SLASH && i > start && i < end - 1) slashes++;
    else if (((CLASS[bytes[i] as number] as number) & TOKEN) === 0) return false;
  }
  return slashes <= 1;
}

/** Index after "http://" or "https://" at `start`, or -1. */
function afterScheme(bytes: Uint8Array, start: number, end: number): number {
  for (const scheme of [HTTP_SCHEME, HTTPS_SCHEME]) {
    const authority = start + scheme.length;
    if (authority > end) continue;
    let same = true;
    for (let k = 0; k < scheme.length; k++) {
      const c = bytes[start + k] as number;
      if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== scheme[k]) same = false;
    }
    if (same) return authority;
  }
  return -1;
}
