/** Virtual time: events in order of their time, those of one time in order of their making. A binary heap. */

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  /** Milliseconds. */
  now = 0;
  readonly #heap: Event[] = [];
  #order = 0;

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    let i = heap.push({ at: this.now + ms, order: this.#order++, run }) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(heap[parent] as Event, heap[i] as Event)) break;
      [heap[parent], heap[i]] = [heap[i] as Event, heap[parent] as Event];
      i = parent;
    }
  }

  /** Runs the next event; false where there is none, or it lies past `until`. */
  step(until: number): boolean {
    const first = this.#heap[0];
    if (first === undefined || first.at > until) return false;
    const last = this.#heap.pop() as Event;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    this.now = first.at;
    first.run();
    return true;
  }

  #sink(): void {
    const heap = this.#heap;
    for (let i = 0; ; ) {
      let child = 2 * i + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (isBefore(heap[i] as Event, heap[child] as Event)) return;
      [heap[i], heap[child]] = [heap[child] as Event, heap[i] as Event];
      i = child;
    }
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
