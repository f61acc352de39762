/**
 * A service as one listener thread runs it: which node serves a request. Affinity first, then `balance`. Listener
 * threads.
 */

import { COOKIE_ABSENT, COOKIE_ID, encodeCookieName, findAffinityId } from '../src/affinity/cookie.ts';
import { domainIndex } from '../src/affinity/domain.ts';
import type { FoundNode } from '../src/affinity/route-table.ts';
import { countNodes, sortedNodeAt } from '../src/affinity/selection.ts';
import type { ServiceSettings } from '../src/boards/listener-task.ts';
import { Balancer } from './balancer.ts';
import type { RequestHead } from './http1/request-head.ts';
import { NodePool } from './node-pool.ts';
import type { UpstreamNode } from './upstream-node.ts';

/** What a request's head says of the node that it wants. The caller owns the object and reuses it. */
export interface Choice {
  node: UpstreamNode | null;
  /** The client does not hold this node's cookie: the response sets it. */
  setsCookie: boolean;
  /** Domain mode: where in the order of addresses the Host header points. */
  domainStart: number;
}

const NONE: readonly UpstreamNode[] = [];

export class Service {
  readonly settings: ServiceSettings;
  readonly pool: NodePool;
  /** What every forwarded request head gets besides the client's address. */
  readonly forwardedLinesPlain: string;
  readonly forwardedLinesTls: string;
  readonly #balancer: Balancer;
  readonly #cookieName: Buffer;
  readonly #setCookieName: string;
  readonly #id = new Int32Array(5);
  readonly #found: FoundNode = { slot: 0, generation: 0, flags: 0 };

  constructor(settings: ServiceSettings, pool: NodePool) {
    this.settings = settings;
    this.pool = pool;
    this.#balancer = new Balancer(settings.balance, pool);
    const via = settings.via === null ? '' : `Via: 1.1 ${settings.via}\r\n`;
    this.forwardedLinesPlain = `X-Forwarded-Proto: http\r\n${via}`;
    this.forwardedLinesTls = `X-Forwarded-Proto: https\r\n${via}`;
    this.#cookieName = Buffer.from(settings.affinity?.cookieName ?? '', 'latin1');
    this.#setCookieName = encodeCookieName(settings.affinity?.cookieName ?? '');
  }

  /** Chooses the node for a request. `node` is null where no node of the pool is live. */
  choose(bytes: Buffer, head: RequestHead, choice: Choice): void {
    const { affinity } = this.settings;
    if (affinity === null) {
      choice.node = this.#balancer.choose(NONE);
      choice.setsCookie = false;
    } else if (affinity.useDomain) {
      const count = countNodes(this.pool.board);
      choice.domainStart = count === 0 ? 0 : domainIndex(bytes, head.hostStart, head.hostEnd, count);
      choice.node = this.#nextOfDomain(choice.domainStart, NONE);
      choice.setsCookie = false;
    } else {
      choice.node = this.#byCookie(bytes, head);
      choice.setsCookie = choice.node === null;
      choice.node ??= this.#balancer.choose(NONE);
    }
  }

  /** Another node for a request that could not be served by those in `tried`; null where there is none. */
  chooseAgain(tried: readonly UpstreamNode[], choice: Choice): void {
    const { affinity } = this.settings;
    if (affinity?.useDomain) choice.node = this.#nextOfDomain(choice.domainStart, tried);
    else {
      choice.node = this.#balancer.choose(tried);
      choice.setsCookie = affinity !== null;
    }
  }

  /** The Set-Cookie line for a node. */
  setCookieLine(node: UpstreamNode, isTls: boolean): string {
    const { affinity } = this.settings;
    if (affinity === null) return '';
    return `Set-Cookie: ${this.#setCookieName}=${node.id}${isTls ? affinity.attributesTls : affinity.attributesPlain}\r\n`;
  }

  /** The node whose id the first affinity cookie holds, where that node is live. */
  #byCookie(bytes: Buffer, head: RequestHead): UpstreamNode | null {
    for (let i = 0; i < head.cookieCount; i++) {
      const line = head.cookieLines[i] as number;
      const { fields } = head;
      const result = findAffinityId(bytes, fields.valueStart(line), fields.valueEnd(line), this.#cookieName, this.#id);
      if (result === COOKIE_ABSENT) continue;
      if (result !== COOKIE_ID) return null;
      const node = this.pool.byId(this.#id, this.#found);
      return node !== null && this.pool.isUsable(node) ? node : null;
    }
    return null;
  }

  /** The usable node at `start` in the order of addresses, or the next after it. */
  #nextOfDomain(start: number, tried: readonly UpstreamNode[]): UpstreamNode | null {
    const count = countNodes(this.pool.board);
    for (let i = 0; i < count; i++) {
      if (!sortedNodeAt(this.pool.board, (start + i) % count, this.#found)) continue;
      // a node that drains has to lose its share some time: domain mode knows no clients that would end by themselves
      if (NodePool.isDraining(this.#found)) continue;
      const node = this.pool.resolve(this.#found);
      if (node !== null && this.pool.isUsable(node) && !tried.includes(node)) return node;
    }
    return this.#balancer.choose(tried);
  }
}
