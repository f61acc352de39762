/**
 * Tries the ticket callback of this Node before a thread relies on it: handshakes in memory, with keys made for the
 * purpose. Listener threads, once at their start.
 */

import { randomBytes } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { KeyBoard, NONE, STAGE_ACTIVE } from '../src/boards/key-board.ts';
import type { CertificateSettings } from '../src/boards/listener-task.ts';
import { installTicketCallback, Tickets } from './ticket-callback.ts';
import { TicketKeys } from './ticket-keys.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
type Version = (typeof VERSIONS)[number];
/** A machine that stands still at the start must not cost a thread its tickets; the supervisor allows it 30 s. */
const TIMEOUT_MS = 20_000;
const SCOPE_TAG = 0x5354_454b;

interface Visit {
  readonly isResumed: boolean;
  /** The last session that the server offered; null: none. */
  readonly session: Buffer | null;
}

/** Resolves to why the callback cannot be used, or null where it can. `certificate` is one that the listener shows. */
export async function proveTicketCallback(certificate: CertificateSettings): Promise<string | null> {
  try {
    for (const version of VERSIONS) {
      const fault = await prove(certificate, version);
      if (fault !== null) return `${version}: ${fault}`;
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

let proof: Promise<string | null> | null = null;

/** The same, tried once a thread: it is Node that is judged, and not the certificate. */
export function provenTicketCallback(certificate: CertificateSettings): Promise<string | null> {
  proof ??= proveTicketCallback(certificate);
  return proof;
}

async function prove({ cert, key }: CertificateSettings, version: Version): Promise<string | null> {
  const board = KeyBoard.create();
  const counted = new Set<string>();
  const tickets = new Tickets(new TicketKeys(board), (stat) => counted.add(stat));
  const context = createSecureContext({
    ca: [],
    cert,
    key,
    minVersion: version,
    maxVersion: version,
    sessionIdContext: 'proof',
  });
  installTicketCallback(context, tickets, { tag: SCOPE_TAG, isTls13: version === 'TLSv1.3', vouches: false });

  // without a key a client must be served all the same, and offered nothing that could be resumed
  const keyless = await visit(context, null);
  if (counted.has('ticketsIssued')) return 'a ticket was made without a key';
  board.publish([{ stage: STAGE_ACTIVE, bytes: randomBytes(48) }], 0);
  const first = await visit(context, null);
  if (!counted.has('ticketsIssued') || first.session === null) return 'the callback made no ticket';
  const second = await visit(context, first.session);
  if (!second.isResumed || !counted.has('ticketsOpenedActive')) return 'the callback opened no ticket';
  board.publish([], NONE);
  const third = await visit(context, first.session);
  return third.isResumed || keyless.isResumed ? 'a session resumed without its key' : null;
}

/** A handshake, one byte from the server and its end, in memory. */
function visit(secureContext: SecureContext, session: Buffer | null): Promise<Visit> {
  const [near, far] = duplexPair();
  const server = new TLSSocket(near, { isServer: true, secureContext });
  const client = connect({ socket: far, rejectUnauthorized: false, ...(session !== null && { session }) });
  let offered: Buffer | null = null;
  return new Promise<Visit>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the handshake did not end')), TIMEOUT_MS);
    const fail = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    server.on('error', fail);
    client.on('error', fail);
    server.on('close', () => fail(new Error('the handshake broke off')));
    let isResumed = false;
    server.once('secure', () => server.end('.'));
    client.on('session', (one: Buffer) => {
      offered = one;
    });
    client.once('data', () => {
      isResumed = client.isSessionReused();
    });
    // on some versions of Node the tickets come behind what is written when the handshake is done
    client.once('end', () => {
      clearTimeout(timer);
      resolve({ isResumed, session: offered });
    });
  }).finally(() => {
    client.destroy();
    server.destroy();
  });
}
