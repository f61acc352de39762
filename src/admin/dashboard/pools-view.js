/**
 * Pools and their nodes: those in trouble first, the rest as the configuration has them, cut where they are many. In the
 * browser.
 */

import { reachOf } from './cluster-view.js';
import { byId, KeyedChildren, setText } from './dom.js';
import { count, plural } from './format.js';
import { createPool, ORDER } from './pool-section.js';
import { stateOf } from './trouble.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {import('../../control/status.ts').PoolStatus} PoolStatus
 * @typedef {import('../../control/status.ts').NodeStatus} NodeStatus
 * @typedef {import('./pool-section.js').Item} Item
 */

/** Up to so many pools all are open at first; beyond, those in trouble. */
const OPEN_MAX = 4;

export class PoolsView {
  /** @type {KeyedChildren<Item>} */
  #pools = new KeyedChildren(byId('pools'), createPool);
  #filter = /** @type {HTMLInputElement} */ (byId('filter'));
  #words = /** @type {readonly string[]} */ ([]);
  /** @type {[Snapshot, import('./history.js').History] | null} */
  #last = null;

  constructor() {
    this.#filter.addEventListener('input', () => {
      this.#words = this.#filter.value
        .toLowerCase()
        .split(/\s+/)
        .filter((word) => word !== '');
      if (this.#last !== null) this.show(...this.#last);
    });
    document.addEventListener('keydown', (event) => {
      const isTyping = event.target instanceof HTMLInputElement;
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#filter.focus();
    });
  }

  /**
   * @param {Snapshot} snapshot
   * @param {import('./history.js').History} history
   */
  show(snapshot, history) {
    this.#last = [snapshot, history];
    const { pools, atMs: nowMs } = snapshot;
    const isFiltered = this.#words.length > 0;
    const items = pools.map((pool) => {
      const found = inOrder(pool.nodes.filter((node) => this.#matches(pool, node)));
      return {
        pool,
        found,
        isFiltered,
        rates: history.poolRates(pool),
        isOpen: pools.length <= OPEN_MAX,
        reach: reachOf(snapshot),
        nowMs,
      };
    });
    const shown = items.filter(({ found }) => !isFiltered || found.length > 0);
    this.#pools.show(shown.map((item) => ({ key: item.pool.name, item })));
    setText(byId('filter-result'), isFiltered ? resultOf(items) : pools.length === 0 ? 'No pools.' : '');
  }

  /**
   * @param {PoolStatus} pool
   * @param {NodeStatus} node
   */
  #matches({ name }, node) {
    const text = `${node.address} ${name} ${stateOf(node)} ${node.drain ? 'draining' : ''}`.toLowerCase();
    return this.#words.every((word) => text.includes(word));
  }
}

/** @param {readonly Item[]} items */
function resultOf(items) {
  const [found, listed, all] = [
    items.map((item) => item.found.length),
    items.map(({ pool }) => pool.nodes.length),
    items.map(({ pool }) => pool.nodeCount),
  ].map((counts) => counts.reduce((sum, one) => sum + one, 0));
  const rest = (all ?? 0) > (listed ?? 0) ? `; ${count((all ?? 0) - (listed ?? 0))} nodes are not listed here` : '';
  return `${count(found ?? 0)} of ${plural(listed ?? 0, 'node')} match${rest}`;
}

/** @param {readonly NodeStatus[]} nodes */
function inOrder(nodes) {
  return [...nodes].sort((a, b) => ORDER.indexOf(stateOf(a)) - ORDER.indexOf(stateOf(b)));
}
