/** The page: takes snapshots of an edge from its feed, and hands them to the views. In the browser. */

import { ClusterView } from './cluster-view.js';
import { byId, setText } from './dom.js';
import { keepToken } from './edge-client.js';
import { Feed } from './feed.js';
import { clockTime, span } from './format.js';
import { History } from './history.js';
import { KeysView } from './keys-view.js';
import { PoolsView } from './pools-view.js';
import { startTheme } from './theme.js';
import { TotalsView } from './totals-view.js';
import { troublesOf } from './trouble.js';
import { VerdictView } from './verdict-view.js';
import { WorkersView } from './workers-view.js';

/**
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {import('./feed.js').Contact} Contact
 */

const history = new History();
const views = [new TotalsView(), new PoolsView(), new ClusterView(), new KeysView(), new WorkersView()];
const verdict = new VerdictView();
const feed = new Feed(onSnapshot, onContact);
/** @type {Contact} */
let contact = { kind: 'connecting', why: '' };
/** Of the last snapshot, by this machine's clock; null: there was none. @type {number | null} */
let lastAtMs = null;

/** @param {Snapshot} snapshot */
function onSnapshot(snapshot) {
  lastAtMs = Date.now();
  history.push(snapshot);
  const edge = `edge ${snapshot.cluster.serverId}`;
  setText(byId('edge-name'), edge);
  byId('main').hidden = false;
  verdict.show(troublesOf(snapshot, history.news), edge);
  for (const view of views) view.show(snapshot, history);
}

/** @param {Contact} next */
function onContact(next) {
  contact = next;
  const isLive = next.kind === 'live';
  const wantsToken = next.kind === 'wants-token';
  byId('contact').dataset.state = next.kind;
  setText(
    byId('contact-text'),
    { live: 'live', lost: 'no contact', connecting: 'connecting', 'wants-token': 'locked' }[next.kind],
  );
  document.body.classList.toggle('stale', !isLive && lastAtMs !== null);
  byId('main').inert = !isLive;
  const form = byId('token-form');
  if (wantsToken && form.hidden) {
    form.hidden = false;
    byId('token').focus();
  }
  form.hidden = !wantsToken;
  setText(byId('token-error'), wantsToken ? next.why : '');
  showBanner();
}

/** Since when there is no contact; the time goes on while nothing comes. */
function showBanner() {
  const banner = byId('banner');
  banner.hidden = contact.kind !== 'lost';
  if (banner.hidden) return setText(banner, '');
  if (banner.childElementCount === 0) banner.append(...['b', 'span', 'span'].map((tag) => document.createElement(tag)));
  const [what, why, since] = /** @type {[Element, Element, Element]} */ (/** @type {unknown} */ (banner.children));
  setText(what, 'No contact with this edge. ');
  setText(why, `${contact.why} Trying again by itself. `);
  // not for a screen reader, which would say it each second
  since.setAttribute('aria-hidden', 'true');
  setText(
    since,
    lastAtMs === null ? '' : `All below is as of ${clockTime(lastAtMs)}, ${span(Date.now() - lastAtMs)} ago.`,
  );
  document.title = `No contact – ${byId('edge-name').textContent || 'stekbal'}`;
}

byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId('token'));
  keepToken(input.value.trim());
  input.value = '';
  feed.retry();
});
// whoever looks again, or is on the net again, does not wait for the next attempt
window.addEventListener('online', () => feed.retry());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && contact.kind === 'lost') feed.retry();
});
setInterval(showBanner, 1_000);
startTheme();
feed.start();
