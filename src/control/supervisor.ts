/**
 * Keeps the listener threads running: starts one a slot, replaces one that dies or hangs, changes what they all serve,
 * drains them. Main thread.
 *
 *   starting ─► serving ─► (dies, or its heartbeat stands still) ─► waiting, with back-off ─► starting
 *                  └─────► (one thread too many) ─► retiring: its connections end by themselves ─► gone
 *
 * A slot's thread may die at any time without harm to the others: they share boards, and each writes its own words. Starts
 * and changes follow one another, so that a thread is never started with settings that are about to change.
 */

import { lstatSync } from 'node:fs';
import { Piscina } from 'piscina';
import type { BindAddress, DrainResult, FromListener, RouteRef, ThreadSettings } from '../boards/listener-task.ts';
import { ServiceBoard } from '../boards/service-board.ts';
import { StatsBoard } from '../boards/stats-board.ts';
import { ListeningSockets, type PassedSockets, type SocketPlan } from './listening-sockets.ts';
import type { Log } from './log.ts';
import { removeStaleSocket } from './stale-socket.ts';
import type { WorkerStatus } from './status.ts';
import { ListenError, ThreadLink, type ThreadMessage } from './thread-link.ts';
import type { ListenerPlan } from './thread-settings.ts';

/** Slots there can be, those of retiring threads among them: rows of the stats board. */
export const THREADS_MAX = 256;
const HEARTBEAT_CHECK_MS = 250;
const LATE_CHECK_MS = 1_000;
/** Ten heartbeats, and a check. */
const ALIVE_MS = 1_000 + HEARTBEAT_CHECK_MS;
/** Loading the thread's code can take long on a busy machine. */
const START_TIMEOUT_MS = 30_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** How long it may take until another thread is in a dead one's place. */
export const REPLACEMENT_MS_MAX = BACKOFF_MS_MAX + START_TIMEOUT_MS;
/** A thread that lived this long is not part of a series of failures. */
const STEADY_MS = 30_000;
/** Past the drain timeout, for threads that cannot even cut their connections. */
const DRAIN_GRACE_MS = 500;
/** A thread that nothing is to run on any more ends. */
const IDLE_THREAD_MS = 1_000;

/** What the threads serve. */
export interface ServingPlan {
  readonly workers: number;
  readonly hangTimeoutMs: number;
  readonly settings: Omit<ThreadSettings, 'listeners'>;
  readonly listeners: readonly ListenerPlan[];
  /** A board for each route that a service names. */
  readonly boards: readonly RouteRef[];
}

export interface SupervisorOptions {
  /** The key board. */
  readonly keys: SharedArrayBuffer;
  readonly passedSockets: PassedSockets;
  readonly log: Log;
  readonly onNodeMark: (thread: number, mark: FromListener & { type: 'node-mark' }) => void;
  /** Whatever it wrote on the boards is what it leaves. */
  readonly onThreadEnded: (thread: number) => void;
}

interface Slot {
  readonly thread: number;
  link: ThreadLink | null;
  isServing: boolean;
  isRetiring: boolean;
  /** Listener and socket of what its thread serves. */
  readonly served: Set<string>;
  /** performance.now() of the start, and of the last heartbeat seen. */
  startedMs: number;
  aliveMs: number;
  heartbeat: number;
  failures: number;
}

interface InForce {
  readonly plan: ServingPlan;
  readonly sockets: SocketPlan;
}

