/** The listener threads: what each does, and how evenly. In the browser. */

import { byId, element, Icon, KeyedChildren, setAttribute, setText } from './dom.js';
import { count, plural, rate } from './format.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {Snapshot['workers']['list'][number]} WorkerStatus
 * @typedef {{readonly worker: WorkerStatus, readonly perSecond: number | null, readonly part: number}} Item
 */

export class WorkersView {
  /** @type {KeyedChildren<Item>} */
  #list = new KeyedChildren(byId('workers'), createWorker);

  /**
   * @param {Snapshot} snapshot
   * @param {import('./history.js').History} history
   */
  show({ workers }, history) {
    const rates = workers.list.map(({ thread }) => history.workerPerSecond(thread));
    const most = rates.reduce((/** @type {number} */ max, one) => Math.max(max, one ?? 0), 0);
    const items = workers.list.map((worker, index) => {
      const perSecond = rates[index] ?? null;
      return { worker, perSecond, part: most === 0 ? 0 : (perSecond ?? 0) / most };
    });
    this.#list.show(items.map((item) => ({ key: `${item.worker.thread} ${item.worker.state === 'retiring'}`, item })));
    setText(byId('workers-summary'), summaryOf(workers));
  }
}

/** @param {Snapshot['workers']} workers */
function summaryOf({ connectionsMax, list, threads, retiring, replaced }) {
  const open = list.reduce((/** @type {number} */ sum, { connections }) => sum + connections, 0);
  const parts = [plural(threads, 'thread'), `${count(open)} of ${count(connectionsMax)} connections`];
  if (retiring > 0) parts.push(`${retiring} retiring`);
  if (replaced > 0) parts.push(`${count(replaced)} replaced since the start`);
  return parts.join(', ');
}

/** @param {Item} first */
function createWorker({ worker }) {
  const icon = new Icon('ok');
  const [state, perSecond, connections, bar] = [
    element('span', 'tag'),
    element('b'),
    element('span', 'muted'),
    element('i'),
  ];
  const name = element('p', '', icon.node, `Worker ${worker.thread} `, state);
  const node = element('li', '', name, element('p', 'detail', perSecond, connections), element('p', 'bar', bar));
  /** @param {Item} item */
  const update = (item) => {
    const { worker: now } = item;
    icon.show(now.state === 'serving' ? 'ok' : now.state === 'starting' ? 'warn' : 'drain');
    setAttribute(node, 'data-state', now.state);
    setText(state, now.state === 'serving' ? '' : now.state);
    setText(perSecond, `${rate(item.perSecond)}/s`);
    setText(connections, plural(now.connections, 'connection'));
    bar.style.width = `${(item.part * 100).toFixed(1)}%`;
  };
  return { node, update };
}
