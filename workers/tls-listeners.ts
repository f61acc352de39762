/**
 * The TLS listeners of a thread: what they share, and how their settings change while they serve. Listener threads, one
 * a thread.
 */

import type { Server } from 'node:net';
import type { CertificateSettings, TlsSettings } from '../src/boards/listener-task.ts';
import type { AcceptedStream } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';
import type { ThreadContext } from './thread-context.ts';
import { Tickets } from './ticket-callback.ts';
import { chooseTicketSupport, type TicketProver } from './ticket-support.ts';
import { TlsAcceptor } from './tls-accept.ts';
import { type TicketSupport, TlsContexts } from './tls-contexts.ts';
import { CAN_OWN_HANDLES } from './tls-stream.ts';

const FALLBACK =
  'the ticket callback does not work on this Node: one key at a time, so each rotation ends all TLS sessions';

/** What this Node cannot do can be tried by these on one that can. */
export interface TlsMeans {
  /** In place of the proof that a thread begins with. */
  readonly prove?: TicketProver;
  /** False: no stream owns an accepted handle. */
  readonly ownsHandles?: boolean;
}

export class TlsListeners {
  /** Called whenever a handshake is over. */
  onHandshakeOver: () => void = () => {};
  readonly #context: ThreadContext;
  readonly #means: TlsMeans;
  readonly #tickets: Tickets;
  #support: Promise<TicketSupport> | null = null;
  /** What came while listeners were still being made is for them too. */
  #updated: readonly (TlsSettings | null)[] = [];
  /** By the listener's index. */
  readonly #acceptors = new Map<number, TlsAcceptor>();

  constructor(context: ThreadContext, means: TlsMeans = {}) {
    this.#context = context;
    this.#means = means;
    this.#tickets = new Tickets(context.ticketKeys, (stat) => context.count(stat));
  }

  /** A server for listener `index`, not listening yet. Throws where `settings` cannot be used. */
  async create(
    index: number,
    settings: TlsSettings,
    onSecure: (stream: AcceptedStream) => StreamOwner,
  ): Promise<Server> {
    this.#support ??= this.#chooseSupport(settings.certificates[0] as CertificateSettings);
    const support = await this.#support;
    const contexts = new TlsContexts(this.#updated[index] ?? settings, support);
    const acceptor = new TlsAcceptor({
      context: this.#context,
      tickets: this.#tickets,
      contexts,
      onSecure,
      onHandshakeOver: () => this.onHandshakeOver(),
      ownsHandles: this.#means.ownsHandles ?? CAN_OWN_HANDLES,
    });
    this.#acceptors.set(index, acceptor);
    return acceptor.server;
  }

  /** Serves new connections with `listeners`, by index; where one cannot be used, the old settings stay. */
  update(listeners: readonly (TlsSettings | null)[]): void {
    this.#updated = listeners;
    void this.#support?.then((support) => {
      for (const [index, acceptor] of this.#acceptors) {
        const settings = listeners[index];
        if (settings !== null && settings !== undefined) this.#move(index, acceptor, settings, support);
      }
    });
  }

  /** Handshakes under way. */
  get handshakes(): number {
    let sum = 0;
    for (const acceptor of this.#acceptors.values()) sum += acceptor.handshakes;
    return sum;
  }

  /** Ends what has not said hello yet; the handshakes that are under way go on. */
  drain(): void {
    for (const acceptor of this.#acceptors.values()) acceptor.drain();
  }

  /** Ends all handshakes. */
  cut(): void {
    for (const acceptor of this.#acceptors.values()) acceptor.cut();
  }

  #move(index: number, acceptor: TlsAcceptor, settings: TlsSettings, support: TicketSupport): void {
    try {
      acceptor.moveTo(new TlsContexts(settings, support));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#context.log.warn('TLS settings cannot be used, the old ones stay', { listener: index, reason });
    }
  }

  #chooseSupport(certificate: CertificateSettings): Promise<TicketSupport> {
    const onFallback = (reason: string) => this.#context.log.warn(FALLBACK, { reason });
    return chooseTicketSupport(this.#context.ticketKeys, this.#tickets, certificate, onFallback, this.#means.prove);
  }
}
