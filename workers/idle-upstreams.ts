/**
 * The idle backend connections of a listener thread, of all its nodes: the one that is idle longest is at hand, whichever
 * node it goes to. Linked through the connections themselves, so that a request that takes one and brings it back pays next
 * to nothing.
 */

/** A connection that may be idle. The fields are for the list's use. */
export interface MayIdle {
  /** Became idle before this one; null for the oldest. */
  idlePrevious: MayIdle | null;
  idleNext: MayIdle | null;
  /** Closes it. While it is idle it removes itself from the list. */
  destroy(): void;
}

export class IdleUpstreams {
  size = 0;
  #oldest: MayIdle | null = null;
  #newest: MayIdle | null = null;

  /** `connection` becomes idle now. It must not be in the list. */
  add(connection: MayIdle): void {
    connection.idlePrevious = this.#newest;
    if (this.#newest === null) this.#oldest = connection;
    else this.#newest.idleNext = connection;
    this.#newest = connection;
    this.size++;
  }

  /** `connection`, which must be in the list, is in use, or gone. */
  remove(connection: MayIdle): void {
    const { idlePrevious: previous, idleNext: next } = connection;
    if (previous === null) this.#oldest = next;
    else previous.idleNext = next;
    if (next === null) this.#newest = previous;
    else next.idlePrevious = previous;
    connection.idlePrevious = connection.idleNext = null;
    this.size--;
  }

  /** False where none is idle. */
  closeOldest(): boolean {
    const oldest = this.#oldest;
    oldest?.destroy();
    return oldest !== null;
  }

  /** Closes one of `parts` of all, rounded up, those that are idle longest. */
  closePart(parts: number): void {
    for (let left = Math.ceil(this.size / parts); left > 0; left--) this.closeOldest();
  }
}
