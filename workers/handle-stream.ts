/**
 * A connection on its bare handle, without the Socket, Writable and Readable that Node puts around one: they cost more than
 * all of a request's own JavaScript, and 5 KiB a connection. Listener threads.
 *
 * Reading goes into the thread's one buffer. Text is gathered until the end of the turn (turn-end.ts); a write is then handed
 * to the kernel, and what that does not take is libuv's to send. Ends come one by one: after both, or an error, the handle is
 * closed, exactly once, and its owner is told when it is.
 */

import { getSystemErrorName } from 'node:util';
import type { AcceptedStream } from './accept.ts';
import { HIGH_WATERMARK, READ_BUFFER, type StreamOwner } from './byte-stream.ts';
import {
  type ShutdownRequest,
  type SocketName,
  STREAM_BINDING,
  type StreamBinding,
  type StreamHandle,
  type WriteRequest,
} from './stream-binding.ts';
import { type AtTurnEnd, atTurnEnd } from './turn-end.ts';

const binding = STREAM_BINDING as StreamBinding;
const { endOfFile, notConnected } = STREAM_BINDING ?? { endOfFile: 0, notConnected: 0 };

export class HandleStream implements AcceptedStream, AtTurnEnd {
  /** Null from `destroy` on. */
  #handle: StreamHandle | null;
  #owner: StreamOwner | null = null;
  /** Text that waits for the end of the turn. */
  #gathered = '';
  /** Bytes of the writes that are under way. */
  #unwritten = 0;
  #isReading = false;
  #hasEnded = false;
  /** A FIN is to be sent, or was. */
  #isEnding = false;
  /** It was. */
  #isShut = false;
  #cause: NodeJS.ErrnoException | null = null;
  #onDrain: (() => void) | null = null;
  /** Of the other side; asked for once. */
  #peer: SocketName | null = null;

  /** Owns `handle`, which isStreamHandle must be true of, from now on. Nothing is read before `start`. */
  constructor(handle: StreamHandle) {
    this.#handle = handle;
    handle.stream = this;
    handle.onread = onRead;
    handle.useUserBuffer(READ_BUFFER);
  }

  /** Tells `owner` of all that comes. Also where the connection was destroyed meanwhile: of its close. */
  start(owner: StreamOwner): void {
    this.#owner = owner;
    this.resume();
  }

  get writableLength(): number {
    return this.#unwritten + this.#gathered.length;
  }

  get writableNeedDrain(): boolean {
    return this.writableLength >= HIGH_WATERMARK;
  }

  get destroyed(): boolean {
    return this.#handle === null;
  }

  /** Undefined on a unix socket, and where it was never asked for before the connection was gone. */
  get remoteAddress(): string | undefined {
    if (this.#peer === null) {
      this.#peer = {};
      this.#handle?.getpeername?.(this.#peer);
    }
    return this.#peer.address;
  }

  get localAddress(): string | undefined {
    return this.#localName().address;
  }

  get localPort(): number | undefined {
    return this.#localName().port;
  }

  /**
   * Sends `data`; false: HIGH_WATERMARK or more waits, and 'drain' follows. With `onFlushed` it is sent at once, and that is
   * called when the kernel has taken it, before this returns where it does so at once; or when the connection is gone. Bytes must
   * not be changed before.
   */
  write(data: string, encoding: 'latin1', onFlushed?: () => void): boolean;
  write(data: Uint8Array, onFlushed?: () => void): boolean;
  write(data: string | Uint8Array, encoding?: 'latin1' | (() => void), onFlushed?: () => void): boolean {
    const done = typeof encoding === 'function' ? encoding : onFlushed;
    if (this.#handle === null || this.#isEnding) {
      done?.();
      return true;
    }
    if (typeof data === 'string' && done === undefined) {
      if (this.#gathered === '') atTurnEnd(this);
      this.#gathered += data;
      return !this.writableNeedDrain;
    }
    this.#flush();
    return this.#send(data, done ?? null);
  }

  takeBack(): boolean {
    const isHeld = this.#gathered !== '';
    this.#gathered = '';
    return isHeld;
  }

  onTurnEnd(): void {
    this.#flush();
    this.#tellOfDrain();
  }

  pause(): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    this.#handle?.readStop();
  }

