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

import type { BindAddress, CertificateSettings, DrainResult, FromListener, RouteRef } from '../boards/listener-task.ts';
import type { ServiceBoard } from '../boards/service-board.ts';
import type { StatsBoard } from '../boards/stats-board.ts';
import { HeartbeatWatch, START_TIMEOUT_MS } from './heartbeat-watch.ts';
import { ListenerThreads, type Serving, THREADS_MAX } from './listener-threads.ts';
import { ListeningSockets, type PassedSockets, type SocketPlan } from './listening-sockets.ts';
import type { Log } from './log.ts';
import type { ServingPlan } from './serving-plan.ts';
import type { WorkerStatus } from './status.ts';
import { ListenError, type ThreadMessage } from './thread-link.ts';
import { ThreadSlot } from './thread-slot.ts';

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** How long it may take until another thread is in a dead one's place. */
export const REPLACEMENT_MS_MAX = BACKOFF_MS_MAX + START_TIMEOUT_MS;
/** A thread that lived this long is not part of a series of failures. */
const STEADY_MS = 30_000;
/** Past the drain timeout, for threads that cannot even cut their connections. */
const DRAIN_GRACE_MS = 500;

export interface SupervisorOptions {
  /** The key board. */
  readonly keys: SharedArrayBuffer;
  readonly passedSockets: PassedSockets;
  readonly log: Log;
  readonly onNodeMark: (thread: number, mark: FromListener & { type: 'node-mark' }) => void;
  /** It is about to end: what it said of nodes counts no more. */
  readonly onThreadRetires: (thread: number) => void;
  /** Whatever it wrote on the boards is what it leaves. */
  readonly onThreadEnded: (thread: number) => void;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #sockets: ListeningSockets;
  readonly #threads: ListenerThreads;
  readonly #heartbeats: HeartbeatWatch;
  #slots: ThreadSlot[] = [];
  /** Those that a change under way adds. Their threads may serve already. */
  #added: readonly ThreadSlot[] = [];
  readonly #retiring = new Set<ThreadSlot>();
  #inForce: Serving | null = null;
  #isDraining = false;
  /** Back-offs under way. */
  readonly #waits = new Set<NodeJS.Timeout>();
  /** The last of the starts and changes, which follow one another. */
  #last: Promise<unknown> = Promise.resolve();
  /** Threads replaced since the start. */
  replaced = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#sockets = new ListeningSockets(options.passedSockets);
    this.#threads = new ListenerThreads({
      keys: options.keys,
      sockets: this.#sockets,
      log: options.log,
      onMessage: (slot, message) => this.#onMessage(slot, message),
      onEnded: (slot, result) => this.#onEnded(slot, result),
    });
    this.#heartbeats = new HeartbeatWatch({
      stats: this.stats,
      slots: () => this.#all(),
      hangTimeoutMs: () => this.#inForce?.plan.hangTimeoutMs ?? START_TIMEOUT_MS,
      log: options.log,
    });
  }

  get stats(): StatsBoard {
    return this.#threads.stats;
  }

  /** By thread: one for each that there ever was. */
  get serviceBoards(): readonly ServiceBoard[] {
    return this.#threads.serviceBoards;
  }

  /** Has so many threads make ready for a start that is near; `certificate` is one that they will show. */
  preload(threads: number, certificate: CertificateSettings | null = null): void {
    this.#threads.preload(threads, certificate);
  }

  /**
   * Starts all threads; resolves to the addresses they listen on, when they do. Rejects with a ListenError where an
   * address cannot be had; nothing is left running then.
   */
  async start(plan: ServingPlan): Promise<BindAddress[]> {
    this.#heartbeats.start();
    try {
      return await this.apply(plan, async () => {});
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
    this.#threads.replaceBoard(route);
    for (const { link } of this.#all()) link?.post({ type: 'board', route });
  }

  /** Has every thread open its log files anew. */
  reopenLogs(): void {
    for (const { link } of this.#all()) link?.post({ type: 'reopen-logs' });
  }

  /** All threads serve, and have shown that their event loops turn within the last second. */
  get areAllAlive(): boolean {
    return HeartbeatWatch.areAlive(this.#slots);
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
    await this.#threads.kill();
  }

  #replaceNoMore(): void {
    this.#isDraining = true;
    this.#heartbeats.stop();
    this.#threads.startNoMore();
    for (const wait of this.#waits) clearTimeout(wait);
  }

  #all(): ThreadSlot[] {
    return [...this.#slots, ...this.#added, ...this.#retiring];
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #apply(plan: ServingPlan, beforeCommit: () => Promise<void>): Promise<BindAddress[]> {
    if (this.#isDraining) throw new Error('draining');
    this.#threads.addBoards(plan.boards);
    const slots = this.threadsFor(plan.workers).map((thread) => this.#slotOf(thread));
    const leaving = this.#slots.filter((slot) => !slots.includes(slot));
    this.#added = slots.filter((slot) => !this.#slots.includes(slot));
    // a thread that waits for its replacement opens what is its own when it comes; the others need not wait for that
    const live = slots.filter((slot) => slot.isServing || this.#added.includes(slot));
    const order = [...live, ...slots.filter((slot) => !live.includes(slot))];
    const sockets = this.#sockets.plan(
      plan.listeners,
      order.map(({ thread }) => thread),
    );
    const next: Serving = { plan, sockets };
    try {
      await this.#prepareAll([...live, ...leaving.filter(({ isServing }) => isServing)], next, this.#added);
      await beforeCommit();
      if (this.#isDraining) throw new Error('draining');
    } catch (error) {
      this.#undo(sockets);
      throw error instanceof ListenError ? byIndex(error, sockets) : error;
    }
    const added = this.#added;
    this.#added = [];
    this.#slots = slots;
    this.#inForce = next;
    for (const slot of added) if (slot.link === null) this.#replace(slot);
    await Promise.all([...slots, ...leaving].map((slot) => this.#threads.commit(slot, next)));
    for (const slot of leaving) this.#retire(slot);
    this.#sockets.adopt(sockets);
    this.#threads.retainBoards(this.#inForce?.plan.boards ?? []);
    return ListeningSockets.addresses(sockets);
  }

  #slotOf(thread: number): ThreadSlot {
    return this.#slots.find((slot) => slot.thread === thread) ?? new ThreadSlot(thread);
  }

  /** One thread first: it takes the ports that the kernel chooses, and opens what the others share. */
  async #prepareAll(
    [first, ...others]: readonly ThreadSlot[],
    next: Serving,
    added: readonly (ThreadSlot | null)[],
  ): Promise<void> {
    if (first === undefined) return;
    // no other is started here: this may come to nothing, and a thread that serves at once cannot go back
    const prepare = (slot: ThreadSlot) =>
      added.includes(slot) ? this.#threads.start(slot, next) : this.#threads.prepare(slot, next);
    await prepare(first);
    const results = await Promise.allSettled(others.map(prepare));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Nothing is to listen on what was prepared. */
  #undo(sockets: SocketPlan): void {
    for (const slot of this.#added) {
      // clients may have found it already
      if (slot.isServing) this.#retire(slot, 'drain');
    }
    this.#added = [];
    this.#abort(sockets);
    this.#threads.retainBoards(this.#inForce?.plan.boards ?? []);
  }

  #abort(sockets: SocketPlan): void {
    for (const slot of this.#slots) {
      slot.link?.post({ type: 'abort' });
      if (this.#inForce !== null) slot.retain(this.#inForce.sockets);
    }
    this.#sockets.abandon(sockets);
  }

  /** Has its thread end with its last connection; `drain`: which takes as long as a drain at most. */
  #retire(slot: ThreadSlot, how: 'retire' | 'drain' = 'retire'): void {
    if (slot.link === null) return;
    slot.isRetiring = true;
    this.#retiring.add(slot);
    slot.link.post({ type: how });
    this.#options.onThreadRetires(slot.thread);
  }

  #onMessage({ thread, isRetiring }: ThreadSlot, message: ThreadMessage): void {
    if (message.type === 'log') this.#options.log[message.level](message.fields, message.event);
    else if (!isRetiring) this.#options.onNodeMark(thread, message);
  }

  #onEnded(slot: ThreadSlot, result: DrainResult | Error): void {
    const wasServing = slot.isServing;
    slot.ended(result);
    this.stats.clearGauges(slot.thread);
    this.#threads.addresses.clear(slot.thread);
    this.#options.onThreadEnded(slot.thread);
    if (this.#retiring.delete(slot) || this.#isDraining) return;
    // one that never served is for whoever started it to see to, and one that is added for the change to begin with
    if (!wasServing || !this.#slots.includes(slot)) return;
    this.#replace(slot);
    void this.#inTurn(() => this.#redeal()).catch((error: Error) => this.#onUndealt(error));
  }

  #replace(slot: ThreadSlot): void {
    const livedMs = Math.round(performance.now() - slot.startedMs);
    slot.failures = livedMs > STEADY_MS ? 1 : slot.failures + 1;
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (slot.failures - 1));
    this.replaced++;
    this.#options.log.error(
      { thread: slot.thread, err: slot.lastEnd, livedMs, waitMs },
      'listener thread ended; another takes its place',
    );
    const wait = setTimeout(() => {
      this.#waits.delete(wait);
      void this.#inTurn(() => this.#startReplacement(slot));
    }, waitMs);
    this.#waits.add(wait);
  }

  async #startReplacement(slot: ThreadSlot): Promise<void> {
    // it may have become one thread too many meanwhile, or another be in its place already
    if (this.#isDraining || this.#inForce === null || !this.#slots.includes(slot) || slot.link !== null) return;
    try {
      await this.#redeal(slot);
      this.#options.log.info({ thread: slot.thread }, 'listener thread replaced');
    } catch (error) {
      slot.lastEnd = error as Error;
      // one that came to serve is about to end, and then replaced
      if (!this.#isDraining && slot.link === null) this.#replace(slot);
    }
  }

  /**
   * Deals the sockets out anew among the threads that serve, and `added`, whose thread is started: nothing that comes in
   * while a thread is dead is to wait for its replacement. Rejects where that thread does not come to serve, or a socket
   * cannot be dealt; all is as it was then.
   */
  async #redeal(added: ThreadSlot | null = null): Promise<void> {
    const before = this.#inForce;
    const serving = this.#slots.filter(({ isServing }) => isServing);
    const all = added === null ? serving : [...serving, added];
    if (this.#isDraining || before === null || all.length === 0) return;
    const { plan } = before;
    const sockets = this.#sockets.plan(
      plan.listeners,
      all.map(({ thread }) => thread),
    );
    const next: Serving = { plan, sockets };
    try {
      await this.#prepareAll(all, next, [added]);
    } catch (error) {
      // it may serve already, where another thread could not take its part
      added?.link?.kill();
      this.#abort(sockets);
      throw error;
    }
    this.#inForce = next;
    await Promise.all(serving.map((slot) => this.#threads.commit(slot, next)));
    this.#sockets.adopt(sockets);
  }

  #onUndealt(error: Error): void {
    if (this.#isDraining) return;
    this.#options.log.error({ err: error }, 'what a dead listener thread served waits for its replacement');
  }
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
