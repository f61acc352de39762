/**
 * The program's reading of a byte stream, as plain values: the parsers of workers/http1 driven as workers/downstream.ts
 * and workers/exchange.ts drive them (bytes that cannot be used yet wait in a ByteQueue, a head is parsed again when a
 * line has become whole), without sockets. Test support.
 */

import assert from 'node:assert/strict';
import { ByteQueue } from '../../workers/byte-queue.ts';
import { BodyReader, REQUEST_CHUNK_BYTES_MAX } from '../../workers/http1/body-reader.ts';
import { LF } from '../../workers/http1/chars.ts';
import { INCOMPLETE } from '../../workers/http1/errors.ts';
import type { FieldTable } from '../../workers/http1/fields.ts';
import { BODY, type BodyKind } from '../../workers/http1/framing.ts';
import type { HeadLimits } from '../../workers/http1/message-head.ts';
import { RequestHead } from '../../workers/http1/request-head.ts';
import { ResponseHead } from '../../workers/http1/response-head.ts';
import { type Hop, rewriteRequest, rewriteResponse } from '../../workers/http1/rewrite.ts';

export const LIMITS: HeadLimits = { headBytesMax: 16_384, headersMax: 100, targetBytesMax: 8_192 };

export const HOP: Hop = {
  clientAddress: '192.0.2.7',
  forwardedLines: 'X-Forwarded-Proto: http\r\n',
  localAuthority: '198.51.100.1:8080',
};

export interface OwnField {
  readonly name: string;
  readonly value: string;
  readonly isDropped: boolean;
}

/** A body as far as it has been read. */
interface OwnBody {
  /** What the other side is sent of the body: with its framing, and as bare content. */
  framed: string;
  content: string;
  isComplete: boolean;
  /** Bytes of the stream up to and with the last byte of the message that was read. */
  end: number;
}

export interface OwnRequest extends OwnBody {
  readonly method: string;
  readonly target: string;
  readonly minorVersion: 0 | 1;
  readonly authority: string;
  readonly fields: readonly OwnField[];
  readonly keepsConnection: boolean;
  readonly isUpgrade: boolean;
  readonly isAbsolute: boolean;
  readonly traits: string;
  /** The head that the backend is sent. */
  readonly rewritten: string;
}

export interface OwnResponse extends OwnBody {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  readonly fields: readonly OwnField[];
  readonly keepsConnection: boolean;
  readonly kind: BodyKind;
  readonly rewritten: string;
  /** The head for a client of HTTP/1.0, which is sent `content` until close. */
  readonly rewrittenUntilClose: string;
}

/** Heads serve one message after the other, as they do in a listener thread: nothing of one may be left for the next. */
const requestHeads = new WeakMap<HeadLimits, RequestHead>();
const responseHeads = new WeakMap<HeadLimits, ResponseHead>();

function headFor<Head>(heads: WeakMap<HeadLimits, Head>, limits: HeadLimits, make: () => Head): Head {
  const head = heads.get(limits) ?? make();
  heads.set(limits, head);
  return head;
}

/** Two readers of one body, which must agree on where it ends and whether it is faulty. */
class BodyPair {
  readonly #framed: BodyReader;
  readonly #content: BodyReader;

  constructor(chunkBytesMax?: number) {
    this.#framed = new BodyReader(chunkBytesMax);
    this.#content = new BodyReader(chunkBytesMax);
  }

  begin(kind: BodyKind, length: number, hopTrailers: readonly Uint8Array[]): void {
    this.#framed.begin(kind, length, true, hopTrailers);
    this.#content.begin(kind, length, false);
  }

  get done(): boolean {
    return this.#framed.done;
  }

  get fault(): string | null {
    return this.#framed.fault?.reason ?? null;
  }

