/**
 * The connection that this server dials to one other, to send on it; dialled again whenever it is lost. Main thread.
 *
 *   waiting ── back-off ──► dialling ── TLS, subject, hello ──► up ── lost ──► waiting
 */

import tls from 'node:tls';
import { peerFault } from './credentials.ts';
import { type Frame, type Hello, PROTOCOL_VERSION } from './peer-codec.ts';
import { PeerConnection, type PeerContext } from './peer-connection.ts';
import type { PeerMessage, ServerAddress } from './types.ts';

export class PeerLink {
  readonly server: ServerAddress;
  readonly #context: PeerContext;
  #socket: tls.TLSSocket | null = null;
  /** Null until the certificate of the other end has been checked. */
  #connection: PeerConnection | null = null;
  #isUp = false;
  /** Up, and a ping was answered. */
  #isGood = false;
  #isClosed = false;
  /** Unix time. */
  #changedAtMs = Date.now();
  /** Attempts since the connection was last good. */
  #attempts = 0;
  #isOutageReported = false;
  /** Why the connection is lost, if it is; null: we closed it, which is nothing to report. */
  #why: string | null = null;
  /** One of: the wait before the next attempt, the deadline of this one. */
  #timer: NodeJS.Timeout | undefined;
  #pingTimer: NodeJS.Timeout | undefined;
  #pingsUnanswered = 0;

  /** Dials at once. */
  constructor(server: ServerAddress, context: PeerContext) {
    this.server = server;
    this.#context = context;
    this.#dial();
  }

  get isUp(): boolean {
    return this.#isUp;
  }
  /** When it last came up or went down; Unix time. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }

  /** False where it was dropped: the link is not up, or too much waits already. */
  send(message: PeerMessage): boolean {
    if (this.#isUp && this.#connection !== null) return this.#connection.send(message);
    this.#context.traffic.dropped += 1;
    return false;
  }

  /** With the credentials of now. While it waits there is no socket, and the next attempt takes them anyway. */
  redial(): void {
    this.#attempts = 0;
    this.#why = null;
    this.#socket?.destroy();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#down();
    this.#socket?.destroy();
  }

  #dial(): void {
    const { credentials, door, limits, traffic } = this.#context;
    traffic.dialled += 1;
    const socket = tls.connect({
      host: this.server.address,
      port: this.server.port,
      secureContext: credentials().context,
      rejectUnauthorized: true,
      // Host names are not compared, as in Traffic Server: peerFault compares the subject.
      checkServerIdentity: () => undefined,
    });
    this.#socket = socket;
    this.#why = 'closed by the other end; its log says why';
    socket.on('connectionAttempt', (address: string) => door.dialled(this.server.serverId, address));
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#why = error.code ?? error.message;
      // the certificate is checked once, before there is a connection to speak of
      if (this.#connection === null && socket.authorizationError) this.#refused('untrusted-certificate', this.#why);
    });
    socket.once('secureConnect', () => this.#greet(socket));
    socket.once('close', () => this.#lost());
    this.#expect(limits.handshakeTimeoutMs, 'no TLS connection in time');
  }

  #greet(socket: tls.TLSSocket): void {
    const { credentials, limits, serverId, hello } = this.#context;
    const fault = peerFault(credentials(), socket);
    if (fault !== null) {
      this.#refused(fault.reason, fault.detail);
      socket.destroy();
      return;
    }
    this.#connection = new PeerConnection(socket, {
      context: this.#context,
      describe: () => this.#describe(),
      onFrame: (frame) => {
        const reason = this.#onFrame(frame);
        if (reason !== null) this.#why = reason;
        return reason;
      },
    });
    const to = this.server.serverId;
    this.#connection.send({ type: 'hello', version: PROTOCOL_VERSION, serverId, to, announce: hello(to) });
    this.#expect(limits.helloTimeoutMs, 'no hello in time');
  }

  /** The other end answers a hello, and pings; whatever else it has to say, it says on the connection that it dials. */
  #onFrame(frame: Frame): string | null {
    if (this.#isUp) {
      if (frame.type !== 'pong') return 'bad-frame';
      this.#pingsUnanswered = 0;
      this.#proveGood();
      return null;
    }
    if (frame.type === 'other-hello') return 'wrong-version';
    return frame.type === 'hello' ? this.#onHello(frame) : 'bad-frame';
  }

  #onHello({ serverId, to, announce }: Hello): string | null {
    if (serverId !== this.server.serverId || to !== this.#context.serverId) return 'wrong-address';
    const reason = this.#context.onMessage(serverId, announce);
    if (reason !== null) return reason;
    clearTimeout(this.#timer);
    this.#isUp = true;
    this.#changedAtMs = Date.now();
    this.#pingsUnanswered = 0;
    this.#pingTimer = setInterval(() => this.#ping(), this.#context.limits.pingIntervalMs);
    this.#context.onLinkUp(serverId);
    return null;
  }

  /** At a pong, not before: one that says hello and closes must not be dialled, and reported, as fast as it can do that. */
  #proveGood(): void {
    this.#attempts = 0;
    if (this.#isGood) return;
    this.#isGood = true;
    this.#isOutageReported = false;
    this.#context.report('info', 'connected to a peer', this.#describe());
  }

  /** Counts pings, not time: when this process itself stood still, the pongs are waiting to be read. */
  #ping(): void {
    if (this.#pingsUnanswered >= this.#context.limits.pingsUnansweredMax) {
      this.#socket?.destroy(new Error('no answer to pings'));
      return;
    }
    this.#pingsUnanswered += 1;
    this.#connection?.send({ type: 'ping' });
  }

  #lost(): void {
    const { limits, random, report } = this.#context;
    this.#socket = this.#connection = null;
    this.#isGood = false;
    clearTimeout(this.#timer);
    this.#down();
    // maybe by what was called just now
    if (this.#isClosed) return;
    if (this.#why !== null && !this.#isOutageReported) {
      this.#isOutageReported = true;
      report('warn', 'a peer cannot be reached', { ...this.#describe(), why: this.#why });
    }
    const waitMsMax = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.#dial(), random() * waitMsMax);
  }

  #down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#changedAtMs = Date.now();
    clearInterval(this.#pingTimer);
    this.#context.onLinkDown(this.server.serverId);
  }

  /** Ends the attempt under way unless this is called again, or the link comes up, within `ms`. */
  #expect(ms: number, why: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#why = why;
      this.#socket?.destroy();
    }, ms);
  }

  #refused(reason: string, detail: string): void {
    this.#why = reason;
    this.#context.refusals.add(reason, { ...this.#describe(), detail });
  }

  #describe(): object {
    return { serverId: this.server.serverId, address: `${this.server.address}:${this.server.port}` };
  }
}
