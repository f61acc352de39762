/**
 * The pipelined connections of a node: which of them takes the next request, and whether any should. Listener threads; one
 * object a node of a pool with `pipelining`.
 *
 * A connection is pipelined on once a request that had it to itself was answered in HTTP/1.1, and it stayed open. While
 * requests wait on it, it is in nobody else's way; as soon as none does, it is one of the node's idle connections like any
 * other.
 */

import type { ServiceSettings } from '../src/boards/listener-task.ts';
import type { ThreadContext } from './thread-context.ts';
import type { UpstreamNode } from './upstream-node.ts';
import { UpstreamPipeline } from './upstream-pipeline.ts';

/** For each request that has to be sent again, so many answers must have come: it costs the backend no more than that. */
const ANSWERS_A_REPEAT = 16;
/** Where fewer have come, or an answer was so slow that others did not wait for it, the node goes without for so long. */
const HOLD_OFF_MS = 5_000;

export class NodePipelines {
  readonly #node: UpstreamNode;
  readonly #context: ThreadContext;
  /** Those on which requests wait. Mostly one. */
  readonly #busy: UpstreamPipeline[] = [];
  /** Wheel time. */
  #heldOffUntilMs = 0;

  constructor(node: UpstreamNode, context: ThreadContext) {
    this.#node = node;
    this.#context = context;
  }

  /** A connection on which one more request may wait; null: none, or none that is fit for it. */
  take({ pipelining }: ServiceSettings): UpstreamPipeline | null {
    if (this.#context.wheel.now < this.#heldOffUntilMs) return null;
    for (const pipeline of this.#busy) {
      if (pipeline.hasRoom(pipelining)) return pipeline;
    }
    const connection = this.#node.takePipelinable();
    if (connection === null) return null;
    connection.pipeline ??= new UpstreamPipeline(connection, this, this.#context);
    connection.use(connection.pipeline);
    this.#busy.push(connection.pipeline);
    return connection.pipeline;
  }

  /** No request waits on `pipeline` any more. */
  rest(pipeline: UpstreamPipeline, service: ServiceSettings): void {
    this.remove(pipeline);
    this.#node.release(pipeline.connection, service);
  }

  /** The connection of `pipeline` is in nobody's use. */
  remove(pipeline: UpstreamPipeline): void {
    const index = this.#busy.indexOf(pipeline);
    if (index < 0) throw new Error('a pipelined connection that nobody knows');
    this.#busy.splice(index, 1);
  }

  /** `requests` that waited on `pipeline` are sent again. */
  onBroken(pipeline: UpstreamPipeline, requests: number): void {
    this.#context.count('pipelinesBroken');
    if (pipeline.answers < requests * ANSWERS_A_REPEAT) this.holdOff();
  }

  /** For a while each request has a connection of its own. */
  holdOff(): void {
    this.#heldOffUntilMs = this.#context.wheel.now + HOLD_OFF_MS;
  }
}
