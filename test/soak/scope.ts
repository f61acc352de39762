/** What a soak has made, undone at its end in reverse: processes, folders. Stands in for a test's context in the harness. */

export class Scope {
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
