/**
 * A listener thread: attaches to the boards, listens, proxies, and drains when told to. The entry that Piscina runs,
 * one never-ending task a thread.
 *
 * An exception that nobody catches ends this thread, and with it its connections; the supervisor puts another in its
 * place. The other threads do not notice.
 */

import type { Server } from 'node:net';
import { KeyBoard } from '../src/boards/key-board.ts';
import type {
  BindAddress,
  DrainResult,
  FromListener,
  ListenerSettings,
  ListenerTask,
  ToListener,
} from '../src/boards/listener-task.ts';
import { RouteBoard } from '../src/boards/route-board.ts';
import { StatsBoard } from '../src/boards/stats-board.ts';
import { type AcceptedStream, createServer } from './accept.ts';
import { AccessLog } from './access-log.ts';
import { Downstream, type ListenerTraits } from './downstream.ts';
import { ListenerRoutes } from './listener-routes.ts';
import { NodePool } from './node-pool.ts';
import { Service } from './service.ts';
import { ThreadContext } from './thread-context.ts';
import { ThreadLog } from './thread-log.ts';
import { TicketKeys } from './ticket-keys.ts';
import { TlsListeners } from './tls-listeners.ts';

/** Connections are cut this long before the drain timeout, so that the program has ended when it comes. */
const CUT_MARGIN_MS = 300;
/** For connections that were cut to close. */
const CUT_GRACE_MS = 100;

/** Runs until drained; resolves to how many connections the drain timeout cut. */
export default async function listen(task: ListenerTask): Promise<DrainResult> {
  // Node makes an error for every TLS connection that ends early: to format stacks is 5 % of what such a connection costs
  if (task.settings.listeners.some(({ tls }) => tls !== null)) Error.stackTraceLimit = 0;
  const thread = new ListenerThread(task);
  const drained = thread.run();
  return await drained;
}

class ListenerThread {
  readonly #task: ListenerTask;
  readonly #context: ThreadContext;
  readonly #pools: NodePool[];
  readonly #servers: Server[] = [];
  readonly #tls: TlsListeners;
  readonly #connections = new Set<Downstream>();
  #connectionsCut = 0;
  #onDrained: ((result: DrainResult) => void) | null = null;

  constructor(task: ListenerTask) {
    this.#task = task;
    const row = new StatsBoard(task.stats).row(task.thread);
    const log = new ThreadLog(task.port, task.thread);
    const accessLog = task.settings.accessLog === null ? null : new AccessLog(task.settings.accessLog, log);
    const keys = new TicketKeys(new KeyBoard(task.keys));
    this.#context = new ThreadContext(task.thread, row, log, accessLog, keys, task.settings);
    this.#tls = new TlsListeners(this.#context);
    this.#tls.onHandshakeOver = () => this.#finishIfDrained();
    this.#pools = task.boards.map((buffer) => new NodePool(new RouteBoard(buffer), this.#context));
  }

  run(): Promise<DrainResult> {
    this.#task.port.on('message', (message: ToListener) => this.#onMessage(message));
    const drained = new Promise<DrainResult>((resolve) => {
      this.#onDrained = resolve;
    });
    void this.#listenAll();
    return drained;
  }

  async #listenAll(): Promise<void> {
    const { listeners } = this.#task.settings;
    const services = this.#task.settings.services.map((s) => new Service(s, this.#pools[s.route] as NodePool));
    const addresses: (BindAddress | null)[] = [];
    for (const [index, listener] of listeners.entries()) {
      if (listener.address === null) {
        addresses.push(null);
        continue;
      }
      try {
        const server = await this.#createServer(index, listener, services);
        addresses.push(await listenOn(server, listener.address));
        this.#servers.push(server);
        // EMFILE and the like: the connection is lost, the server goes on
        server.on('error', (error: NodeJS.ErrnoException) => {
          this.#context.log.warn('cannot accept', { reason: error.code ?? error.message });
        });
      } catch (error) {
        const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
        this.#send({ type: 'listen-failed', listener: index, code, message });
        return;
      }
    }
    this.#send({ type: 'listening', addresses });
  }

  /** Throws where the listener's TLS settings cannot be used. */
  async #createServer(index: number, listener: ListenerSettings, services: readonly Service[]): Promise<Server> {
    const traits = { routes: new ListenerRoutes(listener, services), isTls: listener.tls !== null };
    const onAccept = (stream: AcceptedStream) => this.#onConnection(stream, traits);
    return listener.tls === null ? createServer(onAccept) : await this.#tls.create(index, listener.tls, onAccept);
  }

  #onConnection(stream: AcceptedStream, traits: ListenerTraits): Downstream {
    const connection = new Downstream(stream, this.#context, traits, this.#onGone);
    this.#connections.add(connection);
    // a handshake that was under way when the drain began: the request that came with its end is answered
    if (this.#context.isDraining) setImmediate(() => connection.drain());
    return connection;
  }

  #send(message: FromListener): void {
    this.#task.port.postMessage(message);
  }

  #onMessage(message: ToListener): void {
    if (message.type === 'board') this.#pools[message.index]?.moveTo(message.buffer);
    else if (message.type === 'reopen-logs') this.#context.accessLog?.reopen();
    else if (message.type === 'tls') this.#tls.update(message.listeners);
    else this.#drain();
  }

  /** No new connections; idle ones close now, the others after their response; what is left at the timeout is cut. */
  #drain(): void {
    if (this.#context.isDraining) return;
    this.#context.isDraining = true;
    for (const server of this.#servers) server.close();
    this.#tls.drain();
    for (const pool of this.#pools) pool.closeIdle();
    for (const connection of this.#connections) connection.drain();
    setTimeout(() => this.#cut(), Math.max(0, this.#task.settings.drainTimeoutMs - CUT_MARGIN_MS));
    this.#finishIfDrained();
  }

  #cut(): void {
    this.#connectionsCut = this.#connections.size;
    this.#tls.cut();
    for (const connection of this.#connections) connection.cut();
    // their ends are told, and logged, in the next turns of the event loop
    setTimeout(() => void this.#finish(), CUT_GRACE_MS);
  }

  readonly #onGone = (connection: Downstream): void => {
    this.#connections.delete(connection);
    this.#finishIfDrained();
  };

  #finishIfDrained(): void {
    const isDone = this.#connections.size === 0 && this.#tls.handshakes === 0;
    if (this.#context.isDraining && isDone) void this.#finish();
  }

  async #finish(): Promise<void> {
    const onDrained = this.#onDrained;
    if (onDrained === null) return;
    this.#onDrained = null;
    this.#context.wheel.stop();
    await this.#context.accessLog?.close();
    onDrained({ connectionsCut: this.#connectionsCut });
  }
}

/** Listens; resolves to the address with the port that was taken. */
function listenOn(server: Server, address: BindAddress): Promise<BindAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const onListening = () => {
      server.off('error', reject);
      const bound = server.address();
      if (address.kind === 'tcp' && typeof bound === 'object' && bound !== null) {
        resolve({ kind: 'tcp', host: address.host, port: bound.port });
      } else resolve(address);
    };
    if (address.kind === 'unix') server.listen({ path: address.path, backlog: BACKLOG }, onListening);
    else server.listen({ host: address.host, port: address.port, reusePort: true, backlog: BACKLOG }, onListening);
  });
}

/** Connections waiting to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;
