/**
 * A connection of an HTTP/1.1 client on bare bytes: it sees every byte that an edge sends, can pipeline, be slow and break
 * off. All that can go wrong comes as a WireError with the symptom.
 */

import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { HOST } from '../e2e/cluster-network.ts';
import type { TlsVersion } from '../e2e/tls-client.ts';
import type { Symptom } from './failure.ts';
import { ResponseParser, type WireResponse } from './response-parser.ts';

const PATIENCE_MS = 20_000;

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
  readonly #parser = new ResponseParser();
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
      this.#answer();
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
    this.#parser.push(bytes);
    this.#answer();
  }

  #onOver(cause: string): void {
    if (this.isOver && this.#awaited.length === 0) return;
    this.overMs ||= performance.now();
    this.#cause ||= cause;
    const last = cause === 'FIN' ? this.#parser.end() : null;
    if (last !== null) this.#resolve(last);
    this.#fail(this.#parser.hasBegun ? 'truncated' : 'broken', cause);
    this.socket.destroy();
  }

  #fail(first: Symptom, cause: string): void {
    let symptom = first;
    for (const { timer, reject } of this.#awaited.splice(0)) {
      clearTimeout(timer);
      reject(new WireError(symptom, cause, this.#parser.headerOf('x-node')));
      if (symptom === 'truncated') symptom = 'broken';
    }
  }

  /** Hands out the responses that are whole. */
  #answer(): void {
    for (let first = this.#awaited[0]; first !== undefined; first = this.#awaited[0]) {
      const response = this.#parser.next(first.isHead);
      if (response === null) return;
      this.#resolve(response);
    }
  }

  #resolve(response: WireResponse): void {
    const awaited = this.#awaited.shift();
    clearTimeout(awaited?.timer);
    this.answered++;
    awaited?.resolve(response);
  }
}