export class Supervisor {
  readonly stats = StatsBoard.create(THREADS_MAX);
  /** By thread: one for each that there ever was. */
  readonly serviceBoards: ServiceBoard[] = [];
  readonly #options: SupervisorOptions;
  readonly #sockets: ListeningSockets;
  readonly #pool: Piscina;
  /** By route. */
  readonly #boards = new Map<number, SharedArrayBuffer>();
  #slots: Slot[] = [];
  readonly #retiring = new Set<Slot>();
  #inForce: InForce | null = null;
  #watch: NodeJS.Timeout | null = null;
  #isDraining = false;
  #checkedMs = 0;
  /** Back-offs under way. */
  readonly #waits = new Set<NodeJS.Timeout>();
  /** The last of the starts and changes, which follow one another. */
  #last: Promise<unknown> = Promise.resolve();
  /** Threads replaced since the start. */
  replaced = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#sockets = new ListeningSockets(options.passedSockets);
    this.#pool = new Piscina({
      // the built package holds .js where the sources hold .ts
      filename: new URL(`../../workers/listener${import.meta.url.slice(-3)}`, import.meta.url).href,
      minThreads: 0,
      maxThreads: THREADS_MAX,
      concurrentTasksPerWorker: 1,
      idleTimeout: IDLE_THREAD_MS,
      // a thread that waits for its next task in Atomics.wait would run no event loop
      atomics: 'disabled',
    });
    this.#pool.on('error', (error: Error) => options.log.error({ err: error }, 'listener thread pool'));
  }

  /**
   * Starts all threads; resolves to the addresses they listen on, when they do. Rejects with a ListenError where an
   * address cannot be had; nothing is left running then.
   */
  async start(plan: ServingPlan): Promise<BindAddress[]> {
    try {
      const addresses = await this.apply(plan, async () => {});
      this.#watch = setInterval(() => this.#checkHeartbeats(), HEARTBEAT_CHECK_MS);
      return addresses;
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /**
   * The threads that `workers` would run on. Fewer where too many that retire are still there. A row for each must be on
   * every board before `apply`.
   */
  threadsFor(workers: number): number[] {
    const threads = this.#slots.slice(0, workers).map(({ thread }) => thread);
    const taken = new Set([...this.#slots, ...this.#retiring].map(({ thread }) => thread));
    for (let thread = 0; threads.length < workers && thread < THREADS_MAX; thread++) {
      if (!taken.has(thread)) threads.push(thread);
    }
    return threads;
  }

  /**
   * Has the threads serve `plan`: all of it, or none where it rejects (with a ListenError where an address cannot be had).
   * Open connections go on, and nothing that waits to be accepted is lost, but on an address that the plan does not name.
   * `beforeCommit` is awaited when nothing can fail any more. Resolves to the addresses, when the plan is in force.
   */
  apply(plan: ServingPlan, beforeCommit: () => Promise<void>): Promise<BindAddress[]> {
    return this.#inTurn(() => this.#apply(plan, beforeCommit));
  }

  /** Gives every thread, present and future, a larger board in place of a route's. */
  replaceBoard(route: RouteRef): void {
    this.#boards.set(route.id, route.buffer);
    for (const { link } of this.#all()) link?.post({ type: 'board', route });
  }

  /** Has every thread open its log files anew. */
  reopenLogs(): void {
    for (const { link } of this.#all()) link?.post({ type: 'reopen-logs' });
  }

  /** All threads serve, and have shown that their event loops turn within the last second. */
  get areAllAlive(): boolean {
    const now = performance.now();
    return this.#slots.every(({ isServing, aliveMs }) => isServing && now - aliveMs < ALIVE_MS);
  }

  get retiring(): number {
    return this.#retiring.size;
  }

  workers(): WorkerStatus[] {
    return this.#all().map(({ thread, isServing, isRetiring }) => ({
      thread,
      state: isRetiring ? 'retiring' : isServing ? 'serving' : 'starting',
      connections: this.stats.read(thread, 'connectionsOpen'),
      requests: this.stats.read(thread, 'requestsTotal'),
    }));
  }

  /** Ends all threads when their requests are answered, or at the drain timeout. Resolves to the connections cut. */
  async drain(): Promise<number> {
    this.#replaceNoMore();
    const running = this.#all().flatMap(({ link }) => link ?? []);
    for (const link of running) link.post({ type: 'drain' });
    this.#sockets.close();
    const timeoutMs = this.#inForce?.plan.settings.drainTimeoutMs ?? 0;
    const limit = new Promise<null>((resolve) => {
      setTimeout(() => resolve(null), timeoutMs + DRAIN_GRACE_MS).unref();
    });
    // a thread that cannot end takes nothing from what the others report
    const results = await Promise.all(running.map(({ ended }) => Promise.race([ended, limit])));
    await this.kill();
    return results.reduce((cut, result) => cut + connectionsCut(result), 0);
  }

  /** Ends all threads at once. */
  async kill(): Promise<void> {
    this.#replaceNoMore();
    this.#sockets.close();
    await this.#pool.destroy();
  }

  #replaceNoMore(): void {
    this.#isDraining = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    for (const wait of this.#waits) clearTimeout(wait);
  }

  #all(): Slot[] {
    return [...this.#slots, ...this.#retiring];
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #apply(plan: ServingPlan, beforeCommit: () => Promise<void>): Promise<BindAddress[]> {
    if (this.#isDraining) throw new Error('draining');
    for (const { id, buffer } of plan.boards) this.#boards.set(id, buffer);
    const slots = this.threadsFor(plan.workers).map((thread) => this.#slotOf(thread));
    const leaving = this.#slots.filter((slot) => !slots.includes(slot));
    // a thread that waits for its replacement opens what is its own when it comes; the others need not wait for that
    const live = slots.filter((slot) => slot.isServing || !this.#slots.includes(slot));
    const order = [...live, ...slots.filter((slot) => !live.includes(slot))];
    const sockets = this.#sockets.plan(
      plan.listeners,
      order.map(({ thread }) => thread),
    );
    const next: InForce = { plan, sockets };
    try {
      await this.#prepareAll([...live, ...leaving.filter(({ isServing }) => isServing)], next);
      await beforeCommit();
      if (this.#isDraining) throw new Error('draining');
    } catch (error) {
      await this.#undo(slots, sockets);
      throw error instanceof ListenError ? byIndex(error, sockets) : error;
    }
    this.#inForce = next;
    this.#slots = slots;
    await Promise.all([...slots, ...leaving].map((slot) => this.#commit(slot, sockets)));
    for (const slot of leaving) this.#retire(slot);
    this.#sockets.adopt(sockets);
    const routes = new Set(plan.boards.map(({ id }) => id));
    for (const id of this.#boards.keys()) if (!routes.has(id)) this.#boards.delete(id);
    return ListeningSockets.addresses(sockets);
  }

  #slotOf(thread: number): Slot {
    const known = this.#slots.find((slot) => slot.thread === thread);
    if (known !== undefined) return known;
    const none = { link: null, isServing: false, isRetiring: false, served: new Set<string>() };
    return { thread, ...none, startedMs: 0, aliveMs: 0, heartbeat: 0, failures: 0 };
  }

  /** One thread first: it takes the ports that the kernel chooses, and opens what the others share. */
  async #prepareAll([first, ...others]: readonly Slot[], next: InForce): Promise<void> {
    if (first === undefined) return;
    await this.#prepare(first, next);
    const results = await Promise.allSettled(others.map((slot) => this.#prepare(slot, next)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #prepare(slot: Slot, next: InForce): Promise<void> {
    const { link } = slot;
    if (link === null) return await this.#startThread(slot, next);
    await this.#clearPaths(slot, next);
    try {
      const opened = await link.prepare(this.#settingsFor(slot, next), next.plan.boards);
      this.#opened(slot, next, opened);
    } catch (error) {
      if (error instanceof ListenError) throw error;
      // it died: its replacement begins with what is in force then
    }
  }

  /** Nothing is to listen on what was prepared. */
  async #undo(slots: readonly Slot[], sockets: SocketPlan): Promise<void> {
    for (const { link } of this.#slots) link?.post({ type: 'abort' });
    for (const slot of this.#slots) if (this.#inForce !== null) forgetUnplanned(slot, this.#inForce.sockets);
    const fresh = slots.filter((slot) => !this.#slots.includes(slot)).flatMap(({ link }) => link ?? []);
    for (const link of fresh) link.kill();
    await Promise.all(fresh.map(({ ended }) => ended));
    this.#sockets.abandon(sockets);
  }

  async #commit(slot: Slot, sockets: SocketPlan): Promise<void> {
    forgetUnplanned(slot, sockets);
    await slot.link?.commit();
  }

  #retire(slot: Slot): void {
    if (slot.link === null) return;
    slot.isRetiring = true;
    this.#retiring.add(slot);
    slot.link.post({ type: 'retire' });
  }

  #settingsFor(slot: Slot, { plan, sockets }: InForce): ThreadSettings {
    const serves = (listener: number, socket: number) => slot.served.has(keyOf(listener, socket));
    return { ...plan.settings, listeners: this.#sockets.settingsFor(sockets, slot.thread, serves) };
  }

  #opened(slot: Slot, { sockets }: InForce, opened: Parameters<ListeningSockets['opened']>[2]): void {
    for (const { listener, socket } of opened) slot.served.add(keyOf(listener, socket));
    this.#sockets.opened(sockets, slot.thread, opened);
  }

  /** Throws a ListenError where another program listens on a unix socket's path. */
  async #clearPaths({ thread }: Slot, { sockets }: InForce): Promise<void> {
    for (const { path, listener } of this.#sockets.pathsToOpen(sockets, thread)) {
      await removeStaleSocket(path);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
        throw new ListenError('EADDRINUSE', `${path} is there already`, listener);
      }
    }
  }

  /** Resolves when the slot's new thread serves. Rejects where it does not come to that; no other is started then. */
  async #startThread(slot: Slot, next: InForce): Promise<void> {
    const { thread } = slot;
    slot.served.clear();
    await this.#clearPaths(slot, next);
    if (this.#isDraining) throw new Error('draining');
    // boards are those of this moment, with no wait until there is a link: what changes later is posted to it
    const boards = next.plan.boards.map(({ id }) => ({ id, buffer: this.#boards.get(id) as SharedArrayBuffer }));
    while (this.serviceBoards.length <= thread) this.serviceBoards.push(ServiceBoard.create());
    const services = (this.serviceBoards[thread] as ServiceBoard).buffer;
    const { keys } = this.#options;
    const settings = this.#settingsFor(slot, next);
    const task = { thread, stats: this.stats.buffer, services, boards, keys, settings };
    const link = new ThreadLink(this.#pool, task, (message) => this.#onMessage(thread, message));
    slot.link = link;
    slot.startedMs = slot.aliveMs = performance.now();
    void link.ended.then((result) => this.#onEnded(slot, result));
    this.#opened(slot, next, await link.serving.catch((error: unknown) => this.#failed(link, error)));
    slot.isServing = true;
  }

  /** A thread that cannot listen is of no use. */
  async #failed(link: ThreadLink, error: unknown): Promise<never> {
    link.kill();
    await link.ended;
    throw error;
  }

  #onMessage(thread: number, message: ThreadMessage): void {
    if (message.type === 'log') this.#options.log[message.level](message.fields, message.event);
    else this.#options.onNodeMark(thread, message);
  }

  #onEnded(slot: Slot, result: DrainResult | Error): void {
    const wasServing = slot.isServing;
    slot.link = null;
    slot.isServing = false;
    slot.served.clear();
    this.stats.clearGauges(slot.thread);
    this.#options.onThreadEnded(slot.thread);
    if (this.#retiring.delete(slot) || this.#isDraining) return;
    // one that never served is for whoever started it to see to
    if (wasServing && this.#slots.includes(slot)) this.#replace(slot, result);
  }

  #replace(slot: Slot, reason: DrainResult | Error): void {
    const livedMs = Math.round(performance.now() - slot.startedMs);
    slot.failures = livedMs > STEADY_MS ? 1 : slot.failures + 1;
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (slot.failures - 1));
    this.replaced++;
    this.#options.log.error(
      { thread: slot.thread, err: reason, livedMs, waitMs },
      'listener thread ended; another takes its place',
    );
    const wait = setTimeout(() => {
      this.#waits.delete(wait);
      void this.#inTurn(() => this.#startReplacement(slot));
    }, waitMs);
    this.#waits.add(wait);
  }

  async #startReplacement(slot: Slot): Promise<void> {
    // it may have become one thread too many meanwhile
    if (this.#isDraining || this.#inForce === null || !this.#slots.includes(slot)) return;
    try {
      await this.#startThread(slot, this.#inForce);
      this.#options.log.info({ thread: slot.thread }, 'listener thread replaced');
    } catch (error) {
      if (!this.#isDraining) this.#replace(slot, error as Error);
    }
  }

  /** Ends the threads whose event loop stands still; they are replaced then. */
  #checkHeartbeats(): void {
    const now = performance.now();
    // this thread itself stood still (a paused machine): the others have had no chance to show that they live
    const wasLate = now - this.#checkedMs > LATE_CHECK_MS;
    this.#checkedMs = now;
    for (const slot of this.#all()) {
      const heartbeat = this.stats.read(slot.thread, 'heartbeat');
      if (heartbeat !== slot.heartbeat || wasLate) {
        slot.heartbeat = heartbeat;
        slot.aliveMs = now;
      }
      const allowedMs = slot.isServing ? (this.#inForce?.plan.hangTimeoutMs ?? START_TIMEOUT_MS) : START_TIMEOUT_MS;
      if (slot.link === null || now - slot.aliveMs < allowedMs) continue;
      const stillMs = Math.round(now - slot.aliveMs);
      this.#options.log.error({ thread: slot.thread, stillMs }, 'listener thread hangs');
      slot.aliveMs = now;
      slot.link.kill();
    }
  }
}

function keyOf(listener: number, socket: number): string {
  return `${listener} ${socket}`;
}

/** What a thread closes when it commits to `sockets`. */
function forgetUnplanned({ thread, served }: Slot, { listeners }: SocketPlan): void {
  const planned = new Set(
    listeners.flatMap(({ id, threads }) =>
      [...threads].filter(([, serving]) => serving.includes(thread)).map(([socket]) => keyOf(id, socket)),
    ),
  );
  for (const key of served) if (!planned.has(key)) served.delete(key);
}

/** Threads know a listener by its id, and the configuration by its place. */
function byIndex({ code, message, listener }: ListenError, { listeners }: SocketPlan): ListenError {
  return new ListenError(
    code,
    message,
    listeners.findIndex(({ id }) => id === listener),
  );
}

function connectionsCut(result: DrainResult | Error | null): number {
  return result === null || result instanceof Error ? 0 : result.connectionsCut;
}
