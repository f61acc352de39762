/** Light or dark: as the system has it, or as was chosen on this page. In the browser. */

import { byId, setText } from './dom.js';

const KEY = 'stekbal-theme';
const THEMES = ['auto', 'light', 'dark'];

export function startTheme() {
  show(localStorage.getItem(KEY) ?? 'auto');
  byId('theme').addEventListener('click', () => {
    const next =
      THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? 'auto') + 1) % THEMES.length] ?? 'auto';
    localStorage.setItem(KEY, next);
    show(next);
  });
}

/** @param {string} theme */
function show(theme) {
  const known = THEMES.includes(theme) ? theme : 'auto';
  document.documentElement.dataset.theme = known;
  setText(byId('theme-text'), known);
  byId('theme').setAttribute('aria-label', `Theme: ${known}`);
}
