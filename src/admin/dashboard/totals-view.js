/** The figures of the whole edge, and what it is. In the browser. */

import { byId, element, setAttribute, setText } from './dom.js';
import { count, plural, rate, span } from './format.js';
import { Sparkline } from './sparkline.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {'ok' | 'warn' | 'bad'} Worst
 */

export class TotalsView {
  #sparkline = new Sparkline();
  #connections = figure('Connections');
  #inFlight = figure('In flight');
  #nodes = figure('Nodes');
  #tls = figure('Tickets');
  #canary = figure('Canary');

  /**
   * @param {Snapshot} snapshot
   * @param {import('./history.js').History} history
   */
  show(snapshot, history) {
    const { workers, pools, keys, canary, clockMs } = snapshot;
    const nodes = pools.flatMap((pool) => pool.nodes);
    const nodeCount = sum(pools.map((pool) => pool.nodeCount));
    const notUp = sum(pools.map(({ counts }) => counts.down + counts.failing));
    const up = nodeCount - notUp;
    setText(byId('rate'), rate(history.perSecond));
    this.#sparkline.show(history.line, clockMs);
    this.#connections(count(sum(workers.list.map(({ connections }) => connections))), 'open from clients');
    this.#inFlight(
      count(sum(nodes.map(({ inFlight }) => inFlight))),
      nodes.length === nodeCount ? 'requests on nodes' : 'on the nodes listed',
    );
    const detail = `${count(up)} of ${count(nodeCount)} up, in ${plural(pools.length, 'pool')}`;
    this.#nodes(notUp === 0 ? `${count(up)} up` : `${count(notUp)} not up`, detail, notUp === 0 ? 'ok' : 'warn');
    const age = `key ${span(keys.activeAgeMs ?? 0)} old`;
    if (keys.isIssuing) this.#tls('issued', age);
    else this.#tls('not issued', 'TLS sessions do not resume', 'bad');
    this.#canary(...canaryFigure(canary));
    this.#about(snapshot);
  }

  /** @param {Snapshot} snapshot */
  #about({ version, pid, uptimeS }) {
    setText(byId('about'), `stekbal ${version} · pid ${pid} · up ${span(uptimeS * 1000)}`);
  }
}

/**
 * @param {Snapshot['canary']} canary
 * @returns {[text: string, detail: string, worst: Worst]}
 */
function canaryFigure(canary) {
  if (canary === null) return ['off', 'not configured', 'ok'];
  const [ok, failed] = [canary.ok, canary.failed].map((counts) => counts['TLSv1.2'] + counts['TLSv1.3']);
  const counts = `${count(ok ?? 0)} resumed, ${count(failed ?? 0)} not`;
  return canary.isFailing ? ['fails', counts, 'bad'] : ['well', counts, 'ok'];
}

/**
 * @param {string} name
 * @returns {(text: string, detail: string, worst?: Worst) => void}
 */
function figure(name) {
  const [value, detail] = [element('span', 'figure'), element('span', 'muted')];
  const group = element('div', '', element('dt', '', name), element('dd', '', value, detail));
  byId('totals').append(group);
  return (text, detailText, worst = 'ok') => {
    setAttribute(group, 'data-worst', worst);
    setText(value, text);
    setText(detail, detailText);
  };
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}
