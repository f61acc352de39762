/**
 * The TLS listeners of a thread: what they share, and how their settings change while they serve. Listener threads, one
 * a thread.
 */

import type { CertificateSettings, TlsSettings } from '../src/boards/listener-task.ts';
import type { AcceptedStream } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';
import { RecordWatch } from './record-watch.ts';
import type { ThreadContext } from './thread-context.ts';
import { Tickets } from './ticket-callback.ts';
import { chooseTicketSupport, type TicketProver } from './ticket-support.ts';
import { TlsAcceptor } from './tls-accept.ts';
import { CAN_WRAP_HANDLES } from './tls-binding.ts';
import { type TicketSupport, TlsContexts } from './tls-contexts.ts';
import type { TlsStream } from './tls-stream.ts';

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
  readonly #records: RecordWatch;
  #support: Promise<TicketSupport> | null = null;
  readonly #acceptors = new Set<TlsAcceptor>();

  constructor(context: ThreadContext, means: TlsMeans = {}) {
    this.#context = context;
    this.#means = means;
    this.#records = new RecordWatch(context);
    this.#tickets = new Tickets(context.ticketKeys, (stat) => context.count(stat));
  }

  /** What connections are served with. Rejects where `settings` cannot be used. */
  async contexts(settings: TlsSettings): Promise<TlsContexts> {
    this.#support ??= this.#chooseSupport(settings.certificates[0] as CertificateSettings);
    return new TlsContexts(settings, await this.#support);
  }

  /** A listener that has no socket yet. */
  create(contexts: TlsContexts, onSecure: (stream: AcceptedStream) => StreamOwner): TlsAcceptor {
    const acceptor = new TlsAcceptor({
      context: this.#context,
      tickets: this.#tickets,
      contexts,
      onSecure: (stream) => {
        this.#records.add(stream as TlsStream);
        return onSecure(stream);
      },
      onHandshakeOver: () => this.onHandshakeOver(),
      ownsHandles: this.#means.ownsHandles ?? CAN_WRAP_HANDLES,
    });
    for (const other of this.#acceptors) if (other.isClosed && other.handshakes === 0) this.#acceptors.delete(other);
    this.#acceptors.add(acceptor);
    return acceptor;
  }

  /** Handshakes under way. */
  get handshakes(): number {
    let sum = 0;
    for (const acceptor of this.#acceptors) sum += acceptor.handshakes;
    return sum;
  }

  /** Ends what has not said hello yet; the handshakes that are under way go on. */
  drain(): void {
    for (const acceptor of this.#acceptors) acceptor.drain();
  }

  /** Ends all handshakes. */
  cut(): void {
    for (const acceptor of this.#acceptors) acceptor.cut();
  }

  #chooseSupport(certificate: CertificateSettings): Promise<TicketSupport> {
    const onFallback = (reason: string) => this.#context.log.warn(FALLBACK, { reason });
    return chooseTicketSupport(this.#context.ticketKeys, this.#tickets, certificate, onFallback, this.#means.prove);
  }
}
