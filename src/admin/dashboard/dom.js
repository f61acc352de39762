/** What the page makes its elements with. Text is always set as text: no name ever becomes markup. In the browser. */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {'ok' | 'bad' | 'warn' | 'note' | 'drain' | 'leader'} IconName */

/**
 * The element of index.html with this id.
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no #${id} in index.html`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, className = '', ...children) {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Readonly<Record<string, string | number>>} [attributes]
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** A mark beside a text that says the same. */
export class Icon {
  #use = svg('use');
  node = svg('svg', { 'aria-hidden': 'true', class: 'icon' }, this.#use);

  /** @param {IconName} [name] */
  constructor(name = 'note') {
    this.show(name);
  }

  /** @param {IconName} name */
  show(name) {
    setAttribute(this.#use, 'href', `#i-${name}`);
    setAttribute(this.node, 'data-mark', name);
  }
}

/**
 * What is the same already is left alone: a screen reader would say it again.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {Element} node
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * Moving an element takes the focus from it.
 * @param {Element} parent
 * @param {Element} child
 * @param {Element | null} place
 */
function moveBefore(parent, child, place) {
  const focused = document.activeElement;
  parent.insertBefore(child, place);
  if (focused instanceof HTMLElement && child.contains(focused)) focused.focus();
}

/**
 * Children by key, which live as long as their key is there: focus and open dialogs outlast an update.
 * @template T
 */
export class KeyedChildren {
  #parent;
  #create;
  /** @type {Map<string, {node: Element, update: (item: T) => void}>} */
  #shown = new Map();

  /**
   * @param {Element} parent
   * @param {(item: T) => {node: Element, update: (item: T) => void}} create
   */
  constructor(parent, create) {
    this.#parent = parent;
    this.#create = create;
  }

  /** @param {readonly {readonly key: string, readonly item: T}[]} wanted In their order; no key twice. */
  show(wanted) {
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, { node }] of this.#shown) {
      if (keys.has(key)) continue;
      node.remove();
      this.#shown.delete(key);
    }
    let place = this.#parent.firstElementChild;
    for (const { key, item } of wanted) {
      let child = this.#shown.get(key);
      if (child === undefined) {
        child = this.#create(item);
        this.#shown.set(key, child);
      }
      if (child.node === place) place = place.nextElementSibling;
      else moveBefore(this.#parent, child.node, place);
      child.update(item);
    }
  }
}
