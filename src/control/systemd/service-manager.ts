/**
 * What the service manager (systemd) is told of this program's life, as sd_notify(3) has it. Main thread.
 *
 *   starting() ─► ready() ─► reloading() ─► reloaded() ... ─► stopping() ─► close()
 *
 * STATUS= follows what there is to say, at most once a second. WATCHDOG=1 goes out at half of the time in which it is due:
 * that this thread's loop turns shows by that alone, and of the listener threads it asks.
 */

import type { Log } from '../log.ts';
import type { ReloadResult } from '../reload-result.ts';
import type { ServiceEnvironment } from './environment.ts';
import { type NotifySocket, openNotifySocket } from './notify-socket.ts';
import { reloadNote, singleLine } from './status-line.ts';
import { type ThreadsSeen, ThreadWatch } from './thread-watch.ts';

const STATUS_INTERVAL_MS = 1_000;
/** A longer one would be taken for 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** For what follows a drain: leaving the group, the admin server. */
const STOP_GRACE_MS = 15_000;

/** What is asked of a running program, about once a second. */
export interface ServiceView {
  status(): string;
  threads(): ThreadsSeen;
}

export interface ServiceManager {
  starting(): void;
  /** The listeners serve. */
  ready(view: ServiceView): void;
  /** Nothing of the new file has been read yet. */
  reloading(): void;
  reloaded(result: ReloadResult): void;
  /** It will have ended in `drainMs` and a little. */
  stopping(drainMs: number): void;
  close(): void;
}

const NO_SERVICE_MANAGER: ServiceManager = {
  starting: () => {},
  ready: () => {},
  reloading: () => {},
  reloaded: () => {},
  stopping: () => {},
  close: () => {},
};

export function openServiceManager({ notifySocket, watchdogMs }: ServiceEnvironment, log: Log): ServiceManager {
  if (notifySocket === null) return NO_SERVICE_MANAGER;
  return new NotifiedServiceManager(openNotifySocket(notifySocket, log), watchdogMs, log);
}

export class NotifiedServiceManager implements ServiceManager {
  readonly #socket: NotifySocket;
  readonly #log: Log;
  readonly #watchdogMs: number | null;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #threads = new ThreadWatch();
  #view: ServiceView | null = null;
  #isWell = true;
  #isStopping = false;
  #note: string | null = null;
  #shown = '';

  /** `watchdogMs`: in which a sign of life is due; null: none is. */
  constructor(socket: NotifySocket, watchdogMs: number | null, log: Log) {
    this.#socket = socket;
    this.#watchdogMs = watchdogMs;
    this.#log = log;
  }

  starting(): void {
    this.#tell([], 'starting');
  }

  ready(view: ServiceView): void {
    if (this.#isStopping) return;
    this.#view = view;
    this.#tell(['READY=1'], this.#status());
    this.#every(STATUS_INTERVAL_MS, () => this.#look(view));
    // the watchdog's time begins with READY=1
    if (this.#watchdogMs !== null)
      this.#every(Math.min(this.#watchdogMs / 2, TIMER_MS_MAX), () => this.#showLife(view));
  }

  /** Before ready(), a reload is part of the start: READY=1 is not its to say. */
  reloading(): void {
    if (this.#isStopping || this.#view === null) return;
    // CLOCK_MONOTONIC: by it Type=notify-reload tells this reload's answer from an earlier one's
    const micros = process.hrtime.bigint() / 1_000n;
    this.#tell(['RELOADING=1', `MONOTONIC_USEC=${micros}`], 'reloading');
  }

  /** A failed one ends with READY=1 too: the program serves, as it did before. */
  reloaded(result: ReloadResult): void {
    if (this.#isStopping) return;
    this.#note = reloadNote(result);
    if (this.#view === null) return;
    this.#tell(['READY=1'], this.#status());
  }

  /** One message asks for the whole time, so that TimeoutStopSec need not follow drain_timeout. */
  stopping(drainMs: number): void {
    this.#isStopping = true;
    this.#note = null;
    const limit = `EXTEND_TIMEOUT_USEC=${(drainMs + STOP_GRACE_MS) * 1_000}`;
    this.#tell(['STOPPING=1', limit], this.#view === null ? 'stopping' : this.#status());
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#socket.close();
  }

  #every(intervalMs: number, act: () => void): void {
    this.#timers.push(setInterval(act, intervalMs).unref());
  }

  #look(view: ServiceView): void {
    this.#observe(view);
    const status = this.#status();
    if (status !== this.#shown) this.#tell([], status);
  }

  #showLife(view: ServiceView): void {
    if (this.#observe(view)) this.#socket.send(['WATCHDOG=1']);
  }

  /** Whether all is well with the threads. In a drain they end as they should, each at its time. */
  #observe({ threads }: ServiceView): boolean {
    const isWell = this.#isStopping || this.#threads.observe(threads(), performance.now());
    if (this.#watchdogMs !== null && isWell !== this.#isWell) {
      if (isWell) this.#log.info('the watchdog gets signs of life again');
      else this.#log.error('a listener thread cannot be replaced: no more signs of life for the watchdog');
    }
    this.#isWell = isWell;
    return isWell;
  }

  #status(): string {
    const status = this.#view?.status() ?? 'starting';
    return singleLine(this.#note === null ? status : `${status}; ${this.#note}`);
  }

  #tell(assignments: readonly string[], status: string): void {
    this.#shown = status;
    this.#socket.send([...assignments, `STATUS=${status}`]);
  }
}
