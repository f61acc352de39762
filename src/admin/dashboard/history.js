/**
 * What the page remembers of earlier snapshots: the edge counts, and rates are differences. Pure, in the browser.
 *
 * @typedef {import('../events.ts').Snapshot} Snapshot
 * @typedef {{readonly clockMs: number, readonly workers: Map<number, number>, readonly nodes: Map<string, number>}} Sample
 */

/** Rates and shares are means over about this long. */
const WINDOW_MS = 5_000;
/** The line of requests a second; it grows from the first length to the second. */
const LINE_MS = { least: 60_000, most: 300_000 };
/** For how long something that happened is news. */
const NEWS_MS = 600_000;

export class History {
  #pid = 0;
  /** @type {Sample[]} Of the last WINDOW_MS, and one before. */
  #samples = [];
  /** @type {{clockMs: number, perSecond: number | null}[]} Null: contact was lost. */
  #line = [];
  /** @type {{clockMs: number, replaced: number, refused: number}[]} Whenever one of the two rose. */
  #events = [];

  /** @param {Snapshot} snapshot */
  push(snapshot) {
    const { pid, clockMs } = snapshot;
    if (pid !== this.#pid) this.#forget(pid);
    const sample = sampleOf(snapshot);
    const last = this.#samples.at(-1);
    // the same snapshot again: a stream that has just begun gets the last one
    if (last !== undefined && clockMs <= last.clockMs) return;
    if (last !== undefined) {
      if (clockMs - last.clockMs > WINDOW_MS) this.#line.push({ clockMs, perSecond: null });
      else this.#line.push({ clockMs, perSecond: risenBy(last.workers, sample.workers) / seconds(last, sample) });
    }
    while (this.#line[0] !== undefined && this.#line[0].clockMs < clockMs - LINE_MS.most) this.#line.shift();
    this.#samples.push(sample);
    while (this.#samples[1] !== undefined && this.#samples[1].clockMs <= clockMs - WINDOW_MS) this.#samples.shift();
    this.#note(snapshot);
  }

  /** Over all workers; null: not known yet. */
  get perSecond() {
    return this.#over((first, last) => risenBy(first.workers, last.workers) / seconds(first, last));
  }

  /** What there is of the last minutes. */
  get line() {
    const [first, last] = [this.#line[0], this.#line.at(-1)];
    const ageMs = first === undefined || last === undefined ? 0 : last.clockMs - first.clockMs;
    const lengthMs = ageMs > LINE_MS.most * 0.9 ? LINE_MS.most : Math.max(LINE_MS.least, ageMs);
    return {
      lengthMs,
      points: /** @type {readonly {clockMs: number, perSecond: number | null}[]} */ (this.#line),
    };
  }

  /** @param {number} thread */
  workerPerSecond(thread) {
    return this.#over(
      (first, last) => risen(first.workers.get(thread), last.workers.get(thread)) / seconds(first, last),
    );
  }

  /** Requests begun on each node of the pool, a second; and the sum.
   * @param {import('../../control/status.ts').PoolStatus} pool
   */
  poolRates({ name, nodes }) {
    return this.#over((first, last) => {
      /** @type {Map<string, number>} */
      const rates = new Map();
      let sum = 0;
      for (const { address } of nodes) {
        const key = nodeKey(name, address);
        const perSecond = risen(first.nodes.get(key), last.nodes.get(key)) / seconds(first, last);
        rates.set(address, perSecond);
        sum += perSecond;
      }
      return { rates, sum };
    });
  }

  /** How much the two counts rose in the last ten minutes, as far as this page saw. */
  get news() {
    const [first, last] = [this.#events[0], this.#events.at(-1)];
    if (first === undefined || last === undefined) return { replaced: 0, refused: 0 };
    return { replaced: last.replaced - first.replaced, refused: last.refused - first.refused };
  }

  /** @param {number} pid Another process counts from zero. */
  #forget(pid) {
    this.#pid = pid;
    this.#samples = [];
    this.#line = [];
    this.#events = [];
  }

  /** @param {Snapshot} snapshot */
  #note({ clockMs, uptimeS, workers, cluster }) {
    const refused = Object.values(cluster.refusals).reduce((sum, times) => sum + times, 0);
    const { replaced } = workers;
    const last = this.#events.at(-1);
    // of what was before this page, workers that a young process has lost are news
    if (last === undefined && uptimeS * 1000 < NEWS_MS) this.#events.push({ clockMs, replaced: 0, refused });
    if (last?.replaced !== replaced || last.refused !== refused) this.#events.push({ clockMs, replaced, refused });
    // what stood before the first that is news is its base line
    while (this.#events[1] !== undefined && this.#events[1].clockMs < clockMs - NEWS_MS) this.#events.shift();
  }

  /**
   * @template T
   * @param {(first: Sample, last: Sample) => T} measure
   * @returns {T | null}
   */
  #over(measure) {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    return first === undefined || last === undefined || first === last ? null : measure(first, last);
  }
}

/**
 * @param {string} pool
 * @param {string} address
 */
function nodeKey(pool, address) {
  return `${pool} ${address}`;
}

/**
 * @param {Snapshot} snapshot
 * @returns {Sample}
 */
function sampleOf({ clockMs, workers, pools }) {
  const nodes = pools.flatMap(({ name, nodes }) =>
    nodes.map(({ address, requests }) => /** @type {[string, number]} */ ([nodeKey(name, address), requests])),
  );
  return { clockMs, workers: new Map(workers.list.map((w) => [w.thread, w.requests])), nodes: new Map(nodes) };
}

/**
 * @param {Map<number, number>} before
 * @param {Map<number, number>} after
 */
function risenBy(before, after) {
  let sum = 0;
  for (const [key, value] of after) sum += risen(before.get(key), value);
  return sum;
}

/**
 * Counts are modulo 2^32. One that seems to have risen by half of that began anew instead.
 * @param {number | undefined} before
 * @param {number | undefined} after
 */
function risen(before, after) {
  if (before === undefined || after === undefined) return 0;
  const difference = (after - before) >>> 0;
  return difference < 0x8000_0000 ? difference : 0;
}

/**
 * @param {Sample} first
 * @param {Sample} last
 */
function seconds(first, last) {
  return (last.clockMs - first.clockMs) / 1000;
}
