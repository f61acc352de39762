/**
 * Requests a node as totals that do not wrap, of a count that does, modulo 2^32. Main thread.
 *
 * A node that has left its pool is forgotten. One that is taken out and put back begins anew, from 0.
 */

const WRAP = 2 ** 32;
/** A count that falls by less than this has begun anew; it could only go around by being asked for too seldom. */
const FALL_MAX = 2 ** 31;

interface Total {
  last: number;
  total: number;
}

export class NodeTotals {
  #totals = new Map<string, Map<string, Total>>();

  /** `pools` is all that there is now: by pool, the count of each node. Returns the totals in the same shape. */
  fold(pools: ReadonlyMap<string, ReadonlyMap<string, number>>): ReadonlyMap<string, ReadonlyMap<string, number>> {
    const before = this.#totals;
    this.#totals = new Map();
    const result = new Map<string, ReadonlyMap<string, number>>();
    for (const [pool, nodes] of pools) {
      const known = before.get(pool);
      const totals = new Map<string, Total>();
      for (const [node, now] of nodes) totals.set(node, advanced(known?.get(node), now));
      this.#totals.set(pool, totals);
      result.set(pool, new Map([...totals].map(([node, { total }]) => [node, total])));
    }
    return result;
  }
}

function advanced(before: Total | undefined, now: number): Total {
  if (before === undefined || (now < before.last && before.last - now < FALL_MAX)) return { last: now, total: now };
  return { last: now, total: before.total + ((now - before.last + WRAP) % WRAP) };
}
