/**
 * A backend node as one listener thread knows it: its idle connections, and whether it answers. Listener threads.
 */

import { readIdWords } from '../src/affinity/backend-id.ts';
import type { ServiceSettings } from '../src/boards/listener-task.ts';
import type { NodeState } from '../src/boards/route-board.ts';
import { STAT } from '../src/boards/stats-board.ts';
import { NodeHealth } from './node-health.ts';
import { NodePipelines } from './node-pipelines.ts';
import type { NodePool } from './node-pool.ts';
import type { ThreadContext } from './thread-context.ts';
import { UpstreamConnection, type UpstreamUser } from './upstream-connection.ts';
import type { UpstreamPipeline } from './upstream-pipeline.ts';

export class UpstreamNode {
  readonly slot: number;
  readonly generation: number;
  /** "host:port" as in the configuration; `host` has no brackets. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** The affinity id: 40 lower-case hex characters. */
  readonly id: string;
  readonly #idWords: Int32Array;
  /** Last in, first out: the connections at the front grow old and close. */
  readonly #idle: UpstreamConnection[] = [];
  readonly #pool: NodePool;
  readonly #context: ThreadContext;
  /** Null until it fails for the first time. */
  #health: NodeHealth | null = null;
  /** Null until a request asks for one. */
  #pipelines: NodePipelines | null = null;

  /** `idWords`: five, copied. */
  constructor(
    pool: NodePool,
    context: ThreadContext,
    slot: number,
    generation: number,
    address: string,
    idWords: Int32Array,
  ) {
    const colon = address.lastIndexOf(':');
    this.slot = slot;
    this.generation = generation;
    this.address = address;
    this.host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    this.port = Number(address.slice(colon + 1));
    this.#idWords = idWords.slice();
    this.id = readIdWords(idWords, 0);
    this.#pool = pool;
    this.#context = context;
  }

  /** Whether `id`, five words, is its own. */
  hasId(id: Int32Array): boolean {
    const own = this.#idWords;
    return own[0] === id[0] && own[1] === id[1] && own[2] === id[2] && own[3] === id[3] && own[4] === id[4];
  }

  /** It keeps failing this thread, which leaves it out for a while. `state`: as the board has it now. */
  isLeftOut(state: NodeState): boolean {
    return this.#health?.isOut(state) === true;
  }

  /** For all threads to know: this one leaves it out, or uses it again. */
  tell(isOut: boolean, reason: string): void {
    this.#pool.tell(this, isOut, reason);
  }

  /** The node has not left the pool. */
  get isInPool(): boolean {
    return this.#pool.holds(this);
  }

  failed(reason: string, service: ServiceSettings): void {
    this.#health ??= new NodeHealth(this, this.#context);
    this.#health.failed(reason, service);
  }

  answered(): void {
    this.#health?.answered();
  }

  /** Where this thread leaves it out, nobody need know any more. */
  withdraw(): void {
    this.#health?.withdraw();
  }

  /** A request begins or ends on this node; the board's cells are this thread's own. */
  begin(): void {
    this.#pool.begin(this.slot);
  }
  end(): void {
    this.#pool.end(this.slot);
  }

  /** An idle connection, now `user`'s; null where there is none. */
  takeIdle(user: UpstreamUser): UpstreamConnection | null {
    this.#forgetBroken();
    const connection = this.#idle.pop();
    if (connection === undefined) return null;
    connection.use(user);
    this.#context.add(STAT.upstreamReuses);
    return connection;
  }

  /** A pipelined connection for one more request, for it to join; null: it is to have one of its own. */
  takePipeline(service: ServiceSettings): UpstreamPipeline | null {
    this.#pipelines ??= new NodePipelines(this, this.#context);
    const pipeline = this.#pipelines.take(service);
    if (pipeline === null) return null;
    this.#context.count('upstreamReuses');
    this.#context.count('upstreamsPipelined');
    return pipeline;
  }

  /** An idle connection that may be pipelined on, for `use`; null where the newest is none. */
  takePipelinable(): UpstreamConnection | null {
    this.#forgetBroken();
    if (this.#idle.at(-1)?.isPipelinable !== true) return null;
    return this.#idle.pop() ?? null;
  }

  /** A new connection for `user`, who is told when it is open. */
  connect(user: UpstreamUser, service: ServiceSettings): UpstreamConnection {
    this.#context.count('upstreamConnects');
    return new UpstreamConnection(this, this.#context, user, service);
  }

  /** Takes back a connection whose last response has been read to its end. */
  release(connection: UpstreamConnection, service: ServiceSettings): void {
    const isFull = this.#idle.length >= service.backendPersistCache;
    if (!service.persistBackend || isFull || this.#context.isEnding || this.#pool.isClosed) {
      connection.destroy();
      return;
    }
    this.#idle.push(connection);
    connection.rest(service.backendIdleTimeoutMs);
  }

  /** An idle connection is gone. */
  forget(connection: UpstreamConnection): void {
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** What was reset in this turn tells of its close in a later one: nothing could be sent on it. */
  #forgetBroken(): void {
    while (this.#idle.at(-1)?.stream.destroyed) this.#idle.pop();
  }
}
