/**
 * An HTTP/1.1 client on bare bytes, with a parser of its own: it sees every byte that an edge sends, can pipeline, be slow
 * and break off. All that can go wrong comes as a WireError with the symptom.
 */

import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { HOST } from '../e2e/cluster-network.ts';
import type { TlsVersion } from '../e2e/tls-client.ts';
import type { Symptom } from './explain.ts';

const PATIENCE_MS = 20_000;
const NO_BYTES = Buffer.alloc(0);

export interface WireResponse {
  readonly status: number;
  /** Names in lower case; of several of one name, the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export class WireError extends Error {
  readonly symptom: Symptom;
  /** Of the head, where that had come. */
  readonly node: string | null;
  constructor(symptom: Symptom, detail: string, node: string | null = null) {
    super(detail);
    this.symptom = symptom;
    this.node = node;
  }
}

export interface TlsOffer {
  readonly version: TlsVersion;
  readonly session: Buffer | null;
  readonly onSession: (session: Buffer) => void;
}

interface Awaited {
  readonly isHead: boolean;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (response: WireResponse) => void;
  readonly reject: (error: WireError) => void;
}

interface Head {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** Null: chunked; -1: until the end of the connection. */
  readonly length: number | null;
}

export class WireConnection {
  readonly socket: net.Socket;
  /** Null on plain connections. */
  isResumed: boolean | null = null;
  /** Responses read whole. */
  answered = 0;
  /** Over, and since when: 0 while it is not. */
  overMs = 0;
  /** Bytes of a tunnel go here in place of the parser. */
  onTunnelBytes: ((bytes: Buffer) => void) | null = null;
  #bytes: Buffer = NO_BYTES;
  #head: Head | null = null;
  #parts: Buffer[] = [];
  #partBytes = 0;
  readonly #awaited: Awaited[] = [];
  #cause = '';
  readonly closed: Promise<void>;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.#onBytes(bytes));
    socket.on('end', () => this.#onOver('FIN'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#cause = error.code ?? error.message;
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#onOver(this.#cause || 'closed');
        resolve();
      });
    });
  }

  /** Rejects with a WireError: `refused`, or `broken` where it was the handshake that failed. */
  static async open(port: number, offer: TlsOffer | null): Promise<WireConnection> {
    const socket = net.connect({ host: HOST, port, noDelay: true });
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch (error) {
      socket.destroy();
      throw new WireError('refused', `connect: ${(error as NodeJS.ErrnoException).code}`);
    }
    if (offer === null) return new WireConnection(socket);
    const { version, session, onSession } = offer;
    const secure = tls.connect({
      socket,
      servername: 'sticky.test',
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
      ...(session && { session }),
    });
    secure.on('session', onSession);
    try {
      await once(secure, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch (error) {
      secure.destroy();
      const { code, message } = error as NodeJS.ErrnoException;
      const isLate = code === 'ABORT_ERR';
      throw new WireError(isLate ? 'timeout' : 'broken', `TLS handshake: ${code ?? message}`);
    }
    const connection = new WireConnection(secure);
    connection.isResumed = secure.isSessionReused();
    // no event tells of a TLS 1.2 ticket that was renewed
    const renewed = version === 'TLSv1.2' ? secure.getSession() : undefined;
    if (renewed !== undefined) onSession(renewed);
    return connection;
  }

  get isReused(): boolean {
    return this.answered > 0;
  }

  /** Does nothing where the connection is over. */
  write(bytes: string | Buffer): void {
    if (this.socket.writable) this.socket.write(bytes as string, 'latin1');
  }

  /** The next response in order. */
  response(isHead = false): Promise<WireResponse> {
    return new Promise((resolve, reject) => {
      if (this.isOver) {
        reject(new WireError('broken', `was over: ${this.#cause || 'FIN'}`));
        return;
      }
      const timer = setTimeout(() => {
        this.#fail('timeout', `no whole answer within ${PATIENCE_MS} ms`);
        this.destroy();
      }, PATIENCE_MS);
      this.#awaited.push({ isHead, timer, resolve, reject });
      this.#parse();
    });
  }

  get isOver(): boolean {
    return this.overMs > 0;
  }

  destroy(): void {
    this.overMs ||= performance.now();
    this.socket.destroy();
  }

  #onBytes(bytes: Buffer): void {
    if (this.onTunnelBytes !== null) {
      this.onTunnelBytes(bytes);
      return;
    }
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    this.#parse();
  }

  #onOver(cause: string): void {
    if (this.isOver && this.#awaited.length === 0) return;
    this.overMs ||= performance.now();
    this.#cause ||= cause;
    if (this.#head?.length === -1 && cause === 'FIN') {
      this.#take(this.#bytes.length);
      this.#finish();
    }
    const hasBegun = this.#head !== null || this.#bytes.length > 0;
    this.#fail(hasBegun ? 'truncated' : 'broken', cause);
    this.socket.destroy();
  }

  #fail(first: Symptom, cause: string): void {
    let symptom = first;
    for (const { timer, reject } of this.#awaited.splice(0)) {
      clearTimeout(timer);
      reject(new WireError(symptom, cause, this.#head?.headers.get('x-node') ?? null));
      if (symptom === 'truncated') symptom = 'broken';
    }
  }

  #parse(): void {
    while (this.#awaited.length > 0) {
      this.#head ??= this.#readHead((this.#awaited[0] as Awaited).isHead);
      if (this.#head === null) return;
      const { length } = this.#head;
      const isWhole = length === null ? this.#readChunks() : this.#readLength(length);
      if (!isWhole) return;
      this.#finish();
    }
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
    const hasNone = isHead || status === 204 || status === 304 || status === 101;
    if (hasNone) return { status, headers, length: 0 };
    if (headers.get('transfer-encoding') === 'chunked') return { status, headers, length: null };
    return { status, headers, length: length === undefined ? -1 : Number(length) };
  }

  #readLength(length: number): boolean {
    this.#take(length < 0 ? this.#bytes.length : Math.min(length - this.#partBytes, this.#bytes.length));
    return this.#partBytes === length;
  }

  #readChunks(): boolean {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n');
      if (end < 0) return false;
      const size = Number.parseInt(this.#bytes.toString('latin1', 0, end), 16);
      const past = end + 2 + size + 2;
      if (this.#bytes.length < past) return false;
      this.#bytes = this.#bytes.subarray(end + 2);
      if (size > 0) this.#take(size);
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

  #finish(): void {
    const head = this.#head as Head;
    const { timer, resolve } = this.#awaited.shift() as Awaited;
    clearTimeout(timer);
    const body = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#head = null;
    this.#parts = [];
    this.#partBytes = 0;
    this.answered++;
    resolve({ status: head.status, headers: head.headers, body });
  }
}
