/**
 * The life of one request: a node, a connection to it, the request out, the response back. Listener threads; one object
 * a client connection, used again for each of its requests.
 *
 *   begin ─► connecting ─► connected: request out, response back (response-relay.ts) ─► over
 *              │  ▲              │
 *              └──┴─ retry ◄─────┘  before the first response byte alone
 *
 * On a pipelined connection (upstream-pipeline.ts) `connecting` is waiting in line, where the request goes out already, and
 * `connected` is being the first in it.
 *
 * One file of more than 400 lines: its states lead into one another at every turn, and a reader has to see all of them.
 *
 * Retries: where a node could not be connected to, on another one; where a kept connection closes before anything was sent
 * on it, or under an idempotent request without a body, on a fresh one; where the answers of a pipelined connection are in
 * doubt, on a fresh one, too.
 */

// the global of this name is a getter
import { performance } from 'node:perf_hooks';
import { LOCAL_FAILURES } from '../src/boards/local-failures.ts';
import type { AccessEntry, Outcome } from './access-log.ts';
import { BodyPace } from './body-pace.ts';
import { type ByteStream, Flow } from './byte-stream.ts';
import { BodyReader, REQUEST_CHUNK_BYTES_MAX } from './http1/body-reader.ts';
import { BODY, type BodyKind } from './http1/framing.ts';
import { latin1 } from './http1/latin1.ts';
import type { RequestHead } from './http1/request-head.ts';
import { type Hop, localResponse, rewriteRequest } from './http1/rewrite.ts';
import { RELAY, type RelayHost, type RelayOutcome, ResponseRelay } from './response-relay.ts';
import type { Choice, Service } from './service.ts';
import type { ServiceCounts } from './service-counts.ts';
import type { ThreadContext } from './thread-context.ts';
import { Tunnel } from './tunnel.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { UpstreamNode } from './upstream-node.ts';
import type { PipelineUser, UpstreamPipeline } from './upstream-pipeline.ts';

/** The client's side of an exchange. */
export interface ExchangeClient {
  readonly stream: ByteStream;
  readonly clientAddress: string;
  readonly isTls: boolean;
  /** No other request is served on its connection. */
  readonly isLastRequest: boolean;
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

const STATE = { over: 0, connecting: 1, connected: 2 } as const;
type State = (typeof STATE)[keyof typeof STATE];

export class Exchange implements PipelineUser, RelayHost {
  readonly #client: ExchangeClient;
  readonly #context: ThreadContext;
  readonly #requestBody = new BodyReader(REQUEST_CHUNK_BYTES_MAX);
  readonly #response: ResponseRelay;
  readonly #choice: Choice = { node: null, setsCookie: false, domainStart: 0 };
  #service: Service | null = null;
  #counts: ServiceCounts;
  /** performance.now() when the head had been read. */
  #startedMs = 0;
  #state: State = STATE.over;
  #node: UpstreamNode | null = null;
  #upstream: UpstreamConnection | null = null;
  /** Where the request waits with others'; `#upstream` is set then while it is first in line. */
  #pipeline: UpstreamPipeline | null = null;
  joinedMs = 0;
  #tried: readonly UpstreamNode[] = NONE;
  #attempts = 0;

  /** What the access log will say, while that is on. */
  #entry: AccessEntry | null = null;
  #requestText = '';
  /** A head, and the body bytes that go out with it in one write. */
  #gathered = '';
  #requestSent = false;
  #requestFlow: Flow | null = null;
  /** How the client takes the response, and how much of it it had taken at the last look. */
  readonly #readPace = new BodyPace();
  #takenBytes = 0;
  #isHead = false;
  #isIdempotent = false;
  #isPipelinable = false;
  /** A backend that does not read the content, which it may not, would take it for the next request. */
  #mayLeaveContent = false;
  /** The same as long as it has not asked for the content. */
  #expectsContinue = false;
  #clientKeepsAlive = false;
  #clientMinor: 0 | 1 = 1;

