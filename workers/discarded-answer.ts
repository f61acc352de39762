/**
 * The answer to a request whose client has left, on a pipelined connection: read to its end, which those behind it wait for,
 * and thrown away. Listener threads; one object a client that left so.
 */

import type { ServiceSettings } from '../src/boards/listener-task.ts';
import type { ByteStream } from './byte-stream.ts';
import { RELAY, type RelayHost, ResponseRelay } from './response-relay.ts';
import type { ThreadContext } from './thread-context.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { PipelineUser, UpstreamPipeline } from './upstream-pipeline.ts';

/** Of an answer that is longer, the rest is not worth reading. */
const CONTENT_BYTES_MAX = 64 * 1024;
/** Nor is one that takes longer. More than the patience of whoever waits behind it. */
const WAIT_MS_MAX = 2_000;

/** Takes everything, and keeps nothing. */
const NOWHERE: ByteStream = {
  writableLength: 0,
  destroyed: false,
  write(_data: string | Uint8Array, encoding?: 'latin1' | (() => void), onFlushed?: () => void) {
    const done = typeof encoding === 'function' ? encoding : onFlushed;
    done?.();
    return true;
  },
  pause: () => {},
  resume: () => {},
  end: () => {},
  destroy: () => {},
};

/** An answer like any other, but for whom it is. */
const TRAITS = { isHead: false, clientMinor: 1, clientKeepsAlive: true, offeredProtocols: '' } as const;

export class DiscardedAnswer implements PipelineUser, RelayHost {
  joinedMs: number;
  readonly requestIsWhole = true;
  readonly #pipeline: UpstreamPipeline;
  readonly #service: ServiceSettings;
  readonly #relay: ResponseRelay;
  #connection: UpstreamConnection | null = null;

  constructor(pipeline: UpstreamPipeline, context: ThreadContext, service: ServiceSettings, joinedMs: number) {
    this.joinedMs = joinedMs;
    this.#pipeline = pipeline;
    this.#service = service;
    this.#relay = new ResponseRelay(NOWHERE, context, this);
    this.#relay.begin(TRAITS);
    this.#relay.isPipelined = true;
  }

  get isLastAnswer(): boolean {
    return this.#relay.isLast;
  }

  get isLongAnswer(): boolean {
    return this.#relay.isLong;
  }

  onTurn(connection: UpstreamConnection): void {
    this.#connection = connection;
    connection.arm(Math.min(WAIT_MS_MAX, this.#service.responseTimeoutMs));
  }

  onUpstreamBytes(bytes: Buffer, start: number, end: number): void {
    const relay = this.#relay;
    const outcome = relay.onBytes((this.#connection as UpstreamConnection).stream, bytes, start, end);
    if (outcome === RELAY.whole) {
      this.#pipeline.answered(relay.keepsUpstream, this.#service, relay.rest, relay.restStart, relay.restEnd);
    } else if (outcome !== RELAY.pending || relay.contentBytes > CONTENT_BYTES_MAX) this.#pipeline.drop();
  }

  onUpstreamDeadline(): void {
    this.#pipeline.drop();
  }

  onMovedOff(): void {}
  onUpstreamEnd(): void {}
  onUpstreamClosed(): void {}
  onUpstreamReady(): void {}
  onUpstreamFailed(): void {}
  onAnswered(): void {}
  onResponseProgress(): void {}
  cookieLine(): string {
    return '';
  }
}
