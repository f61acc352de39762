/** The ring of ticket keys as a time line. In the browser. */

import { confirmChange } from './actions.js';
import { reachOf } from './cluster-view.js';
import { byId, element, KeyedChildren, setAttribute, setText } from './dom.js';
import { change } from './edge-client.js';
import { dayTime, plural, span } from './format.js';
import { axisOf, lanesOf } from './keys-timeline.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {import('./keys-timeline.js').Lane} Lane
 * @typedef {import('./keys-timeline.js').Phase} Phase
 * @typedef {{fromMs: number, toMs: number, marks: readonly number[]}} Axis
 * @typedef {{readonly lane: Lane, readonly axis: Axis, readonly nowMs: number}} Item
 */

/** Unless all are asked for. */
const SHOWN_MAX = 5;
/** Marks this close to an end would be cut. */
const EDGE_PERCENT = 4;

export class KeysView {
  #timeline = byId('timeline');
  #axis = element('div', 'axis');
  #list = element('ol', 'lanes');
  /** @type {KeyedChildren<Item>} */
  #lanes = new KeyedChildren(this.#list, createLane);
  #isExpanded = false;
  /** @type {Snapshot | null} */
  #last = null;

  constructor() {
    this.#axis.setAttribute('aria-hidden', 'true');
    this.#timeline.append(this.#list, this.#axis);
    byId('keys-more').addEventListener('click', () => {
      this.#isExpanded = !this.#isExpanded;
      if (this.#last !== null) this.show(this.#last);
    });
    byId('rotate').addEventListener('click', () => {
      confirmChange({
        title: 'Rotate the ticket keys?',
        text: `The next key becomes the active one now, on ${this.#last === null ? 'this edge' : reachOf(this.#last)}. Clients resume as before.`,
        verb: 'Rotate',
        run: () => change('POST', 'keys/rotate'),
        done: 'The next ticket key is active.',
      });
    });
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    this.#last = snapshot;
    const { keys, atMs: nowMs } = snapshot;
    const all = lanesOf(keys, nowMs);
    const shown = this.#isExpanded ? all : all.slice(0, SHOWN_MAX);
    const axis = axisOf(shown, keys.intervalMs, nowMs);
    this.#lanes.show(shown.map((lane) => ({ key: lane.id, item: { lane, axis, nowMs } })));
    this.#showAxis(axis, nowMs);
    this.#timeline.hidden = all.length === 0;
    setText(byId('keys-summary'), summaryOf(keys, all, nowMs));
    setText(byId('keys-note'), `A new key every ${span(keys.intervalMs)}; tickets last ${span(keys.lifetimeMs)}.`);
    this.#showMore(all.length);
  }

  /** @param {number} laneCount */
  #showMore(laneCount) {
    const more = byId('keys-more');
    more.hidden = laneCount <= SHOWN_MAX;
    setAttribute(more, 'aria-expanded', String(this.#isExpanded));
    const rest = laneCount - SHOWN_MAX;
    setText(more, this.#isExpanded ? 'Show fewer' : `Show ${rest} more that ${rest === 1 ? 'is' : 'are'} retiring`);
  }

  /**
   * @param {Axis} axis
   * @param {number} nowMs
   */
  #showAxis(axis, nowMs) {
    const marks = axis.marks.flatMap((offsetMs) => {
      const at = percent(nowMs + offsetMs, axis);
      if (at < EDGE_PERCENT || at > 100 - EDGE_PERCENT) return [];
      const text = offsetMs === 0 ? 'now' : `${offsetMs < 0 ? '−' : '+'}${span(Math.abs(offsetMs))}`;
      const mark = element('span', offsetMs === 0 ? 'now' : '', text);
      mark.style.left = `${at}%`;
      return [mark];
    });
    this.#axis.replaceChildren(...marks);
    this.#timeline.style.setProperty('--now', `${percent(nowMs, axis) / 100}`);
  }
}

/**
 * @param {Snapshot['keys']} keys
 * @param {readonly Lane[]} lanes
 * @param {number} nowMs
 */
function summaryOf({ keys, intervalMs }, lanes, nowMs) {
  if (lanes.length === 0) return 'No keys yet.';
  const active = keys.find(({ stage }) => stage === 'active');
  if (active === undefined) return 'No key is active.';
  const [ageMs, nextMs] = [nowMs - active.sinceMs, active.sinceMs + intervalMs];
  const next =
    nextMs <= nowMs ? 'the next is due' : `the next in ${span(nextMs - nowMs)}, at ${dayTime(nextMs, nowMs)}`;
  const retiring = keys.filter(({ stage }) => stage === 'retiring').length;
  const opens =
    retiring === 0 ? '' : ` ${plural(retiring, 'older key')} still ${retiring === 1 ? 'opens' : 'open'} tickets.`;
  return `Active for ${span(ageMs)}; ${next}.${opens}`;
}

/** @param {Item} first */
function createLane({ lane }) {
  const [id, stage, since, bars] = [
    element('code', '', lane.id),
    element('span', 'tag'),
    element('span', 'unseen'),
    element('span', 'track'),
  ];
  const node = element('li', '', id, stage, since, bars);
  /** @param {Item} item */
  const update = ({ lane: now, axis, nowMs }) => {
    setAttribute(node, 'data-stage', now.stage);
    setText(stage, now.stage);
    setText(since, ` since ${dayTime(now.sinceMs, nowMs)}`);
    node.title = `${now.id}: ${now.stage} for ${span(nowMs - now.sinceMs)}, since ${dayTime(now.sinceMs, nowMs)}`;
    while (bars.children.length < now.phases.length) bars.append(element('i'));
    for (const [index, phase] of now.phases.entries())
      place(/** @type {HTMLElement} */ (bars.children[index]), phase, axis);
  };
  return { node, update };
}

/**
 * @param {HTMLElement} bar
 * @param {Phase} phase
 * @param {Axis} axis
 */
function place(bar, { stage, fromMs, toMs, isExpected }, axis) {
  const [from, to] = [percent(fromMs, axis), percent(toMs, axis)];
  bar.className = `${stage}${isExpected ? ' expected' : ''}${toMs > axis.toMs ? ' on' : ''}`;
  bar.style.left = `${from}%`;
  bar.style.width = `${Math.max(0, to - from)}%`;
}

/**
 * 0 to 100.
 * @param {number} ms
 * @param {Axis} axis
 */
function percent(ms, { fromMs, toMs }) {
  return Math.min(100, Math.max(0, ((ms - fromMs) / (toMs - fromMs)) * 100));
}
