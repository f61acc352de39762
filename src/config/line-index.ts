/**
 * Lines and columns of a text's offsets. Pure; main thread.
 *
 * Our own, because yaml's LineCounter is told of new lines by the parser, which leaves out those within a plain scalar of
 * several lines that turns out to be a fault: all places behind it would be a line too early.
 */

export class LineIndex {
  /** Offset of each line's first character, ascending. */
  readonly #starts: readonly number[];

  constructor(text: string) {
    const starts = [0];
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
    this.#starts = starts;
  }

  /** Both count from 1, the column in UTF-16 units. An offset behind the text's end is on its last line. */
  placeOf(offset: number): { line: number; column: number } {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: Math.max(0, offset - (starts[low] as number)) + 1 };
  }
}
