/** A place for a listener thread, and what is known of the thread in it. Main thread. */

import type { DrainResult, OpenedSocket } from '../boards/listener-task.ts';
import type { SocketPlan } from './listening-sockets.ts';
import type { ThreadLink } from './thread-link.ts';

export class ThreadSlot {
  /** Its row on the boards. */
  readonly thread: number;
  /** Null while there is no thread. */
  link: ThreadLink | null = null;
  isServing = false;
  isRetiring = false;
  /** performance.now() of the start, and of the last heartbeat seen. */
  startedMs = 0;
  aliveMs = 0;
  heartbeat = 0;
  /** Threads in a row that did not live long. */
  failures = 0;
  /** How the thread before ended. */
  lastEnd: DrainResult | Error | null = null;
  /** Listener and socket of what its thread serves. */
  readonly #served = new Set<string>();

  constructor(thread: number) {
    this.thread = thread;
  }

  began(link: ThreadLink): void {
    this.link = link;
    this.startedMs = this.aliveMs = performance.now();
  }

  ended(result: DrainResult | Error): void {
    this.link = null;
    this.isServing = false;
    this.lastEnd = result;
    this.#served.clear();
  }

  serves(listener: number, socket: number): boolean {
    return this.#served.has(keyOf(listener, socket));
  }

  opened(sockets: readonly OpenedSocket[]): void {
    for (const { listener, socket } of sockets) this.#served.add(keyOf(listener, socket));
  }

  /** Its thread closes what `plan` does not give it. */
  retain({ listeners }: SocketPlan): void {
    const planned = new Set<string>();
    for (const { id, threads } of listeners) {
      for (const [socket, serving] of threads) if (serving.includes(this.thread)) planned.add(keyOf(id, socket));
    }
    for (const key of this.#served) if (!planned.has(key)) this.#served.delete(key);
  }
}

function keyOf(listener: number, socket: number): string {
  return `${listener} ${socket}`;
}
