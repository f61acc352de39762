/**
 * One address as a listener thread serves it: its sockets, and by which settings their connections are served. Listener
 * threads.
 *
 * A listener may have several sockets, and its threads may share one: each has descriptors of its own, so that what waits
 * to be accepted is lost with the last of them alone.
 */

import { renameSync } from 'node:fs';
import type { ListenOptions, Server } from 'node:net';
import { dirname, join } from 'node:path';
import type { BindAddress, OpenedSocket, SocketSettings } from '../src/boards/listener-task.ts';
import { type AcceptedStream, createServer } from './accept.ts';
import type { StreamOwner } from './byte-stream.ts';
import type { ListenerTraits } from './downstream.ts';
import type { ListenerRoutes } from './listener-routes.ts';
import type { ThreadLog } from './thread-log.ts';
import type { TlsAcceptor } from './tls-accept.ts';
import type { TlsContexts } from './tls-contexts.ts';

/** Connections waiting to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

export class ServedListener {
  readonly id: number;
  readonly #traits: { routes: ListenerRoutes; readonly isTls: boolean };
  /** Null: plain. */
  readonly #acceptor: TlsAcceptor | null;
  readonly #newServer: () => Server;
  readonly #log: ThreadLog;
  readonly #onAcceptError: () => void;
  /** By the socket's id. */
  readonly #servers = new Map<number, Server>();

  constructor(
    id: number,
    routes: ListenerRoutes,
    createAcceptor: ((onSecure: (stream: AcceptedStream) => StreamOwner) => TlsAcceptor) | null,
    onConnection: (stream: AcceptedStream, traits: ListenerTraits) => StreamOwner,
    log: ThreadLog,
    onAcceptError: () => void,
  ) {
    this.id = id;
    this.#log = log;
    this.#onAcceptError = onAcceptError;
    this.#traits = { routes, isTls: createAcceptor !== null };
    const onAccept = (stream: AcceptedStream) => onConnection(stream, this.#traits);
    const acceptor = createAcceptor?.(onAccept) ?? null;
    this.#acceptor = acceptor;
    this.#newServer = () => (acceptor === null ? createServer(onAccept) : acceptor.createServer());
  }

  /** Serves requests and handshakes that come from now on, on open connections too. `contexts`: of a TLS listener alone. */
  moveTo(routes: ListenerRoutes, contexts: TlsContexts | null): void {
    this.#traits.routes = routes;
    if (contexts !== null) this.#acceptor?.moveTo(contexts);
  }

  serves(socket: number): boolean {
    return this.#servers.has(socket);
  }

  /** Accepts on one more socket. Rejects with a system error where it cannot. */
  async serve({ id, fd }: SocketSettings, address: BindAddress): Promise<OpenedSocket> {
    const server = this.#newServer();
    const bound = await listenOn(server, address, fd);
    this.#servers.set(id, server);
    // EMFILE and the like: the connection is lost, the server goes on
    server.on('error', (error: NodeJS.ErrnoException) => {
      this.#onAcceptError();
      this.#log.warn('cannot accept', { reason: error.code ?? error.message });
    });
    return { listener: this.id, socket: id, fd: descriptorOf(server), address: bound };
  }

  /** Accepts no more on sockets that are not in `sockets`. */
  retain(sockets: ReadonlySet<number>): void {
    for (const [id, server] of this.#servers) {
      if (sockets.has(id)) continue;
      this.#servers.delete(id);
      server.close();
    }
  }

  /** Accepts no more. Open connections go on. */
  close(): void {
    this.retain(new Set());
    if (this.#acceptor !== null) this.#acceptor.isClosed = true;
  }
}

/** Listens; resolves to the address, with the port that was taken. */
async function listenOn(server: Server, address: BindAddress, fd: number | null): Promise<BindAddress> {
  if (fd === null && address.kind === 'unix') return await listenOnPath(server, address);
  await listening(server, fd === null ? tcpOptions(address) : { fd });
  const bound = server.address();
  if (typeof bound === 'string') return { kind: 'unix', path: bound };
  if (bound === null) return address;
  return { kind: 'tcp', host: address.kind === 'tcp' ? address.host : bound.address, port: bound.port };
}

function tcpOptions(address: BindAddress): ListenOptions {
  if (address.kind !== 'tcp') throw new Error('a socket of the service manager is served by its descriptor alone');
  return { host: address.host, port: address.port, reusePort: true };
}

/**
 * The path that a server was bound to is unlinked when that server closes, though others may still serve the socket: so it
 * is bound to another name and moved. The main thread unlinks it in the end.
 */
async function listenOnPath(server: Server, address: BindAddress & { kind: 'unix' }): Promise<BindAddress> {
  const bound = join(dirname(address.path), `.${Math.random().toString(36).slice(2, 8)}`);
  await listening(server, { path: bound });
  try {
    renameSync(bound, address.path);
  } catch (error) {
    server.close();
    throw error;
  }
  return address;
}

function listening(server: Server, where: ListenOptions | { fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // of a descriptor, Node takes the backlog from here alone
    server.listen(where, BACKLOG, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Not public: where it does not look as expected, each thread keeps its sockets to itself. */
function descriptorOf(server: Server): number | null {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: unknown } | null };
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : null;
}