  read(bytes: Buffer, start: number, end: number, into: OwnBody): number {
    const past = this.#framed.read(bytes, start, end, (b, s, e) => {
      assert(s >= 0 && s < e && e <= b.length, 'the sink gets bytes, and bytes that are there');
      into.framed += b.toString('latin1', s, e);
    });
    const pastToo = this.#content.read(bytes, start, end, (b, s, e) => {
      into.content += b.toString('latin1', s, e);
    });
    assert.equal(pastToo, past);
    assert.equal(this.#content.done, this.#framed.done);
    assert.equal(this.#content.fault, this.#framed.fault);
    assert(past === end || this.#framed.done || this.#framed.fault !== null, 'bytes are left only behind the body');
    into.isComplete = this.#framed.done;
    return past;
  }
}

/** Reads pipelined requests until one is faulty or the last that its connection carries. */
export class OwnRequests {
  readonly messages: OwnRequest[] = [];
  fault: string | null = null;
  /** The fault is in a body, whose head has been forwarded. */
  isFaultInBody = false;
  /** A request that ends its connection was read whole. */
  isLast = false;
  /** Bytes of the stream that were used up. */
  consumed = 0;
  readonly #head: RequestHead;
  readonly #limits: HeadLimits;
  readonly #body = new BodyPair(REQUEST_CHUNK_BYTES_MAX);
  #queue: ByteQueue | null = null;
  #isInHead = true;

  constructor(limits: HeadLimits = LIMITS) {
    this.#limits = limits;
    this.#head = headFor(requestHeads, limits, () => new RequestHead(limits));
  }

  /** Bytes wait of a message that is not whole. */
  get isBegun(): boolean {
    return this.#queue !== null || !this.#isInHead;
  }

  get #stopped(): boolean {
    return this.fault !== null || this.isLast;
  }

  /** As Downstream's onBytes. */
  feed(bytes: Buffer, start: number, end: number): void {
    if (this.#stopped) return;
    const queue = this.#queue;
    if (queue === null) {
      this.#process(bytes, start, end);
      return;
    }
    queue.append(bytes, start, end);
    const isWorth =
      !this.#isInHead || queue.length > this.#limits.headBytesMax || bytes.subarray(start, end).includes(LF);
    if (isWorth) this.#process(queue.buffer, queue.start, queue.end);
  }

  /** Parses what waits once more: a fault in the line that is not whole shows when the line becomes whole. */
  settle(): this {
    const queue = this.#queue;
    if (!this.#stopped && queue !== null) this.#process(queue.buffer, queue.start, queue.end);
    return this;
  }

  #process(bytes: Buffer, start: number, end: number): void {
    let pos = start;
    while (pos < end && !this.#stopped) {
      const past = this.#isInHead ? this.#readHead(bytes, pos, end) : this.#readBody(bytes, pos, end);
      if (past < 0) break;
      this.consumed += past - pos;
      pos = past;
    }
    if (pos === end) this.#queue = null;
    else if (this.#queue !== null && this.#queue.buffer === bytes) this.#queue.start = pos;
    else this.#queue = new ByteQueue(bytes, pos, end);
  }

  #readHead(bytes: Buffer, start: number, end: number): number {
    const head = this.#head;
    const past = head.parse(bytes, start, end);
    if (past === INCOMPLETE) return past;
    this.fault = head.fault?.reason ?? null;
    if (this.fault !== null) return past;
    assert(past > start && past <= end);
    const kind = head.isChunked ? BODY.chunked : head.hasBody ? BODY.length : BODY.none;
    this.#body.begin(kind, head.contentLength, head.hopTrailers);
    this.messages.push(snapshotRequest(bytes, head, this.consumed + past - start));
    this.#isInHead = false;
    this.#conclude();
    return past;
  }

  #readBody(bytes: Buffer, start: number, end: number): number {
    const message = this.messages.at(-1) as OwnRequest;
    const past = this.#body.read(bytes, start, end, message);
    message.end = this.consumed + past - start;
    this.fault = this.#body.fault;
    this.isFaultInBody = this.fault !== null;
    this.#conclude();
    return past;
  }

  #conclude(): void {
    const message = this.messages.at(-1) as OwnRequest;
    if (!this.#body.done) return;
    message.isComplete = true;
    this.#isInHead = true;
    this.isLast = !message.keepsConnection;
  }
}

/** Reads the responses to one request: interim ones, then the final one. */
export class OwnResponses {
  readonly messages: OwnResponse[] = [];
  fault: string | null = null;
  isFaultInBody = false;
  isLast = false;
  consumed = 0;
  readonly #head: ResponseHead;
  readonly #body = new BodyPair();
  readonly #isHeadRequest: boolean;
  #partialHead: ByteQueue | null = null;
  #isInHead = true;

  constructor(isHeadRequest: boolean, limits: HeadLimits = LIMITS) {
    this.#isHeadRequest = isHeadRequest;
    this.#head = headFor(responseHeads, limits, () => new ResponseHead(limits));
  }

