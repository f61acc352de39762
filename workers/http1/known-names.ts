/** Names of fields that a head's reader looks at, told from all others by one look. Listener threads. */

/** Longest name that anything is made of here. */
const NAME_BYTES_MAX = 17;

/** Told by length and first letter: most fields of a message are none that matter. */
export class KnownNames {
  /** By length, a bit for each first letter. */
  readonly #letters = new Int32Array(NAME_BYTES_MAX + 1);

  /** `names`: of `lower`, each beginning with a letter. Throws where one is longer than NAME_BYTES_MAX. */
  constructor(names: readonly Uint8Array[]) {
    for (const name of names) {
      if (name.length > NAME_BYTES_MAX) throw new RangeError('a known name is longer than the table');
      (this.#letters[name.length] as number) |= 1 << (name[0] as number);
    }
  }

  /** False: no known name has `length` and begins with `first`, in any letter case. */
  mayHold(length: number, first: number): boolean {
    // the shift takes the lowest five bits: a letter's place in the alphabet
    return length <= NAME_BYTES_MAX && (((this.#letters[length] as number) >>> first) & 1) !== 0;
  }
}
