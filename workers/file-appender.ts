/**
 * Appends text to a file without holding up the event loop: it is gathered in one buffer while the other is written.
 * Listener threads; several may append to one file, each write whole (O_APPEND).
 */

import { close, openSync, write } from 'node:fs';

const BUFFER_BYTES = 256 * 1024;
/** A batch is written when it has grown to this, or at the next tick. */
const BATCH_BYTES = 64 * 1024;
const MODE = 0o640;

export class FileAppender {
  /** Lines that found both buffers full: the disk does not keep up. For the owner to report and reset. */
  dropped = 0;
  /** Why the last write failed, or null. For the owner to report and reset. */
  failure: string | null = null;
  readonly #path: string;
  #fd: number;
  #filling: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #spare: Buffer | null = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #length = 0;
  /** Files to close when the write under way is done. */
  #retired: number[] = [];
  #isClosed = false;
  #onClosed: (() => void) | null = null;

  /** Throws where the file cannot be opened. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a', MODE);
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
    const batch = this.#filling;
    const length = this.#length;
    this.#spare = null;
    this.#filling = next;
    this.#length = 0;
    this.#write(this.#fd, batch, 0, length);
  }

  /** Goes over to a new file of the same name: the old one has been moved away. */
  reopen(): void {
    if (this.#isClosed) return;
    try {
      const fd = openSync(this.#path, 'a', MODE);
      this.#retired.push(this.#fd);
      this.#fd = fd;
      if (this.#spare !== null) this.#closeRetired();
    } catch (error) {
      this.failure = (error as NodeJS.ErrnoException).code ?? 'cannot be opened';
    }
  }

  /** Writes what waits, and closes the file. Resolves when all is written, or cannot be. */
  close(): Promise<void> {
    this.#isClosed = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onClosed = resolve;
    if (this.#spare !== null) this.#finish();
    return promise;
  }

  /** `fd` is the batch's own: a file that is opened meanwhile is not for the rest of it. */
  #write(fd: number, batch: Buffer, start: number, end: number): void {
    write(fd, batch, start, end - start, null, (error, written) => {
      if (error) this.failure = error.code ?? error.message;
      else if (start + written < end) {
        this.#write(fd, batch, start + written, end);
        return;
      }
      this.#spare = batch;
      this.#closeRetired();
      if (this.#isClosed) this.#finish();
    });
  }

  /** No write is under way: what is left goes out as one more, or the file closes. */
  #finish(): void {
    if (this.#length > 0 && this.failure === null) {
      this.flush();
      return;
    }
    this.#retired.push(this.#fd);
    this.#closeRetired();
    this.#onClosed?.();
  }

  #closeRetired(): void {
    for (const fd of this.#retired.splice(0)) close(fd, () => {});
  }
}
