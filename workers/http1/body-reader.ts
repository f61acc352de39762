/**
 * The body of a message: which of the bytes that arrive belong to it, what of them to pass on, and where it ends
 * (RFC 9112 sections 6 and 7). Fed in any pieces, holds none of them but a trailer section. Listener threads.
 *
 * Chunked bodies pass with their chunk framing (`keepFraming`), checked byte by byte, without chunk extensions, which
 * are for one hop; or as bare content, for a client of HTTP/1.0. Trailer fields are checked and those that must not
 * stand there are left out.
 */

import {
  BACKSLASH,
  CLASS,
  CR,
  EQUALS,
  equalsIgnoringCase,
  HEX_VALUE,
  isNameOrTwin,
  LF,
  lower,
  QUOTE,
  SEMICOLON,
  TOKEN,
  VALUE,
} from './chars.ts';
import { NO_NAMES } from './connection-options.ts';
import { FAULT, INCOMPLETE, type MessageFault } from './errors.ts';
import { FieldTable } from './fields.ts';
import { BODY, type BodyKind } from './framing.ts';

/** Takes `bytes[start, end)` on; the bytes are valid during the call alone. */
export type ByteSink = (bytes: Buffer, start: number, end: number) => void;

/** 13 hexadecimal digits: sizes below 2^52, exact in a double. */
const SIZE_DIGITS_MAX = 13;
/** For requests: nobody sends such a chunk, and a backend that counts in 32 bits would see its end elsewhere. */
export const REQUEST_CHUNK_BYTES_MAX = 2 ** 31 - 1;
/** Of all chunks of a message together: bytes that move nothing on. */
const EXTENSION_BYTES_MAX = 8192;
const TRAILER_BYTES_MAX = 8192;
const TRAILER_FIELDS_MAX = 64;

/**
 * Fields that frame, route, condition or authenticate a message: never taken from a trailer section (RFC 9110 section
 * 6.5.1), where a backend that merges it into the head would take them from.
 */
const NOT_IN_TRAILERS = [
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'www-authenticate',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
].map(lower);

const STATE = {
  size: 0,
  extensionName: 1,
  extensionValue: 2,
  extensionToken: 3,
  extensionValueToken: 4,
  extensionQuoted: 5,
  extensionEscape: 6,
  extensionEnd: 7,
  sizeLf: 8,
  data: 9,
  dataCr: 10,
  dataLf: 11,
  trailerStart: 12,
  trailer: 13,
  endLf: 14,
} as const;
type State = (typeof STATE)[keyof typeof STATE];

const trailerFields = new FieldTable(TRAILER_FIELDS_MAX);

export class BodyReader {
  kind: BodyKind = BODY.none;
  /** The whole body has been read. A body until close is never done by itself. */
  done = true;
  fault: MessageFault | null = null;
  /** Content read so far, without framing and trailers. */
  contentBytes = 0;
  /** Content bytes still to come: of the body (length) or of the chunk (chunked). */
  #remaining = 0;
  #keepFraming = true;
  #hopTrailers: readonly Uint8Array[] = NO_NAMES;
  #state: State = STATE.size;
  #digits = 0;
  #extensionBytes = 0;
  #trailer: Buffer | null = null;
  #trailerBytes = 0;
  readonly #chunkBytesMax: number;

  constructor(chunkBytesMax = Number.MAX_SAFE_INTEGER) {
    this.#chunkBytesMax = chunkBytesMax;
  }

  /**
   * Begins a body. `length` counts for BODY.length alone and is then above 0; trailer fields whose names (of `lower`) are
   * among `hopTrailers` are left out.
   */
  begin(kind: BodyKind, length: number, keepFraming: boolean, hopTrailers: readonly Uint8Array[] = NO_NAMES): void {
    this.kind = kind;
    this.done = kind === BODY.none;
    this.fault = null;
    this.contentBytes = 0;
    this.#remaining = kind === BODY.length ? length : 0;
    this.#keepFraming = keepFraming;
    this.#hopTrailers = hopTrailers;
    this.#state = STATE.size;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailer = null;
    this.#trailerBytes = 0;
  }

