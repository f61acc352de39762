/** The server's end of a TLS connection on its bare handle: Node makes no Socket for it. Listener threads. */

import { HandleStream } from './handle-stream.ts';
import type { StreamHandle, WriteRequest } from './stream-binding.ts';
import { peerCertificate, type TlsWrap } from './tls-binding.ts';
import { TlsHandle } from './tls-handle.ts';
import { ALPN_PROTOCOLS, faultOf, type HandshakeWatcher, type TlsStream, type TlsStreamOptions } from './tls-stream.ts';

/**
 * Node keeps what is not unsealed yet in a buffer of 1 KiB, and adds one of 16 KiB for good when that is filled to its last
 * byte: a hello with post-quantum key shares would, and make each idle connection that much larger.
 */
const RECEIVED_AT_ONCE = 1_000;

export class TlsHandleStream extends HandleStream implements TlsStream {
  readonly #handle: TlsHandle;
  readonly #clientAddress: string;
  /** Null from the handshake's end on. */
  #watcher: HandshakeWatcher | null;

  /** Owns `socket` from now on. Only where CAN_WRAP_HANDLES. Reads at once. */
  constructor(socket: StreamHandle, { secureContext, asksForCertificate, watcher, clientAddress }: TlsStreamOptions) {
    const handle = new TlsHandle(socket, secureContext);
    super(handle);
    this.#handle = handle;
    this.#clientAddress = clientAddress;
    this.#watcher = watcher;
    const { wrap } = handle;
    wrap.onhandshakedone = onHandshakeDone;
    wrap.onerror = onError;
    wrap.setALPNProtocols(ALPN_PROTOCOLS);
    if (asksForCertificate) wrap.setVerifyMode(true, true);
    this.start(watcher);
  }

  override get remoteAddress(): string {
    return this.#clientAddress;
  }

  get bytesRead(): number {
    return this.#handle.bytesRead;
  }

  get bytesOnWire(): number {
    return this.#handle.bytesOnWire;
  }

  get bytesSealed(): number {
    return this.#handle.wrap.writeQueueSize;
  }

  /** Takes the first bytes of the client, which were read from the socket before. They are used up within the call. */
  receive(bytes: Uint8Array): void {
    for (let pos = 0; pos < bytes.length && !this.destroyed; pos += RECEIVED_AT_ONCE) {
      this.#handle.wrap.receive(bytes.subarray(pos, pos + RECEIVED_AT_ONCE));
    }
  }

  certificateFault(): string | null {
    const { wrap } = this.#handle;
    if (this.destroyed) return 'connection closed';
    return faultOf({ error: wrap.verifyError(), validTo: peerCertificate(wrap)?.validTo });
  }

  isSessionReused(): boolean {
    return this.#handle.wrap.isSessionReused();
  }

  getProtocol(): string {
    return this.#handle.wrap.getProtocol();
  }

  override onWritten(request: WriteRequest, status: number): void {
    this.#handle.onWritten(request, status);
    super.onWritten(request, status);
  }

  protected override get isFlushed(): boolean {
    return super.isFlushed && this.#handle.isFlushed;
  }

  /** For the wrap to call. */
  onHandshakeDone(): void {
    const watcher = this.#watcher;
    this.#watcher = null;
    if (this.destroyed) return;
    if (watcher !== null) watcher.onSecure(this);
    // OpenSSL refuses each attempt with a warning, without end
    else this.fail(new Error('renegotiation'));
  }
}

function onHandshakeDone(this: TlsWrap): void {
  (this.stream as TlsHandleStream).onHandshakeDone();
}

function onError(this: TlsWrap, error: NodeJS.ErrnoException): void {
  (this.stream as TlsHandleStream).fail(error);
}
