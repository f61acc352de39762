/**
 * The life of one request: a node, a connection to it, the request out, the response back. Listener threads; one object
 * a client connection, used again for each of its requests.
 *
 *   begin ─► connecting ─► awaiting the head ─► relaying the body ─► over
 *              │  ▲              │
 *              └──┴─ retry ◄─────┘  before the first response byte alone
 *
 * Retries (DESIGN, the data path): where nothing was sent, on another node; where an idempotent request without a body
 * met a reused connection that the backend was just closing, on a fresh one.
 */

import type { AccessEntry, Outcome } from './access-log.ts';
import { ByteQueue } from './byte-queue.ts';
import { type ByteStream, Flow } from './byte-stream.ts';
import { BodyReader } from './http1/body-reader.ts';
import { FAULTY, INCOMPLETE } from './http1/errors.ts';
import { BODY, type BodyKind } from './http1/framing.ts';
import { latin1 } from './http1/latin1.ts';
import type { RequestHead } from './http1/request-head.ts';
import { type Hop, localResponse, rewriteRequest, rewriteResponse } from './http1/rewrite.ts';
import type { Choice, Service } from './service.ts';
import type { ThreadContext } from './thread-context.ts';
import { Tunnel } from './tunnel.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';
import type { UpstreamNode } from './upstream-node.ts';

/** The client's side of an exchange. */
export interface ExchangeClient {
  readonly stream: ByteStream;
  readonly clientAddress: string;
  readonly isTls: boolean;
  /** The upstream side is ready for the request: the body's bytes at hand may come now, then `sendHead`. */
  onReadyForBody(): void;
  /** A body byte moved: the client is alive. */
  onProgress(): void;
  /** The exchange is over. `keepAlive`: the connection may serve another request. */
  onExchangeOver(keepAlive: boolean): void;
  /** The response broke off: the client must be able to see that it did. */
  onExchangeBroken(framing: BodyKind): void;
  /** The connection is the tunnel's from now on. */
  onTunnel(tunnel: Tunnel): void;
  /** The tunnel is over; what it has written to the client may still wait to be sent. */
  onTunnelOver(): void;
}

const STATE = { over: 0, connecting: 1, awaitingHead: 2, relaying: 3 } as const;
type State = (typeof STATE)[keyof typeof STATE];

/** Interim responses to one request; a backend that sends more is not waited for. */
const INTERIM_MAX = 16;

export class Exchange implements UpstreamUser {
  readonly #client: ExchangeClient;
  readonly #context: ThreadContext;
  readonly #requestBody = new BodyReader();
  readonly #responseBody = new BodyReader();
  readonly #choice: Choice = { node: null, setsCookie: false, domainStart: 0 };
  #service: Service | null = null;
  #state: State = STATE.over;
  #node: UpstreamNode | null = null;
  #upstream: UpstreamConnection | null = null;
  #tried: readonly UpstreamNode[] = NONE;
  #attempts = 0;

  /** What the access log will say, while that is on. */
  #entry: AccessEntry | null = null;
  /** Status of the response that has begun; 0 before. */
  #status = 0;

  #requestText = '';
  /** A head, and the body bytes that go out with it in one write. */
  #gathered = '';
  #requestSent = false;
  #requestFlow: Flow | null = null;
  #isHead = false;
  #isIdempotent = false;
  #clientMinor: 0 | 1 = 1;
  #clientKeepsAlive = false;
  #offersUpgrade = false;

  /** A part of the response's head. */
  #partialHead: ByteQueue | null = null;
  #interims = 0;
  #responseFlow: Flow | null = null;
  #responseKind: BodyKind = BODY.none;
  /** How the client knows the body's end. */
  #clientKind: BodyKind = BODY.none;
  #keepsUpstream = false;
  #keepsClient = false;

  constructor(client: ExchangeClient, context: ThreadContext) {
    this.#client = client;
    this.#context = context;
  }

  get isOver(): boolean {
    return this.#state === STATE.over;
  }

  /** The request's body has been read whole, or there is none. */
  get requestIsWhole(): boolean {
    return this.#requestBody.done;
  }

  /** Body bytes can be taken now. */
  get takesBody(): boolean {
    return !this.#requestBody.done && this.#upstream !== null && this.#state >= STATE.awaitingHead;
  }

