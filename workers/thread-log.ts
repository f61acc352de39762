/**
 * Log lines of a listener thread, and what else it has to tell. The main thread writes them: a slow reader of the log can
 * never hold up a listener.
 * Bounded: past LINES_PER_SECOND lines are counted instead of sent.
 */

import type { MessagePort } from 'node:worker_threads';
import type { FromListener } from '../src/boards/listener-task.ts';

type Fields = Readonly<Record<string, string | number | boolean>>;
type Level = 'info' | 'warn';

const LINES_PER_SECOND = 50;
const TICKS_PER_SECOND = 10;

export class ThreadLog {
  readonly #port: MessagePort;
  readonly #thread: number;
  #budget = LINES_PER_SECOND;
  #ticks = 0;
  #dropped = 0;

  constructor(port: MessagePort, thread: number) {
    this.#port = port;
    this.#thread = thread;
  }

  warn(event: string, fields: Fields = {}): void {
    this.#write('warn', event, fields);
  }

  info(event: string, fields: Fields = {}): void {
    this.#write('info', event, fields);
  }

  /** What is no log line, and never left out. */
  send(message: FromListener): void {
    this.#port.postMessage(message);
  }

  /** Called at every tick of the timer wheel. */
  onTick(): void {
    if (++this.#ticks % TICKS_PER_SECOND !== 0) return;
    this.#budget = LINES_PER_SECOND;
    if (this.#dropped === 0) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.warn('log lines left out', { lines });
  }

  #write(level: Level, event: string, fields: Fields): void {
    if (this.#budget === 0) {
      this.#dropped++;
      return;
    }
    this.#budget--;
    this.send({ type: 'log', level, event, fields: { thread: this.#thread, ...fields } });
  }
}
