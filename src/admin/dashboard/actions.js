/** Changes ask for a confirmation first, and say what became of them. In the browser. */

import { byId, setText } from './dom.js';

/**
 * @typedef {object} Change
 * @property {string} title
 * @property {string} text What it does, and where.
 * @property {string} verb
 * @property {() => Promise<void>} run Its errors are for the operator.
 * @property {string} done
 */

const dialog = /** @type {HTMLDialogElement} */ (byId('confirm'));
const yes = /** @type {HTMLButtonElement} */ (byId('confirm-yes'));
/** @type {Change | null} */
let asked = null;

/** @param {Change} change */
export function confirmChange(change) {
  asked = change;
  setText(byId('confirm-title'), change.title);
  setText(byId('confirm-text'), change.text);
  setText(byId('confirm-error'), '');
  setText(yes, change.verb);
  yes.disabled = false;
  dialog.showModal();
  // a key that is held down confirms nothing
  byId('confirm-no').focus();
}

byId('confirm-no').addEventListener('click', () => dialog.close());
byId('confirm-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (asked !== null) void make(asked);
});

/** @param {Change} change */
async function make(change) {
  yes.disabled = true;
  setText(yes, 'Working…');
  setText(byId('confirm-error'), '');
  try {
    await change.run();
    if (asked === change) dialog.close();
    setText(byId('announcement'), change.done);
  } catch (error) {
    if (asked !== change) return;
    setText(byId('confirm-error'), error instanceof Error ? error.message : String(error));
    setText(yes, change.verb);
    yes.disabled = false;
  }
}
