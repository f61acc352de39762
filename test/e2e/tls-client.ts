/**
 * A TLS client that keeps its newest ticket, as browsers do: each visit is a connection with one request, made with the
 * ticket of the last.
 */

import tls from 'node:tls';

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';
export const TLS_VERSIONS: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3'];

const VISIT_TIMEOUT_MS = 20_000;

export interface VisitOptions {
  readonly version: TlsVersion;
  readonly servername?: string;
  /** A ticket of an earlier visit. */
  readonly session?: Buffer | null;
  /** A client certificate. */
  readonly cert?: string;
  readonly key?: string;
}

export interface Visit {
  readonly isReused: boolean;
  /** The newest ticket; null where none came. */
  readonly session: Buffer | null;
  /** What the server answered; empty where it broke off. */
  readonly answer: string;
}

/** Connects, sends a request, reads the answer to its end. Rejects where the connection or the handshake fails. */
export function visit(
  port: number,
  { version, servername = 'localhost', session, ...rest }: VisitOptions,
): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      servername,
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
      ...(session && { session }),
      ...rest,
    });
    let newest: Buffer | null = null;
    let answer = '';
    let isReused = false;
    socket.setTimeout(VISIT_TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')));
    socket.on('session', (ticket) => {
      newest = ticket;
    });
    socket.on('secureConnect', () => {
      isReused = socket.isSessionReused();
      // no event tells of a ticket that was renewed
      if (version === 'TLSv1.2') newest = socket.getSession() ?? null;
      // every ticket of the handshake comes before the answer
      socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
    });
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve({ isReused, session: newest ?? session ?? null, answer }));
  });
}