  resume(): void {
    if (this.#isReading || this.#hasEnded || this.#handle === null) return;
    this.#isReading = true;
    const status = this.#handle.readStart();
    if (status !== 0) this.#fail(status, 'read');
  }

  /** Sends a FIN behind all that was written. The connection is gone once the other side has ended, too. */
  end(): void {
    if (this.#isEnding) return;
    this.#flush();
    if (this.#handle === null) return;
    this.#isEnding = true;
    const request = binding.newShutdown();
    request.stream = this;
    request.oncomplete = onShutdown;
    const status = this.#handle.shutdown(request);
    if (status === 1 || status === notConnected) this.#onShut();
    else if (status !== 0) this.#fail(status, 'shutdown');
    // the close sends the FIN then, and spares a system call and a turn of the loop
    else if (this.#hasEnded && this.isFlushed) this.destroy();
  }

  /** The kernel has all that was sent. */
  protected get isFlushed(): boolean {
    return this.#unwritten === 0;
  }

  /** Closes the connection; what the kernel does not take now is lost. The owner is told in a later turn. */
  destroy(): void {
    const handle = this.#release();
    handle?.close(() => this.#onClosed());
  }

  /** The same with a RST, where the kernel can. */
  resetAndDestroy(): void {
    const handle = this.#release();
    const onClosed = () => this.#onClosed();
    // libuv refuses it while a shutdown is under way, and Node closes a handle that was refused no more
    if (handle?.reset === undefined || this.#isEnding !== this.#isShut) handle?.close(onClosed);
    else handle.reset(onClosed);
  }

  /** Calls `listener` once no more than half of HIGH_WATERMARK waits; one at a time. */
  once(_event: 'drain', listener: () => void): void {
    this.#onDrain = listener;
  }

  /** Gives the handle away: from now on it is somebody else's, and the owner is told of nothing. Null: it is gone already. */
  detach(): StreamHandle | null {
    this.pause();
    return this.#release();
  }

  /** Closes the connection for `cause`, of which the owner is told then. */
  fail(cause: NodeJS.ErrnoException): void {
    if (this.#handle === null) return;
    this.#cause ??= cause;
    this.destroy();
  }

  /** For the handle to call: bytes have come, or the end, or an error. */
  onRead(count: number): void {
    if (this.#handle === null || count === 0) return;
    if (count > 0) {
      this.#owner?.onBytes(READ_BUFFER, 0, count);
      return;
    }
    this.#isReading = false;
    if (count !== endOfFile) {
      this.#fail(count, 'read');
      return;
    }
    this.#hasEnded = true;
    this.#owner?.onEnd();
    this.#closeIfOver();
  }

  /** For a write request to call. */
  onWritten(request: WriteRequest, status: number): void {
    this.#unwritten -= request.data.length;
    if (status < 0) this.#fail(status, 'write');
    request.onFlushed?.();
    this.#tellOfDrain();
  }

  /** For a shutdown request to call. */
  onShutdown(status: number): void {
    if (status < 0 && status !== notConnected) this.#fail(status, 'shutdown');
    else this.#onShut();
  }

  /** Hands what was gathered to the kernel. */
  #flush(): void {
    const text = this.#gathered;
    if (text === '') return;
    this.#gathered = '';
    this.#send(text, null);
  }

  #send(data: string | Uint8Array, onFlushed: (() => void) | null): boolean {
    const handle = this.#handle;
    let result: number | WriteRequest = 0;
    if (typeof data === 'string') result = handle?.writeLatin1String(null, data) ?? 0;
    else result = handle?.writeBuffer(null, data) ?? 0;
    const status = typeof result === 'number' ? result : binding.lastWriteError();
    if (typeof result === 'number' || status !== 0) {
      if (status !== 0) this.#fail(status, 'write');
      onFlushed?.();
      return true;
    }
    result.stream = this;
    result.data = data;
    result.onFlushed = onFlushed;
    result.oncomplete = onWritten;
    this.#unwritten += data.length;
    if (typeof result.writeStatus === 'number') {
      const early = result.writeStatus;
      result.writeStatus = null;
      this.onWritten(result, early);
    }
    return !this.writableNeedDrain;
  }

  #tellOfDrain(): void {
    if (this.#onDrain === null || this.writableLength > HIGH_WATERMARK / 2) return;
    const listener = this.#onDrain;
    this.#onDrain = null;
    if (this.#handle !== null) listener();
  }

  #onShut(): void {
    this.#isShut = true;
    this.#closeIfOver();
  }

  #closeIfOver(): void {
    if (this.#hasEnded && this.#isShut) this.destroy();
  }

  #fail(status: number, call: string): void {
    if (this.#handle === null) return;
    const code = getSystemErrorName(status);
    this.fail(Object.assign(new Error(`${call} ${code}`), { code, errno: status, syscall: call }));
  }

  #release(): StreamHandle | null {
    this.#flush();
    const handle = this.#handle;
    this.#handle = null;
    this.#isReading = false;
    if (handle !== null) handle.onread = ignore;
    return handle;
  }

  #onClosed(): void {
    this.#owner?.onClose(this.#cause);
  }

  #localName(): SocketName {
    const name: SocketName = {};
    this.#handle?.getsockname?.(name);
    return name;
  }
}

function onRead(this: StreamHandle): void {
  (this.stream as HandleStream).onRead(binding.lastRead());
}

function onWritten(this: WriteRequest, status: number): void {
  (this.stream as HandleStream).onWritten(this, status);
}

function onShutdown(this: ShutdownRequest, status: number): void {
  (this.stream as HandleStream).onShutdown(status);
}

function ignore(): void {}
