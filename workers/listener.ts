/**
 * A listener thread: attaches to the boards, listens, proxies, and drains when told to. The entry that Piscina runs,
 * one never-ending task a thread.
 *
 * An exception that nobody catches ends this thread, and with it its connections; the supervisor puts another in its
 * place. The other threads do not notice.
 *
 * Settings change in two steps, so that all threads change or none does: `prepare` makes all that may fail, `commit` puts
 * it in force within one turn of the event loop. A request that is under way ends as it began.
 */

import { isDeepStrictEqual } from 'node:util';
import { AddressBoard } from '../src/boards/address-board.ts';
import { KeyBoard } from '../src/boards/key-board.ts';
import type {
  CertificateSettings,
  DrainResult,
  FromListener,
  ListenerSettings,
  ListenerTask,
  OpenedSocket,
  RouteRef,
  ThreadSettings,
  ToListener,
} from '../src/boards/listener-task.ts';
import { RouteBoard } from '../src/boards/route-board.ts';
import { ServiceBoard } from '../src/boards/service-board.ts';
import { StatsBoard } from '../src/boards/stats-board.ts';
import { type AcceptedStream, plainAddress } from './accept.ts';
import { AccessLog } from './access-log.ts';
import type { StreamOwner } from './byte-stream.ts';
import { ADMISSION } from './connection-limits.ts';
import { Downstream, type ListenerTraits } from './downstream.ts';
import { ListenerRoutes } from './listener-routes.ts';
import { NodePool } from './node-pool.ts';
import { RefusedConnections } from './refused-connection.ts';
import { ServedListener } from './served-listener.ts';
import { Service } from './service.ts';
import { ThreadContext } from './thread-context.ts';
import { ThreadLog } from './thread-log.ts';
import { TicketKeys } from './ticket-keys.ts';
import { provenTicketCallback } from './ticket-proof.ts';
import type { TlsContexts } from './tls-contexts.ts';
import { TlsListeners } from './tls-listeners.ts';

/** Connections are cut this long before the drain timeout, so that the program has ended when it comes. */
const CUT_MARGIN_MS = 300;
/** For connections that were cut to close. */
const CUT_GRACE_MS = 100;

/** Runs until drained; resolves to how many connections the drain timeout cut. */
export default async function listen(task: ListenerTask): Promise<DrainResult> {
  return await new ListenerThread(task).run();
}

/** A task before the one that listens: whichever comes, the thread has loaded all of this, and tried `certificate`. */
export async function preload(certificate: CertificateSettings | null): Promise<void> {
  if (certificate !== null) await provenTicketCallback(certificate);
}

/** What is in force after the next commit. */
interface Prepared {
  readonly settings: ThreadSettings;
  readonly listeners: readonly PreparedListener[];
  readonly opened: readonly OpenedSocket[];
}

interface PreparedListener {
  readonly served: ServedListener;
  readonly routes: ListenerRoutes;
  /** Null: plain, or as they were. */
  readonly contexts: TlsContexts | null;
  readonly settings: ListenerSettings;
}

class ListenFailure extends Error {
  readonly listener: number;
  readonly untaken: readonly number[];
  constructor(listener: number, untaken: readonly number[], cause: unknown) {
    super('a listener cannot be served', { cause });
    this.listener = listener;
    this.untaken = untaken;
  }
}

class ListenerThread {
  readonly #task: ListenerTask;
  readonly #context: ThreadContext;
  /** By route. Those that are prepared are among them. */
  readonly #pools = new Map<number, NodePool>();
  readonly #tls: TlsListeners;
  /** In force, by id. */
  #listeners = new Map<number, PreparedListener>();
  #settings: ThreadSettings;
  #prepared: Prepared | null = null;
  readonly #connections = new Set<Downstream>();
  readonly #refused: RefusedConnections;
  #connectionsCut = 0;
  #onDrained: ((result: DrainResult) => void) | null = null;

