/**
 * How many connections the admin API keeps, and which go first: whoever holds them without asking anything, or without
 * taking the answer, or for an answer that takes its time, must not keep others out. Main thread.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Of the connections, those that are kept for whoever has not asked yet: one in so many. */
const SPARE_PART = 8;

export interface ConnectionOptions {
  /** At least 2. */
  readonly connectionsMax: number;
  /** Whether `url` is answered at once, so that it takes no place. */
  readonly isQuick: (url: string) => boolean;
  /** Told the address of each connection that is ended, '' on a unix socket. */
  readonly onRefused: (address: string) => void;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Says of each request whether to answer it: where not, its connection has been ended. */
export type Admits = (request: IncomingMessage, response: ServerResponse) => boolean;

/** The result is to be asked about every request, before anything is done for it. */
export function limitConnections(server: Server, { connectionsMax, isQuick, onRefused }: ConnectionOptions): Admits {
  const askedMax = connectionsMax - Math.ceil(connectionsMax / SPARE_PART);
  /** Both the oldest first; a socket is in one of them. Invariant: asked.size <= askedMax, but while one is admitted. */
  const silent = new Set<Socket>();
  const asked = new Map<Socket, Asked>();
  const refuse = (socket: Socket) => {
    onRefused(socket.remoteAddress ?? '');
    silent.delete(socket);
    asked.delete(socket);
    socket.destroy();
  };
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => {
      silent.delete(socket);
      asked.delete(socket);
    });
    if (silent.size + asked.size <= connectionsMax) return;
    // by now who means well has asked; there is one, as not all places are for those who have
    const [oldest] = silent;
    if (oldest !== undefined) refuse(oldest);
  });
  return (request, response) => {
    const { socket, url = '' } = request;
    if (isQuick(url)) return true;
    if (!silent.delete(socket)) return false;
    asked.set(socket, { request, response });
    if (asked.size > askedMax) refuse(idleAmong(asked, socket) ?? socket);
    return !socket.destroyed;
  };
}

/** The oldest other than `newest` whose request does not come whole, or whose answer is written and not taken. */
function idleAmong(asked: ReadonlyMap<Socket, Asked>, newest: Socket): Socket | null {
  for (const [socket, { request, response }] of asked) {
    if (socket !== newest && (!request.complete || response.writableEnded)) return socket;
  }
  return null;
}
