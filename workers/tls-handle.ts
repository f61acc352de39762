/**
 * TLS around an accepted handle, to be used as a handle itself. Listener threads.
 *
 *   HandleStream ─► TlsHandle ─► TlsWrap (OpenSSL) ─► StreamHandle (TCP or unix socket)
 *
 * Node's TlsWrap takes one write at a time, and its end must not overtake one: both wait here. It reads and writes memory of
 * its own while the socket is open, so the socket is closed first, and OpenSSL's state freed when it is.
 */

import type { SecureContext } from 'node:tls';
import {
  type ShutdownRequest,
  type SocketName,
  STREAM_BINDING,
  type StreamBinding,
  type StreamHandle,
  type WriteRequest,
} from './stream-binding.ts';
import { type TlsWrap, wrapHandle } from './tls-binding.ts';

const binding = STREAM_BINDING as StreamBinding;

export class TlsHandle implements StreamHandle {
  readonly wrap: TlsWrap;
  readonly #socket: StreamHandle;
  /** What `wrap` is writing; null: a next write may begin. */
  #current: WriteRequest | null = null;
  /** Writes that wait for that, in order. */
  #waiting: WriteRequest[] = [];
  /** Waits for all of them. */
  #shutdown: ShutdownRequest | null = null;

  /** Takes over `socket`, which nothing may be read from or written to any more but by this. */
  constructor(socket: StreamHandle, secureContext: SecureContext) {
    this.#socket = socket;
    this.wrap = wrapHandle(socket, secureContext);
    // else the wrap might be collected while the socket is open
    socket.stream = this;
  }

  set onread(callback: () => void) {
    this.wrap.onread = callback;
  }

  set stream(stream: unknown) {
    this.wrap.stream = stream;
  }

  get bytesRead(): number {
    return this.wrap.bytesRead;
  }

  /** Of all records so far. */
  get bytesOnWire(): number {
    return this.#socket.bytesRead;
  }

  get writeQueueSize(): number {
    return this.#socket.writeQueueSize;
  }

  useUserBuffer(buffer: Uint8Array): void {
    this.wrap.useUserBuffer(buffer);
  }

  readStart(): number {
    return this.wrap.readStart();
  }

  readStop(): number {
    return this.wrap.readStop();
  }

  writeLatin1String(_request: null, data: string): number | WriteRequest {
    return this.#current === null ? this.#begin(this.wrap.writeLatin1String(null, data)) : this.#wait(data);
  }

  writeBuffer(_request: null, data: Uint8Array): number | WriteRequest {
    return this.#current === null ? this.#begin(this.wrap.writeBuffer(null, data)) : this.#wait(data);
  }

  /** To be called when `request` is written, or has failed. The next ones begin at once. */
  onWritten(request: WriteRequest, status: number): void {
    if (request !== this.#current) return;
    this.#current = null;
    if (this.#waiting.length > 0) this.#continue(status);
    else if (this.#shutdown !== null) this.#shutDown(status);
  }

  /** Sends TLS's own end and a FIN behind all that was written, OpenSSL's own messages too. */
  shutdown(request: ShutdownRequest): number {
    if (this.#current === null && this.wrap.writeQueueSize === 0) return this.wrap.shutdown(request);
    this.#shutdown = request;
    // an empty write is done when OpenSSL's are
    if (this.#current === null) this.#send([emptyWrite()]);
    return 0;
  }

  /** Nothing waits here, and the kernel has all that was sealed. */
  get isFlushed(): boolean {
    return this.#current === null && this.#shutdown === null && this.#socket.writeQueueSize === 0;
  }

  close(onClosed: () => void): void {
    this.#socket.close(() => this.#end(onClosed));
  }

  /** A unix socket knows no reset: it is closed. */
  reset(onClosed: () => void): number {
    if (this.#socket.reset !== undefined) return this.#socket.reset(() => this.#end(onClosed));
    this.close(onClosed);
    return 0;
  }

  getpeername(out: SocketName): number {
    return this.#socket.getpeername?.(out) ?? 0;
  }

  getsockname(out: SocketName): number {
    return this.#socket.getsockname?.(out) ?? 0;
  }

  #begin(result: number | WriteRequest): number | WriteRequest {
    if (typeof result === 'object' && binding.lastWriteError() === 0) this.#current = result;
    return result;
  }

  #wait(data: string | Uint8Array): WriteRequest {
    const request = { oncomplete: ignore, stream: null, data, onFlushed: null };
    this.#waiting.push(request);
    binding.forgetWriteError();
    return request;
  }

  /** Begins all that waits, in one write; where the last one failed, so do these. */
  #continue(status: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (status === 0) this.#send(waiting);
    else complete(waiting, status);
  }

  #send(requests: WriteRequest[]): void {
    const result = this.#sendAll(requests);
    const error = typeof result === 'number' ? result : binding.lastWriteError();
    if (typeof result === 'number' || error !== 0) {
      complete(requests, error);
      return;
    }
    this.#current = result;
    result.oncomplete = (status) => {
      this.onWritten(result, status);
      complete(requests, status);
    };
    if (typeof result.writeStatus === 'number') result.oncomplete(result.writeStatus);
  }

  #sendAll(requests: readonly WriteRequest[]): number | WriteRequest {
    const [{ data: first }] = requests as [WriteRequest];
    if (requests.length === 1) {
      return typeof first === 'string' ? this.wrap.writeLatin1String(null, first) : this.wrap.writeBuffer(null, first);
    }
    const chunks = requests.flatMap(({ data }) => [data, typeof data === 'string' ? 'latin1' : 'buffer']);
    return this.wrap.writev(null, chunks, false);
  }

  #shutDown(status: number): void {
    const request = this.#shutdown as ShutdownRequest;
    this.#shutdown = null;
    const outcome = status === 0 ? this.wrap.shutdown(request) : status;
    if (outcome !== 0) request.oncomplete(outcome);
  }

  /** The socket is closed: what was being written is told so, and nothing of OpenSSL's is on the stack. */
  #end(onClosed: () => void): void {
    this.wrap.destroySSL();
    onClosed();
  }
}

function emptyWrite(): WriteRequest {
  return { oncomplete: ignore, stream: null, data: '', onFlushed: null };
}

function complete(requests: readonly WriteRequest[], status: number): void {
  for (const request of requests) request.oncomplete(status);
}

function ignore(): void {}
