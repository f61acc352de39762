/**
 * An upgraded connection (WebSocket or any other protocol): bytes both ways until both sides have finished, each side's
 * end passed on by itself. Listener threads.
 */

import { type ByteStream, Flow } from './byte-stream.ts';
import type { ThreadContext } from './thread-context.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

export interface TunnelOptions {
  /** Longest time in which no byte moves either way. */
  readonly idleTimeoutMs: number;
  /** Called once, when the tunnel is over. */
  readonly onOver: () => void;
}

export class Tunnel implements UpstreamUser {
  readonly #client: ByteStream;
  readonly #upstream: UpstreamConnection;
  readonly #context: ThreadContext;
  readonly #options: TunnelOptions;
  readonly #toClient: Flow;
  readonly #toUpstream: Flow;
  #upstreamEnded = false;
  #isOver = false;

  constructor(client: ByteStream, upstream: UpstreamConnection, context: ThreadContext, options: TunnelOptions) {
    this.#client = client;
    this.#upstream = upstream;
    this.#context = context;
    this.#options = options;
    const touch = () => this.#touch();
    this.#toClient = new Flow(upstream.stream, client, touch);
    this.#toUpstream = new Flow(client, upstream.stream, touch);
    context.count('tunnelsOpen');
    this.#touch();
  }

  onClientBytes(bytes: Buffer, start: number, end: number): void {
    this.#touch();
    this.#toUpstream.forward(bytes, start, end);
  }

  onClientEnd(): void {
    this.#upstream.stream.end();
  }

  /** The client's connection is gone. What it sent is still delivered, unless it broke off. */
  onClientClosed(brokeOff: boolean): void {
    if (brokeOff || this.#upstream.stream.writableLength === 0) this.#upstream.destroy();
    this.#over();
  }

  onUpstreamBytes(bytes: Buffer, start: number, end: number): void {
    this.#touch();
    this.#toClient.forward(bytes, start, end);
  }

  onUpstreamEnd(): void {
    this.#upstreamEnded = true;
    this.#client.end();
  }

  onUpstreamClosed(): void {
    // past the backend's end, what the client has not been sent yet is sent; what it sends itself goes nowhere
    if (!this.#upstreamEnded || this.#client.writableLength === 0) this.#client.destroy();
    this.#over();
  }

  onUpstreamDeadline(): void {
    this.#upstream.destroy();
    this.#client.destroy();
    this.#over();
  }

  onUpstreamReady(): void {}
  onUpstreamFailed(): void {}

  #touch(): void {
    if (!this.#isOver) this.#upstream.arm(this.#options.idleTimeoutMs);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#context.count('tunnelsOpen', -1);
    this.#options.onOver();
  }
}
