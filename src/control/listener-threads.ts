/**
 * Listener threads one by one: how one is started, is given its sockets and boards, and changes what it serves. Main thread.
 */

import { lstatSync } from 'node:fs';
import { Piscina } from 'piscina';
import { AddressBoard } from '../boards/address-board.ts';
import type {
  CertificateSettings,
  DrainResult,
  OpenedSocket,
  RouteRef,
  ThreadSettings,
} from '../boards/listener-task.ts';
import { ServiceBoard } from '../boards/service-board.ts';
import { StatsBoard } from '../boards/stats-board.ts';
import { START_TIMEOUT_MS } from './heartbeat-watch.ts';
import type { ListeningSockets, SocketPlan } from './listening-sockets.ts';
import type { Log } from './log.ts';
import type { ServingPlan } from './serving-plan.ts';
import { removeStaleSocket } from './stale-socket.ts';
import { ListenError, ThreadLink, type ThreadMessage } from './thread-link.ts';
import { thisMachine, threadHeapMib } from './thread-memory.ts';
import type { ThreadSlot } from './thread-slot.ts';

/** Threads there can be at once, those that retire among them: rows of the stats board. */
export const THREADS_MAX = 256;
/** A thread that nothing is to run on any more ends. */
const IDLE_THREAD_MS = 1_000;
/** What listener.ts calls its task that only makes ready for others. */
const PRELOAD_TASK = 'preload';

/** What threads serve, and on which sockets. */
export interface Serving {
  readonly plan: ServingPlan;
  readonly sockets: SocketPlan;
}

export interface ListenerThreadsOptions {
  /** The key board. */
  readonly keys: SharedArrayBuffer;
  readonly sockets: ListeningSockets;
  readonly log: Log;
  readonly onMessage: (slot: ThreadSlot, message: ThreadMessage) => void;
  readonly onEnded: (slot: ThreadSlot, result: DrainResult | Error) => void;
}

export class ListenerThreads {
  readonly stats = StatsBoard.create(THREADS_MAX);
  readonly addresses = AddressBoard.create(THREADS_MAX);
  /** By thread: one for each that there ever was. */
  readonly serviceBoards: ServiceBoard[] = [];
  readonly #options: ListenerThreadsOptions;
  readonly #pool: Piscina;
  /** By route: the newest ones. */
  readonly #boards = new Map<number, SharedArrayBuffer>();
  readonly #starting = new Set<ThreadLink>();
  readonly #preloading = new AbortController();
  #preloaded: Promise<unknown> = Promise.resolve();
  #startsNoMore = false;

