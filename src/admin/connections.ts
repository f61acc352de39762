/**
 * How many connections the admin API keeps, and which go first: whoever holds them without asking anything, or without
 * taking the answer, must not keep others out. Main thread.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** `onRefused` is told the address of each connection that is ended, '' on a unix socket. */
export function limitConnections(server: Server, connectionsMax: number, onRefused: (address: string) => void): void {
  /** The oldest first; null: no head has come yet. */
  const open = new Map<Socket, Asked | null>();
  server.on('connection', (socket: Socket) => {
    open.set(socket, null);
    socket.once('close', () => open.delete(socket));
    if (open.size <= connectionsMax) return;
    const victim = findVictim(open);
    onRefused(victim.remoteAddress ?? '');
    open.delete(victim);
    victim.destroy();
  });
  server.on('request', (request, response) => {
    if (open.has(request.socket)) open.set(request.socket, { request, response });
  });
}

/** The newest, which has not asked, is among them: where all others are being answered, it has to go. */
function findVictim(open: ReadonlyMap<Socket, Asked | null>): Socket {
  const all = [...open];
  const silent = all.find(([, asked]) => asked === null || !asked.request.complete);
  const newest = all.at(-1);
  // its answer is written, and all that is left is its own to do
  const unread = all.find(([, asked]) => asked?.response.writableEnded);
  const [victim] = (silent === newest ? (unread ?? newest) : silent) as [Socket, Asked | null];
  return victim;
}
