/**
 * A client's connection: bytes in, requests one after another, responses out in the same order. Listener threads.
 *
 * One request at a time is in progress. Requests that the client sent ahead wait as bytes, and the connection is not
 * read from while they do: what a client can make us hold is a head, and one read behind it.
 */

import { STAT } from '../src/boards/stats-board.ts';
import { type AcceptedStream, plainAddress, reset } from './accept.ts';
import { BodyPace } from './body-pace.ts';
import { ByteQueue } from './byte-queue.ts';
import type { StreamOwner } from './byte-stream.ts';
import type { Evictable } from './connection-limits.ts';
import { Exchange, type ExchangeClient } from './exchange.ts';
import { CR, LF } from './http1/chars.ts';
import { FAULT, FAULTY, INCOMPLETE, type MessageFault } from './http1/errors.ts';
import { BODY, type BodyKind } from './http1/framing.ts';
import { faultResponse, type Hop, localResponse } from './http1/rewrite.ts';
import type { ListenerRoutes } from './listener-routes.ts';
import type { ThreadContext } from './thread-context.ts';
import { Timed } from './timer-wheel.ts';
import type { Tunnel } from './tunnel.ts';

const STATE = {
  /** Between requests, or within a head. */
  head: 0,
  /** A request is in progress, in its body or past it. */
  exchange: 1,
  /** The last response is out; what still comes is thrown away until the client closes (RFC 9112 section 9.6). */
  lingering: 2,
  tunnel: 3,
  closed: 4,
} as const;
type State = (typeof STATE)[keyof typeof STATE];

/** As nginx's lingering_timeout and lingering_time: many clients read only when they have sent all of their body. */
const LINGER_SILENCE_MS = 5_000;
const LINGER_MS_MAX = 30_000;

/** In a drain, how long a connection may take to bring its first request. */
const FIRST_REQUEST_GRACE_MS = 1_000;

const NO_SERVICE = 'no service for this Host';

/** How a listener's connections differ from another's. */
export interface ListenerTraits {
  readonly routes: ListenerRoutes;
  readonly isTls: boolean;
}

export class Downstream extends Timed implements StreamOwner, ExchangeClient, Evictable, Hop {
  readonly stream: AcceptedStream;
  readonly clientAddress: string;
  openOrder = 0;

  readonly #context: ThreadContext;
  readonly #traits: ListenerTraits;
  readonly #onGone: (connection: Downstream) => void;
  readonly #exchange: Exchange;
  #forwardedLines = '';
  #idleTimeoutMs: number;
  #bodyTimeoutMs = 0;
  /** How the client sends its body. */
  readonly #pace = new BodyPace();
  /** Requests that have come. */
  #requests = 0;
  /** A part of a head has come, and the time for the whole is running. */
  #isInHead = false;
  #state: State = STATE.head;
  #queue: ByteQueue | null = null;
  #isPaused = false;
  /** Bytes are being worked through further up the stack: do not begin again. */
  #isProcessing = false;
  #clientEnded = false;
  #unflushedBefore = 0;
  /** Wheel time at which lingering ends, whatever still comes. */
  #lingerEndMs = 0;
  #tunnel: Tunnel | null = null;

  constructor(
    stream: AcceptedStream,
    context: ThreadContext,
    traits: ListenerTraits,
    onGone: (connection: Downstream) => void,
  ) {
    super();
    this.stream = stream;
    this.#context = context;
    this.#traits = traits;
    this.#onGone = onGone;
    this.#exchange = new Exchange(this, context);
    this.clientAddress = plainAddress(stream.remoteAddress);
    this.#idleTimeoutMs = context.headerTimeoutMs;
    context.wheel.arm(this, context.headerTimeoutMs);
    context.count('connectionsTotal');
    context.limits.opened(this, this.clientAddress);
  }

  get isTls(): boolean {
    return this.#traits.isTls;
  }

  get isLastRequest(): boolean {
    return this.#requests >= this.#context.requestsMax;
  }