  /** Begins with a parsed head. The body's bytes follow through `onRequestBytes`, once `takesBody`. */
  begin(service: Service, bytes: Buffer, head: RequestHead, hop: Hop): void {
    this.#service = service;
    this.#status = 0;
    this.#entry = this.#context.accessLog?.begin(bytes, head, this.#client.clientAddress) ?? null;
    this.#node = null;
    this.#tried = NONE;
    this.#attempts = 0;
    this.#partialHead = null;
    this.#interims = 0;
    this.#requestSent = false;
    this.#requestFlow = this.#responseFlow = null;
    this.#isHead = head.isHead;
    this.#isIdempotent = head.isIdempotent;
    this.#clientMinor = head.minorVersion;
    this.#offersUpgrade = head.upgradeStart >= 0;
    this.#clientKeepsAlive =
      service.settings.persistClient &&
      !head.connection.close &&
      (head.minorVersion === 1 || head.connection.keepAlive);
    const kind = head.isChunked ? BODY.chunked : head.contentLength > 0 ? BODY.length : BODY.none;
    this.#requestBody.begin(kind, head.contentLength, true);
    this.#requestText = rewriteRequest(bytes, head, hop, service.settings.persistBackend);
    this.#state = STATE.connecting;
    service.choose(bytes, head, this.#choice);
    this.#attempt(true);
  }

  /**
   * Takes the request's body on. Returns the index of the first byte that is not the body's; the bytes after it are the
   * next request's. A fault in the body's framing ends the exchange.
   */
  onRequestBytes(bytes: Buffer, start: number, end: number): number {
    if (!this.#requestSent) return this.#send(bytes, start, end);
    this.#requestFlow ??= this.#newRequestFlow();
    const past = this.#requestBody.read(bytes, start, end, this.#requestFlow.forward);
    this.#afterRequestBytes();
    return past;
  }

  /** The client is gone, or cannot be served any more. */
  abort(): void {
    if (this.#state === STATE.over) return;
    this.#logAccess('aborted', 'client left');
    this.#letGo(false);
    this.#state = STATE.over;
  }

  /** The client sent nothing of its body, or read nothing of the response, for the time allowed. */
  onClientDeadline(): void {
    if (this.#requestFlow?.isPaused) this.#upstreamTimedOut('backend does not read the request');
    else this.#refuse(408, 'client does not send the request body');
  }

  onUpstreamReady(connection: UpstreamConnection): void {
    this.#upstream = connection;
    this.#state = STATE.awaitingHead;
    if (this.#requestBody.done) this.sendHead();
    else this.#client.onReadyForBody();
  }

  /** Sends the head where it has not gone out with the body's first bytes: the client has sent none of them yet. */
  sendHead(): void {
    if (this.#state === STATE.awaitingHead && !this.#requestSent) this.#send(NO_BYTES, 0, 0);
  }

  onUpstreamFailed(_connection: UpstreamConnection, reason: string, isTimeout: boolean): void {
    const service = this.#service as Service;
    this.#upstream = null;
    if (LOCAL_FAILURES.has(reason)) {
      this.#endOnNode();
      this.#refuse(503, reason);
      return;
    }
    this.#nodeFailed(reason);
    this.#tried = [...this.#tried, this.#node as UpstreamNode];
    this.#endOnNode();
    if (this.#attempts <= service.settings.retries) {
      service.chooseAgain(this.#tried, this.#choice);
      if (this.#choice.node !== null) {
        this.#context.count('retries');
        this.#attempt(true);
        return;
      }
    }
    this.#refuse(isTimeout ? 504 : 502, reason);
  }

  onUpstreamBytes(bytes: Buffer, start: number, end: number): void {
    if (this.#state === STATE.relaying) this.#relay(bytes, start, end);
    else if (!this.#requestSent) this.#badGateway('backend answered before the request was sent');
    else if (this.#partialHead === null) this.#readHeads(bytes, start, end);
    else {
      this.#partialHead.append(bytes, start, end);
      const queue = this.#partialHead;
      this.#readHeads(queue.buffer, queue.start, queue.end);
    }
  }

  onUpstreamEnd(): void {
    if (this.#state === STATE.relaying && this.#responseKind === BODY.untilClose) this.#finishUntilClose();
    else this.onUpstreamClosed('backend closed the connection');
  }

  onUpstreamClosed(reason: string): void {
    const upstream = this.#upstream;
    this.#keepsUpstream = false;
    if (this.#state === STATE.relaying) {
      this.#break(reason);
    } else if (upstream?.isReused && this.#mayRepeat()) {
      this.#context.count('retries');
      this.#letGo(false);
      this.#state = STATE.connecting;
      this.#choice.node = this.#node;
      this.#attempt(false);
    } else this.#badGateway(reason);
  }

  onUpstreamDeadline(): void {
    if (this.#state !== STATE.relaying) this.#upstreamTimedOut('no response in time');
    else if (this.#responseFlow?.isPaused) this.#break('client does not read the response');
    else this.#break('backend stopped sending');
  }

  /** Nothing was sent yet; or nothing of a response has come, and sending the head again, which is all, does no harm. */
  #mayRepeat(): boolean {
    if (this.#attempts > (this.#service as Service).settings.retries) return false;
    const isAlone = this.#isIdempotent && this.#requestBody.kind === BODY.none;
    return !this.#requestSent || (isAlone && this.#partialHead === null && this.#interims === 0);
  }

  #attempt(mayReuse: boolean): void {
    const { node } = this.#choice;
    const { settings } = this.#service as Service;
    if (node === null) {
      this.#refuse(503, 'no live node');
      return;
    }
    this.#attempts++;
    this.#node = node;
    this.#requestSent = false;
    node.begin();
    const idle = mayReuse ? node.takeIdle(this) : null;
    if (idle !== null) this.onUpstreamReady(idle);
    else this.#upstream = node.connect(this, settings);
  }

  /** Sends the head, and what stands at hand of the body with it: one write, one system call. */
  #send(bytes: Buffer, start: number, end: number): number {
    const upstream = this.#upstream as UpstreamConnection;
    this.#requestSent = true;
    this.#gathered = this.#requestText;
    const past = this.#requestBody.read(bytes, start, end, this.#gather);
    if (this.#requestBody.done) upstream.stream.write(this.#gathered, 'latin1');
    else {
      this.#requestFlow = this.#newRequestFlow();
      this.#requestFlow.forwardText(this.#gathered);
    }
    this.#gathered = '';
    this.#afterRequestBytes();
    return past;
  }

  #newRequestFlow(): Flow {
    const upstream = this.#upstream as UpstreamConnection;
    return new Flow(this.#client.stream, upstream.stream, () => this.#client.onProgress());
  }

  #afterRequestBytes(): void {
    if (this.#requestBody.fault !== null) {
      this.#refuse(this.#requestBody.fault.status, this.#requestBody.fault.reason);
    } else if (this.#requestBody.done && this.#state === STATE.awaitingHead) {
      this.#upstream?.arm((this.#service as Service).settings.responseTimeoutMs);
    }
  }

  /** Interim responses, then the final one, in `bytes[start, end)`: the read buffer, or that of a partial head. */
  #readHeads(bytes: Buffer, start: number, end: number): void {
    const head = this.#context.responseHead;
    let pos = start;
    while (pos < end && this.#state === STATE.awaitingHead) {
      const past = head.parse(bytes, pos, end);
      if (past === INCOMPLETE) break;
      if (past === FAULTY) {
        this.#badGateway(`response: ${head.fault?.reason}`);
        return;
      }
      if (head.isInterim) {
        if (++this.#interims > INTERIM_MAX) {
          this.#badGateway('too many interim responses');
          return;
        }
        this.#forwardInterim(bytes);
        pos = past;
      } else {
        this.#partialHead = null;
        if (head.status === 101) this.#switchProtocols(bytes, past, end);
        else this.#respond(bytes, past, end);
        return;
      }
    }
    this.#keepPartial(bytes, pos, end);
  }

  #keepPartial(bytes: Buffer, start: number, end: number): void {
    if (start === end) this.#partialHead = null;
    else if (this.#partialHead !== null && bytes === this.#partialHead.buffer) this.#partialHead.start = start;
    else this.#partialHead = new ByteQueue(bytes, start, end);
  }

  #forwardInterim(bytes: Buffer): void {
    // RFC 9110 section 15.2: an HTTP/1.0 client does not know interim responses
    if (this.#clientMinor === 0) return;
    this.#context.countResponse(100);
    const text = rewriteResponse(bytes, this.#context.responseHead, BODY.none);
    this.#client.stream.write(`${text}\r\n`, 'latin1');
  }

  #switchProtocols(bytes: Buffer, start: number, end: number): void {
    const head = this.#context.responseHead;
    const upstream = this.#upstream as UpstreamConnection;
    if (!this.#offersUpgrade || head.upgradeStart < 0) {
      this.#badGateway('101 that nobody asked for');
      return;
    }
    const protocol = latin1(bytes, head.upgradeStart, head.upgradeEnd);
    const text = rewriteResponse(bytes, head, BODY.none);
    this.#status = 101;
    this.#context.countResponse(101);
    this.#node?.answered();
    const lines = `${this.#cookieLine()}Connection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
    this.#client.stream.write(text + lines, 'latin1');
    const tunnel = new Tunnel(this.#client.stream, upstream, this.#context, {
      idleTimeoutMs: (this.#service as Service).settings.tunnelTimeoutMs,
      onOver: () => {
        this.#logAccess('tunnel', '');
        this.#endOnNode();
        this.#client.onTunnelOver();
      },
    });
    this.#upstream = null;
    this.#state = STATE.over;
    upstream.handOver(tunnel);
    this.#client.onTunnel(tunnel);
    tunnel.onUpstreamBytes(bytes, start, end);
  }

  #cookieLine(): string {
    if (!this.#choice.setsCookie) return '';
    return (this.#service as Service).setCookieLine(this.#node as UpstreamNode, this.#client.isTls);
  }

  /** The final response's head, with as much of the body as came with it. */
  #respond(bytes: Buffer, start: number, end: number): void {
    const head = this.#context.responseHead;
    const upstream = this.#upstream as UpstreamConnection;
    const kind = head.bodyKind(this.#isHead);
    this.#responseKind = kind;
    this.#clientKind = kind;
    // the end of the connection cannot tell a whole body from a broken one: HTTP/1.1 clients get chunks instead
    if (kind === BODY.untilClose && this.#clientMinor === 1) this.#clientKind = BODY.chunked;
    else if (kind === BODY.chunked && this.#clientMinor === 0) this.#clientKind = BODY.untilClose;
    this.#keepsUpstream = head.keepsConnection && kind !== BODY.untilClose;
    this.#keepsClient =
      this.#clientKeepsAlive &&
      this.#clientKind !== BODY.untilClose &&
      this.#requestBody.done &&
      !this.#context.isDraining;
    this.#state = STATE.relaying;
    this.#node?.answered();
    this.#status = head.status;
    this.#context.countResponse(head.status);
    this.#responseBody.begin(kind, head.contentLength, this.#clientMinor === 1);

    let text = rewriteResponse(bytes, head, this.#clientKind) + this.#cookieLine();
    if (!this.#keepsClient) text += 'Connection: close\r\n\r\n';
    else text += this.#clientMinor === 1 ? '\r\n' : 'Connection: keep-alive\r\n\r\n';
    this.#gathered = text;
    const past = this.#responseBody.read(
      bytes,
      start,
      end,
      kind === BODY.untilClose ? this.#gatherFramed : this.#gather,
    );
    if (this.#responseBody.done) {
      this.#client.stream.write(this.#gathered, 'latin1');
    } else {
      this.#responseFlow = new Flow(upstream.stream, this.#client.stream, () => this.#onClientTook());
      this.#responseFlow.forwardText(this.#gathered);
      this.#onClientTook();
    }
    this.#gathered = '';
    this.#afterResponseBytes(past < end);
  }

  #relay(bytes: Buffer, start: number, end: number): void {
    const flow = this.#responseFlow as Flow;
    let past: number;
    if (this.#clientKind === BODY.chunked && this.#responseKind === BODY.untilClose) {
      flow.forwardText(this.#framed(latin1(bytes, start, end)));
      past = end;
    } else past = this.#responseBody.read(bytes, start, end, flow.forward);
    this.#onClientTook();
    this.#afterResponseBytes(past < end);
  }

  /** Adds body bytes to the head that they go out with. */
  readonly #gather = (bytes: Buffer, start: number, end: number): void => {
    this.#gathered += latin1(bytes, start, end);
  };
  readonly #gatherFramed = (bytes: Buffer, start: number, end: number): void => {
    this.#gathered += this.#framed(latin1(bytes, start, end));
  };

  /** Content as one chunk, where the client gets chunks and the backend sent none. */
  #framed(content: string): string {
    if (this.#clientKind !== BODY.chunked || this.#responseKind !== BODY.untilClose) return content;
    return `${content.length.toString(16)}\r\n${content}\r\n`;
  }

  #onClientTook(): void {
    if (this.#state === STATE.relaying) this.#upstream?.arm((this.#service as Service).settings.bodyTimeoutMs);
  }

  #afterResponseBytes(hasMore: boolean): void {
    if (this.#responseBody.fault !== null) this.#break(`response: ${this.#responseBody.fault.reason}`);
    else if (this.#responseBody.done) {
      // RFC 9112 section 6.3: bytes past the end belong to no request; the connection cannot be trusted
      if (hasMore) this.#keepsUpstream = false;
      this.#finish();
    }
  }

  #finishUntilClose(): void {
    if (this.#clientKind === BODY.chunked) this.#client.stream.write('0\r\n\r\n', 'latin1');
    this.#finish();
  }

  #finish(): void {
    const keepsClient = this.#keepsClient && this.#requestBody.done;
    this.#logAccess('ok', '');
    // a backend that answered early may not read the rest of the request: it would stand before the next one
    const isFlushed = this.#upstream?.stream.writableLength === 0;
    this.#letGo(this.#keepsUpstream && this.#requestBody.done && isFlushed);
    this.#state = STATE.over;
    this.#client.onExchangeOver(keepsClient);
  }

  /** Lets go of the upstream connection: back to its node where that is `reusable`. */
  #letGo(reusable: boolean): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (upstream === null) return;
    if (reusable) upstream.node.release(upstream, (this.#service as Service).settings);
    else upstream.destroy();
    this.#endOnNode();
  }

  #endOnNode(): void {
    this.#node?.end();
  }

  #upstreamTimedOut(reason: string): void {
    if (this.#state === STATE.relaying) this.#break(reason);
    else {
      this.#nodeFailed(reason);
      this.#refuse(504, reason);
    }
  }

  #badGateway(reason: string): void {
    // a kept connection that just closes says nothing of the node
    if (!this.#upstream?.isReused || this.#partialHead !== null) this.#nodeFailed(reason);
    this.#refuse(502, reason);
  }

  #nodeFailed(reason: string): void {
    this.#node?.failed(reason, (this.#service as Service).settings);
  }

  /** Answers with a status of our own. */
  #refuse(status: number, reason: string): void {
    if (this.#state === STATE.relaying) {
      this.#break(reason);
      return;
    }
    const service = (this.#service as Service).settings.name;
    const node = this.#node?.address ?? '';
    this.#letGo(false);
    this.#state = STATE.over;
    const keepAlive = this.#clientKeepsAlive && this.#requestBody.done && !this.#context.isDraining;
    this.#context.log.warn('request failed', { service, node, status, reason });
    this.#status = status;
    this.#logAccess('refused', reason);
    this.#context.countResponse(status);
    const options = { close: !keepAlive, withoutBody: this.#isHead };
    this.#client.stream.write(localResponse(status, options), 'latin1');
    this.#client.onExchangeOver(keepAlive);
  }

  /** The response has begun and cannot be finished. */
  #break(reason: string): void {
    const fields = { service: (this.#service as Service).settings.name, node: this.#node?.address ?? '', reason };
    this.#letGo(false);
    this.#state = STATE.over;
    this.#context.count('responsesTruncated');
    this.#context.log.warn('response cut short', fields);
    this.#logAccess('cut', reason);
    this.#client.onExchangeBroken(this.#clientKind);
  }

  #logAccess(outcome: Outcome, reason: string): void {
    if (this.#entry === null) return;
    const { setsCookie } = this.#choice;
    const { settings } = this.#service as Service;
    const usesCookie = settings.affinity !== null && !settings.affinity.useDomain;
    this.#context.accessLog?.end(this.#entry, {
      service: settings.name,
      node: this.#node?.address ?? '',
      status: this.#status === 0 ? 499 : this.#status,
      requestBytes: this.#requestBody.contentBytes,
      responseBytes: this.#responseBody.contentBytes,
      attempts: this.#attempts,
      affinity: !usesCookie ? 'none' : setsCookie ? 'set' : 'hit',
      outcome,
      reason,
    });
    this.#entry = null;
  }
}

const NO_BYTES = Buffer.alloc(0);
const NONE: readonly UpstreamNode[] = [];

/** This machine has run out of something: no node's fault, and another one would fail the same. */
const LOCAL_FAILURES = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);
