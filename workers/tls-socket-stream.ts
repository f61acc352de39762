/**
 * The server's end of a TLS connection by Node's own TLSSocket, around a net.Socket: the documented way, for where there is no
 * other. It costs more time and memory, and reads by 'data' events. Listener threads.
 */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { HIGH_WATERMARK, type StreamOwner } from './byte-stream.ts';
import { ALPN_PROTOCOLS, faultOf, type HandshakeWatcher, type TlsStream, type TlsStreamOptions } from './tls-stream.ts';

/** What of a TLSSocket is not public, as this file uses it; it does without where it is not there. */
interface Internals {
  _handle: { readonly writeQueueSize?: number; verifyError(): VerifyError } | null;
  _releaseControl?(): boolean;
}
type VerifyError = { code?: string; message: string } | null | undefined;

export class TlsSocketStream extends TLSSocket implements TlsStream {
  readonly #socket: Socket;
  readonly #watcher: HandshakeWatcher;
  #owner: StreamOwner;
  #cause: NodeJS.ErrnoException | null = null;

  /** Around `socket`, whose unread bytes it takes. */
  constructor(socket: Socket, { secureContext, asksForCertificate, watcher }: TlsStreamOptions) {
    super(socket, {
      isServer: true,
      secureContext,
      ALPNProtocols: ALPN_PROTOCOLS,
      requestCert: asksForCertificate,
      rejectUnauthorized: asksForCertificate,
      allowHalfOpen: true,
      highWaterMark: HIGH_WATERMARK,
    } as ConstructorParameters<typeof TLSSocket>[1]);
    this.#socket = socket;
    this.#watcher = watcher;
    this.#owner = watcher;
    this.on('secure', this.#onSecure);
    this.on('error', this.#onError);
    this.on('data', (bytes: Buffer) => this.#owner.onBytes(bytes, 0, bytes.length));
    this.on('end', () => this.#owner.onEnd());
    this.on('close', () => this.#owner.onClose(this.#cause));
    // asked for now, it is still known when the connection is gone
    void this.remoteAddress;
    this.resume();
  }

  start(owner: StreamOwner): void {
    this.#owner = owner;
  }

  get bytesOnWire(): number {
    return this.#socket.bytesRead;
  }

  get bytesSealed(): number {
    return (this as unknown as Internals)._handle?.writeQueueSize ?? 0;
  }

  certificateFault(): string | null {
    const handle = (this as unknown as Internals)._handle;
    if (handle === null) return 'connection closed';
    return faultOf({ error: handle.verifyError(), validTo: this.getPeerX509Certificate()?.validTo });
  }

  /** Breaks the connection off by a RST, without TLS's own end. */
  override resetAndDestroy(): this {
    this.#socket.resetAndDestroy();
    return this;
  }

  #onSecure(): void {
    // errors go to 'error' from here on
    (this as unknown as Internals)._releaseControl?.();
    this.#watcher.onSecure(this);
  }

  #onError(error: NodeJS.ErrnoException): void {
    this.#cause ??= error;
    // of a fault in a record, past the handshake, Node tells, and leaves the socket open
    this.destroy();
  }
}
