/**
 * Keeps the listener threads running: starts one a slot, replaces one that dies or hangs, drains them all. Main thread.
 *
 *   starting ─► listening ─► (dies, or its heartbeat stands still) ─► waiting, with back-off ─► starting
 *
 * A slot's thread may die at any time without harm to the others: they share boards, and each writes its own words.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type {
  BindAddress,
  DrainResult,
  FromListener,
  ListenerSettings,
  ListenerTask,
  ThreadSettings,
  TlsSettings,
  ToListener,
} from '../boards/listener-task.ts';
import { StatsBoard } from '../boards/stats-board.ts';
import type { Log } from './log.ts';
import { removeStaleSocket } from './stale-socket.ts';
import { listenersOfThread } from './thread-settings.ts';

const HEARTBEAT_CHECK_MS = 250;
const LATE_CHECK_MS = 1_000;
/** Loading the thread's code can take long on a busy machine. */
const START_TIMEOUT_MS = 30_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** A thread that lived this long is not part of a series of failures. */
const STEADY_MS = 30_000;
/** Past the drain timeout, for threads that cannot even cut their connections. */
const DRAIN_GRACE_MS = 500;

export interface SupervisorOptions {
  readonly workers: number;
  readonly settings: ThreadSettings;
  readonly boards: readonly SharedArrayBuffer[];
  /** The key board. */
  readonly keys: SharedArrayBuffer;
  readonly hangTimeoutMs: number;
  readonly log: Log;
}

/** An address cannot be listened on. */
export class ListenError extends Error {
  readonly code: string;
  readonly listener: number;
  constructor(code: string, message: string, listener: number) {
    super(message);
    this.code = code;
    this.listener = listener;
  }
}

type TransferList = NonNullable<NonNullable<Parameters<Piscina['run']>[1]>['transferList']>;

interface Slot {
  readonly thread: number;
  port: MessagePort | null;
  abort: AbortController | null;
  task: Promise<DrainResult> | null;
  isListening: boolean;
  /** performance.now() of the start, and of the last heartbeat seen. */
  startedMs: number;
  aliveMs: number;
  heartbeat: number;
  failures: number;
}