  constructor(client: ExchangeClient, context: ThreadContext) {
    this.#client = client;
    this.#context = context;
    this.#counts = context.unservedCounts;
    this.#response = new ResponseRelay(client.stream, context, this);
  }

  get isOver(): boolean {
    return this.#state === STATE.over;
  }

  /** The request's body has been read whole, or there is none. */
  get requestIsWhole(): boolean {
    return this.#requestBody.done;
  }

  /** The backend does not take the request's body as fast as it comes. */
  get isBodyHeldUp(): boolean {
    return this.#requestFlow?.isPaused === true;
  }

  /** Body bytes can be taken now. */
  get takesBody(): boolean {
    return !this.#requestBody.done && this.#upstream !== null && this.#state === STATE.connected;
  }

  /** Begins with a parsed head. The body's bytes follow through `onRequestBytes`, once `takesBody`. */
  begin(service: Service, bytes: Buffer, head: RequestHead, hop: Hop): void {
    this.#service = service;
    this.#counts = this.#context.countsOf(service.settings.id);
    this.#startedMs = performance.now();
    this.#entry = this.#context.accessLog?.begin(bytes, head, this.#client.clientAddress) ?? null;
    this.#node = null;
    this.#tried = NONE;
    this.#attempts = 0;
    this.#requestSent = false;
    this.#requestFlow = null;
    this.#readPace.begin(service.settings.bodyTimeoutMs, service.settings.bodyRateMin);
    this.#takenBytes = 0;
    this.#isHead = head.isHead;
    this.#isIdempotent = head.isIdempotent;
    this.#isPipelinable = service.settings.pipelining > 1 && service.settings.persistBackend && head.isPipelinable;
    this.#clientMinor = head.minorVersion;
    this.#clientKeepsAlive =
      service.settings.persistClient &&
      !this.#client.isLastRequest &&
      !head.connection.close &&
      (head.minorVersion === 1 || head.connection.keepAlive);
    this.#response.begin({
      isHead: head.isHead,
      clientMinor: head.minorVersion,
      clientKeepsAlive: this.#clientKeepsAlive,
      offeredProtocols: head.upgradeStart < 0 ? '' : latin1(bytes, head.upgradeStart, head.upgradeEnd),
    });
    const kind = head.isChunked ? BODY.chunked : head.contentLength > 0 ? BODY.length : BODY.none;
    this.#requestBody.begin(kind, head.contentLength, true, head.hopTrailers);
    this.#mayLeaveContent = head.hasBody && head.hasNoUseForContent;
    this.#expectsContinue = head.hasBody && head.expectsContinue;
    const keepUpstream = service.settings.persistBackend && !this.#mayLeaveContent;
    this.#requestText = rewriteRequest(bytes, head, hop, keepUpstream);
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
    const status = this.#response.status || CLIENT_LEFT;
    this.#ended('aborted', status, 'client left');
    if (this.#pipeline !== null && !this.#response.hasHeard) this.#leaveLine(this.#pipeline);
    else this.#letGo(false);
    this.#state = STATE.over;
  }

  /** The client sent nothing of its body, or read nothing of the response, for the time allowed. */
  onClientDeadline(): void {
    if (this.isBodyHeldUp) {
      this.#upstreamTimedOut('backend does not read the request');
      return;
    }
    this.#context.count('bodyTimeouts');
    this.#fail(408, 'client does not send the request body');
  }

