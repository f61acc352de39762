/** The context of a thread that is none: time is the test's, and what it tells the main thread is kept. */

import type { FromListener } from '../../src/boards/listener-task.ts';
import type { ThreadContext } from '../../workers/thread-context.ts';
import type { Timed } from '../../workers/timer-wheel.ts';

export function fakeContext(thread = 0) {
  const sent: FromListener[] = [];
  /** What has a deadline, and when, ms from its setting. */
  const armed = new Map<Timed, number>();
  const context = {
    thread,
    wheel: {
      arm: (timed: Timed, ms: number) => void armed.set(timed, ms),
      remove: (timed: Timed) => void armed.delete(timed),
    },
    log: { info() {}, warn() {}, send: (message: FromListener) => void sent.push(message) },
    count() {},
  } as unknown as ThreadContext;
  return { context, sent, armed };
}
