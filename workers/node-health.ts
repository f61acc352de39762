/**
 * Passive failure: a node that keeps failing this thread's requests is left out for a while, and probed before it returns.
 * The other threads are told, by way of the main thread and the board. Listener threads; one object a node that has failed.
 *
 *   in ─► (max_fails failures in a row) ─► out ─► (fail_timeout) ─► probed ─► in, where one more failure puts it out
 *                                           ▲                          │
 *                                           └────────── fails ◄────────┘
 *
 * Health checks that found the node down as well bring it back earlier, when they pass again.
 */

import type { ServiceSettings } from '../src/boards/listener-task.ts';
import { NODE_DOWN, NODE_UP, type NodeState } from '../src/boards/route-board.ts';
import type { ThreadContext } from './thread-context.ts';
import { Timed } from './timer-wheel.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';
import type { UpstreamNode } from './upstream-node.ts';

export class NodeHealth extends Timed implements UpstreamUser {
  #isOut = false;
  /** Failures in a row. */
  #failures = 0;
  /** Its checks have failed since it was left out. */
  #wasDown = false;
  readonly #node: UpstreamNode;
  readonly #context: ThreadContext;
  /** Of the service that put it out: how to probe it, and how often. */
  #service: ServiceSettings | null = null;

  constructor(node: UpstreamNode, context: ThreadContext) {
    super();
    this.#node = node;
    this.#context = context;
  }

  /** Requests go elsewhere, as far as there is an elsewhere. `state`: as the board has it now. */
  isOut(state: NodeState): boolean {
    if (!this.#isOut) return false;
    if (state === NODE_DOWN) this.#wasDown = true;
    if (state === NODE_UP && this.#wasDown) {
      this.#failures = 0;
      this.#comeBack();
    }
    return this.#isOut;
  }

  /** A request could not be sent to the node, or got no response, or none that is HTTP. */
  failed(reason: string, service: ServiceSettings): void {
    if (this.#isOut) return;
    this.#failures++;
    const fields = { service: service.name, node: this.#node.address, reason, failures: this.#failures };
    if (service.maxFails === 0 || this.#failures < service.maxFails) {
      this.#context.log.warn('node failed', fields);
      return;
    }
    this.#isOut = true;
    this.#wasDown = false;
    this.#service = service;
    this.#node.tell(true, reason);
    this.#context.count('nodesLeftOut');
    this.#context.log.warn('node left out', { ...fields, probedAfterMs: service.failTimeoutMs });
    this.#context.wheel.arm(this, service.failTimeoutMs);
  }

  /** A response came from the node. */
  answered(): void {
    this.#failures = 0;
    if (this.#isOut) this.#comeBack();
  }

  /** Its pool is not in use any more: nothing to probe for. */
  withdraw(): void {
    if (!this.#isOut) return;
    this.#context.wheel.remove(this);
    this.#node.tell(false, '');
  }

  onDeadline(): void {
    if (!this.#isOut || this.#service === null) return;
    // one that has left the pool, if only to return with another id, is probed no more; nor one of a pool out of use
    if (!this.#node.isInPool) this.#node.tell(false, '');
    else this.#node.connect(this, this.#service);
  }

  onUpstreamReady(connection: UpstreamConnection): void {
    const service = this.#service as ServiceSettings;
    this.#node.release(connection, service);
    if (!this.#isOut) return;
    // it accepts connections; whether it answers, one request will show
    this.#failures = Math.max(0, service.maxFails - 1);
    this.#comeBack();
  }

  onUpstreamFailed(): void {
    if (this.#isOut) this.#context.wheel.arm(this, (this.#service as ServiceSettings).failTimeoutMs);
  }

  onUpstreamBytes(): void {}
  onUpstreamEnd(): void {}
  onUpstreamClosed(): void {}
  onUpstreamDeadline(): void {}

  #comeBack(): void {
    this.#isOut = false;
    this.#context.wheel.remove(this);
    this.#node.tell(false, '');
    this.#context.log.info('node answers again', { node: this.#node.address });
  }
}
