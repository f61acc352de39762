/**
 * OpenSSL's contexts of one TLS listener: chosen by server name and version, made when first asked for. Listener threads.
 *
 * Two for each group of certificates, alike but for what their tickets' rules are: one for clients that offer TLS 1.3,
 * one for those that do not. Both allow both versions, as OpenSSL's sentinel against downgrades depends on it
 * (RFC 8446 section 4.1.3).
 */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { CertificateSettings, TlsSettings } from '../src/boards/listener-task.ts';
import type { TicketScope } from './ticket-callback.ts';
import { type CertificateGroup, CertificateGroups } from './tls-certificates.ts';

/** How the thread's tickets are made and opened. */
export interface TicketSupport {
  /** Contexts made before this changed are not used any more. */
  generation(): number;
  /** What a context needs to be made with. */
  options(scope: TicketScope, settings: TlsSettings): SecureContextOptions;
  install(context: SecureContext, scope: TicketScope): void;
}

/** Mozilla's intermediate configuration without DHE. All are sound, so the client's order counts: it knows its AES. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** RFC 5246 appendix F.1.4 advises no more. */
const SESSION_S_MAX = 24 * 3600;

const CLASSIC_GROUPS = 'X25519:P-256:P-384';
/** First, for clients that have it: what is recorded today stays closed to a quantum computer. */
const GROUPS = firstSupported([`X25519MLKEM768:${CLASSIC_GROUPS}`, CLASSIC_GROUPS]);

export class TlsContexts {
  readonly settings: TlsSettings;
  readonly #groups: CertificateGroups;
  readonly #tickets: TicketSupport;
  #tls12 = new Map<CertificateGroup, SecureContext>();
  #tls13 = new Map<CertificateGroup, SecureContext>();
  #generation: number;

  /** Throws where the default certificate or a CA cannot be used; of the others, the handshakes that want them fail. */
  constructor(settings: TlsSettings, tickets: TicketSupport) {
    this.settings = settings;
    this.#groups = new CertificateGroups(settings.certificates);
    this.#tickets = tickets;
    this.#generation = tickets.generation();
    // the others were tried when the file was read, and a thread cannot stand still for thousands of them
    this.choose('', true);
  }

  /** The context for a client that asks for `serverName`. */
  choose(serverName: string, isTls13: boolean): SecureContext {
    if (this.#generation !== this.#tickets.generation()) this.#startAnew();
    const group = this.#groups.find(serverName);
    const made = isTls13 ? this.#tls13 : this.#tls12;
    let context = made.get(group);
    if (context === undefined) {
      context = this.#create(group, isTls13);
      made.set(group, context);
    }
    return context;
  }

  #startAnew(): void {
    this.#generation = this.#tickets.generation();
    this.#tls12 = new Map();
    this.#tls13 = new Map();
  }

  #create(group: CertificateGroup, isTls13: boolean): SecureContext {
    const scope: TicketScope = { tag: group.tag, isTls13, vouches: this.settings.clientCa !== null };
    const { secureOptions = 0, ...tickets } = this.#tickets.options(scope, this.settings);
    const options = contextOptions(this.settings, group.certificates, isTls13);
    const context = createSecureContext({
      ...options,
      ...tickets,
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | secureOptions,
    });
    this.#tickets.install(context, scope);
    return context;
  }
}

function contextOptions(
  settings: TlsSettings,
  certificates: readonly CertificateSettings[],
  isTls13: boolean,
): SecureContextOptions {
  return {
    cert: certificates.map(({ cert }) => cert),
    key: certificates.map(({ key }) => key),
    // left out, Node would load the public CAs, and OpenSSL look for our chain among them at every handshake
    ca: settings.clientCa ?? [],
    minVersion: settings.minVersion,
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS,
    // by default a hash of the command line: no two processes would resume each other's sessions
    sessionIdContext: settings.sessionIdContext,
    sessionTimeout: sessionTimeoutS(settings, isTls13),
  };
}

/**
 * How long after its beginning OpenSSL resumes a session; its default of 300 s would end tickets early. In TLS 1.3 each
 * ticket begins anew. In TLS 1.2 a session that is renewed is the same one still: it would end ticket_lifetime after its
 * full handshake however new its ticket is. There the keys bound the tickets, and this the session (RFC 5246 appendix
 * F.1.4), unless it vouches for a client's certificate.
 */
function sessionTimeoutS({ ticketLifetimeS, clientCa }: TlsSettings, isTls13: boolean): number {
  return isTls13 || clientCa !== null ? ticketLifetimeS : Math.max(ticketLifetimeS, SESSION_S_MAX);
}

function firstSupported(lists: readonly string[]): string {
  for (const list of lists) {
    try {
      createSecureContext({ ca: [], ecdhCurve: list });
      return list;
    } catch {
      // this OpenSSL does not know a group of it
    }
  }
  throw new Error('OpenSSL knows none of the key exchange groups');
}
