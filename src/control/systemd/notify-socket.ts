/**
 * The way to the service manager: lines such as `READY=1` in one datagram to its socket (sd_notify(3)). Main thread.
 *
 *   direct   by system calls, from this very process: what NotifyAccess=main asks for
 *   program  by systemd-notify(1), where Node has none (before 26.10): a child, so NotifyAccess=all has to be set
 */

import { execFile } from 'node:child_process';
import type { Log } from '../log.ts';
import { hasSystemCalls, sendDatagram } from '../system-calls.ts';

export interface NotifySocket {
  /** Sends these in one message, behind those that still wait. Never throws; a failure is logged, once in a row. */
  send(assignments: readonly string[]): void;
  close(): void;
}

/** Its queue is full: it is busy, and reads on. */
const BUSY = new Set(['EAGAIN', 'ENOBUFS']);
const RETRY_MS = 50;
/** Messages that wait for it; past it the oldest are dropped. */
const WAITING_MAX = 64;
/** For one systemd-notify. */
const PROGRAM_TIMEOUT_MS = 5_000;

export function openNotifySocket(path: string, log: Log): NotifySocket {
  if (hasSystemCalls()) return new DirectSocket(path, log);
  return new ProgramSocket(path, log);
}

/** For tests, `send` can be another than the system's. */
export class DirectSocket implements NotifySocket {
  readonly #path: string;
  readonly #log: Log;
  readonly #send: typeof sendDatagram;
  readonly #waiting: string[] = [];
  #retry: NodeJS.Timeout | null = null;
  #isFailing = false;

  constructor(path: string, log: Log, send: typeof sendDatagram = sendDatagram) {
    this.#path = path;
    this.#log = log;
    this.#send = send;
  }

  send(assignments: readonly string[]): void {
    this.#waiting.push(assignments.join('\n'));
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    if (this.#retry === null) this.#flush();
  }

  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#waiting.length = 0;
  }

  #flush(): void {
    this.#retry = null;
    for (let message = this.#waiting[0]; message !== undefined; message = this.#waiting[0]) {
      const error = this.#send(this.#path, message);
      if (error !== null && BUSY.has(error)) {
        this.#retry = setTimeout(() => this.#flush(), RETRY_MS).unref();
        return;
      }
      this.#waiting.shift();
      if (error !== null && !this.#isFailing) warn(this.#log, error);
      this.#isFailing = error !== null;
    }
  }
}

/** One child at a time, so that messages keep their order. For tests, `program` can be another. */
export class ProgramSocket implements NotifySocket {
  readonly #path: string;
  readonly #log: Log;
  readonly #program: string;
  readonly #waiting: (readonly string[])[] = [];
  #isRunning = false;
  #isFailing = false;

  constructor(path: string, log: Log, program = 'systemd-notify') {
    this.#path = path;
    this.#log = log;
    this.#program = program;
  }

  send(assignments: readonly string[]): void {
    this.#waiting.push(assignments);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    if (!this.#isRunning) this.#next();
  }

  close(): void {
    this.#waiting.length = 0;
  }

  #next(): void {
    const assignments = this.#waiting.shift();
    this.#isRunning = assignments !== undefined;
    if (assignments === undefined) return;
    const options = { env: { ...process.env, NOTIFY_SOCKET: this.#path }, timeout: PROGRAM_TIMEOUT_MS };
    execFile(this.#program, [...assignments], options, (error) => {
      if (error !== null && !this.#isFailing)
        warn(this.#log, `${this.#program}: ${String(error.code ?? error.signal)}`);
      this.#isFailing = error !== null;
      this.#next();
    });
  }
}

function warn(log: Log, error: string): void {
  log.warn({ error }, 'the service manager cannot be told how this program is');
}
