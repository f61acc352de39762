/** Work that has to follow one another, by what it is about. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  run(about: string, work: () => Promise<void>): Promise<void> {
    const result = (this.#last.get(about) ?? Promise.resolve()).then(work);
    this.#last.set(
      about,
      result.catch(() => {}),
    );
    return result;
  }
}
