/** A line of the last minutes, drawn as SVG. In the browser. */

import { byId, element, setAttribute, setText, svg } from './dom.js';
import { rate, span } from './format.js';

const WIDTH = 300;
const HEIGHT = 48;

/** @typedef {{readonly clockMs: number, readonly perSecond: number | null}} Point */

export class Sparkline {
  #root = byId('spark');
  #area = svg('path', { class: 'area' });
  #stroke = svg('path', { class: 'stroke' });
  #most = element('span', 'most');
  #began = element('span', 'began');

  constructor() {
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' };
    this.#root.append(svg('svg', box, this.#area, this.#stroke), this.#most, this.#began);
  }

  /**
   * @param {{readonly lengthMs: number, readonly points: readonly Point[]}} line
   * @param {number} nowMs By the clock of the points.
   */
  show({ lengthMs, points }, nowMs) {
    const most = points.reduce((max, { perSecond }) => Math.max(max, perSecond ?? 0), 0);
    const x = (/** @type {number} */ clockMs) => WIDTH - ((nowMs - clockMs) / lengthMs) * WIDTH;
    const y = (/** @type {number} */ value) => HEIGHT - 1 - (most === 0 ? 0 : (value / most) * (HEIGHT - 4));
    const runs = runsOf(points).map((run) => run.map((p) => `${x(p.clockMs).toFixed(1)} ${y(p.perSecond).toFixed(1)}`));
    setAttribute(this.#stroke, 'd', runs.map((run) => `M${run.join('L')}`).join(''));
    const closed = runs.map(
      (run) => `M${run[0]?.split(' ')[0]} ${HEIGHT}L${run.join('L')}L${run.at(-1)?.split(' ')[0]} ${HEIGHT}Z`,
    );
    setAttribute(this.#area, 'd', closed.join(''));
    setText(this.#most, `most ${rate(most)}`);
    setText(this.#began, `last ${span(lengthMs)}`);
    setAttribute(this.#root, 'aria-label', `Requests a second in the last ${span(lengthMs)}, at most ${rate(most)}`);
  }
}

/**
 * Where contact was lost, the line is broken.
 * @param {readonly Point[]} points
 */
function runsOf(points) {
  /** @type {{clockMs: number, perSecond: number}[][]} */
  const runs = [[]];
  for (const { clockMs, perSecond } of points) {
    if (perSecond === null) runs.push([]);
    else runs.at(-1)?.push({ clockMs, perSecond });
  }
  return runs.filter((run) => run.length > 0);
}
