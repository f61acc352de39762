/** The part of a TestContext that harnesses use, for runs that are no test. Test support. */

import type { TestContext } from 'node:test';

export interface Teardown {
  readonly context: TestContext;
  /** What was to be done after the test, the last first. */
  end(): Promise<void>;
}

export function teardown(): Teardown {
  const steps: (() => unknown)[] = [];
  const after = (step: () => unknown) => steps.push(step);
  return {
    // no harness uses more of it
    context: { after } as unknown as TestContext,
    end: async () => {
      for (const step of steps.reverse()) await step();
    },
  };
}
