/**
 * The server's end of a TLS connection: the one file that knows how a TLSSocket gets an accepted handle to itself.
 * Listener threads.
 *
 * Documented, a TLSSocket stands around a net.Socket, and reads by 'data' events. Made here it owns the handle, which
 * spares a socket a connection, and reads into the thread's one buffer. `_wrapHandle` and `_handle` are not public:
 * where they do not look as expected, the documented way is taken.
 */

import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { AcceptedHandle, AcceptedStream } from './accept.ts';
import { HIGH_WATERMARK, READ_BUFFER, type StreamOwner } from './byte-stream.ts';

/** Told of a stream's life until it has an owner. */
export interface HandshakeWatcher {
  /** The handshake is done. Bytes that came with its last flight follow at once: the stream needs its owner now. */
  onSecure(stream: TlsStream): void;
  /** The client has ended its side within the handshake. */
  onHandshakeEnd(): void;
  /** The connection is gone, without ever having had an owner. */
  onHandshakeClosed(error: NodeJS.ErrnoException | null): void;
}

export interface TlsStreamOptions {
  readonly secureContext: SecureContext;
  /** Clients must show a certificate that the context's CAs signed. */
  readonly asksForCertificate: boolean;
  readonly watcher: HandshakeWatcher;
}

/** What of a TLSSocket is not public, as this file uses it. */
interface Internals {
  _handle: TlsWrap | null;
  _tlsOptions: { adopted?: AcceptedHandle };
  connecting: boolean;
  resetAndClosing: boolean;
  _wrapHandle(wrap: unknown, handle: unknown, hasWrites: boolean): TlsWrap;
  _releaseControl(): boolean;
}

interface TlsWrap {
  receive(bytes: Uint8Array): void;
  /** Sealed bytes that the socket has not taken. */
  readonly writeQueueSize?: number;
  verifyError(): { code?: string; message: string } | null | undefined;
  close(onClosed: () => void): void;
  reset?(onClosed: () => void): number;
}

const internals = TLSSocket.prototype as unknown as Internals;

/** A TLSSocket of this Node can own an accepted handle. */
export const CAN_OWN_HANDLES =
  typeof internals._wrapHandle === 'function' && typeof internals._releaseControl === 'function';

/** RFC 7301: an offer without it ends in no_application_protocol, which is OpenSSL's to say. In wire format. */
const ALPN_PROTOCOLS = Buffer.from('\x08http/1.1', 'latin1');

export class TlsStream extends TLSSocket implements AcceptedStream {
  /** Null until the handshake is done. */
  #owner: StreamOwner | null = null;
  /** Null from then on. */
  #watcher: HandshakeWatcher | null;
  /** The socket around which it stands; null where it owns the handle itself. */
  readonly #shell: Socket | null;
  #cause: NodeJS.ErrnoException | null = null;

  /** Around `source`: a handle, or a socket, whose unread bytes it takes. */
  constructor(source: AcceptedHandle | Socket, { secureContext, asksForCertificate, watcher }: TlsStreamOptions) {
    const shell = isSocket(source) ? source : null;
    super(
      shell as unknown as Socket,
      {
        isServer: true,
        secureContext,
        ALPNProtocols: ALPN_PROTOCOLS,
        requestCert: asksForCertificate,
        rejectUnauthorized: asksForCertificate,
        allowHalfOpen: true,
        highWaterMark: HIGH_WATERMARK,
        adopted: shell === null ? source : undefined,
        onread: ON_READ,
      } as ConstructorParameters<typeof TLSSocket>[1],
    );
    this.#shell = shell;
    this.#watcher = watcher;
    this.on('secure', this.#onSecure);
    this.on('error', this.#onError);
    this.on('end', this.#onEnd);
    this.on('close', this.#onClose);
    if (shell === null) (this as unknown as Internals).connecting = false;
    else this.on('data', (bytes: Buffer) => this.onBytes(bytes, bytes.length));
    // asked for now, it is still known when the connection is gone
    void this.remoteAddress;
    this.resume();
  }

  /** From now on `owner` is told of the connection, and the watcher of nothing. */
  handOver(owner: StreamOwner): void {
    this.#owner = owner;
    this.#watcher = null;
  }

  /** `bytes[0, length)` came. For Node to call. */
  onBytes(bytes: Buffer, length: number): void {
    this.#owner?.onBytes(bytes, 0, length);
  }

  /** Of all records so far, those of the handshake too. */
  get bytesOnWire(): number {
    if (this.#shell !== null) return this.#shell.bytesRead;
    return (this as unknown as Internals)._tlsOptions.adopted?.bytesRead ?? 0;
  }

  /** Sealed bytes that wait for the socket: OpenSSL's own messages too, which `writableLength` does not count. */
  get bytesSealed(): number {
    return (this as unknown as Internals)._handle?.writeQueueSize ?? 0;
  }

  /** Takes bytes that were read from the handle before. */
  receive(bytes: Uint8Array): void {
    (this as unknown as Internals)._handle?.receive(bytes);
  }

  /**
   * Why the client's certificate is not good enough; null where it is. OpenSSL goes on with the handshake whatever it
   * finds: nothing that the client sends may be used before this was asked.
   */
  certificateFault(): string | null {
    const handle = (this as unknown as Internals)._handle;
    if (handle === null) return 'connection closed';
    const error = handle.verifyError();
    if (error !== null && error !== undefined) return error.code ?? error.message;
    const certificate = this.getPeerX509Certificate();
    // a TLS 1.3 session that began without one verifies as well
    if (certificate === undefined) return 'no certificate';
    // a resumed session's certificate is not verified again
    return Date.parse(certificate.validTo) >= Date.now() ? null : 'CERT_HAS_EXPIRED';
  }

  /** Breaks the connection off by a RST, without TLS's own end. */
  override resetAndDestroy(): this {
    if (this.#shell !== null) {
      this.#shell.resetAndDestroy();
      return this;
    }
    const self = this as unknown as Internals;
    const { adopted } = self._tlsOptions;
    if (self._handle !== null && adopted?.reset !== undefined) {
      self._handle.reset = (onClosed) => {
        // it cannot where a shutdown is under way
        if (adopted.reset?.(onClosed) !== 0) adopted.close(onClosed);
        return 0;
      };
      self.resetAndClosing = true;
    }
    this.destroy();
    return this;
  }

  _wrapHandle(wrap: unknown, handle: unknown, hasWrites: boolean): TlsWrap {
    const { adopted } = (this as unknown as Internals)._tlsOptions;
    return internals._wrapHandle.call(this, wrap, adopted ?? handle, hasWrites);
  }

  #onSecure(): void {
    // errors go to 'error' from here on
    (this as unknown as Internals)._releaseControl();
    this.#watcher?.onSecure(this);
  }

  #onError(error: NodeJS.ErrnoException): void {
    this.#cause ??= error;
    // of a fault in a record, past the handshake, Node tells, and leaves the socket open
    this.destroy();
  }

  #onEnd(): void {
    if (this.#owner === null) this.#watcher?.onHandshakeEnd();
    else this.#owner.onEnd();
  }

  #onClose(): void {
    if (this.#owner === null) this.#watcher?.onHandshakeClosed(this.#cause);
    else this.#owner.onClose(this.#cause);
  }
}

function isSocket(source: AcceptedHandle | Socket): source is Socket {
  return 'on' in source;
}

/** One for all streams: Node calls it as a method of the socket. */
const ON_READ = {
  buffer: READ_BUFFER,
  callback(this: TlsStream, length: number, buffer: Buffer): boolean {
    this.onBytes(buffer, length);
    return true;
  },
};
