/**
 * What the data path asks of a connection, on either side, and how bytes move from one to another without either
 * outrunning the other. A net.Socket is such a stream, and so is a TLS one; another transport only needs these members.
 * Listener threads.
 */

import { latin1 } from './http1/latin1.ts';
import { sparesFor } from './spare-buffers.ts';

export interface ByteStream {
  readonly writableLength: number;
  readonly destroyed: boolean;
  write(data: string, encoding: 'latin1', onFlushed?: () => void): boolean;
  write(data: Uint8Array, onFlushed?: () => void): boolean;
  /** Text that waits for the end of the turn will not be sent. False, or no such member: all has gone out, or is under way. */
  takeBack?(): boolean;
  pause(): unknown;
  resume(): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** What a stream tells its owner. Bytes are valid during the call alone: the buffer is read into again. */
export interface StreamOwner {
  onBytes(bytes: Buffer, start: number, end: number): void;
  /** The other side has finished sending. */
  onEnd(): void;
  /** The connection is gone; nothing else follows. `error` is the cause where there was one. */
  onClose(error: NodeJS.ErrnoException | null): void;
}

/** Writes wait in memory up to this much before the source is paused; it is resumed at half. */
export const HIGH_WATERMARK = 128 * 1024;
const LOW_WATERMARK = HIGH_WATERMARK / 2;

/** Every connection of the thread reads into this buffer: callbacks run one at a time, and use it up before they end. */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Up to this size a latin1 string is the cheapest thing to write; a longer one is copied too often on its way. */
const STRING_BYTES_MAX = 1024;

/** Copies `bytes[start, end)` to the stream. `onFlushed` is called when the kernel has taken them, or the stream was destroyed. */
function writeCopy(stream: ByteStream, bytes: Buffer, start: number, end: number, onFlushed: () => void): boolean {
  const length = end - start;
  if (length <= STRING_BYTES_MAX) return stream.write(latin1(bytes, start, end), 'latin1', onFlushed);
  const spares = sparesFor(length);
  // more than one read: what came before it was kept for want of a whole head
  if (spares === undefined) return stream.write(Buffer.from(bytes.subarray(start, end)), onFlushed);
  const copy = spares.take();
  bytes.copy(copy, 0, start, end);
  return stream.write(copy.subarray(0, length), () => {
    spares.giveBack(copy);
    onFlushed();
  });
}

/** Copies `bytes[start, end)`, which is all of a message, to the stream. */
export function writeWhole(stream: ByteStream, bytes: Buffer, start: number, end: number): void {
  // small ones go out at the end of the turn, with what else does
  if (end - start <= STRING_BYTES_MAX) stream.write(latin1(bytes, start, end), 'latin1');
  else writeCopy(stream, bytes, start, end, nothing);
}

function nothing(): void {}

/** One direction of a body or a tunnel: from `source` to `sink`, pausing the one while the other is full. */
export class Flow {
  isPaused = false;
  readonly #source: ByteStream;
  readonly #sink: ByteStream;
  readonly #onProgress: () => void;
  #forwardedBytes = 0;

  /** `onProgress` is called whenever the sink has taken something: for deadlines. */
  constructor(source: ByteStream, sink: ByteStream, onProgress: () => void) {
    this.#source = source;
    this.#sink = sink;
    this.#onProgress = onProgress;
  }

  /** What the sink has taken: of what waits in it, others may have a part. */
  get takenBytes(): number {
    return Math.max(0, this.#forwardedBytes - this.#sink.writableLength);
  }

  /** Sends bytes on; they are copied, so the buffer may be reused at once. */
  readonly forward = (bytes: Buffer, start: number, end: number): void => {
    if (start >= end || this.#sink.destroyed) return;
    this.#forwardedBytes += end - start;
    if (!writeCopy(this.#sink, bytes, start, end, this.#onFlushed)) this.#pause();
  };

  /** The same for latin1 text: a head, with what stands at hand of the body. */
  forwardText(text: string): void {
    if (this.#sink.destroyed) return;
    this.#forwardedBytes += text.length;
    if (!this.#sink.write(text, 'latin1', this.#onFlushed)) this.#pause();
  }

  /** Paused again at every write to a full sink: the source's owner may have resumed it for reasons of its own. */
  #pause(): void {
    this.isPaused = true;
    this.#source.pause();
  }

  readonly #onFlushed = (): void => {
    if (this.isPaused && this.#sink.writableLength <= LOW_WATERMARK) {
      this.isPaused = false;
      if (!this.#source.destroyed) this.#source.resume();
    }
    this.#onProgress();
  };
}