export class Supervisor {
  readonly stats: StatsBoard;
  readonly #options: SupervisorOptions;
  readonly #boards: SharedArrayBuffer[];
  readonly #pool: Piscina;
  readonly #slots: Slot[];
  #listeners: readonly ListenerSettings[];
  #watch: NodeJS.Timeout | null = null;
  #isDraining = false;
  #checkedMs = 0;
  /** Back-offs under way. */
  readonly #waits = new Set<NodeJS.Timeout>();
  /** Threads replaced since the start. */
  replaced = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#boards = [...options.boards];
    this.#listeners = options.settings.listeners;
    this.stats = StatsBoard.create(options.workers);
    this.#pool = new Piscina({
      // the built package holds .js where the sources hold .ts
      filename: new URL(`../../workers/listener${import.meta.url.slice(-3)}`, import.meta.url).href,
      minThreads: options.workers,
      maxThreads: options.workers,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // a thread that waits for its next task in Atomics.wait would run no event loop
      atomics: 'disabled',
    });
    this.#pool.on('error', (error: Error) => options.log.error({ err: error }, 'listener thread pool'));
    this.#slots = Array.from({ length: options.workers }, (_, thread) => ({
      thread,
      port: null,
      abort: null,
      task: null,
      isListening: false,
      startedMs: 0,
      aliveMs: 0,
      heartbeat: 0,
      failures: 0,
    }));
  }

  /**
   * Starts all threads; resolves to the addresses they listen on, when they do. Rejects with a ListenError where an
   * address cannot be had; nothing is left running then.
   */
  async start(): Promise<(BindAddress | null)[]> {
    const [first, ...others] = this.#slots as [Slot, ...Slot[]];
    try {
      // one thread first: it takes the ports that the kernel chooses where the configuration says 0
      const addresses = await this.#startSlot(first);
      this.#listeners = this.#listeners.map((l, i) => ({ ...l, address: addresses[i] ?? l.address }));
      await Promise.all(others.map((slot) => this.#startSlot(slot)));
    } catch (error) {
      await this.kill();
      throw error;
    }
    if (this.#isDraining) throw new Error('draining');
    this.#watch = setInterval(() => this.#checkHeartbeats(), HEARTBEAT_CHECK_MS);
    return this.#listeners.map((l) => l.address);
  }

  /** Gives every thread, present and future, a larger board in place of board `index`. */
  replaceBoard(index: number, buffer: SharedArrayBuffer): void {
    this.#boards[index] = buffer;
    for (const slot of this.#slots) this.#post(slot, { type: 'board', index, buffer });
  }

  /** Has every thread, present and future, serve new connections with these: by listener, null where it is plain. */
  replaceTls(listeners: readonly (TlsSettings | null)[]): void {
    this.#listeners = this.#listeners.map((listener, i) => ({ ...listener, tls: listeners[i] ?? null }));
    for (const slot of this.#slots) this.#post(slot, { type: 'tls', listeners });
  }

  /** Has every thread open its log files anew. */
  reopenLogs(): void {
    for (const slot of this.#slots) this.#post(slot, { type: 'reopen-logs' });
  }

  /** Ends all threads when their requests are answered, or at the drain timeout. Resolves to the connections cut. */
  async drain(): Promise<number> {
    this.#replaceNoMore();
    const running = this.#slots.filter((slot) => slot.task !== null);
    for (const slot of running) this.#post(slot, { type: 'drain' });
    const limit = new Promise<null>((resolve) => {
      setTimeout(() => resolve(null), this.#options.settings.drainTimeoutMs + DRAIN_GRACE_MS).unref();
    });
    // a thread that cannot end takes nothing from what the others report
    const results = await Promise.all(running.map((slot) => Promise.race([slot.task?.catch(() => null), limit])));
    await this.kill();
    return results.reduce((cut, result) => cut + (result?.connectionsCut ?? 0), 0);
  }

  /** Ends all threads at once. */
  async kill(): Promise<void> {
    this.#replaceNoMore();
    for (const slot of this.#slots) slot.port?.close();
    await this.#pool.destroy();
  }

  #replaceNoMore(): void {
    this.#isDraining = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    for (const wait of this.#waits) clearTimeout(wait);
  }

  #post(slot: Slot, message: ToListener): void {
    slot.port?.postMessage(message);
  }

  async #startSlot(slot: Slot): Promise<(BindAddress | null)[]> {
    const { workers, settings } = this.#options;
    const ownListeners = () => listenersOfThread(this.#listeners, slot.thread, workers);
    for (const { address } of ownListeners()) if (address?.kind === 'unix') await removeStaleSocket(address.path);
    if (this.#isDraining) throw new Error('draining');
    // only now, with no wait until there is a port: what changes later is posted to it
    const listeners = ownListeners();
    const { port1, port2 } = new MessageChannel();
    slot.port = port1;
    slot.abort = new AbortController();
    slot.isListening = false;
    slot.startedMs = slot.aliveMs = performance.now();
    const task: ListenerTask = {
      thread: slot.thread,
      port: port2,
      stats: this.stats.buffer,
      boards: this.#boards,
      keys: this.#options.keys,
      settings: { ...settings, listeners },
    };
    // piscina takes its type from an overload of postMessage that has no list
    const transferList = [port2] as unknown as TransferList;
    const running = this.#pool.run(task, { transferList, signal: slot.abort.signal }) as Promise<DrainResult>;
    slot.task = running;
    let failure: ListenError | null = null;
    return await new Promise((resolve, reject) => {
      port1.on('message', (message: FromListener) => {
        if (message.type === 'log') this.#options.log[message.level](message.fields, message.event);
        else if (message.type === 'listen-failed') {
          failure = new ListenError(message.code, message.message, message.listener);
          slot.abort?.abort();
        } else {
          slot.isListening = true;
          resolve([...message.addresses]);
        }
      });
      running.then(
        () => reject(new Error('drained before it listened')),
        (error: unknown) => {
          port1.close();
          // an aborted task says no more than that; why it was aborted is known here
          reject(failure ?? error);
          this.#onDeath(slot, failure ?? error);
        },
      );
    });
  }

  #onDeath(slot: Slot, error: unknown): void {
    const wasListening = slot.isListening;
    const livedMs = performance.now() - slot.startedMs;
    slot.isListening = false;
    slot.port = null;
    slot.task = null;
    // a first start that fails is start()'s to report
    if (this.#isDraining || (this.#watch === null && !wasListening)) return;
    slot.failures = livedMs > STEADY_MS ? 1 : slot.failures + 1;
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (slot.failures - 1));
    this.replaced++;
    this.#options.log.error(
      { thread: slot.thread, err: error, livedMs: Math.round(livedMs), waitMs },
      'listener thread ended; another takes its place',
    );
    const wait = setTimeout(() => {
      this.#waits.delete(wait);
      this.#startSlot(slot).then(
        () => this.#options.log.info({ thread: slot.thread }, 'listener thread replaced'),
        () => {}, // #onDeath has logged it, and tries again
      );
    }, waitMs);
    this.#waits.add(wait);
  }

  /** Ends the threads whose event loop stands still; their tasks then reject, and they are replaced. */
  #checkHeartbeats(): void {
    const now = performance.now();
    // this thread itself stood still (a paused machine): the others have had no chance to show that they live
    const wasLate = now - this.#checkedMs > LATE_CHECK_MS;
    this.#checkedMs = now;
    for (const slot of this.#slots) {
      const heartbeat = this.stats.read(slot.thread, 'heartbeat');
      if (heartbeat !== slot.heartbeat || wasLate) {
        slot.heartbeat = heartbeat;
        slot.aliveMs = now;
      }
      const allowedMs = slot.isListening ? this.#options.hangTimeoutMs : START_TIMEOUT_MS;
      if (slot.task === null || now - slot.aliveMs < allowedMs) continue;
      this.#options.log.error(
        { thread: slot.thread, stillMs: Math.round(now - slot.aliveMs) },
        'listener thread hangs',
      );
      slot.aliveMs = now;
      slot.abort?.abort();
    }
  }
}
