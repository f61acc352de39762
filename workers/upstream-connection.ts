/**
 * One connection to a backend node: opening, verified, in use by one exchange or tunnel, or idle. Listener threads.
 */

import net from 'node:net';
import type { ServiceSettings } from '../src/boards/listener-task.ts';
import { takeOver } from './accept.ts';
import { type ByteStream, HIGH_WATERMARK, READ_BUFFER, type StreamOwner } from './byte-stream.ts';
import type { MayIdle } from './idle-upstreams.ts';
import type { ServiceCounts } from './service-counts.ts';
import type { ThreadContext } from './thread-context.ts';
import { Timed } from './timer-wheel.ts';
import type { UpstreamNode } from './upstream-node.ts';
import { BackendVerifier } from './verify-backend.ts';

/** Whoever has a connection in use. After onUpstreamFailed or onUpstreamClosed the connection is gone. */
export interface UpstreamUser {
  /** A connection that `connect` began is open, and verified where that is asked for. */
  onUpstreamReady(connection: UpstreamConnection): void;
  /** It could not be opened or verified; nothing of the request was sent. */
  onUpstreamFailed(connection: UpstreamConnection, reason: string, isTimeout: boolean): void;
  onUpstreamBytes(bytes: Buffer, start: number, end: number): void;
  /** The backend has finished sending. */
  onUpstreamEnd(): void;
  onUpstreamClosed(reason: string): void;
  /** The deadline that the user set has passed. */
  onUpstreamDeadline(): void;
}

const STATE = { connecting: 0, verifying: 1, inUse: 2, idle: 3, gone: 4 } as const;
type State = (typeof STATE)[keyof typeof STATE];

export class UpstreamConnection extends Timed implements StreamOwner, MayIdle {
  readonly node: UpstreamNode;
  /** For its user once it is open. */
  stream: ByteStream;
  /** It has served a request before: the backend may be closing it at this moment. */
  isReused = false;
  idlePrevious: MayIdle | null = null;
  idleNext: MayIdle | null = null;

  readonly #context: ThreadContext;
  /** Of the service that asked for it. */
  readonly #counts: ServiceCounts;
  readonly #startedMs = performance.now();
  #state: State = STATE.connecting;
  #user: UpstreamUser | null;
  #verifier: BackendVerifier | null;

  constructor(node: UpstreamNode, context: ThreadContext, user: UpstreamUser, service: ServiceSettings) {
    super();
    this.node = node;
    this.#context = context;
    this.#counts = context.countsOf(service.id);
    this.#user = user;
    this.#verifier = service.verifyBackend ? new BackendVerifier(node.address, service.verifyBackendPath) : null;
    context.count('upstreamsOpen');
    let cause: NodeJS.ErrnoException | null = null;
    const socket = net.connect({
      host: node.host,
      port: node.port,
      lookup: context.names.lookup,
      noDelay: true,
      allowHalfOpen: true,
      highWaterMark: HIGH_WATERMARK,
      // where the socket stays a Socket, it reads into this at least
      onread: {
        buffer: READ_BUFFER,
        callback: (length: number): boolean => {
          this.onBytes(READ_BUFFER, 0, length);
          return true;
        },
      },
    } as net.NetConnectOpts);
    socket.once('connect', () => this.#onConnect(socket));
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('close', () => {
      if (this.#state === STATE.connecting) this.onClose(cause);
    });
    this.stream = socket;
    this.arm(service.connectTimeoutMs);
  }

  /** The next user of an idle connection. */
  use(user: UpstreamUser): void {
    this.#user = user;
    this.#state = STATE.inUse;
    this.isReused = true;
    this.#context.limits.idleUpstreams.remove(this);
    this.disarm();
  }

  /** Idle until used again, for `idleTimeoutMs` at most. */
  rest(idleTimeoutMs: number): void {
    this.#user = null;
    this.#state = STATE.idle;
    this.#context.limits.idleUpstreams.add(this);
    this.arm(idleTimeoutMs);
    this.stream.resume();
  }

  /** Hands the connection in use to another user: an exchange to its tunnel. */
  handOver(user: UpstreamUser): void {
    this.#user = user;
  }

  arm(ms: number): void {
    this.#context.wheel.arm(this, ms);
  }
  disarm(): void {
    this.#context.wheel.disarm(this);
  }

  /** Ends the connection without telling its user. */
  destroy(): void {
    if (this.#state === STATE.gone) return;
    if (this.#state === STATE.idle) {
      this.node.forget(this);
      this.#context.limits.idleUpstreams.remove(this);
    }
    this.#user = null;
    this.#state = STATE.gone;
    this.#context.count('upstreamsOpen', -1);
    this.#context.wheel.remove(this);
    this.stream.destroy();
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.#state === STATE.inUse) this.#user?.onUpstreamBytes(bytes, start, end);
    else if (this.#state === STATE.verifying) this.#verify(bytes, start, end);
    // RFC 9112 section 6.3: bytes that no request asked for; whose answer they would be taken for, nobody knows
    else if (this.#state === STATE.idle) this.destroy();
  }

  onEnd(): void {
    if (this.#state === STATE.inUse) this.#user?.onUpstreamEnd();
    else if (this.#state === STATE.idle) this.destroy();
    else if (this.#state !== STATE.gone) this.#fail('backend closed the connection before it was verified', false);
  }

  onClose(error: NodeJS.ErrnoException | null): void {
    const reason = error?.code ?? 'backend closed the connection';
    if (this.#state === STATE.connecting || this.#state === STATE.verifying) this.#fail(reason, false);
    else {
      const user = this.#user;
      this.destroy();
      user?.onUpstreamClosed(reason);
    }
  }

  onDeadline(): void {
    if (this.#state === STATE.idle) this.destroy();
    else if (this.#state === STATE.inUse) this.#user?.onUpstreamDeadline();
    else this.#fail(this.#state === STATE.verifying ? 'verification timed out' : 'connect timed out', true);
  }

  #onConnect(socket: net.Socket): void {
    if (this.#state !== STATE.connecting) return;
    this.stream = takeOver(socket, this);
    this.#counts.connected(performance.now() - this.#startedMs);
    if (this.#verifier === null) {
      this.#ready();
      return;
    }
    this.#state = STATE.verifying;
    this.stream.write(this.#verifier.request, 'latin1');
  }

  #verify(bytes: Buffer, start: number, end: number): void {
    const verdict = this.#verifier?.read(bytes, start, end, this.#context.responseHead);
    if (verdict === 'verified') this.#ready();
    else if (verdict !== 'pending') this.#fail(`verification failed: ${verdict}`, false);
  }

  #ready(): void {
    this.#verifier = null;
    this.#state = STATE.inUse;
    this.disarm();
    this.#user?.onUpstreamReady(this);
  }

  #fail(reason: string, isTimeout: boolean): void {
    const user = this.#user;
    this.destroy();
    this.#counts.connectFailed();
    user?.onUpstreamFailed(this, reason, isTimeout);
  }
}
