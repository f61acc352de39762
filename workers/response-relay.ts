/**
 * The response's way back: interim responses, the final head, the body. Listener threads; one object a client connection,
 * used again for each of its requests.
 *
 * It says what came of the bytes it was given, and leaves it to the exchange what follows from that.
 */

import { ByteQueue } from './byte-queue.ts';
import { type ByteStream, Flow, writeWhole } from './byte-stream.ts';
import { BodyReader } from './http1/body-reader.ts';
import { FAULTY, INCOMPLETE } from './http1/errors.ts';
import { BODY, type BodyKind } from './http1/framing.ts';
import { latin1 } from './http1/latin1.ts';
import { isResponseStart } from './http1/response-head.ts';
import { closeRanks, rewriteResponse } from './http1/rewrite.ts';
import type { ThreadContext } from './thread-context.ts';

export const RELAY = {
  /** More bytes are awaited. */
  pending: 0,
  /** The response is whole, and handed on. */
  whole: 1,
  /** The backend switches protocols; `rest` has what has come of the new one. */
  switching: 2,
  /** The response cannot be relayed, or not to its end: `reason` says why. */
  faulty: 3,
} as const;
export type RelayOutcome = (typeof RELAY)[keyof typeof RELAY];

/** What the request says of how its response is handed on. */
export interface RelayTraits {
  readonly isHead: boolean;
  readonly clientMinor: 0 | 1;
  readonly clientKeepsAlive: boolean;
  /** The protocols that the request offers to change to, as a list; empty: none. */
  readonly offeredProtocols: string;
}

/** The exchange, as the relay needs it. */
export interface RelayHost {
  /** The request's body has been read whole. */
  readonly requestIsWhole: boolean;
  /** A final head has come: the node is well. */
  onAnswered(): void;
  /** The Set-Cookie line for the head, or nothing. */
  cookieLine(): string;
  /** Body bytes came, or the client took some. */
  onResponseProgress(): void;
}

/** A response of which more is still to come keeps others waiting. */
const LONG_BYTES = 64 * 1024;

/** Interim responses to one request; a backend that sends more is not waited for. */
const INTERIM_MAX = 16;

/** This response is not as long as it says, or the next one is none: whichever it is, nobody has been told of either. */
const NOT_FOLLOWED = 'response: what follows is none';

const NO_BYTES = Buffer.alloc(0);

export class ResponseRelay {
  /** Status of the final head that has been handed on; 0 before. */
  status = 0;
  reason = '';
  /**
   * Requests of others may wait behind this one on its connection: what follows it is theirs, and in doubt nobody's. For the
   * exchange to set, after `begin`.
   */
  isPipelined = false;
  /**
   * `rest[restStart, restEnd)`: what came behind the response on a pipelined connection, or of the new protocol, where it
   * was switched. Valid during the call alone.
   */
  rest: Buffer = NO_BYTES;
  restStart = 0;
  restEnd = 0;
  /** How the client knows the body's end. */
  clientKind: BodyKind = BODY.none;
  /** The backend keeps its connection open, and it is clear where the next response begins. */
  keepsUpstream = false;
  /** The final head was one of HTTP/1.1. Once it has come. */
  isHttp11 = false;
  /** The backend has asked for the request's content: a 100 has come. */
  hasContinued = false;
  /** The client was told that its connection stays open. */
  keepsClient = false;

  readonly #client: ByteStream;
  readonly #context: ThreadContext;
  readonly #host: RelayHost;
  readonly #body = new BodyReader();
  #traits: RelayTraits = { isHead: false, clientMinor: 1, clientKeepsAlive: false, offeredProtocols: '' };
  /** A part of a head. */
  #partial: ByteQueue | null = null;
  #interims = 0;
  #flow: Flow | null = null;
  /** The body is framed anew: the client gets chunks where the backend sends none. */
  #isReframed = false;
  /** A head, and the body bytes that go out with it in one write. */
  #gathered = '';

  constructor(client: ByteStream, context: ThreadContext, host: RelayHost) {
    this.#client = client;
    this.#context = context;
    this.#host = host;
  }

  begin(traits: RelayTraits): void {
    this.#traits = traits;
    this.#partial = this.#flow = null;
    this.#interims = this.status = 0;
    this.keepsUpstream = this.keepsClient = this.hasContinued = this.isPipelined = false;
    this.#body.begin(BODY.none, 0, true);
  }

  /** The connection is others' now; a part of a head that has come counts no more. */
  forget(): void {
    this.#partial = null;
    this.rest = NO_BYTES;
    this.isPipelined = false;
  }

