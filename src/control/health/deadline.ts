/** A deadline that does not hold this thread's own pauses against the node. Main thread. */

const STEPS = 4;

/**
 * Calls `onPassed` after `ms`, or later where the event loop has stood still meanwhile: a pause counts as one step at most,
 * whatever its length. An answer that waited to be read through it is not too late.
 */
export function startDeadline(ms: number, onPassed: () => void): { clear(): void } {
  let left = STEPS;
  const timer = setInterval(() => {
    if (--left > 0) return;
    clearInterval(timer);
    onPassed();
  }, ms / STEPS);
  return { clear: () => clearInterval(timer) };
}
