/**
 * One connection on its way from accepted to secure. Listener threads; gone when the connection has an owner.
 *
 *   hello ─► handshake ─► secure: the stream is its owner's
 *     │          └──────► failed: counted, logged, closed
 *     └──► no TLS: told so where it is HTTP, closed
 *
 * Nothing of the data path exists for a connection before its handshake is done.
 */

import { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { type AcceptedHandle, type HandleReader, readHandle, socketAround, stopReading } from './accept.ts';
import { ByteQueue } from './byte-queue.ts';
import { HELLO } from './client-hello.ts';
import type { Evictable } from './connection-limits.ts';
import { Timed } from './timer-wheel.ts';
import type { TlsAcceptor } from './tls-accept.ts';
import { type HandshakeWatcher, TlsStream } from './tls-stream.ts';

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

export class Handshake extends Timed implements HandleReader, HandshakeWatcher, Evictable {
  readonly clientAddress: string;
  openOrder = 0;
  readonly #acceptor: TlsAcceptor;
  readonly #source: AcceptedHandle | Socket;
  #stream: TlsStream | null = null;
  /** A plain socket, to refuse with. */
  #refusing: Socket | null = null;
  /** A part of a hello. */
  #held: ByteQueue | null = null;
  #asksForCertificate = false;
  /** A ticket of the hello was opened. */
  #hasOpenedTicket = false;
  #isOver = false;

  /** `source` is a bare handle, or a paused socket where handles cannot be used. */
  constructor(acceptor: TlsAcceptor, source: AcceptedHandle | Socket, clientAddress: string) {
    super();
    this.clientAddress = clientAddress;
    this.#acceptor = acceptor;
    this.#source = source;
  }

  begin(): void {
    this.#acceptor.context.wheel.arm(this, this.#acceptor.handshakeTimeoutMs);
    if (this.#source instanceof Socket) this.#readSocket(this.#source);
    else readHandle(this.#source, this);
  }

  /** Its hello has come. */
  get hasBegun(): boolean {
    return this.#stream !== null;
  }

  onHandleBytes(bytes: Uint8Array): void {
    const held = this.#held;
    held?.append(bytes, 0, bytes.length);
    const all = held === null ? bytes : held.buffer.subarray(0, held.end);
    switch (this.#acceptor.hello.read(all, all.length)) {
      case HELLO.incomplete:
        this.#held ??= new ByteQueue(bytes, 0, bytes.length);
        return;
      case HELLO.notTls:
        this.#refuse(all[0] as number);
        return;
      case HELLO.whole:
        this.#start(all);
    }
  }

  onHandleEnd(): void {
    // a port that is only looked at, by a health check or a scanner, is no failed handshake
    if (this.#held === null) this.cut();
    else this.#fail(CLIENT_LEFT);
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
    stream.handOver(owner);
  }

  onHandshakeEnd(): void {
    this.#fail(CLIENT_LEFT);
  }

  onHandshakeClosed(error: NodeJS.ErrnoException | null): void {
    this.#fail(error === null ? CLIENT_LEFT : reasonOf(error));
  }

  onDeadline(): void {
    if (this.#refusing === null) this.#fail('timeout');
    else this.cut();
  }

  get idleUntilMs(): number {
    return this.deadline;
  }

  evict(): void {
    if (this.#isOver) return;
    // one that spoke HTTP has been counted when it was told so
    if (this.#refusing === null) this.#acceptor.context.count('handshakesFailed');
    this.cut();
  }

  /** Ends it at once, without a word. */
  cut(): void {
    if (this.#isOver) return;
    this.#finish();
    if (this.#stream !== null) this.#stream.destroy();
    else if (this.#refusing !== null) this.#refusing.destroy();
    else if (this.#source instanceof Socket) this.#source.destroy();
    else {
      stopReading(this.#source);
      this.#source.close();
    }
  }

  #readSocket(socket: Socket): void {
    socket.on('data', (bytes: Buffer) => this.onHandleBytes(bytes));
    socket.on('end', () => {
      if (this.#stream === null && this.#refusing === null) this.onHandleEnd();
    });
    // the end follows, or the stream around it is told
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#stream === null) this.cut();
    });
    socket.resume();
  }

  /** The hello is whole: the rest is OpenSSL's. */
  #start(bytes: Uint8Array): void {
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
    const options = { secureContext, asksForCertificate: this.#asksForCertificate, watcher: this };
    if (this.#source instanceof Socket) {
      this.#source.removeAllListeners('data');
      this.#source.pause();
      this.#source.unshift(bytes);
      this.#stream = new TlsStream(this.#source, options);
      return;
    }
    stopReading(this.#source);
    this.#stream = new TlsStream(this.#source, options);
    tickets.hasOpened = false;
    this.#stream.receive(bytes);
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
    if (!(this.#source instanceof Socket)) stopReading(this.#source);
    const socket = this.#source instanceof Socket ? this.#source : socketAround(this.#source);
    this.#refusing = socket;
    this.#acceptor.context.wheel.arm(this, REFUSAL_MS);
    socket.removeAllListeners('data');
    socket.on('error', () => {});
    socket.on('close', () => this.cut());
    socket.end(REFUSAL, 'latin1');
    // a close with bytes unread would take the answer back
    socket.resume();
  }
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
