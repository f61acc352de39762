/**
 * Accepting TLS connections: the counterpart of accept.ts for listeners with `tls`. Listener threads, one a listener.
 */

import type { Server } from 'node:net';
import { type AcceptedStream, createServer, plainAddress } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';
import { ClientHello } from './client-hello.ts';
import { ADMISSION } from './connection-limits.ts';
import type { ThreadContext } from './thread-context.ts';
import type { Tickets } from './ticket-callback.ts';
import type { TlsContexts } from './tls-contexts.ts';
import { Handshake } from './tls-handshake.ts';

export interface TlsAcceptorOptions {
  readonly context: ThreadContext;
  readonly tickets: Tickets;
  readonly contexts: TlsContexts;
  /** Makes the owner of a connection whose handshake is done. */
  readonly onSecure: (stream: AcceptedStream) => StreamOwner;
  /** Called when a handshake is over; where it was a success, after `onSecure`. */
  readonly onHandshakeOver: () => void;
  /** False: the documented way, which is what is left where Node's inner parts do not look as expected. */
  readonly ownsHandles: boolean;
}

export class TlsAcceptor {
  readonly context: ThreadContext;
  readonly tickets: Tickets;
  readonly onSecure: (stream: AcceptedStream) => StreamOwner;
  readonly hello = new ClientHello();
  /** Its sockets are closed for good; handshakes may be under way still. */
  isClosed = false;
  readonly #ownsHandles: boolean;
  #contexts: TlsContexts;
  readonly #handshakes = new Set<Handshake>();
  readonly #onHandshakeOver: () => void;

  constructor({ context, tickets, contexts, onSecure, onHandshakeOver, ownsHandles }: TlsAcceptorOptions) {
    this.#onHandshakeOver = onHandshakeOver;
    this.context = context;
    this.tickets = tickets;
    this.onSecure = onSecure;
    this.#contexts = contexts;
    this.#ownsHandles = ownsHandles;
  }

  /** A server for one more socket of this listener. Not listening yet. */
  createServer(): Server {
    return createServer((source) => this.#begin(source), this.#ownsHandles);
  }

  get contexts(): TlsContexts {
    return this.#contexts;
  }

  get handshakeTimeoutMs(): number {
    return this.#contexts.settings.handshakeTimeoutMs;
  }

  /** Serves new connections with `contexts`; open ones go on as they are. */
  moveTo(contexts: TlsContexts): void {
    this.#contexts = contexts;
  }

  /** Handshakes under way. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** Ends what has not said hello yet. A handshake goes on: its client may have sent a request with its last flight. */
  drain(): void {
    for (const handshake of this.#handshakes) if (!handshake.hasBegun) handshake.cut();
  }

  /** Ends all handshakes. */
  cut(): void {
    for (const handshake of this.#handshakes) handshake.cut();
  }

  /** A handshake is over, one way or the other. */
  forget(handshake: Handshake): void {
    this.#handshakes.delete(handshake);
    this.context.limits.handshakeEnded(handshake, handshake.clientAddress);
    this.#onHandshakeOver();
  }

  #begin(source: AcceptedStream): StreamOwner {
    const { limits } = this.context;
    const address = plainAddress(source.remoteAddress);
    // before anything is spent on TLS: there is no cheaper answer than none
    if (limits.admit(address) !== ADMISSION.admitted) {
      source.destroy();
      return NOBODY;
    }
    const handshake = new Handshake(this, source, address);
    limits.handshakeBegan(handshake, address);
    this.#handshakes.add(handshake);
    return handshake;
  }
}

const NOBODY: StreamOwner = { onBytes() {}, onEnd() {}, onClose() {} };
