/** Numbers and times as people read them. Pure, in the browser. */

/** @type {readonly (readonly [string, number])[]} */
const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];
const COUNT = new Intl.NumberFormat('en');
const SMALL = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/**
 * The two largest units: `3d 4h`.
 * @param {number} ms
 */
export function span(ms) {
  let rest = Math.max(0, Math.floor(ms / 1000));
  const parts = [];
  // 24h is how people write it in a configuration
  for (const [unit, size] of rest < 2 * 86_400 ? UNITS.slice(1) : UNITS) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0 && parts.length < 2) parts.push(`${amount}${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.join(' ') || '0s';
}

/** @param {number} number */
export function count(number) {
  return COUNT.format(number);
}

/**
 * `1 node`, `2 nodes`.
 * @param {number} number
 * @param {string} noun
 */
export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * Whole where it is large; null: not known yet.
 * @param {number | null} perSecond
 */
export function rate(perSecond) {
  if (perSecond === null) return '–';
  return perSecond > 0 && perSecond < 10 ? SMALL.format(perSecond) : COUNT.format(Math.round(perSecond));
}

/** @param {number} ms Unix time. */
export function clockTime(ms) {
  return new Date(ms).toLocaleTimeString('en-GB');
}

/**
 * With the day where it is another one than that of `nowMs`.
 * @param {number} ms Unix time.
 * @param {number} nowMs
 */
export function dayTime(ms, nowMs) {
  const [then, now] = [new Date(ms), new Date(nowMs)];
  const time = then.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  if (then.toDateString() === now.toDateString()) return time;
  return `${then.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}
