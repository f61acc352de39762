/**
 * How a listener thread makes and opens tickets: by the callback where this Node proves that it works, else by the
 * documented option. Listener threads.
 *
 * The option holds one key. With it each rotation ends every session made before, and no ticket is counted or renewed:
 * what an operator must know of, and what is better than no resumption.
 */

import { constants, createHash } from 'node:crypto';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { CertificateSettings, TlsSettings } from '../src/boards/listener-task.ts';
import { installTicketCallback, type TicketScope, type Tickets } from './ticket-callback.ts';
import type { TicketKeys } from './ticket-keys.ts';
import { provenTicketCallback } from './ticket-proof.ts';
import type { TicketSupport } from './tls-contexts.ts';

/** OpenSSL takes no more. */
const SESSION_ID_CONTEXT_CHARS = 32;

/** Resolves to why the callback cannot be used, or null where it can. */
export type TicketProver = (certificate: CertificateSettings) => Promise<string | null>;

/** Tries the callback with `certificate`, and tells `onFallback` why where it does not work. */
export async function chooseTicketSupport(
  keys: TicketKeys,
  tickets: Tickets,
  certificate: CertificateSettings,
  onFallback: (reason: string) => void,
  prove: TicketProver = provenTicketCallback,
): Promise<TicketSupport> {
  const fault = await prove(certificate);
  if (fault === null) return new CallbackSupport(tickets);
  onFallback(fault);
  return new OptionSupport(keys);
}

/** Every key of the ring, by the callback. */
class CallbackSupport implements TicketSupport {
  readonly #tickets: Tickets;

  constructor(tickets: Tickets) {
    this.#tickets = tickets;
  }

  /** The callback reads the ring as it is: no context is ever outdated. */
  generation(): number {
    return 0;
  }

  options(): SecureContextOptions {
    return {};
  }

  install(context: SecureContext, scope: TicketScope): void {
    installTicketCallback(context, this.#tickets, scope);
  }
}

/** The key that encrypts, by Node's documented option. */
class OptionSupport implements TicketSupport {
  readonly #keys: TicketKeys;

  constructor(keys: TicketKeys) {
    this.#keys = keys;
  }

  generation(): number {
    this.#keys.refresh();
    return this.#keys.epoch;
  }

  /** No IV can say which group a ticket is for: here each has a session id context of its own. */
  options({ tag }: TicketScope, { sessionIdContext }: TlsSettings): SecureContextOptions {
    const key = this.#keys.encrypting;
    if (key === null) return { secureOptions: constants.SSL_OP_NO_TICKET };
    const context = createHash('sha256').update(`${sessionIdContext}\0${tag}`).digest('hex');
    return { ticketKeys: key.bytes, sessionIdContext: context.slice(0, SESSION_ID_CONTEXT_CHARS) };
  }

  install(): void {}
}
