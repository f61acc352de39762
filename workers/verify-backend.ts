/**
 * verify_backend, as Perlbal does it: a fresh backend connection first answers OPTIONS, so that a request never waits in
 * the accept queue of a backend whose workers are all busy. Any answer that keeps the connection open will do: what it
 * says of the resource does not matter. Listener threads.
 */

import { ByteQueue } from './byte-queue.ts';
import { BodyReader } from './http1/body-reader.ts';
import { FAULTY, INCOMPLETE } from './http1/errors.ts';
import { BODY } from './http1/framing.ts';
import type { ResponseHead } from './http1/response-head.ts';

/** An answer's body is read and thrown away up to this size. */
const ANSWER_BYTES_MAX = 64 * 1024;

export class BackendVerifier {
  readonly request: string;
  readonly #body = new BodyReader();
  #head: ByteQueue | null = null;
  #hasHead = false;
  #bytes = 0;

  constructor(address: string, path: string) {
    this.request = `OPTIONS ${path} HTTP/1.1\r\nHost: ${address}\r\nUser-Agent: stekbal\r\n\r\n`;
  }

  /** Reads a part of the answer: 'verified' at its end, 'pending' before it, or what is wrong with it. */
  read(bytes: Buffer, start: number, end: number, head: ResponseHead): 'verified' | 'pending' | string {
    this.#bytes += end - start;
    if (this.#bytes > ANSWER_BYTES_MAX) return 'its answer is too long';
    if (this.#hasHead) return this.#readBody(bytes, start, end);
    if (this.#head === null) this.#head = new ByteQueue(bytes, start, end);
    else this.#head.append(bytes, start, end);
    const queue = this.#head;
    const past = head.parse(queue.buffer, queue.start, queue.end);
    if (past === INCOMPLETE) return 'pending';
    if (past === FAULTY) return `its answer is not HTTP: ${head.fault?.reason}`;
    if (head.isInterim) {
      queue.start = past;
      return queue.length > 0 ? this.#again(head) : 'pending';
    }
    const kind = head.bodyKind(false);
    if (head.status === 101) return 'it switched protocols';
    if (!head.keepsConnection || kind === BODY.untilClose) return 'it does not keep the connection open';
    this.#hasHead = true;
    this.#body.begin(kind, head.contentLength, true);
    return this.#readBody(queue.buffer, past, queue.end);
  }

  #again(head: ResponseHead): string {
    const { buffer, start, end } = this.#head as ByteQueue;
    this.#head = null;
    return this.read(buffer, start, end, head);
  }

  #readBody(bytes: Buffer, start: number, end: number): string {
    const past = this.#body.read(bytes, start, end, () => {});
    if (this.#body.fault !== null) return `its answer is not HTTP: ${this.#body.fault.reason}`;
    if (past < end) return 'it sent more than one answer';
    return this.#body.done ? 'verified' : 'pending';
  }
}
