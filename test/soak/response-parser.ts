/**
 * Reads HTTP/1.1 responses out of the bytes of a connection: short, and shares no code with the program. What is faulty comes
 * as status 0. Pure.
 */

export interface WireResponse {
  readonly status: number;
  /** Names in lower case; of several of one name, the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** Null: in chunks; UNTIL_CLOSE: to the end of the connection. */
  readonly length: number | null;
}

const UNTIL_CLOSE = -1;
const NO_BYTES = Buffer.alloc(0);

export class ResponseParser {
  #bytes: Buffer = NO_BYTES;
  #head: Head | null = null;
  #parts: Buffer[] = [];
  #partBytes = 0;

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** Bytes of a response have come. */
  get hasBegun(): boolean {
    return this.#head !== null || this.#bytes.length > 0;
  }

  /** A header of the response that has begun. */
  headerOf(name: string): string | null {
    return this.#head?.headers.get(name) ?? null;
  }

  /** The next response where it is whole, or else null. `isHead`: it answers HEAD. */
  next(isHead: boolean): WireResponse | null {
    this.#head ??= this.#readHead(isHead);
    if (this.#head === null) return null;
    const { length } = this.#head;
    const isWhole = length === null ? this.#readChunks() : this.#readLength(length);
    return isWhole ? this.#finish(this.#head) : null;
  }

  /** The other side has finished sending: the response that this ends, or else null. */
  end(): WireResponse | null {
    return this.#head?.length === UNTIL_CLOSE ? this.#finish(this.#head) : null;
  }

  #readHead(isHead: boolean): Head | null {
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const [first = '', ...lines] = this.#bytes.toString('latin1', 0, end).split('\r\n');
    this.#bytes = this.#bytes.subarray(end + 4);
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1] ?? 0);
    const length = headers.get('content-length');
    if (isHead || status === 204 || status === 304 || status === 101) return { status, headers, length: 0 };
    if (headers.get('transfer-encoding') === 'chunked') return { status, headers, length: null };
    return { status, headers, length: length === undefined ? UNTIL_CLOSE : Number(length) };
  }

  #readLength(length: number): boolean {
    this.#take(length === UNTIL_CLOSE ? this.#bytes.length : Math.min(length - this.#partBytes, this.#bytes.length));
    return this.#partBytes === length;
  }

  #readChunks(): boolean {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n');
      if (end < 0) return false;
      const size = Number.parseInt(this.#bytes.toString('latin1', 0, end), 16);
      if (this.#bytes.length < end + 2 + size + 2) return false;
      this.#bytes = this.#bytes.subarray(end + 2);
      this.#take(size);
      this.#bytes = this.#bytes.subarray(2);
      if (size === 0) return true;
    }
  }

  #take(bytes: number): void {
    if (bytes === 0) return;
    this.#parts.push(this.#bytes.subarray(0, bytes));
    this.#partBytes += bytes;
    this.#bytes = this.#bytes.subarray(bytes);
  }

  #finish({ status, headers }: Head): WireResponse {
    const body = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#head = null;
    this.#parts = [];
    this.#partBytes = 0;
    return { status, headers, body };
  }
}