  /** Between requests, or past the last: what is closed then is nobody's loss but its own. */
  get idleUntilMs(): number {
    const { writableLength, destroyed } = this.stream;
    const isIdle =
      (this.#state === STATE.head || this.#state === STATE.lingering) && writableLength === 0 && !destroyed;
    return isIdle ? this.deadline : Number.POSITIVE_INFINITY;
  }

  get forwardedLines(): string {
    return this.#forwardedLines;
  }

  get localAuthority(): string {
    const { localAddress = 'localhost', localPort } = this.stream;
    const host = localAddress.includes(':') ? `[${localAddress}]` : localAddress;
    return localPort === undefined ? host : `${host}:${localPort}`;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    switch (this.#state) {
      case STATE.tunnel:
        this.#tunnel?.onClientBytes(bytes, start, end);
        return;
      case STATE.lingering:
        this.#linger();
        return;
      case STATE.closed:
        return;
    }
    const queue = this.#queue;
    if (queue === null) {
      this.#process(bytes, start, end);
      return;
    }
    queue.append(bytes, start, end);
    // a head is parsed again when a line has become whole, so that one sent byte by byte costs little
    const isWorth =
      this.#state !== STATE.head ||
      queue.length > this.#context.headBytesMax ||
      bytes.subarray(start, end).includes(LF);
    if (isWorth) this.#process(queue.buffer, queue.start, queue.end);
  }

  onEnd(): void {
    this.#clientEnded = true;
    if (this.#state === STATE.tunnel) this.#tunnel?.onClientEnd();
    else if (this.#state === STATE.head) this.#closeGracefully();
    else this.#abortIfCut();
  }

  onClose(error: NodeJS.ErrnoException | null): void {
    if (this.#state === STATE.closed) return;
    const state = this.#state;
    this.#state = STATE.closed;
    this.#context.wheel.remove(this);
    this.#context.limits.closed(this, this.clientAddress);
    if (state === STATE.tunnel) this.#tunnel?.onClientClosed(error !== null);
    else if (!this.#exchange.isOver) {
      this.#context.count('clientAborts');
      this.#exchange.abort();
    }
    this.#queue = null;
    this.#onGone(this);
  }

  onDeadline(): void {
    switch (this.#state) {
      case STATE.head:
        if (this.#hasBegunHead) {
          this.#context.count('headTimeouts');
          this.#fault(FAULT.headTimeout);
        } else if (this.#isStillReading()) this.#context.wheel.arm(this, this.#idleTimeoutMs);
        else this.#closeGracefully();
        return;
      case STATE.exchange:
        if (!this.#exchange.isOver) this.#exchange.onClientDeadline();
        else if (this.#isStillReading()) this.#context.wheel.arm(this, this.#bodyTimeoutMs);
        else {
          this.#context.count('readTimeouts');
          this.stream.destroy();
        }
        return;
      default:
        if (this.#isStillReading()) this.#context.wheel.arm(this, LINGER_SILENCE_MS);
        else this.stream.destroy();
    }
  }

  /**
   * Ends the connection when it is idle now, or else after the request in progress. One that has brought none yet was made
   * for one: it may be on its way.
   */
  drain(): void {
    if (this.#state !== STATE.head || this.#hasBegunHead) return;
    if (this.#requests > 0) this.#closeGracefully();
    else this.#context.wheel.arm(this, FIRST_REQUEST_GRACE_MS);
  }

  /** Cuts the connection. */
  cut(): void {
    this.stream.destroy();
  }

  evict(): void {
    this.cut();
  }

  onReadyForBody(): void {
    if (this.#isProcessing) return;
    const queue = this.#queue;
    if (queue !== null) this.#process(queue.buffer, queue.start, queue.end);
    this.#exchange.sendHead();
    this.#resume();
    this.#watchBody();
    this.#abortIfCut();
  }

  onProgress(): void {
    this.#watchBody();
  }

  onExchangeOver(keepAlive: boolean): void {
    if (this.#state !== STATE.exchange) return;
    // a drain may have begun after the response was: requests already here are answered, and no others
    if (!keepAlive || (this.#context.isDraining && this.#queue === null)) {
      this.#closeGracefully();
      return;
    }
    if (this.stream.writableNeedDrain) {
      // the answers to requests sent ahead would pile up in memory while the client reads none of them
      this.stream.once('drain', () => this.onExchangeOver(true));
      this.#context.wheel.arm(this, this.#bodyTimeoutMs);
      return;
    }
    this.#state = STATE.head;
    this.#context.wheel.arm(this, this.#idleTimeoutMs);
    if (!this.#isProcessing) this.#next();
  }

  onExchangeBroken(framing: BodyKind): void {
    if (this.#state !== STATE.exchange) return;
    // a body until close that ends in a FIN would pass for a whole one; the other framings show what is missing
    if (framing === BODY.untilClose) reset(this.stream);
    else this.#closeGracefully();
  }

  onTunnel(tunnel: Tunnel): void {
    this.#state = STATE.tunnel;
    this.#tunnel = tunnel;
    this.#context.wheel.disarm(this);
    const queue = this.#queue;
    this.#queue = null;
    if (queue !== null) tunnel.onClientBytes(queue.buffer, queue.start, queue.end);
    if (this.#clientEnded) tunnel.onClientEnd();
    this.#resume();
  }

  onTunnelOver(): void {
    if (this.#state === STATE.tunnel) this.#closeGracefully();
  }

  /** The next request, where the client has sent it already. */
  #next(): void {
    const queue = this.#queue;
    if (queue !== null) this.#process(queue.buffer, queue.start, queue.end);
    if (this.#state === STATE.head) {
      if (this.#clientEnded) this.#closeGracefully();
      else this.#resume();
    }
  }

  /** Works through `bytes[start, end)`, which are new or the queue's own, and keeps what cannot be used yet. */
  #process(bytes: Buffer, start: number, end: number): void {
    let pos = start;
    this.#isProcessing = true;
    while (pos < end) {
      if (this.#state === STATE.head) {
        const past = this.#readHead(bytes, pos, end);
        if (past < 0) break;
        pos = past;
      } else if (this.#state === STATE.exchange && this.#exchange.takesBody) {
        const past = this.#exchange.onRequestBytes(bytes, pos, end);
        this.#pace.moved(past - pos, this.#context.wheel.now);
        pos = past;
      } else break;
    }
    this.#isProcessing = false;
    if (this.#state === STATE.exchange) this.#exchange.sendHead();
    this.#watchBody();
    if (this.#state !== STATE.tunnel) this.#keep(bytes, pos, end);
  }

  /** Keeps the bytes that are left, and stops reading while the request in progress must end first. */
  #keep(bytes: Buffer, start: number, end: number): void {
    const queue = this.#queue;
    if (start === end || this.#state >= STATE.lingering) {
      if (queue !== null && bytes === queue.buffer) this.#queue = null;
    } else if (queue !== null && bytes === queue.buffer) queue.start = start;
    else this.#queue = new ByteQueue(bytes, start, end);
    if (this.#state === STATE.exchange) {
      const waits = !this.#exchange.takesBody && (this.#queue !== null || !this.#exchange.requestIsWhole);
      if (waits) this.#pause();
      else this.#resume();
    } else if (this.#state === STATE.head && this.#hasBegunHead && !this.#isInHead) {
      this.#isInHead = true;
      this.#context.wheel.arm(this, this.#context.headerTimeoutMs);
    }
  }

  /** A part of a request's head has come: more than an empty line. */
  get #hasBegunHead(): boolean {
    return this.#queue !== null && !isEmptyLine(this.#queue);
  }

  /** The client ended its side within a request's body: nobody can finish that request. */
  #abortIfCut(): void {
    const isWaiting = this.#state === STATE.exchange && !this.#exchange.requestIsWhole && this.#queue === null;
    if (!this.#clientEnded || !isWaiting) return;
    this.stream.destroy();
  }

  /** Returns the index after the head, or INCOMPLETE or FAULTY. */
  #readHead(bytes: Buffer, start: number, end: number): number {
    const head = this.#context.requestHead;
    const past = head.parse(bytes, start, end);
    if (past === INCOMPLETE) return past;
    if (past === FAULTY) {
      this.#fault(head.fault as MessageFault);
      return past;
    }
    this.#isInHead = false;
    this.#requests++;
    this.#context.add(STAT.requestsTotal);
    const service = this.#traits.routes.serviceFor(bytes, head.hostStart, head.hostEnd);
    this.#state = STATE.exchange;
    if (service === null) {
      this.#context.unservedCounts.answered(404);
      this.#context.log.info('request refused', { client: this.clientAddress, status: 404, reason: NO_SERVICE });
      this.#context.accessLog?.refused(this.clientAddress, 404, NO_SERVICE);
      this.stream.write(localResponse(404, { close: true, withoutBody: head.isHead }), 'latin1');
      this.onExchangeOver(false);
      return past;
    }
    const { settings } = service;
    this.#idleTimeoutMs = settings.persistClientIdleTimeoutMs;
    this.#bodyTimeoutMs = settings.bodyTimeoutMs;
    this.#pace.begin(settings.bodyTimeoutMs, settings.bodyRateMin);
    this.#forwardedLines = this.isTls ? service.forwardedLinesTls : service.forwardedLinesPlain;
    this.#exchange.begin(service, bytes, head, this);
    return past;
  }

  /**
   * The client is awaited while its body can be taken, and no longer: a slow backend is not its fault. Where that is slow to
   * take the body, it is the backend that is awaited.
   */
  #watchBody(): void {
    if (this.#state !== STATE.exchange || this.#exchange.isOver) return;
    const { wheel } = this.#context;
    if (this.#exchange.takesBody && !this.#exchange.isBodyHeldUp) {
      wheel.arm(this, this.#pace.await(wheel.now));
      return;
    }
    this.#pace.rest(wheel.now);
    if (this.#exchange.takesBody) wheel.arm(this, this.#bodyTimeoutMs);
    else wheel.disarm(this);
  }

  #fault(fault: MessageFault): void {
    this.#context.unservedCounts.answered(fault.status);
    this.#context.log.info('request refused', {
      client: this.clientAddress,
      status: fault.status,
      reason: fault.reason,
    });
    this.#context.accessLog?.refused(this.clientAddress, fault.status, fault.reason);
    this.stream.write(faultResponse(fault), 'latin1');
    this.#closeGracefully();
  }

  /** Sends what is written, then a FIN, then waits for the client's: a close at once could destroy the response. */
  #closeGracefully(): void {
    if (this.#state >= STATE.lingering) return;
    this.#state = STATE.lingering;
    this.#queue = null;
    this.#lingerEndMs = this.#context.wheel.now + LINGER_MS_MAX;
    this.#linger();
    this.stream.end();
    if (!this.#clientEnded) this.#resume();
  }

  #linger(): void {
    const { wheel } = this.#context;
    wheel.arm(this, Math.min(LINGER_SILENCE_MS, this.#lingerEndMs - wheel.now));
  }

  /** The client has taken bytes of the last response since the last look: slow, but not idle. */
  #isStillReading(): boolean {
    const unflushed = this.stream.writableLength;
    const isReading = unflushed > 0 && unflushed !== this.#unflushedBefore;
    this.#unflushedBefore = unflushed;
    return isReading;
  }

  #pause(): void {
    this.#isPaused = true;
    this.stream.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.stream.resume();
  }
}

/** Some clients end a body with an empty line: no request has begun with it. */
function isEmptyLine({ buffer, start, end }: ByteQueue): boolean {
  return end - start <= 2 && buffer[start] === CR && (end - start === 1 || buffer[start + 1] === LF);
}
