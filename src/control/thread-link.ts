/**
 * One running listener thread, as the supervisor talks to it: its task, its messages and their answers. Main thread.
 */

import { closeSync } from 'node:fs';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type {
  DrainResult,
  FromListener,
  ListenerTask,
  OpenedSocket,
  RouteRef,
  ThreadSettings,
  ToListener,
} from '../boards/listener-task.ts';

/** An address cannot be listened on. */
export class ListenError extends Error {
  readonly code: string;
  /** The listener's id; from the supervisor, its place among the listeners. */
  readonly listener: number;
  constructor(code: string, message: string, listener: number) {
    super(message);
    this.code = code;
    this.listener = listener;
  }
}

/** What a thread says of itself, unasked. */
export type ThreadMessage = FromListener & { type: 'log' | 'node-mark' };

type TransferList = NonNullable<NonNullable<Parameters<Piscina['run']>[1]>['transferList']>;

const ENDED = 'the listener thread has ended';

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class ThreadLink {
  /** Resolves when the thread serves what its task says. Rejects with a ListenError, or with why it ended first. */
  readonly serving: Promise<readonly OpenedSocket[]>;
  /** Resolves when the thread has ended: drained, or with an error. */
  readonly ended: Promise<DrainResult | Error>;
  readonly #port: MessagePort;
  readonly #abort = new AbortController();
  readonly #onMessage: (message: ThreadMessage) => void;
  #opening: Waiting<readonly OpenedSocket[]> | null = null;
  #committing: Waiting<void> | null = null;
  #isOver = false;

  constructor(pool: Piscina, task: Omit<ListenerTask, 'port'>, onMessage: (message: ThreadMessage) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#onMessage = onMessage;
    port1.on('message', (message: FromListener) => this.#take(message));
    // piscina takes its type from an overload of postMessage that has no list
    const transferList = [port2] as unknown as TransferList;
    const running = pool.run({ ...task, port: port2 }, { transferList, signal: this.#abort.signal });
    this.serving = this.#awaitOpening();
    // whoever waits for it hears of it; nobody may
    this.serving.catch(() => {});
    this.ended = (running as Promise<DrainResult>).then(
      (result) => this.#end(result),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  post(message: ToListener): void {
    this.#port.postMessage(message);
  }

  /** Has the thread open what `settings` asks for. Rejects with a ListenError, or with why the thread ended. */
  prepare(settings: ThreadSettings, boards: readonly RouteRef[]): Promise<readonly OpenedSocket[]> {
    if (this.#isOver) return Promise.reject(new Error(ENDED));
    const opened = this.#awaitOpening();
    this.post({ type: 'prepare', settings, boards });
    return opened;
  }

  /** Resolves when what was prepared is in force, or the thread has ended. */
  async commit(): Promise<void> {
    if (this.#isOver) return;
    const committed = new Promise<void>((resolve, reject) => {
      this.#committing = { resolve, reject };
    });
    this.post({ type: 'commit' });
    await committed.catch(() => {});
  }

  /** Ends the thread at once; `ended` says so. */
  kill(): void {
    this.#abort.abort();
  }

  #awaitOpening(): Promise<readonly OpenedSocket[]> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
    });
  }

  #take(message: FromListener): void {
    switch (message.type) {
      case 'listening':
        this.#opening?.resolve(message.opened);
        return;
      case 'listen-failed':
        for (const fd of message.untaken) closeSync(fd);
        this.#opening?.reject(new ListenError(message.code, message.message, message.listener));
        return;
      case 'committed':
        this.#committing?.resolve();
        return;
      default:
        this.#onMessage(message);
    }
  }

  #end(result: DrainResult | Error): DrainResult | Error {
    this.#port.close();
    this.#isOver = true;
    const error = result instanceof Error ? result : new Error(ENDED);
    this.#opening?.reject(error);
    this.#committing?.reject(error);
    return result;
  }
}
