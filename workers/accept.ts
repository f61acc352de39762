/**
 * Accepting client connections: the one file that knows accepted sockets' handles, and how Node reads from them into a
 * buffer of ours. Listener threads.
 *
 * net.connect documents `onread`, which reads into one buffer without allocating; for accepted sockets Node has no
 * documented way. Here the accepted socket's handle is taken out of the shell that net.Server made, and a second socket
 * is made around it with `onread`: 13 % of a request's cost. `_handle` is not public: where it does not look as
 * expected, the shell itself is used, with 'data' events.
 *
 * A TLS connection's handle goes to tls-accept.ts, which reads the ClientHello from it before it has a socket at all.
 */

import net from 'node:net';
import { type ByteStream, HIGH_WATERMARK, READ_BUFFER, type StreamOwner } from './byte-stream.ts';

/** A TCP or unix socket as Node's C++ shows it. */
export interface AcceptedHandle {
  /** Called as a method, with what was read; with nothing at the end, and for an error. Must be a function always. */
  onread: (bytes?: ArrayBuffer) => void;
  /** Ours: who is told of what `readHandle` reads. */
  reader?: HandleReader | null;
  /** In all. */
  readonly bytesRead: number;
  /** Ours: of these, what the reader has been told of. */
  bytesSeen?: number;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  close(onClosed?: () => void): void;
  /** TCP alone: sends a RST. Not 0 where it cannot. */
  reset?(onClosed: () => void): number;
  getpeername?(out: { address?: string }): number;
}

/** Told of what is read from a bare handle. */
export interface HandleReader {
  onHandleBytes(bytes: Uint8Array): void;
  /** The other side has finished, or the connection is gone. */
  onHandleEnd(): void;
}

interface WithHandle {
  _handle: AcceptedHandle | null;
}

export interface AcceptedStream extends ByteStream {
  readonly remoteAddress?: string | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly writableNeedDrain: boolean;
  once(event: 'drain', listener: () => void): unknown;
  resetAndDestroy(): unknown;
}

/** Breaks the connection off, so that its other side can tell. A unix socket knows no reset: it just ends. */
export function reset(stream: AcceptedStream): void {
  if (stream.localPort === undefined) stream.destroy();
  else stream.resetAndDestroy();
}

/** Makes the owner of a new connection; it is told of bytes from then on. */
export type OnAccept = (stream: AcceptedStream) => StreamOwner;

/** A server that hands every accepted connection to `onAccept`. Not listening yet. */
export function createServer(onAccept: OnAccept): net.Server {
  return createShellServer(
    (handle, shell) => adopt(shell, handle, onAccept),
    (shell) => useShell(shell, onAccept),
  );
}

/**
 * A server that hands every accepted connection's bare handle to `onHandle`, to be closed there; or, where handles do not
 * look as expected, or `onHandle` is null, its paused socket to `onShell`. Not listening yet.
 */
export function createHandleServer(
  onHandle: ((handle: AcceptedHandle) => void) | null,
  onShell: (shell: net.Socket) => void,
): net.Server {
  if (onHandle === null) return net.createServer(SHELL_OPTIONS, onShell);
  return createShellServer((handle, shell) => {
    (shell as unknown as WithHandle)._handle = null;
    shell.destroy();
    onHandle(handle);
  }, onShell);
}

const SHELL_OPTIONS = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATERMARK };

/** Reads from a bare handle until `stopReading`. */
export function readHandle(handle: AcceptedHandle, reader: HandleReader): void {
  handle.reader = reader;
  handle.onread = onHandleRead;
  if (handle.readStart() !== 0) reader.onHandleEnd();
}

export function stopReading(handle: AcceptedHandle): void {
  handle.readStop();
  handle.onread = ignore;
  handle.reader = null;
}

/** The address of a bare handle's other side; undefined where it has none, or is gone. */
export function peerAddress(handle: AcceptedHandle): string | undefined {
  const peer: { address?: string } = {};
  handle.getpeername?.(peer);
  return peer.address;
}

/** A client's address as it is logged and forwarded: IPv4 as such on a socket that serves both. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}

function onHandleRead(this: AcceptedHandle, bytes?: ArrayBuffer): void {
  if (bytes === undefined) {
    this.reader?.onHandleEnd();
    return;
  }
  // Node cuts a buffer that is nearly full to what was read by a length that is not shown here
  const length = this.bytesRead - (this.bytesSeen ?? 0);
  this.bytesSeen = this.bytesRead;
  this.reader?.onHandleBytes(new Uint8Array(bytes, 0, length));
}

function ignore(): void {}

/** A plain socket around a handle of which bytes were read already. */
export function socketAround(handle: AcceptedHandle): net.Socket {
  return new net.Socket({ handle, allowHalfOpen: true } as unknown as net.SocketConstructorOpts);
}

function createShellServer(
  onHandle: (handle: AcceptedHandle, shell: net.Socket) => void,
  onShell: (shell: net.Socket) => void,
): net.Server {
  return net.createServer(SHELL_OPTIONS, (shell) => {
    const handle = (shell as unknown as WithHandle)._handle;
    if (canAdopt(handle)) onHandle(handle, shell);
    else onShell(shell);
  });
}

function canAdopt(handle: AcceptedHandle | null): handle is AcceptedHandle {
  if (handle === null) return false;
  return METHODS.every((method) => typeof handle[method] === 'function') && typeof handle.bytesRead === 'number';
}

const METHODS = ['useUserBuffer', 'readStart', 'readStop', 'close'] as const;

function adopt(shell: net.Socket, handle: AcceptedHandle, onAccept: OnAccept): void {
  (shell as unknown as WithHandle)._handle = null;
  let owner: StreamOwner | null = null;
  const options = {
    handle,
    allowHalfOpen: true,
    highWaterMark: HIGH_WATERMARK,
    onread: {
      buffer: READ_BUFFER,
      callback(length: number, buffer: Buffer): boolean {
        owner?.onBytes(buffer, 0, length);
        return true;
      },
    },
  };
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts);
  owner = connect(socket, onAccept, () => shell.destroy());
}

function useShell(shell: net.Socket, onAccept: OnAccept): void {
  const owner = connect(shell, onAccept, () => {});
  shell.on('data', (bytes: Buffer) => owner.onBytes(bytes, 0, bytes.length));
}

function connect(socket: net.Socket, onAccept: OnAccept, onGone: () => void): StreamOwner {
  const owner = onAccept(socket);
  let cause: NodeJS.ErrnoException | null = null;
  socket.on('error', (error) => {
    cause = error;
  });
  socket.on('end', () => owner.onEnd());
  // the shell counts as the server's connection until it is destroyed
  socket.on('close', () => {
    onGone();
    owner.onClose(cause);
  });
  socket.resume();
  return owner;
}
