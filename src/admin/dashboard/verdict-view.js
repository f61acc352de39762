/** The line at the top: what is wrong, or that all is well. In the browser. */

import { byId, element, Icon, KeyedChildren, setAttribute, setText } from './dom.js';
import { plural } from './format.js';

/** @typedef {import('./trouble.js').Trouble} Trouble */

const TITLE_BASE = 'stekbal';

export class VerdictView {
  /** @type {KeyedChildren<Trouble>} */
  #list = new KeyedChildren(byId('troubles'), createTrouble);
  #said = '';

  /**
   * @param {readonly Trouble[]} troubles Worst first.
   * @param {string} edge
   */
  show(troubles, edge) {
    const [bad, warn] = ['bad', 'warn'].map((wanted) => troubles.filter(({ severity }) => severity === wanted).length);
    const worst = bad ? 'bad' : warn ? 'warn' : 'ok';
    const headline = headlineOf(bad ?? 0, warn ?? 0);
    setAttribute(byId('verdict'), 'data-worst', worst);
    setAttribute(byId('headline-icon'), 'href', `#i-${worst}`);
    setText(byId('headline'), headline);
    this.#list.show(troubles.map((item) => ({ key: item.what, item })));
    document.title = worst === 'ok' ? `${edge} – ${TITLE_BASE}` : `${headline} – ${edge} – ${TITLE_BASE}`;
    setAttribute(byId('icon'), 'href', worst === 'bad' ? 'dashboard/icon-trouble.svg' : 'dashboard/icon.svg');
    this.#announce(`${headline}. ${troubles.map(({ what }) => what).join('. ')}`);
  }

  /**
   * To whoever cannot see the page.
   * @param {string} text
   */
  #announce(text) {
    if (text === this.#said) return;
    this.#said = text;
    setText(byId('announcement'), text);
  }
}

/**
 * @param {number} bad
 * @param {number} warn
 */
function headlineOf(bad, warn) {
  if (bad === 0 && warn === 0) return 'All well';
  const parts = [];
  if (bad > 0) parts.push(plural(bad, 'problem'));
  if (warn > 0) parts.push(plural(warn, 'warning'));
  return parts.join(', ');
}

/** @param {Trouble} trouble */
function createTrouble({ what }) {
  const icon = new Icon();
  const then = element('span', 'then');
  const severity = element('span', 'unseen');
  const node = element('li', '', icon.node, severity, element('b', '', what), ' ', then);
  /** @param {Trouble} trouble */
  const update = (trouble) => {
    icon.show(trouble.severity);
    setText(severity, { bad: 'Problem: ', warn: 'Warning: ', note: 'Note: ' }[trouble.severity]);
    setText(then, trouble.then);
  };
  return { node, update };
}
