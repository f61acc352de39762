/**
 * What counting a request costs: the two looks at the clock, its status code and its duration. And what a thread pays for
 * each connection it opens to a backend.
 *
 *   node native-free-bench/micro-service-counts.ts
 */

import { ServiceBoard } from '../src/boards/service-board.ts';
import { ServiceCounts } from '../workers/service-counts.ts';
import { callsOf, type Effort, FULL, interleaved, nanosecondsEach, printFigures, type Sampled } from './figures.ts';

const REQUESTS = 1_000_000;
/** Mostly fast, as requests are. */
const DURATIONS_MS = [0.2, 0.4, 0.7, 1.3, 3, 8, 40, 900];

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const requests = callsOf(REQUESTS, effort);
  const each = (call: (i: number) => void) => () => nanosecondsEach(requests, call);
  const counts = new ServiceCounts(ServiceBoard.create().block(7));
  return interleaved(
    {
      'count a request of known duration': each((i) => counts.finished(200, DURATIONS_MS[i & 7] as number)),
      'count a request, with both looks at the clock': each(() => {
        const startedMs = performance.now();
        counts.finished(200, performance.now() - startedMs);
      }),
      'count a backend connection, with both': each(() => {
        const startedMs = performance.now();
        counts.connected(performance.now() - startedMs);
      }),
    },
    'ns',
    effort,
  );
}

if (import.meta.main) printFigures(await run());
