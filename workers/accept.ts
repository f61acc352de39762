/**
 * Accepting client connections: the one file that knows how Node reads into a buffer of ours. Listener threads.
 *
 * net.connect documents `onread`, which reads into one buffer without allocating; for accepted sockets Node has no
 * documented way. Here the accepted socket's handle is taken out of the shell that net.Server made, and a second socket
 * is made around it with `onread`: 13 % of a request's cost. `_handle` is not public: where it does not look as
 * expected, the shell itself is used, with 'data' events.
 */

import net from 'node:net';
import { type ByteStream, HIGH_WATERMARK, READ_BUFFER, type StreamOwner } from './byte-stream.ts';

interface AdoptableHandle {
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
}

interface WithHandle {
  _handle: AdoptableHandle | null;
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
  const options = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATERMARK };
  return net.createServer(options, (shell) => {
    const handle = (shell as unknown as WithHandle)._handle;
    if (canAdopt(handle)) adopt(shell, handle, onAccept);
    else useShell(shell, onAccept);
  });
}

function canAdopt(handle: AdoptableHandle | null): handle is AdoptableHandle {
  return typeof handle?.useUserBuffer === 'function' && typeof handle.readStart === 'function';
}

function adopt(shell: net.Socket, handle: AdoptableHandle, onAccept: OnAccept): void {
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
