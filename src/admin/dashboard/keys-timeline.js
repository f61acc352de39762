/**
 * When each ticket key was, is or will be in which stage, by what the edge tells: a key's stage and since when. Pure, in the
 * browser.
 *
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {'staged' | 'active' | 'retiring'} Stage
 * @typedef {{readonly stage: Stage, readonly fromMs: number, readonly toMs: number, readonly isExpected: boolean}} Phase
 * @typedef {{readonly id: string, readonly stage: Stage, readonly sinceMs: number, readonly phases: readonly Phase[]}} Lane
 */

const STAGES = /** @type {const} */ (['staged', 'active', 'retiring']);
/** The axis has about this many marks. */
const MARKS = 6;
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((s) => s * 1_000),
  ...[1, 2, 5, 10, 15, 30].map((m) => m * 60_000),
  ...[1, 2, 3, 6, 12].map((h) => h * 3_600_000),
  ...[1, 2, 4, 7, 14, 28, 90, 365].map((d) => d * 86_400_000),
];

/**
 * As a key lives: the staged one first; of the others, the youngest.
 * @param {Snapshot['keys']} status
 * @param {number} nowMs By the clock of the edge.
 * @returns {Lane[]}
 */
export function lanesOf({ keys, intervalMs, lifetimeMs }, nowMs) {
  const active = keys.find(({ stage }) => stage === 'active');
  const nextMs = active === undefined ? nowMs : Math.max(nowMs, active.sinceMs + intervalMs);
  const lanes = keys.map(({ id, stage, sinceMs }, index) => {
    // the activation of one is the end of the one before
    const beganMs = stage === 'retiring' ? (keys[index - 1]?.sinceMs ?? sinceMs - intervalMs) : sinceMs;
    return { id, stage, sinceMs, phases: phasesOf(stage, { beganMs, sinceMs, nextMs, intervalMs, lifetimeMs }) };
  });
  return STAGES.flatMap((wanted) => lanes.filter(({ stage }) => stage === wanted).reverse());
}

/**
 * @param {Stage} stage
 * @param {{beganMs: number, sinceMs: number, nextMs: number, intervalMs: number, lifetimeMs: number}} times
 * @returns {Phase[]}
 */
function phasesOf(stage, { beganMs, sinceMs, nextMs, intervalMs, lifetimeMs }) {
  if (stage === 'staged') {
    return [phase('staged', sinceMs, nextMs), phase('active', nextMs, nextMs + intervalMs, true)];
  }
  if (stage === 'active') {
    return [phase('active', sinceMs, nextMs), phase('retiring', nextMs, nextMs + lifetimeMs, true)];
  }
  // a member that was cut off may have made tickets for twice the interval
  const endMs = sinceMs + Math.max(lifetimeMs, 2 * intervalMs - (sinceMs - beganMs));
  return [phase('active', beganMs, sinceMs), phase('retiring', sinceMs, endMs)];
}

/**
 * @param {Stage} stage
 * @param {number} fromMs
 * @param {number} toMs
 * @returns {Phase}
 */
function phase(stage, fromMs, toMs, isExpected = false) {
  return { stage, fromMs, toMs, isExpected };
}

/**
 * From the first of `lanes` until the next key is active, and a little of its time.
 * @param {readonly Lane[]} lanes
 * @param {number} intervalMs
 * @param {number} nowMs
 */
export function axisOf(lanes, intervalMs, nowMs) {
  const begins = lanes.map(({ phases }) => phases[0]?.fromMs ?? nowMs);
  const fromMs = Math.min(nowMs - intervalMs / 10, ...begins);
  const next = lanes.flatMap(({ phases }) => phases).find(({ isExpected }) => isExpected);
  const toMs = Math.max(nowMs, next?.fromMs ?? nowMs) + intervalMs / 2;
  const stepMs = STEPS_MS.find((step) => (toMs - fromMs) / step <= MARKS) ?? toMs - fromMs;
  const marks = [];
  for (let n = Math.ceil((fromMs - nowMs) / stepMs); nowMs + n * stepMs <= toMs; n++) marks.push(n * stepMs);
  return { fromMs, toMs, marks };
}
