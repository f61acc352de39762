/**
 * How a listener thread makes and opens tickets: by the callback where this Node proves that it works, else by the
 * documented option. Listener threads.
 *
 * The option holds one key. With it each rotation ends every session made before, nothing is counted or renewed, and no
 * ticket says for which certificates it was made: what an operator must know of, and what is better than no resumption.
 */

import { constants } from 'node:crypto';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { CertificateSettings } from '../src/boards/listener-task.ts';
import { installTicketCallback, type TicketScope, type Tickets } from './ticket-callback.ts';
import type { TicketKeys } from './ticket-keys.ts';
import { proveTicketCallback } from './ticket-proof.ts';
import type { TicketSupport } from './tls-contexts.ts';

/** Resolves to why the callback cannot be used, or null where it can. */
export type TicketProver = (certificate: CertificateSettings) => Promise<string | null>;

/** Tries the callback with `certificate`, and tells `onFallback` why where it does not work. */
export async function chooseTicketSupport(
  keys: TicketKeys,
  tickets: Tickets,
  certificate: CertificateSettings,
  onFallback: (reason: string) => void,
  prove: TicketProver = proveTicketCallback,
): Promise<TicketSupport> {
  const fault = await prove(certificate);
  if (fault === null) return new CallbackSupport(tickets);
  onFallback(fault);
  return new OptionSupport(keys);
}

/** Every key of the ring, by the callback. */
export class CallbackSupport implements TicketSupport {
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

  options(): SecureContextOptions {
    const key = this.#keys.encrypting;
    return key === null ? { secureOptions: constants.SSL_OP_NO_TICKET } : { ticketKeys: key.bytes };
  }

  install(): void {}
}