  /** As Exchange's onUpstreamBytes. */
  feed(bytes: Buffer, start: number, end: number): void {
    if (this.fault !== null || this.isLast) return;
    const queue = this.#partialHead;
    if (!this.#isInHead) this.#readBody(bytes, start, end);
    else if (queue === null) this.#readHeads(bytes, start, end);
    else {
      queue.append(bytes, start, end);
      this.#readHeads(queue.buffer, queue.start, queue.end);
    }
  }

  /** The backend closes. */
  close(): this {
    const message = this.messages.at(-1);
    if (message !== undefined && this.fault === null && message.kind === BODY.untilClose) message.isComplete = true;
    return this;
  }

  #readHeads(bytes: Buffer, start: number, end: number): void {
    let pos = start;
    while (pos < end && this.#isInHead) {
      const past = this.#head.parse(bytes, pos, end);
      if (past === INCOMPLETE) break;
      this.fault = this.#head.fault?.reason ?? null;
      if (this.fault !== null) return;
      this.consumed += past - pos;
      pos = past;
      this.#take(bytes);
    }
    if (!this.#isInHead) {
      if (pos < end && !this.isLast) this.#readBody(bytes, pos, end);
    } else if (pos === end) this.#partialHead = null;
    else if (this.#partialHead !== null && bytes === this.#partialHead.buffer) this.#partialHead.start = pos;
    else this.#partialHead = new ByteQueue(bytes, pos, end);
  }

  #take(bytes: Buffer): void {
    const head = this.#head;
    const message = snapshotResponse(bytes, head, this.#isHeadRequest, this.consumed);
    this.messages.push(message);
    if (head.isInterim) {
      message.isComplete = true;
      return;
    }
    this.#isInHead = false;
    this.#body.begin(message.kind, head.contentLength, head.hopTrailers);
    message.isComplete = this.isLast = this.#body.done;
  }

  #readBody(bytes: Buffer, start: number, end: number): void {
    const message = this.messages.at(-1) as OwnResponse;
    const past = this.#body.read(bytes, start, end, message);
    this.consumed += past - start;
    message.end = this.consumed;
    this.fault = this.#body.fault;
    this.isFaultInBody = this.fault !== null;
    this.isLast = this.#body.done;
  }
}

function fieldsOf(bytes: Buffer, table: FieldTable): OwnField[] {
  return Array.from({ length: table.count }, (_, i) => ({
    name: bytes.toString('latin1', table.start(i), table.nameEnd(i)),
    value: bytes.toString('latin1', table.valueStart(i), table.valueEnd(i)),
    isDropped: table.isDropped(i),
  }));
}

function snapshotRequest(bytes: Buffer, head: RequestHead, end: number): OwnRequest {
  const { close, keepAlive } = head.connection;
  const cookies = Array.from(head.cookieLines.subarray(0, head.cookieCount));
  const { contentLength, isChunked, isHead, isIdempotent, forwardedForLines } = head;
  return {
    method: bytes.toString('latin1', head.start, head.methodEnd),
    target: bytes.toString('latin1', head.targetStart, head.targetEnd),
    minorVersion: head.minorVersion,
    authority: bytes.toString('latin1', head.hostStart, head.hostEnd),
    fields: fieldsOf(bytes, head.fields),
    keepsConnection: !close && (head.minorVersion === 1 || keepAlive),
    isUpgrade: head.upgradeStart >= 0,
    isAbsolute: head.isAbsolute,
    traits: JSON.stringify([contentLength, isChunked, isHead, isIdempotent, forwardedForLines, cookies]),
    rewritten: rewriteRequest(bytes, head, HOP, true),
    framed: '',
    content: '',
    isComplete: false,
    end,
  };
}

function snapshotResponse(bytes: Buffer, head: ResponseHead, isHeadRequest: boolean, end: number): OwnResponse {
  const kind = head.bodyKind(isHeadRequest);
  return {
    status: head.status,
    reason: bytes.toString('latin1', Math.min(head.statusStart + 4, head.lineEnd), head.lineEnd),
    minorVersion: head.minorVersion,
    fields: fieldsOf(bytes, head.fields),
    keepsConnection: head.keepsConnection && kind !== BODY.untilClose,
    kind,
    rewritten: rewriteResponse(bytes, head, kind),
    rewrittenUntilClose: rewriteResponse(bytes, head, kind === BODY.chunked ? BODY.untilClose : kind),
    framed: '',
    content: '',
    isComplete: false,
    end,
  };
}

/** Cuts `bytes` at `cuts` (any numbers, taken modulo the length) into adjoining pieces, none empty. */
export function piecesOf(bytes: Buffer, cuts: readonly number[]): [number, number][] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => [at[i] as number, end]);
}

/**
 * Feeds `bytes` in the pieces that `cuts` make. Each piece comes in the same buffer, as from a socket's read buffer,
 * with `hostile` bytes around it: nothing but the piece may be looked at, and nothing of it later.
 */
export function feedInPieces(
  reader: { feed(bytes: Buffer, start: number, end: number): void },
  bytes: Buffer,
  cuts: readonly number[],
  hostile = '\r\n\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
): void {
  const shared = Buffer.alloc(bytes.length + 2 * hostile.length);
  for (const [start, end] of piecesOf(bytes, cuts)) {
    const at = hostile.length;
    shared.fill(hostile, 'latin1');
    bytes.copy(shared, at, start, end);
    shared.write(hostile, at + end - start, 'latin1');
    reader.feed(shared, at, at + end - start);
  }
  shared.fill(0);
}