  constructor(options: ListenerThreadsOptions) {
    this.#options = options;
    this.#pool = new Piscina({
      // the built package holds .js where the sources hold .ts
      filename: new URL(`../../workers/listener${import.meta.url.slice(-3)}`, import.meta.url).href,
      minThreads: 0,
      maxThreads: THREADS_MAX,
      concurrentTasksPerWorker: 1,
      idleTimeout: IDLE_THREAD_MS,
      // a thread that waits for its next task in Atomics.wait would run no event loop
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: threadHeapMib(thisMachine()) },
    });
    this.#pool.on('error', (error: Error) => {
      options.log.error({ err: error }, 'listener thread pool');
      // one of them could not be started, and would be waited for until the start's timeout
      for (const link of this.#starting) link.kill();
      this.#preloading.abort();
    });
  }

  /**
   * Has so many threads load their code while the main thread does something else, and try what TLS needs where there is a
   * certificate: a thread's start is mostly that. They end again where none is started within IDLE_THREAD_MS, or where they
   * have not loaded it within START_TIMEOUT_MS: no start waits for longer.
   */
  preload(threads: number, certificate: CertificateSettings | null): void {
    const { signal } = this.#preloading;
    const tasks = Array.from({ length: threads }, () => this.#pool.run(certificate, { name: PRELOAD_TASK, signal }));
    const limit = setTimeout(() => this.#preloading.abort(), START_TIMEOUT_MS).unref();
    // where one cannot be had, the start of a thread says why
    this.#preloaded = Promise.allSettled(tasks).finally(() => clearTimeout(limit));
  }

  /** Of routes that are new: the board of one that is known may have been replaced since `boards` was made. */
  addBoards(boards: readonly RouteRef[]): void {
    for (const { id, buffer } of boards) if (!this.#boards.has(id)) this.#boards.set(id, buffer);
  }

  /** A larger board in place of a route's. For threads that are there, a message has to follow. */
  replaceBoard({ id, buffer }: RouteRef): void {
    this.#boards.set(id, buffer);
  }

  /** Forgets those of other routes. */
  retainBoards(boards: readonly RouteRef[]): void {
    const routes = new Set(boards.map(({ id }) => id));
    for (const id of this.#boards.keys()) if (!routes.has(id)) this.#boards.delete(id);
  }

  /** Resolves when the slot's new thread serves. Rejects where it does not come to that; it has ended then. */
  async start(slot: ThreadSlot, serving: Serving): Promise<void> {
    // a pool whose threads are busy loading would get one more
    await this.#preloaded;
    await this.#clearPaths(slot, serving);
    if (this.#startsNoMore) throw new Error('draining');
    // no wait from here until there is a link: boards that are replaced later are told to it
    const link = new ThreadLink(this.#pool, this.#taskFor(slot, serving), (message) =>
      this.#options.onMessage(slot, message),
    );
    slot.began(link);
    this.#starting.add(link);
    void link.ended.then((result) => this.#options.onEnded(slot, result));
    try {
      this.#opened(slot, serving, await link.serving);
      slot.isServing = true;
    } catch (error) {
      link.kill();
      await link.ended;
      throw error;
    } finally {
      this.#starting.delete(link);
    }
  }

  /**
   * Has the slot's thread open what `serving` asks for. Rejects with a ListenError. That it has ended is no error: its
   * replacement serves what is in force then.
   */
  async prepare(slot: ThreadSlot, serving: Serving): Promise<void> {
    const { link } = slot;
    if (link !== null) await this.#clearPaths(slot, serving);
    // descriptors made for one that has ended would be nobody's to close
    if (link === null || slot.link !== link) return;
    const settings = this.#settingsFor(slot, serving);
    try {
      this.#opened(slot, serving, await link.prepare(settings, this.#boardsFor(serving)));
    } catch (error) {
      if (error instanceof ListenError) throw error;
    }
  }

  /** Resolves when what was prepared is in force, or the thread has ended. */
  async commit(slot: ThreadSlot, { sockets }: Serving): Promise<void> {
    slot.retain(sockets);
    await slot.link?.commit();
  }

  startNoMore(): void {
    this.#startsNoMore = true;
  }

  /** Ends all at once. */
  async kill(): Promise<void> {
    await this.#pool.destroy();
  }

  #taskFor(slot: ThreadSlot, serving: Serving) {
    const { thread } = slot;
    this.addresses.clear(thread);
    while (this.serviceBoards.length <= thread) this.serviceBoards.push(ServiceBoard.create());
    return {
      thread,
      stats: this.stats.buffer,
      services: (this.serviceBoards[thread] as ServiceBoard).buffer,
      boards: this.#boardsFor(serving),
      addresses: this.addresses.buffer,
      keys: this.#options.keys,
      settings: this.#settingsFor(slot, serving),
    };
  }

  #boardsFor({ plan }: Serving): RouteRef[] {
    return plan.boards.map(({ id }) => ({ id, buffer: this.#boards.get(id) as SharedArrayBuffer }));
  }

  #settingsFor(slot: ThreadSlot, { plan, sockets }: Serving): ThreadSettings {
    const serves = (listener: number, socket: number) => slot.serves(listener, socket);
    return { ...plan.settings, listeners: this.#options.sockets.settingsFor(sockets, slot.thread, serves) };
  }

  #opened(slot: ThreadSlot, { sockets }: Serving, opened: readonly OpenedSocket[]): void {
    slot.opened(opened);
    this.#options.sockets.opened(sockets, slot.thread, opened);
  }

  /** Throws a ListenError where another program listens on a unix socket's path. */
  async #clearPaths({ thread }: ThreadSlot, { sockets }: Serving): Promise<void> {
    for (const { path, listener } of this.#options.sockets.pathsToOpen(sockets, thread)) {
      await removeStaleSocket(path);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
        throw new ListenError('EADDRINUSE', `${path} is there already`, listener);
      }
    }
  }
}
