/**
 * Appends text to a file without holding up the event loop: it is gathered in one buffer while the other is written.
 * Listener threads; several may append to one file, each write whole (O_APPEND).
 */

import { close, openSync, write } from 'node:fs';
import { APPEND_FLAGS, APPEND_MODE } from '../src/boards/append-only.ts';

const BUFFER_BYTES = 256 * 1024;
/** A batch is written when it has grown to this, or at the next tick. */
const BATCH_BYTES = 64 * 1024;
/** From one attempt to the next: to open the file, and to write to a pipe whose reader does not keep up. */
const REOPEN_MS = 1_000;
const RETRY_MS = 100;
/** How often a pipe is tried again once the end has come. */
const RETRIES_AT_CLOSE = 5;
const LINE_FEED = 0x0a;

export class FileAppender {
  /** Lines that found both buffers full: the disk does not keep up. For the owner to report and reset. */
  dropped = 0;
  /** Lines that could not be written. For the owner to report and reset. */
  lost = 0;
  /** Why the last write or opening failed; null where it did not. */
  failure: string | null = null;
  readonly #path: string;
  /** Null: the file cannot be opened. */
  #fd: number | null;
  #openedMs = 0;
  #retriesLeft = Number.POSITIVE_INFINITY;
  #filling: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #spare: Buffer | null = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #length = 0;
  /** Files to close when the write under way is done. */
  #retired: number[] = [];
  #isClosed = false;
  #onClosed: (() => void) | null = null;

  /** A file that cannot be opened is tried again: what is served must not depend on it. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = this.#open();
  }

  /** Adds ASCII text. Nothing is taken after `close`. */
  append(text: string): void {
    if (this.#isClosed) return;
    if (this.#length + text.length > BUFFER_BYTES) {
      this.dropped++;
      return;
    }
    this.#length += this.#filling.write(text, this.#length, 'latin1');
    if (this.#length >= BATCH_BYTES) this.flush();
  }

  /** Begins to write what there is, unless a write is under way. */
  flush(): void {
    const next = this.#spare;
    if (next === null || this.#length === 0) return;
    if (this.#fd === null && performance.now() - this.#openedMs >= REOPEN_MS) this.#fd = this.#open();
    const batch = this.#filling;
    const length = this.#length;
    this.#length = 0;
    if (this.#fd === null) {
      this.lost += linesIn(batch.subarray(0, length));
      return;
    }
    this.#spare = null;
    this.#filling = next;
    this.#write(this.#fd, batch, 0, length);
  }

  /** Goes over to a new file of the same name: the old one has been moved away. */
  reopen(): void {
    if (this.#isClosed) return;
    const fd = this.#open();
    if (fd === null) return;
    if (this.#fd !== null) this.#retired.push(this.#fd);
    this.#fd = fd;
    if (this.#spare !== null) this.#closeRetired();
  }

  /** Writes what waits, and closes the file. Resolves when all is written, or cannot be. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#retriesLeft = RETRIES_AT_CLOSE;
    // once more: a disk that was full may have room by now
    this.failure = null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onClosed = resolve;
    if (this.#spare !== null) this.#finish();
    return promise;
  }

  #open(): number | null {
    this.#openedMs = performance.now();
    try {
      const fd = openSync(this.#path, APPEND_FLAGS, APPEND_MODE);
      this.failure = null;
      return fd;
    } catch (error) {
      this.failure = (error as NodeJS.ErrnoException).code ?? 'cannot be opened';
      return null;
    }
  }

  /** `fd` is the batch's own: a file that is opened meanwhile is not for the rest of it. */
  #write(fd: number, batch: Buffer, start: number, end: number): void {
    write(fd, batch, start, end - start, null, (error, written) => {
      if (error?.code === 'EAGAIN' && this.#retriesLeft-- > 0) {
        setTimeout(() => this.#write(fd, batch, start, end), RETRY_MS);
        return;
      }
      if (error) {
        this.failure = error.code ?? error.message;
        this.lost += linesIn(batch.subarray(start, end));
      } else if (start + written < end) {
        this.#write(fd, batch, start + written, end);
        return;
      } else this.failure = null;
      this.#spare = batch;
      this.#closeRetired();
      if (this.#isClosed) this.#finish();
    });
  }

  /** No write is under way: what is left goes out as one more, or the file closes. */
  #finish(): void {
    if (this.#length > 0 && this.failure === null && this.#fd !== null) {
      this.flush();
      return;
    }
    if (this.#fd !== null) this.#retired.push(this.#fd);
    this.#closeRetired();
    this.#onClosed?.();
  }

  #closeRetired(): void {
    for (const fd of this.#retired.splice(0)) close(fd, () => {});
  }
}

function linesIn(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) lines++;
  return lines;
}
