/** What a run has made that is no test, undone at its end in reverse: processes, folders. A test's context does it for tests. */

import type { Lifetime } from './e2e/harness.ts';

export class Scope implements Lifetime {
  readonly #undo: (() => unknown)[] = [];

  after(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** All of it, whatever fails; throws the first error then. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