  /** Content bytes that are known to come yet; Infinity where that is not known. */
  get remainingBytes(): number {
    if (this.done) return 0;
    return this.kind === BODY.length ? this.#remaining : Number.POSITIVE_INFINITY;
  }

  /**
   * Reads body bytes from `bytes[start, end)` and hands on to `sink` what is to be forwarded. Returns the index of the
   * first byte that is not the body's: less than `end` only where the body is done, or `fault` is set.
   */
  read(bytes: Buffer, start: number, end: number, sink: ByteSink): number {
    if (this.done || start >= end) return start;
    switch (this.kind) {
      case BODY.length: {
        const taken = Math.min(this.#remaining, end - start);
        this.#remaining -= taken;
        this.contentBytes += taken;
        this.done = this.#remaining === 0;
        sink(bytes, start, start + taken);
        return start + taken;
      }
      case BODY.chunked:
        return this.#keepFraming
          ? this.#readChunked(bytes, start, end, sink)
          : this.#readContent(bytes, start, end, sink);
      default:
        this.contentBytes += end - start;
        sink(bytes, start, end);
        return end;
    }
  }

  /** Without the framing, the content of all chunks goes on at once: a chunk a byte must not become a write a byte. */
  #readContent(bytes: Buffer, start: number, end: number, sink: ByteSink): number {
    const content = Buffer.allocUnsafe(end - start);
    let length = 0;
    const past = this.#readChunked(bytes, start, end, (b, s, e) => {
      length += b.copy(content, length, s, e);
    });
    if (length > 0) sink(content, 0, length);
    return past;
  }

  /**
   * One pass over the chunked coding. `run` is the start of the bytes to hand on verbatim that have not been yet, or -1
   * while none is open: with the framing kept, runs are broken by extensions and trailers alone.
   */
  #readChunked(bytes: Buffer, start: number, end: number, sink: ByteSink): number {
    const keep = this.#keepFraming;
    let run = keep && !this.#inExtension() && this.#state !== STATE.trailer ? start : -1;
    let i = start;
    while (i < end) {
      const c = bytes[i] as number;
      switch (this.#state) {
        case STATE.size: {
          const digit = HEX_VALUE[c] as number;
          if (digit < 16) {
            if (++this.#digits > SIZE_DIGITS_MAX) return this.#fail(FAULT.chunkSize, i);
            this.#remaining = this.#remaining * 16 + digit;
            if (this.#remaining > this.#chunkBytesMax) return this.#fail(FAULT.chunkSize, i);
          } else if (this.#digits === 0) {
            return this.#fail(FAULT.chunkSize, i);
          } else if (c === CR) {
            this.#state = STATE.sizeLf;
          } else if (c === SEMICOLON) {
            if (run >= 0 && i > run) sink(bytes, run, i);
            run = -1;
            this.#state = STATE.extensionName;
          } else {
            return this.#fail(FAULT.chunkSize, i);
          }
          i++;
          break;
        }
        case STATE.sizeLf:
          if (c !== LF) return this.#fail(FAULT.chunkSize, i);
          i++;
          this.#digits = 0;
          this.#state = this.#remaining > 0 ? STATE.data : STATE.trailerStart;
          break;
        case STATE.data: {
          const taken = Math.min(this.#remaining, end - i);
          if (!keep) sink(bytes, i, i + taken);
          this.#remaining -= taken;
          this.contentBytes += taken;
          i += taken;
          if (this.#remaining === 0) this.#state = STATE.dataCr;
          break;
        }
        case STATE.dataCr:
          if (c !== CR) return this.#fail(FAULT.chunkEnd, i);
          i++;
          this.#state = STATE.dataLf;
          break;
        case STATE.dataLf:
          if (c !== LF) return this.#fail(FAULT.chunkEnd, i);
          i++;
          this.#state = STATE.size;
          break;
        case STATE.trailerStart:
          if (c === CR) {
            i++;
            this.#state = STATE.endLf;
            break;
          }
          if (run >= 0 && i > run) sink(bytes, run, i);
          run = -1;
          this.#state = STATE.trailer;
          break;
        case STATE.trailer:
          return this.#readTrailer(bytes, i, end, sink);
        case STATE.endLf:
          if (c !== LF) return this.#fail(FAULT.trailer, i);
          i++;
          this.done = true;
          if (run >= 0) sink(bytes, run, i);
          return i;
        default:
          if (!this.#readExtension(c)) return this.#fail(FAULT.chunkExtension, i);
          // the CR that ends the extension is handed on: it ends the size's line
          if (keep && (this.#state as State) === STATE.sizeLf) run = i;
          i++;
      }
    }
    if (run >= 0 && end > run) sink(bytes, run, end);
    return end;
  }

  #fail(fault: MessageFault, at: number): number {
    this.fault = fault;
    return at;
  }

  #inExtension(): boolean {
    return this.#state >= STATE.extensionName && this.#state <= STATE.extensionEnd;
  }

  /** *( ";" name [ "=" ( token / quoted-string ) ] ), RFC 9112 section 7.1.1, without white space (BWS). */
  #readExtension(c: number): boolean {
    if (++this.#extensionBytes > EXTENSION_BYTES_MAX) return false;
    const isToken = ((CLASS[c] as number) & TOKEN) !== 0;
    switch (this.#state) {
      case STATE.extensionName:
        if (isToken) this.#state = STATE.extensionToken;
        return isToken;
      case STATE.extensionToken:
        if (c === EQUALS) this.#state = STATE.extensionValue;
        else if (!isToken) return this.#endExtension(c);
        return true;
      case STATE.extensionValue:
        this.#state = c === QUOTE ? STATE.extensionQuoted : STATE.extensionValueToken;
        return c === QUOTE || isToken;
      case STATE.extensionQuoted:
        if (c === BACKSLASH) this.#state = STATE.extensionEscape;
        else if (c === QUOTE) this.#state = STATE.extensionEnd;
        return ((CLASS[c] as number) & VALUE) !== 0;
      case STATE.extensionEscape:
        this.#state = STATE.extensionQuoted;
        return ((CLASS[c] as number) & VALUE) !== 0;
      case STATE.extensionValueToken:
        return isToken || this.#endExtension(c);
      default:
        return this.#endExtension(c);
    }
  }

  #endExtension(c: number): boolean {
    if (c === CR) this.#state = STATE.sizeLf;
    else if (c === SEMICOLON) this.#state = STATE.extensionName;
    else return false;
    return true;
  }

  /** Gathers the trailer section, and hands on what may be of it once it is whole. */
  #readTrailer(bytes: Buffer, start: number, end: number, sink: ByteSink): number {
    this.#trailer ??= Buffer.allocUnsafe(TRAILER_BYTES_MAX);
    const before = this.#trailerBytes;
    const taken = Math.min(end - start, TRAILER_BYTES_MAX - before);
    this.#trailer.set(bytes.subarray(start, start + taken), before);
    this.#trailerBytes += taken;
    const past = trailerFields.scan(this.#trailer, 0, this.#trailerBytes);
    if (past === INCOMPLETE) return taken < end - start ? this.#fail(FAULT.trailer, start) : end;
    if (past < 0) return this.#fail(FAULT.trailer, start);
    if (this.#keepFraming) {
      const kept = keptTrailers(this.#trailer, this.#hopTrailers);
      sink(kept, 0, kept.length);
    }
    this.done = true;
    this.#trailer = null;
    return start + past - before;
  }
}

/** The trailer section that `trailerFields` has scanned in `bytes`, without the fields that must not stand there. */
function keptTrailers(bytes: Buffer, hopTrailers: readonly Uint8Array[]): Buffer {
  let text = '';
  for (let i = 0; i < trailerFields.count; i++) {
    const [start, nameEnd] = [trailerFields.start(i), trailerFields.nameEnd(i)];
    if (NOT_IN_TRAILERS.some((name) => isNameOrTwin(bytes, start, nameEnd, name))) continue;
    if (hopTrailers.some((name) => equalsIgnoringCase(bytes, start, nameEnd, name))) continue;
    text += bytes.toString('latin1', start, trailerFields.end(i));
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