  constructor(task: ListenerTask) {
    const { settings, thread, port } = task;
    this.#task = task;
    this.#settings = settings;
    const log = new ThreadLog(port, thread);
    const accessLog = settings.accessLog === null ? null : new AccessLog(settings.accessLog, log);
    const keys = new TicketKeys(new KeyBoard(task.keys));
    const boards = {
      stats: new StatsBoard(task.stats),
      services: new ServiceBoard(task.services),
      addresses: new AddressBoard(task.addresses),
    };
    this.#context = new ThreadContext(thread, boards, log, accessLog, keys, settings);
    this.#refused = new RefusedConnections(this.#context.wheel, settings.refusalsMax);
    this.#tls = new TlsListeners(this.#context);
    this.#tls.onHandshakeOver = () => this.#finishIfOver();
  }

  run(): Promise<DrainResult> {
    const { port, settings, boards } = this.#task;
    port.on('message', (message: ToListener) => this.#onMessage(message));
    process.on('exit', this.#acceptNoMore);
    const drained = new Promise<DrainResult>((resolve) => {
      this.#onDrained = resolve;
    });
    void this.#prepareAndSay(settings, boards).then(() => this.#commit());
    return drained;
  }

  /**
   * For an end of the thread that its own JavaScript brings: its event loop comes by the sockets once more when none can run
   * any longer, and would take clients that nobody answers from those who serve on. Ended from outside, or out of memory, it
   * is not asked.
   */
  readonly #acceptNoMore = (): void => {
    for (const { served } of this.#listeners.values()) served.close();
    for (const { served } of this.#prepared?.listeners ?? []) served.close();
  };

  async #prepareAndSay(settings: ThreadSettings, boards: readonly RouteRef[]): Promise<void> {
    try {
      this.#prepared = await this.#prepare(settings, boards);
      // a drain that came meanwhile has closed what was in force alone
      if (this.#context.isDraining) this.#abort();
      this.#send({ type: 'listening', opened: this.#prepared?.opened ?? [] });
    } catch (error) {
      if (!(error instanceof ListenFailure)) throw error;
      const { listener, untaken, cause } = error;
      const { code = 'UNKNOWN', message } = cause as NodeJS.ErrnoException;
      this.#send({ type: 'listen-failed', listener, untaken, code, message });
    }
  }

  /** Makes what may fail. Rejects with a ListenFailure, and has opened nothing then. */
  async #prepare(settings: ThreadSettings, boards: readonly RouteRef[]): Promise<Prepared> {
    // Node makes an error for every TLS connection that ends early: to format stacks is 5 % of what such a connection costs
    if (settings.listeners.some(({ tls }) => tls !== null)) Error.stackTraceLimit = 0;
    for (const { id, buffer } of boards) {
      if (!this.#pools.has(id)) this.#pools.set(id, new NodePool(id, new RouteBoard(buffer), this.#context));
    }
    const services = settings.services.map((s) => new Service(s, this.#pools.get(s.route) as NodePool));
    const listeners: PreparedListener[] = [];
    const opened: OpenedSocket[] = [];
    const prepared = { settings, listeners, opened };
    const untaken = new Set(settings.listeners.flatMap(({ sockets }) => sockets.flatMap(({ fd }) => fd ?? [])));
    for (const listener of settings.listeners) {
      try {
        const one = await this.#prepareListener(listener, services);
        listeners.push(one);
        for (const socket of listener.sockets) {
          if (one.served.serves(socket.id)) continue;
          if (socket.fd !== null) untaken.delete(socket.fd);
          opened.push(await one.served.serve(socket, listener.address));
        }
      } catch (error) {
        this.#undo(prepared);
        throw new ListenFailure(listener.id, [...untaken], error);
      }
    }
    return prepared;
  }

  async #prepareListener(settings: ListenerSettings, services: readonly Service[]): Promise<PreparedListener> {
    const routes = new ListenerRoutes(settings, services);
    const before = this.#listeners.get(settings.id);
    const isSameTls = before !== undefined && isDeepStrictEqual(before.settings.tls, settings.tls);
    const contexts = settings.tls === null || isSameTls ? null : await this.#tls.contexts(settings.tls);
    const served = before?.served ?? this.#newListener(settings.id, routes, contexts);
    return { served, routes, contexts, settings };
  }

  #newListener(id: number, routes: ListenerRoutes, contexts: TlsContexts | null): ServedListener {
    const createAcceptor =
      contexts === null
        ? null
        : (onSecure: (stream: AcceptedStream) => StreamOwner) => this.#tls.create(contexts, onSecure);
    const onConnection = (stream: AcceptedStream, traits: ListenerTraits) => this.#onConnection(stream, traits);
    const { log } = this.#context;
    return new ServedListener(id, routes, createAcceptor, onConnection, log, () => {
      this.#context.count('acceptErrors');
      this.#context.limits.onShortage();
    });
  }

  /** Puts what was prepared in force. */
  #commit(): void {
    const prepared = this.#prepared;
    if (prepared === null) return;
    this.#prepared = null;
    const { settings } = prepared;
    for (const { served, routes, contexts, settings: listener } of prepared.listeners) {
      served.moveTo(routes, contexts);
      served.retain(new Set(listener.sockets.map(({ id }) => id)));
    }
    const listeners = new Map(prepared.listeners.map((one) => [one.served.id, one]));
    for (const [id, { served }] of this.#listeners) if (!listeners.has(id)) served.close();
    this.#listeners = listeners;
    this.#context.setLimits(settings);
    this.#refused.toldMax = settings.refusalsMax;
    this.#moveAccessLog(settings.accessLog);
    this.#settings = settings;
    this.#forgetPools();
  }

  #abort(): void {
    if (this.#prepared !== null) this.#undo(this.#prepared);
    this.#prepared = null;
    this.#forgetPools();
  }

  /** Closes what was opened for settings that will not be in force. */
  #undo({ listeners }: Prepared): void {
    for (const { served } of listeners) {
      const before = this.#listeners.get(served.id);
      if (before === undefined) served.close();
      else served.retain(new Set(before.settings.sockets.map(({ id }) => id)));
    }
  }

  /** Requests that are under way end on the pools that they began on. */
  #forgetPools(): void {
    const routes = new Set(this.#settings.services.map(({ route }) => route));
    for (const [id, pool] of this.#pools) {
      if (routes.has(id)) continue;
      this.#pools.delete(id);
      pool.close();
    }
  }

  #moveAccessLog(file: string | null): void {
    if (file === this.#settings.accessLog) return;
    void this.#context.accessLog?.close();
    this.#context.accessLog = file === null ? null : new AccessLog(file, this.#context.log);
  }

  #onConnection(stream: AcceptedStream, traits: ListenerTraits): StreamOwner {
    // one over TLS was let in before its handshake
    if (!traits.isTls) {
      const admission = this.#context.limits.admit(plainAddress(stream.remoteAddress));
      if (admission !== ADMISSION.admitted) return this.#refused.refuse(stream, admission);
    }
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
    switch (message.type) {
      case 'prepare':
        void this.#prepareAndSay(message.settings, message.boards);
        return;
      case 'commit':
        this.#commit();
        this.#send({ type: 'committed' });
        return;
      case 'abort':
        this.#abort();
        return;
      case 'board':
        this.#pools.get(message.route.id)?.moveTo(message.route.buffer);
        return;
      case 'reopen-logs':
        this.#context.accessLog?.reopen();
        return;
      case 'retire':
        this.#context.isRetiring = true;
        this.#finishIfOver();
        return;
      case 'drain':
        this.#drain();
    }
  }

  /** No new connections; idle ones close now, the others after their response; what is left at the timeout is cut. */
  #drain(): void {
    if (this.#context.isDraining) return;
    this.#context.isDraining = true;
    for (const { served } of this.#listeners.values()) served.close();
    this.#abort();
    this.#tls.drain();
    this.#closeIdleUpstreams();
    for (const connection of this.#connections) connection.drain();
    setTimeout(() => this.#cut(), Math.max(0, this.#settings.drainTimeoutMs - CUT_MARGIN_MS));
    this.#finishIfOver();
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
    this.#finishIfOver();
  };

  #finishIfOver(): void {
    const isDone = this.#connections.size === 0 && this.#tls.handshakes === 0;
    if (this.#context.isEnding && isDone) void this.#finish();
  }

  async #finish(): Promise<void> {
    const onDrained = this.#onDrained;
    if (onDrained === null) return;
    this.#onDrained = null;
    // the thread may listen again
    process.off('exit', this.#acceptNoMore);
    this.#context.wheel.stop();
    this.#closeIdleUpstreams();
    await this.#context.accessLog?.close();
    onDrained({ connectionsCut: this.#connectionsCut });
  }

  #closeIdleUpstreams(): void {
    for (const pool of this.#pools.values()) pool.closeIdle();
  }
}
