/** A node's row in the table of its pool. In the browser. */

import { confirmChange } from './actions.js';
import { element, Icon, setAttribute, setText } from './dom.js';
import { change as send } from './edge-client.js';
import { count, rate, span } from './format.js';
import { stateOf } from './trouble.js';

/**
 * @typedef {import('../../control/status.ts').NodeStatus} NodeStatus
 * @typedef {{readonly pool: string, readonly node: NodeStatus, readonly perSecond: number | null,
 *   readonly share: number | null, readonly reach: string, readonly nowMs: number}} Item
 */

const MARKS = /** @type {const} */ ({ up: 'ok', down: 'bad', failing: 'warn', draining: 'drain' });

/** @param {Item} first */
export function createNodeRow(first) {
  const icon = new Icon('ok');
  const [state, address, tags] = [element('span', 'state'), element('b', 'address'), element('span', 'tags')];
  const [bar, share, perSecond, inFlight] = [
    element('i'),
    element('span'),
    element('td', 'number'),
    element('td', 'number'),
  ];
  const change = element('button');
  change.type = 'button';
  const head = element('th', '', icon.node, element('div', 'who', address, ' ', tags, ' ', state));
  head.scope = 'row';
  const shareCell = element('td', 'share', element('span', 'bar', bar), share);
  const node = element('tr', '', head, shareCell, perSecond, inFlight, element('td', 'action', change));
  for (const [cell, label] of /** @type {const} */ ([
    [shareCell, 'Share'],
    [perSecond, 'Requests/s'],
    [inFlight, 'In flight'],
  ])) {
    cell.dataset.label = label;
  }
  let item = first;
  change.addEventListener('click', () => confirmDrain(item));

  /** @param {Item} next */
  const update = (next) => {
    item = next;
    const { node: now, nowMs } = next;
    const kind = stateOf(now);
    icon.show(MARKS[kind]);
    setAttribute(node, 'data-state', kind);
    setText(address, now.address);
    setText(state, stateText(now, nowMs));
    setText(tags, tagsOf(now).join(' · '));
    setText(share, next.share === null ? '–' : percent(next.share));
    bar.style.width = `${((next.share ?? 0) * 100).toFixed(1)}%`;
    setText(perSecond, rate(next.perSecond));
    setText(inFlight, count(now.inFlight));
    setText(change, now.drain ? 'Undrain' : 'Drain');
    setAttribute(change, 'aria-label', `${now.drain ? 'Undrain' : 'Drain'} ${now.address}`);
  };
  return { node, update };
}

/**
 * @param {NodeStatus} node
 * @param {number} nowMs
 */
function stateText({ health, drain, inFlight }, nowMs) {
  const { state, isChecked, changedAtMs, reason } = health;
  const since = changedAtMs === null ? '' : ` for ${span(nowMs - changedAtMs)}`;
  const checked = state === 'up' && !isChecked ? ', not checked' : '';
  const draining = !drain ? '' : inFlight === 0 ? ', draining, nothing in flight' : ', draining';
  return `${state}${since}${checked}${draining}${reason === '' ? '' : `: ${reason}`}`;
}

/** @param {number} part */
function percent(part) {
  return part > 0 && part < 0.01 ? `${(part * 100).toFixed(1)} %` : `${Math.round(part * 100)} %`;
}

/** @param {NodeStatus} node */
function tagsOf({ weight, origin }) {
  const tags = [];
  if (weight !== 1) tags.push(`weight ${weight}`);
  if (origin === 'group') tags.push('changed in the group');
  if (origin === 'local') tags.push('changed on this edge');
  return tags;
}

/** @param {Item} item */
function confirmDrain({ pool, reach, node: { address, drain } }) {
  const path = `pools/${encodeURIComponent(pool)}/nodes/${encodeURIComponent(address)}`;
  confirmChange({
    title: drain ? `Undrain ${address}?` : `Drain ${address}?`,
    text: drain
      ? `In pool ${pool} it gets new clients again, on ${reach}.`
      : `In pool ${pool} it keeps the clients that are bound to it and gets no new ones, on ${reach}.`,
    verb: drain ? 'Undrain' : 'Drain',
    run: () => send('PATCH', path, { drain: !drain }),
    done: drain ? `${address} gets new clients again.` : `${address} is draining.`,
  });
}
