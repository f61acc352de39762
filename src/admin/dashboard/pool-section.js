/** One pool: what it is worth, and the table of its nodes, cut where they are many. In the browser. */

import { element, Icon, KeyedChildren, setAttribute, setText } from './dom.js';
import { count, plural, rate } from './format.js';
import { createNodeRow } from './node-row.js';

/**
 * @typedef {import('../../control/status.ts').PoolStatus} PoolStatus
 * @typedef {import('../../control/status.ts').NodeStatus} NodeStatus
 * @typedef {import('./node-row.js').Item} Row
 * @typedef {{readonly pool: PoolStatus, readonly found: readonly NodeStatus[], readonly isFiltered: boolean,
 *   readonly rates: {rates: Map<string, number>, sum: number} | null, readonly isOpen: boolean, readonly reach: string,
 *   readonly nowMs: number}} Item
 */

/** Worst first. */
export const ORDER = /** @type {const} */ (['down', 'failing', 'draining', 'up']);
/** Rows at first, and with each "more". */
const ROWS = { first: 10, more: 100 };

class PoolSection {
  #icon = new Icon('ok');
  #health = element('span', 'health');
  #traffic = element('span', 'traffic');
  #table;
  #more = element('button', 'quiet');
  #rest = element('p', 'muted');
  /** @type {KeyedChildren<Row>} */
  #rows;
  #rowsMax = ROWS.first;
  /** @type {Item | null} */
  #last = null;
  node;

  /** @param {Item} item */
  constructor({ pool: { name }, isOpen }) {
    const body = element('tbody');
    this.#rows = new KeyedChildren(body, createNodeRow);
    this.#table = element('table', '', element('caption', 'unseen', `Nodes of pool ${name}`), headRow(), body);
    this.#more.type = 'button';
    const title = element('summary', '', this.#icon.node, element('h3', '', name), this.#health, this.#traffic);
    this.node = element('details', 'pool', title, this.#table, element('p', 'more', this.#more), this.#rest);
    this.node.open = isOpen;
    this.node.addEventListener('toggle', () => this.#showRows());
    this.#more.addEventListener('click', () => {
      this.#rowsMax += ROWS.more;
      this.#showRows();
    });
  }

  /** @param {Item} item */
  update(item) {
    const { pool, rates, isFiltered } = item;
    const worst = worstOf(pool);
    const hasWorsened = worst !== 'ok' && (this.#last === null || worstOf(this.#last.pool) !== worst);
    // once: who closes it again wants it so
    if (hasWorsened || (isFiltered && this.#last?.isFiltered !== true)) this.node.open = true;
    this.#last = item;
    this.#icon.show(worst);
    setAttribute(this.node, 'data-worst', worst);
    setText(this.#health, healthOf(pool));
    setText(this.#traffic, trafficOf(pool, rates));
    const isCut = pool.nodeCount > pool.nodes.length;
    setText(
      this.#rest,
      isCut ? `${count(pool.nodes.length)} of ${plural(pool.nodeCount, 'node')} are listed here.` : '',
    );
    this.#showRows();
  }

  #showRows() {
    if (this.#last === null) return;
    const { found } = this.#last;
    const shown = this.node.open ? found.slice(0, this.#rowsMax) : [];
    this.#rows.show(shown.map((node) => ({ key: node.address, item: rowOf(/** @type {Item} */ (this.#last), node) })));
    this.#table.hidden = found.length === 0;
    this.#more.hidden = found.length <= this.#rowsMax;
    setText(
      this.#more,
      `Show ${count(Math.min(ROWS.more, found.length - this.#rowsMax))} more of ${count(found.length)}`,
    );
  }
}

/** @param {Item} first */
export function createPool(first) {
  const section = new PoolSection(first);
  return { node: section.node, update: (/** @type {Item} */ item) => section.update(item) };
}

function headRow() {
  const names = ['Node', 'Share', 'Requests/s', 'In flight'];
  const cells = names.map((name, index) => {
    const cell = element('th', index > 1 ? 'number' : index === 1 ? 'share' : '', name);
    cell.scope = 'col';
    return cell;
  });
  return element('thead', '', element('tr', '', ...cells, element('td', 'action')));
}

/**
 * @param {Item} item
 * @param {NodeStatus} node
 * @returns {Row}
 */
function rowOf({ pool, rates, reach, nowMs }, node) {
  const perSecond = rates?.rates.get(node.address) ?? null;
  const share = rates === null || rates.sum === 0 || perSecond === null ? null : perSecond / rates.sum;
  return { pool: pool.name, node, perSecond, share, reach, nowMs };
}

/** @param {PoolStatus} pool */
function worstOf({ counts, nodeCount }) {
  if (counts.down === nodeCount) return 'bad';
  return counts.down + counts.failing > 0 ? 'warn' : 'ok';
}

/** @param {PoolStatus} pool */
function healthOf({ counts, nodeCount }) {
  const told = ORDER.filter((state) => counts[state] > 0).map((state) => `${count(counts[state])} ${state}`);
  if (told.length === 1 && nodeCount > 1) return `all ${told[0]}`;
  return told.join(', ') || 'no nodes';
}

/**
 * @param {PoolStatus} pool
 * @param {{sum: number} | null} rates
 */
function trafficOf({ nodes }, rates) {
  const inFlight = nodes.reduce((sum, node) => sum + node.inFlight, 0);
  return `${rate(rates?.sum ?? null)}/s, ${count(inFlight)} in flight`;
}
