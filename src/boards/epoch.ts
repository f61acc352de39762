/**
 * Epoch publishing: how one writer changes many shared words at once for readers that never wait. Both sides of the
 * thread boundary.
 *
 * A region has an epoch word and two halves of equal size; the epoch's lowest bit says which half is current. The
 * writer fills the other half and then stores the next epoch. A reader loads the epoch, reads the current half and
 * loads the epoch again: where it is unchanged, nothing it read was being written, because the writer touches that
 * half only after it has stored a newer epoch. Where it changed, the reader reads again.
 *
 *   epoch 4: | half 0, current | half 1, idle    |   publish writes half 1, then epoch := 5
 *   epoch 5: | half 0, idle    | half 1, current |   the next publish writes half 0
 *
 * Memory order. Readers load every word of a half with Atomics.load, so that no load moves past the second load of the
 * epoch. The writer begins with an atomic load of the epoch: together with the atomic store that ended its last
 * publication, it keeps the plain copy that follows from being seen before that store.
 */

export interface EpochRegion {
  readonly words: Int32Array;
  /** Index of the epoch word. Writer: the publisher. */
  readonly epochIndex: number;
  /** Index of the first word of half 0; half 1 follows it at once. */
  readonly halvesIndex: number;
  /** Words in a half. Invariant: halvesIndex + 2 * halfWords <= words.length. */
  readonly halfWords: number;
}

/** The current epoch: a counter that wraps at 2^32, to be compared for equality alone. */
export function loadEpoch(region: EpochRegion): number {
  return Atomics.load(region.words, region.epochIndex);
}

/** Index of the first word of the half that is current in `epoch`. */
export function halfOf(region: EpochRegion, epoch: number): number {
  return region.halvesIndex + (epoch & 1) * region.halfWords;
}

/**
 * Makes `image` (exactly a half long) what readers see next, whole. Single writer: never from two threads.
 * Returns the new epoch.
 */
export function publish(region: EpochRegion, image: Int32Array): number {
  if (image.length !== region.halfWords) {
    throw new RangeError(`an image of ${image.length} words does not fit a half of ${region.halfWords}`);
  }
  const next = (loadEpoch(region) + 1) | 0;
  region.words.set(image, halfOf(region, next));
  Atomics.store(region.words, region.epochIndex, next);
  return next;
}
