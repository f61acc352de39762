/**
 * What the data path asks of the server's end of a TLS connection: on its bare handle (tls-handle-stream.ts), or by Node's
 * TLSSocket (tls-socket-stream.ts). Listener threads.
 */

import type { SecureContext } from 'node:tls';
import type { AcceptedStream } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';

/** Owns a stream until its handshake is done. */
export interface HandshakeWatcher extends StreamOwner {
  /** The handshake is done. Bytes that came with its last flight follow at once: the stream needs its owner now. */
  onSecure(stream: TlsStream): void;
}

export interface TlsStreamOptions {
  readonly secureContext: SecureContext;
  /** Clients must show a certificate that the context's CAs signed. */
  readonly asksForCertificate: boolean;
  readonly watcher: HandshakeWatcher;
  readonly clientAddress: string;
}

export interface TlsStream extends AcceptedStream {
  /** From now on `owner` is told of the connection, and the one before of nothing. */
  start(owner: StreamOwner): void;
  /** Of data so far. */
  readonly bytesRead: number;
  /** Of all records so far, those of the handshake too. */
  readonly bytesOnWire: number;
  /** Sealed bytes that wait for the socket: OpenSSL's own messages too, which `writableLength` does not count. */
  readonly bytesSealed: number;
  /**
   * Why the client's certificate is not good enough; null where it is. OpenSSL goes on with the handshake whatever it
   * finds: nothing that the client sends may be used before this was asked.
   */
  certificateFault(): string | null;
  isSessionReused(): boolean;
  /** 'TLSv1.2' or 'TLSv1.3' once the handshake is done. */
  getProtocol(): string | null;
}

/** RFC 7301: an offer without it ends in no_application_protocol, which is OpenSSL's to say. In wire format. */
export const ALPN_PROTOCOLS = Buffer.from('\x08http/1.1', 'latin1');

/** Of a client's certificate, which OpenSSL found in order or not. */
export interface Verification {
  readonly error: { readonly code?: string; readonly message: string } | null | undefined;
  /** Undefined: there is no certificate. */
  readonly validTo: string | undefined;
}

export function faultOf({ error, validTo }: Verification): string | null {
  if (error !== null && error !== undefined) return error.code ?? error.message;
  // a TLS 1.3 session that began without one verifies as well
  if (validTo === undefined) return 'no certificate';
  // a resumed session's certificate is not verified again
  return Date.parse(validTo) >= Date.now() ? null : 'CERT_HAS_EXPIRED';
}
