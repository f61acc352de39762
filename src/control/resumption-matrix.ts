/** A ticket from each address, offered at each. Main thread. */

import { offerTicket, type ProbeOptions, type ProbeResult, type ProbeTarget, takeTicket } from './resumption-probe.ts';

/** Connections at the same time: a fleet that serves must not feel them. */
const CONNECTIONS_MAX = 8;

/** `[from][to]`, by the index in `targets`. Never rejects. */
export async function probeMatrix(targets: readonly ProbeTarget[], options: ProbeOptions): Promise<ProbeResult[][]> {
  const taken = await mapBounded(targets, (target) => takeTicket(target, options));
  const pairs = taken.flatMap((ticket) => targets.map((target) => ({ ticket, target })));
  const results = await mapBounded(pairs, async ({ ticket, target }) => {
    return 'session' in ticket ? offerTicket(target, ticket.session, options) : ticket;
  });
  const size = targets.length;
  return targets.map((_, from) => results.slice(from * size, (from + 1) * size));
}

/** The results in the order of the items. */
async function mapBounded<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const work = async () => {
    for (const [index, item] of rest) results[index] = await map(item);
  };
  await Promise.all(Array.from({ length: CONNECTIONS_MAX }, work));
  return results;
}