  /** Any byte of a response has come. */
  get hasHeard(): boolean {
    return this.status !== 0 || this.#partial !== null || this.#interims > 0;
  }

  /** The response has begun, and the connection ends with it. */
  get isLast(): boolean {
    return this.status !== 0 && !this.keepsUpstream;
  }

  /** The response has begun, and much of it is still to come. */
  get isLong(): boolean {
    return this.status !== 0 && this.#body.remainingBytes > LONG_BYTES;
  }

  /** Nothing of the response has been handed on. */
  get isUntold(): boolean {
    return this.status === 0 && this.#interims === 0;
  }

  /** The client does not take what it is sent. */
  get isPaused(): boolean {
    return this.#flow?.isPaused === true;
  }

  /** What the client has taken of the body, bytes: of one that needed more than one write. */
  get takenBytes(): number {
    return this.#flow?.takenBytes ?? 0;
  }

  get contentBytes(): number {
    return this.#body.contentBytes;
  }

  /** Bytes from the backend, whose stream is `upstream`. What of them is the response's may be written over. */
  onBytes(upstream: ByteStream, bytes: Buffer, start: number, end: number): RelayOutcome {
    if (this.status !== 0) return this.#relayBody(bytes, start, end);
    if (this.#partial === null) return this.#readHeads(upstream, bytes, start, end);
    this.#partial.append(bytes, start, end);
    const { buffer, start: first, end: last } = this.#partial;
    return this.#readHeads(upstream, buffer, first, last);
  }

  /** The backend has finished sending: the end of a body until close, or of something else too early. */
  onEnd(): RelayOutcome {
    if (this.status === 0 || this.#body.kind !== BODY.untilClose) return this.#fault('backend closed the connection');
    if (this.#isReframed) this.#client.write('0\r\n\r\n', 'latin1');
    return RELAY.whole;
  }

  #fault(reason: string): RelayOutcome {
    this.reason = reason;
    return RELAY.faulty;
  }

  /** Interim responses, then the final one, in `bytes[start, end)`: the read buffer, or that of a partial head. */
  #readHeads(upstream: ByteStream, bytes: Buffer, start: number, end: number): RelayOutcome {
    const head = this.#context.responseHead;
    let pos = start;
    while (pos < end) {
      const past = head.parse(bytes, pos, end);
      if (past === INCOMPLETE) break;
      if (past === FAULTY) return this.#fault(`response: ${head.fault?.reason}`);
      if (!head.isInterim) {
        this.#partial = null;
        return head.status === 101 ? this.#switch(bytes, past, end) : this.#respond(upstream, bytes, past, end);
      }
      if (head.status === 100) this.hasContinued = true;
      if (++this.#interims > INTERIM_MAX) return this.#fault('too many interim responses');
      this.#forwardInterim(bytes);
      pos = past;
    }
    this.#keepPartial(bytes, pos, end);
    return RELAY.pending;
  }

  #keepPartial(bytes: Buffer, start: number, end: number): void {
    if (start === end) this.#partial = null;
    else if (this.#partial !== null && bytes === this.#partial.buffer) this.#partial.start = start;
    else this.#partial = new ByteQueue(bytes, start, end);
  }

  #forwardInterim(bytes: Buffer): void {
    // RFC 9110 section 15.2: an HTTP/1.0 client does not know interim responses
    if (this.#traits.clientMinor === 0) return;
    const text = rewriteResponse(bytes, this.#context.responseHead, BODY.none);
    this.#client.write(`${text}\r\n`, 'latin1');
  }

  #switch(bytes: Buffer, past: number, end: number): RelayOutcome {
    const head = this.#context.responseHead;
    const protocol = head.upgradeStart < 0 ? '' : latin1(bytes, head.upgradeStart, head.upgradeEnd);
    if (!isOffered(protocol, this.#traits.offeredProtocols)) return this.#fault('101 that nobody asked for');
    this.#begun(101);
    const text = rewriteResponse(bytes, head, BODY.none) + this.#host.cookieLine();
    this.#client.write(`${text}Connection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`, 'latin1');
    this.#setRest(bytes, past, end);
    return RELAY.switching;
  }

  /** The head may have come in pieces: `bytes` need not be those that came last. */
  #setRest(bytes: Buffer, start: number, end: number): void {
    this.rest = bytes;
    this.restStart = start;
    this.restEnd = end;
  }

  #begun(status: number): void {
    this.status = status;
    this.#host.onAnswered();
  }

  /** The final head, with as much of the body as came with it. */
  #respond(upstream: ByteStream, bytes: Buffer, start: number, end: number): RelayOutcome {
    const head = this.#context.responseHead;
    const { isHead, clientMinor, clientKeepsAlive } = this.#traits;
    const kind = head.bodyKind(isHead);
    this.clientKind = kind;
    // the end of the connection cannot tell a whole body from a broken one: HTTP/1.1 clients get chunks instead
    this.#isReframed = kind === BODY.untilClose && clientMinor === 1;
    if (this.#isReframed) this.clientKind = BODY.chunked;
    else if (kind === BODY.chunked && clientMinor === 0) this.clientKind = BODY.untilClose;
    this.isHttp11 = head.minorVersion === 1;
    this.keepsUpstream = head.keepsConnection && kind !== BODY.untilClose;
    if (this.isPipelined && (!this.isHttp11 || head.isFramedInVain)) this.keepsUpstream = false;
    this.keepsClient =
      clientKeepsAlive && this.clientKind !== BODY.untilClose && this.#host.requestIsWhole && !this.#context.isEnding;
    this.#body.begin(kind, head.contentLength, clientMinor === 1, head.hopTrailers);
    const cookieLine = this.#host.cookieLine();
    if (this.keepsClient && clientMinor === 1 && cookieLine === '' && kind <= BODY.length) {
      const past = start + (kind === BODY.length ? head.contentLength : 0);
      const first = past <= end ? closeRanks(bytes, head) : -1;
      if (first >= 0) {
        if (this.isPipelined && !isResponseStart(bytes, past, end)) return this.#fault(NOT_FOLLOWED);
        this.#begun(head.status);
        this.#body.read(bytes, start, past, ignoreBytes);
        writeWhole(this.#client, bytes, first, past);
        return this.#afterBody(bytes, past, end);
      }
    }

    let text = rewriteResponse(bytes, head, this.clientKind) + cookieLine;
    if (!this.keepsClient) text += 'Connection: close\r\n\r\n';
    else text += clientMinor === 1 ? '\r\n' : 'Connection: keep-alive\r\n\r\n';
    this.#gathered = text;
    const past = this.#body.read(bytes, start, end, this.#isReframed ? this.#gatherFramed : this.#gather);
    if (this.isPipelined && (this.#body.fault !== null || !isResponseStart(bytes, past, end))) {
      return this.#fault(NOT_FOLLOWED);
    }
    this.#begun(head.status);
    if (this.#body.done) this.#client.write(this.#gathered, 'latin1');
    else {
      this.#flow = new Flow(upstream, this.#client, () => this.#host.onResponseProgress());
      this.#flow.forwardText(this.#gathered);
    }
    this.#gathered = '';
    return this.#afterBody(bytes, past, end);
  }

  #relayBody(bytes: Buffer, start: number, end: number): RelayOutcome {
    const sink = this.#isReframed ? this.#forwardFramed : (this.#flow as Flow).forward;
    const past = this.#body.read(bytes, start, end, sink);
    return this.#afterBody(bytes, past, end);
  }

  #afterBody(bytes: Buffer, past: number, end: number): RelayOutcome {
    if (this.#body.fault !== null) return this.#fault(`response: ${this.#body.fault.reason}`);
    if (this.#body.done) {
      if (this.isPipelined) this.#setRest(bytes, past, end);
      // RFC 9112 section 6.3: bytes past the end belong to no request; the connection cannot be trusted
      else if (past < end) this.keepsUpstream = false;
      return RELAY.whole;
    }
    this.#host.onResponseProgress();
    return RELAY.pending;
  }

  readonly #gather = (bytes: Buffer, start: number, end: number): void => {
    this.#gathered += latin1(bytes, start, end);
  };
  readonly #gatherFramed = (bytes: Buffer, start: number, end: number): void => {
    this.#gathered += asChunk(latin1(bytes, start, end));
  };
  readonly #forwardFramed = (bytes: Buffer, start: number, end: number): void => {
    this.#flow?.forwardText(asChunk(latin1(bytes, start, end)));
  };
}

function ignoreBytes(): void {}

/** RFC 9110 section 7.8: a server switches to nothing that the request has not offered. Both are lists. */
function isOffered(protocols: string, offered: string): boolean {
  const known = membersOf(offered);
  return membersOf(protocols).every((protocol) => protocol !== '' && known.includes(protocol));
}

function membersOf(list: string): string[] {
  return list.split(',').map((member) => member.trim().toLowerCase());
}

function asChunk(content: string): string {
  return `${content.length.toString(16)}\r\n${content}\r\n`;
}
