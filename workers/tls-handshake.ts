/**
 * One connection on its way from accepted to secure. Listener threads; gone when the connection has an owner.
 *
 *   hello ─► handshake ─► secure: the stream is its owner's
 *     │          └──────► failed: counted, logged, closed
 *     └──► no TLS: told so where it is HTTP, closed
 *
 * Nothing of the data path exists for a connection before its handshake is done.
 */

import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { AcceptedStream } from './accept.ts';
import { ByteQueue } from './byte-queue.ts';
import { HELLO } from './client-hello.ts';
import type { Evictable } from './connection-limits.ts';
import { HandleStream } from './handle-stream.ts';
import type { StreamHandle } from './stream-binding.ts';
import { Timed } from './timer-wheel.ts';
import type { TlsAcceptor } from './tls-accept.ts';
import { TlsHandleStream } from './tls-handle-stream.ts';
import { TlsSocketStream } from './tls-socket-stream.ts';
import type { HandshakeWatcher, TlsStream, TlsStreamOptions } from './tls-stream.ts';

/** For a client that spoke HTTP to read that it must not, and to close. */
const REFUSAL_MS = 2_000;
const REFUSAL_BODY = 'this port speaks TLS\n';
const REFUSAL = [
  'HTTP/1.1 400 Bad Request',
  'Content-Type: text/plain',
  `Content-Length: ${REFUSAL_BODY.length}`,
  'Connection: close',
  '',
  REFUSAL_BODY,
].join('\r\n');

export class Handshake extends Timed implements HandshakeWatcher, Evictable {
  readonly clientAddress: string;
  openOrder = 0;
  readonly #acceptor: TlsAcceptor;
  readonly #source: AcceptedStream;
  #stream: TlsStream | null = null;
  /** It spoke HTTP, and is being told. */
  #isRefused = false;
  /** A part of a hello. */
  #held: ByteQueue | null = null;
  #asksForCertificate = false;
  /** A ticket of the hello was opened. */
  #hasOpenedTicket = false;
  #isOver = false;

  /** `source` is a HandleStream, or a Socket where handles cannot be used. */
  constructor(acceptor: TlsAcceptor, source: AcceptedStream, clientAddress: string) {
    super();
    this.clientAddress = clientAddress;
    this.#acceptor = acceptor;
    this.#source = source;
    acceptor.context.wheel.arm(this, acceptor.handshakeTimeoutMs);
  }

  /** Its hello has come. */
  get hasBegun(): boolean {
    return this.#stream !== null;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.#stream !== null || this.#isRefused || this.#isOver) return;
    const held = this.#held;
    held?.append(bytes, start, end);
    const all = held === null ? bytes.subarray(start, end) : held.buffer.subarray(0, held.end);
    switch (this.#acceptor.hello.read(all, all.length)) {
      case HELLO.incomplete:
        this.#held ??= new ByteQueue(bytes, start, end);
        return;
      case HELLO.notTls:
        this.#refuse(all[0] as number);
        return;
      case HELLO.whole:
        this.#start(all);
    }
  }

  onEnd(): void {
    if (this.#isRefused) return;
    // a port that is only looked at, by a health check or a scanner, is no failed handshake
    if (this.#stream === null && this.#held === null) this.cut();
    else this.#fail(CLIENT_LEFT);
  }

  onClose(error: NodeJS.ErrnoException | null): void {
    if (this.#stream !== null) this.#fail(error === null ? CLIENT_LEFT : reasonOf(error));
    else if (this.#isRefused) this.cut();
    else this.onEnd();
  }

  onSecure(stream: TlsStream): void {
    if (this.#isOver) return;
    const fault = this.#asksForCertificate ? stream.certificateFault() : null;
    if (fault !== null) {
      this.#fail(`client certificate: ${fault}`);
      return;
    }
    this.#countSecure(stream);
    // the owner first: a thread that drains ends when it has neither handshakes nor connections
    const owner = this.#acceptor.onSecure(stream);
    this.#finish();
    stream.start(owner);
  }

  onDeadline(): void {
    if (this.#isRefused) this.cut();
    else this.#fail('timeout');
  }

  get idleUntilMs(): number {
    return this.deadline;
  }

  evict(): void {
    if (this.#isOver) return;
    // one that spoke HTTP has been counted when it was told so
    if (!this.#isRefused) this.#acceptor.context.count('handshakesFailed');
    this.cut();
  }

  /** Ends it at once, without a word. */
  cut(): void {
    if (this.#isOver) return;
    this.#finish();
    (this.#stream ?? this.#source).destroy();
  }

  /** The hello is whole: the rest is OpenSSL's. */
  #start(bytes: Buffer): void {
    const { hello, contexts, tickets } = this.#acceptor;
    let secureContext: SecureContext;
    try {
      secureContext = contexts.choose(hello.serverName, hello.offersTls13);
    } catch (error) {
      this.#fail(reasonOf(error as Error));
      return;
    }
    this.#held = null;
    this.#asksForCertificate = contexts.settings.clientCa !== null;
    const { clientAddress } = this;
    const options = { secureContext, asksForCertificate: this.#asksForCertificate, watcher: this, clientAddress };
    if (!(this.#source instanceof HandleStream)) {
      this.#stream = wrapSocket(this.#source as Socket, bytes, options);
      return;
    }
    const stream = new TlsHandleStream(this.#source.detach() as StreamHandle, options);
    this.#stream = stream;
    tickets.hasOpened = false;
    stream.receive(bytes);
    this.#hasOpenedTicket = tickets.hasOpened;
  }

  #countSecure(stream: TlsStream): void {
    const { context } = this.#acceptor;
    const isResumed = stream.isSessionReused();
    const [full, resumed] = stream.getProtocol() === 'TLSv1.3' ? STATS_13 : STATS_12;
    context.count(isResumed ? resumed : full);
    if (this.#hasOpenedTicket && !isResumed) context.count('ticketsRefused');
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.#report(reason);
    this.cut();
  }

  #report(reason: string): void {
    const { context } = this.#acceptor;
    context.count('handshakesFailed');
    context.log.info('TLS handshake failed', { client: this.clientAddress, reason });
  }

  #finish(): void {
    this.#isOver = true;
    this.#held = null;
    this.#acceptor.context.wheel.remove(this);
    this.#acceptor.forget(this);
  }

  /** A client that speaks HTTP is told what is wrong; anything else gets no answer. */
  #refuse(firstByte: number): void {
    if (!isLetter(firstByte)) {
      this.#fail('not TLS');
      return;
    }
    this.#report('plain HTTP');
    this.#held = null;
    this.#isRefused = true;
    this.#acceptor.context.wheel.arm(this, REFUSAL_MS);
    // it is read on: a close with bytes unread would take the answer back
    this.#source.write(REFUSAL, 'latin1');
    this.#source.end();
  }
}

function wrapSocket(socket: Socket, bytes: Buffer, options: TlsStreamOptions): TlsStream {
  for (const event of ['data', 'error', 'close']) socket.removeAllListeners(event);
  socket.pause();
  socket.unshift(bytes);
  return new TlsSocketStream(socket, options);
}

const CLIENT_LEFT = 'client left';
const STATS_12 = ['handshakesFull12', 'handshakesResumed12'] as const;
const STATS_13 = ['handshakesFull13', 'handshakesResumed13'] as const;

/** OpenSSL's own word where it is OpenSSL's error: "no shared cipher", "no application protocol". */
function reasonOf(error: Error & { reason?: unknown; code?: unknown }): string {
  const { reason, code, message } = error;
  return typeof reason === 'string' ? reason : typeof code === 'string' ? code : message;
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
