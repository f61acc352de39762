/**
 * Accepting client connections: the one file that knows what net.Server does with a handle it has accepted. Listener threads.
 *
 * Node makes a Socket around each, which costs as much as all else about a connection. Here its handle is taken before that,
 * and is given to handle-stream.ts, or to TLS. `_handle` and `onconnection` are not public: where they do not look as
 * expected, Node's way is taken, with 'data' events.
 */

import net from 'node:net';
import { type ByteStream, HIGH_WATERMARK, type StreamOwner } from './byte-stream.ts';
import { HandleStream } from './handle-stream.ts';
import { isStreamHandle } from './stream-binding.ts';

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

interface ListeningHandle {
  onconnection: (this: ListeningHandle, status: number, client?: unknown) => void;
}

interface WithHandle {
  _handle: unknown;
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
  const server = net.createServer(SHELL_OPTIONS, (socket) => connect(socket, onAccept));
  return takeHandles(server, isStreamHandle, (handle) => {
    const stream = new HandleStream(handle);
    stream.start(onAccept(stream));
  });
}

/**
 * A server that hands every accepted connection's bare handle to `onHandle`, to be closed there; or, where handles do not
 * look as expected, or `onHandle` is null, its paused socket to `onShell`. Not listening yet.
 */
export function createHandleServer(
  onHandle: ((handle: AcceptedHandle) => void) | null,
  onShell: (shell: net.Socket) => void,
): net.Server {
  const server = net.createServer(SHELL_OPTIONS, onShell);
  return onHandle === null ? server : takeHandles(server, isAcceptedHandle, onHandle);
}

/** The stream of a socket that has connected, and whose bytes nobody has read. */
export function takeOver(socket: net.Socket, owner: StreamOwner): ByteStream {
  const { _handle: handle } = socket as unknown as WithHandle;
  if (!isStreamHandle(handle)) {
    connect(socket, () => owner);
    return socket;
  }
  (socket as unknown as WithHandle)._handle = null;
  socket.destroy();
  const stream = new HandleStream(handle);
  stream.start(owner);
  return stream;
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

/** Accepted handles that are `usable` go to `onHandle`; Node makes sockets of the others. */
function takeHandles<H>(
  server: net.Server,
  usable: (handle: unknown) => handle is H,
  onHandle: (handle: H) => void,
): net.Server {
  return server.once('listening', () => {
    const { _handle: listening } = server as unknown as { _handle: ListeningHandle | null };
    if (listening === null || typeof listening.onconnection !== 'function') return;
    const makeSocket = listening.onconnection;
    listening.onconnection = function (status, handle) {
      if (status !== 0 || !usable(handle)) {
        makeSocket.call(this, status, handle);
        return;
      }
      (handle as { setNoDelay?: (on: boolean) => number }).setNoDelay?.(true);
      onHandle(handle);
    };
  });
}

function isAcceptedHandle(handle: unknown): handle is AcceptedHandle {
  if (typeof handle !== 'object' || handle === null) return false;
  const parts = handle as Record<string, unknown>;
  return METHODS.every((method) => typeof parts[method] === 'function') && typeof parts.bytesRead === 'number';
}

const METHODS = ['useUserBuffer', 'readStart', 'readStop', 'close'] as const;

/** Node's documented way. */
function connect(socket: net.Socket, onAccept: OnAccept): void {
  const owner = onAccept(socket);
  let cause: NodeJS.ErrnoException | null = null;
  socket.on('data', (bytes: Buffer) => owner.onBytes(bytes, 0, bytes.length));
  socket.on('error', (error) => {
    cause = error;
  });
  socket.on('end', () => owner.onEnd());
  socket.on('close', () => owner.onClose(cause));
  socket.resume();
}
