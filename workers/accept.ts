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

/** A server that hands every accepted connection to `onAccept`. Not listening yet. `ownsHandles` false: all are Sockets. */
export function createServer(onAccept: OnAccept, ownsHandles = true): net.Server {
  const server = net.createServer(SHELL_OPTIONS, (socket) => connect(socket, onAccept));
  return ownsHandles ? takeHandles(server, onAccept) : server;
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

/** A client's address as it is logged and forwarded: IPv4 as such on a socket that serves both. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}

/** Accepted handles go to `onAccept` as streams; of those that cannot be used, Node makes sockets. */
function takeHandles(server: net.Server, onAccept: OnAccept): net.Server {
  return server.once('listening', () => {
    const { _handle: listening } = server as unknown as { _handle: ListeningHandle | null };
    if (listening === null || typeof listening.onconnection !== 'function') return;
    const makeSocket = listening.onconnection;
    listening.onconnection = function (status, handle) {
      if (status !== 0 || !isStreamHandle(handle)) {
        makeSocket.call(this, status, handle);
        return;
      }
      handle.setNoDelay?.(true);
      const stream = new HandleStream(handle);
      stream.start(onAccept(stream));
    };
  });
}

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