  onUpstreamReady(connection: UpstreamConnection): void {
    this.#upstream = connection;
    this.#state = STATE.connected;
    if (this.#requestBody.done) this.sendHead();
    else this.#client.onReadyForBody();
  }

  /** Sends the head where it has not gone out with the body's first bytes: the client has sent none of them yet. */
  sendHead(): void {
    if (this.#state === STATE.connected && !this.#requestSent) this.#send(NO_BYTES, 0, 0);
  }

  onUpstreamFailed(_connection: UpstreamConnection, reason: string, isTimeout: boolean): void {
    const service = this.#service as Service;
    this.#upstream = null;
    if (LOCAL_FAILURES.has(reason)) {
      this.#context.limits.onShortage();
      this.#endOnNode();
      this.#fail(503, reason);
      return;
    }
    this.#nodeFailed(reason);
    this.#tried = [...this.#tried, this.#node as UpstreamNode];
    this.#endOnNode();
    if (this.#attempts <= service.settings.retries) {
      service.chooseAgain(this.#tried, this.#choice);
      if (this.#choice.node !== null) {
        this.#counts.retried();
        this.#attempt(true);
        return;
      }
    }
    this.#fail(isTimeout ? 504 : 502, reason);
  }

  onUpstreamBytes(bytes: Buffer, start: number, end: number): void {
    const upstream = this.#upstream as UpstreamConnection;
    if (!this.#requestSent || upstream.stream.takeBack?.() === true) {
      // content that was to go out with the head has been read, and is not kept
      if (this.#requestBody.kind === BODY.none) this.#requestSent = false;
      this.#answeredEarly(upstream.isReused);
      return;
    }
    const outcome = this.#response.onBytes(upstream.stream, bytes, start, end);
    if (outcome === RELAY.switching) this.#switchProtocols();
    else this.#conclude(outcome);
  }

  onUpstreamEnd(): void {
    if (this.#response.status === 0) this.onUpstreamClosed('backend closed the connection');
    else this.#conclude(this.#response.onEnd());
  }

  onUpstreamClosed(reason: string): void {
    const { isReused } = this.#upstream as UpstreamConnection;
    if (this.#isRepeated(isReused)) return;
    // a kept connection that just closes says nothing of the node, nor does one that is tired of a slow client
    if (this.#requestBody.done && (!isReused || this.#response.hasHeard)) this.#nodeFailed(reason);
    this.#fail(502, reason);
  }

  /** The backend cannot have seen the request: what has come answers an earlier one, whose client has had its answer. */
  #answeredEarly(isReused: boolean): void {
    if (this.#isRepeated(isReused)) return;
    this.#nodeFailed('backend answered before the request was sent');
    this.#fail(502, 'backend answered before the request was sent');
  }

  get isLastAnswer(): boolean {
    return this.#response.isLast;
  }

  get isLongAnswer(): boolean {
    return this.#response.isLong;
  }

  onTurn(connection: UpstreamConnection): void {
    this.#upstream = connection;
    this.#state = STATE.connected;
    connection.arm((this.#service as Service).settings.responseTimeoutMs);
  }

  onMovedOff(): void {
    this.#upstream = this.#pipeline = null;
    this.#endOnNode();
    this.#repeat();
  }

  onUpstreamDeadline(): void {
    if (this.#response.status === 0) this.#upstreamTimedOut('no response in time');
    else if (this.#response.isPaused) {
      this.#context.count('readTimeouts');
      this.#fail(504, 'client does not read the response', true);
    } else this.#fail(504, 'backend stopped sending');
  }

  onAnswered(): void {
    this.#node?.answered();
  }

  cookieLine(): string {
    if (!this.#choice.setsCookie) return '';
    return (this.#service as Service).setCookieLine(this.#node as UpstreamNode, this.#client.isTls);
  }

  onResponseProgress(): void {
    // the last response may still be flushing while the next request is under way
    if (this.#response.status === 0) return;
    const { now } = this.#context.wheel;
    const { takenBytes } = this.#response;
    this.#readPace.moved(takenBytes - this.#takenBytes, now);
    this.#takenBytes = takenBytes;
    if (this.#response.isPaused) this.#upstream?.arm(this.#readPace.await(now));
    else {
      this.#readPace.rest(now);
      this.#upstream?.arm((this.#service as Service).settings.bodyTimeoutMs);
    }
  }

  #conclude(outcome: RelayOutcome): void {
    if (outcome === RELAY.whole) this.#finish();
    else if (outcome !== RELAY.faulty) return;
    else if (this.#pipeline !== null && this.#response.isUntold) {
      // the fault may lie in an answer before this one: asked on a connection of its own, the backend answers for itself
      this.#letGo(false);
      this.#repeat();
    } else {
      this.#nodeFailed(this.#response.reason);
      this.#fail(502, this.#response.reason);
    }
  }

  /** Nothing was sent yet; or nothing of a response has come, and sending the head again, which is all, does no harm. */
  #mayRepeat(): boolean {
    if (this.#attempts > (this.#service as Service).settings.retries) return false;
    const isAlone = this.#isIdempotent && this.#requestBody.kind === BODY.none;
    return !this.#requestSent || (isAlone && !this.#response.hasHeard);
  }

  /** Lets go of a kept connection and sends the request again; false where it is none, or that might do harm. */
  #isRepeated(isReused: boolean): boolean {
    if (!isReused || !this.#mayRepeat()) return false;
    this.#letGo(false);
    this.#repeat();
    return true;
  }

  /** Sends the request again, on a fresh connection to the same node. Where that does no harm. */
  #repeat(): void {
    this.#counts.retried();
    this.#response.forget();
    this.#state = STATE.connecting;
    this.#choice.node = this.#node;
    this.#attempt(false);
  }

  #attempt(mayReuse: boolean): void {
    const { node } = this.#choice;
    const { settings } = this.#service as Service;
    if (node === null) {
      this.#fail(503, 'no live node');
      return;
    }
    this.#attempts++;
    this.#node = node;
    this.#requestSent = false;
    node.begin();
    // one that may have to be sent again must be allowed to be
    if (this.#isPipelinable && mayReuse && this.#attempts <= settings.retries) {
      const pipeline = node.takePipeline(settings);
      if (pipeline !== null) {
        this.#join(pipeline);
        return;
      }
    }
    const idle = mayReuse ? node.takeIdle(this) : null;
    if (idle !== null) this.onUpstreamReady(idle);
    else if (this.#context.limits.admitUpstream()) this.#upstream = node.connect(this, settings);
    else {
      this.#endOnNode();
      this.#fail(503, 'no descriptor left for a backend connection');
    }
  }

  #join(pipeline: UpstreamPipeline): void {
    this.#requestSent = true;
    this.#response.isPipelined = true;
    this.#pipeline = pipeline;
    pipeline.join(this, this.#requestText);
  }

  /** Another reads the answer in this one's place. */
  #leaveLine(pipeline: UpstreamPipeline): void {
    this.#upstream = this.#pipeline = null;
    pipeline.leave(this, (this.#service as Service).settings);
    this.#endOnNode();
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

  /** Adds body bytes to the head that they go out with. */
  readonly #gather = (bytes: Buffer, start: number, end: number): void => {
    this.#gathered += latin1(bytes, start, end);
  };

  #newRequestFlow(): Flow {
    const upstream = this.#upstream as UpstreamConnection;
    return new Flow(this.#client.stream, upstream.stream, () => this.#client.onProgress());
  }

  #afterRequestBytes(): void {
    if (this.#requestBody.fault !== null) {
      this.#fail(this.#requestBody.fault.status, this.#requestBody.fault.reason);
    } else if (this.#requestBody.done && this.#response.status === 0) {
      this.#upstream?.arm((this.#service as Service).settings.responseTimeoutMs);
    }
  }

  /** The response's head has gone out: from here on the two sides talk to one another. */
  #switchProtocols(): void {
    const upstream = this.#upstream as UpstreamConnection;
    const { rest, restStart, restEnd } = this.#response;
    this.#counts.answered(101);
    const tunnel = new Tunnel(this.#client.stream, upstream, this.#context, {
      idleTimeoutMs: (this.#service as Service).settings.tunnelTimeoutMs,
      onOver: () => {
        this.#logAccess('tunnel', 101, '');
        this.#endOnNode();
        this.#client.onTunnelOver();
      },
    });
    this.#upstream = null;
    this.#state = STATE.over;
    upstream.handOver(tunnel);
    this.#client.onTunnel(tunnel);
    tunnel.onUpstreamBytes(rest, restStart, restEnd);
  }

  #finish(): void {
    const { keepsUpstream, keepsClient, status } = this.#response;
    this.#ended('ok', status, '');
    // a backend that answered early may not read the rest of the request: it would stand before the next one; on a pipelined
    // connection it is the next ones that still wait to be sent
    const isFlushed = this.#pipeline !== null || this.#upstream?.stream.writableLength === 0;
    const isRead = !this.#mayLeaveContent && (!this.#expectsContinue || this.#response.hasContinued);
    this.#letGo(keepsUpstream && this.#requestBody.done && isFlushed && isRead);
    this.#state = STATE.over;
    this.#client.onExchangeOver(keepsClient && this.#requestBody.done);
  }

  /** Lets go of the upstream connection: back to its node where that is `reusable`. */
  #letGo(reusable: boolean): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (upstream === null) return;
    const pipeline = this.#pipeline;
    this.#pipeline = null;
    if (pipeline !== null) {
      // the next in line reads on, however far behind this one's client is
      if (this.#response.isPaused) upstream.stream.resume();
      const { rest, restStart, restEnd } = this.#response;
      pipeline.answered(reusable, (this.#service as Service).settings, rest, restStart, restEnd);
      this.#response.forget();
    } else if (reusable) {
      upstream.isPipelinable = this.#response.isHttp11;
      upstream.node.release(upstream, (this.#service as Service).settings);
    } else upstream.destroy();
    this.#endOnNode();
  }

  #endOnNode(): void {
    this.#node?.end();
  }

  #upstreamTimedOut(reason: string): void {
    this.#nodeFailed(reason);
    this.#fail(504, reason);
  }

  /** A node that has answered is well, whatever becomes of its answer. */
  #nodeFailed(reason: string): void {
    if (this.#response.status === 0) this.#node?.failed(reason, (this.#service as Service).settings);
  }

  /**
   * Ends the exchange for a failure: with a status of our own, or by breaking off where a response has begun; `atOnce`:
   * although not all of it has been sent.
   */
  #fail(status: number, reason: string, atOnce = false): void {
    const begun = this.#response.status;
    const fields = { service: (this.#service as Service).settings.name, node: this.#node?.address ?? '', reason };
    this.#letGo(false);
    this.#state = STATE.over;
    if (begun !== 0) {
      this.#context.count('responsesTruncated');
      this.#context.log.warn('response cut short', fields);
      this.#ended('cut', begun, reason);
      this.#client.onExchangeBroken(atOnce ? BODY.untilClose : this.#response.clientKind);
      return;
    }
    // to a client of HTTP/1.0 an answer of our own does not say that the connection stays
    const keepAlive =
      this.#clientKeepsAlive && this.#clientMinor === 1 && this.#requestBody.done && !this.#context.isEnding;
    this.#context.log.warn('request failed', { ...fields, status });
    this.#ended('refused', status, reason);
    const options = { close: !keepAlive, withoutBody: this.#isHead };
    this.#client.stream.write(localResponse(status, options), 'latin1');
    this.#client.onExchangeOver(keepAlive);
  }

  /** The request is over, and no tunnel has come of it. */
  #ended(outcome: Outcome, status: number, reason: string): void {
    this.#logAccess(outcome, status, reason);
    this.#counts.finished(status, performance.now() - this.#startedMs);
  }

  #logAccess(outcome: Outcome, status: number, reason: string): void {
    if (this.#entry === null) return;
    const { setsCookie } = this.#choice;
    const { settings } = this.#service as Service;
    const usesCookie = settings.affinity !== null && !settings.affinity.useDomain;
    this.#context.accessLog?.end(this.#entry, {
      service: settings.name,
      node: this.#node?.address ?? '',
      status,
      requestBytes: this.#requestBody.contentBytes,
      responseBytes: this.#response.contentBytes,
      attempts: this.#attempts,
      affinity: !usesCookie ? 'none' : setsCookie ? 'set' : 'hit',
      outcome,
      reason,
    });
    this.#entry = null;
  }
}

const NO_BYTES = Buffer.alloc(0);
/** For the access log and the counters alone, as nginx has it. */
const CLIENT_LEFT = 499;
const NONE: readonly UpstreamNode[] = [];
