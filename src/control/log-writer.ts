/**
 * Writes the log's lines at once, and never waits for whoever reads them. Main thread.
 *
 * Writing at once means that no line is lost where the program ends a moment later; but a write to a pipe or socket that
 * nobody reads waits for ever, and the group's heartbeats, the health checks and the admin API with it. So the kernel is
 * asked first (poll). What it does not take waits here, bounded; past the bound lines are dropped and counted.
 */

import { writeSync } from 'node:fs';
import { isWritable } from './system-calls.ts';

const WAITING_BYTES_MAX = 256 * 1024;
const RETRY_MS = 100;
/** What poll(2) has promised room for: a pipe takes PIPE_BUF bytes whole (pipe(7)). */
const PIECE_BYTES = 4096;
/** How long the end of the process may be held up by a slow reader. */
const EXIT_WAIT_MS = 500;

export class LogWriter {
  /** All that waited has been written: so many lines were dropped meanwhile. */
  onCaughtUp: (linesDropped: number) => void = () => {};
  readonly #fd: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #retry: NodeJS.Timeout | null = null;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** One line or more, whole. */
  write(text: string): void {
    const bytes = Buffer.from(text);
    // with nothing before it, nobody is behind: what one line holds is for those who log it to bound
    if (this.#waiting.length > 0 && this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writeWaiting(0);
  }

  /** At the end of the process: gives a reader that is merely slow some time. */
  finish(): void {
    this.#writeWaiting(EXIT_WAIT_MS);
  }

  /** As far as the reader takes it within `waitMs`. */
  #writeWaiting(waitMs: number): void {
    const until = performance.now() + waitMs;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const written = this.#writePiece(next, Math.max(0, Math.ceil(until - performance.now())));
      if (written === 0) {
        this.#retry ??= setTimeout(() => this.#tryAgain(), RETRY_MS).unref();
        return;
      }
      this.#waitingBytes -= written;
      if (written === next.length) this.#waiting.shift();
      else this.#waiting[0] = next.subarray(written);
    }
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (dropped > 0) this.onCaughtUp(dropped);
  }

  /** Bytes written: none where that would have to be waited for, or fails (a full disk, a reader that has gone). */
  #writePiece(bytes: Buffer, waitMs: number): number {
    // without poll a write may wait, as it does in most programs
    if (isWritable(this.#fd, waitMs) === false) return 0;
    try {
      return writeSync(this.#fd, bytes, 0, Math.min(bytes.length, PIECE_BYTES));
    } catch {
      return 0;
    }
  }

  #tryAgain(): void {
    this.#retry = null;
    this.#writeWaiting(0);
  }
}
