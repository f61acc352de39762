/**
 * What a listener thread counts of one service, on its service board. Listener threads; one object a service. This thread
 * is the only writer, so no atomic addition is needed; nothing is allocated.
 */

import {
  BLOCK,
  type BlockHistogram,
  CODE_MIN,
  CODE_OTHER,
  CONNECTS,
  DURATIONS,
  sumWord,
} from '../src/boards/service-board.ts';

const DURATIONS_SUM = sumWord(DURATIONS);
const CONNECTS_SUM = sumWord(CONNECTS);
const CARRY = 2 ** 32;

export class ServiceCounts {
  readonly #block: Int32Array;

  /** `block` is this service's on the thread's board. */
  constructor(block: Int32Array) {
    this.#block = block;
  }

  /** A request is over: its client got `status`, `durationMs` after its head was read. */
  finished(status: number, durationMs: number): void {
    this.answered(status);
    this.#observe(DURATIONS, DURATIONS_SUM, durationMs);
  }

  /** The same for what has no duration: a tunnel that begins, a request refused at its head. `status` is from 100 on. */
  answered(status: number): void {
    this.#add(BLOCK.codes + Math.min(status, CODE_OTHER) - CODE_MIN);
  }

  retried(): void {
    this.#add(BLOCK.retries);
  }

  /** A backend connection is open, `durationMs` after it was asked for. */
  connected(durationMs: number): void {
    this.#observe(CONNECTS, CONNECTS_SUM, durationMs);
  }

  /** A backend connection could not be opened or verified. */
  connectFailed(): void {
    this.#add(BLOCK.connectFailures);
  }

  #add(word: number): void {
    this.#block[word] = (this.#block[word] as number) + 1;
  }

  #observe({ first, boundsUs }: BlockHistogram, sum: number, durationMs: number): void {
    const us = Math.max(0, durationMs * 1_000);
    let bucket = 0;
    while (bucket < boundsUs.length && us > (boundsUs[bucket] as number)) bucket++;
    this.#add(first + bucket);
    const low = ((this.#block[sum] as number) >>> 0) + Math.round(us);
    this.#block[sum] = low;
    // after the low word: a reader must never see the carry without what it stands for
    if (low >= CARRY) Atomics.add(this.#block, sum + 1, Math.floor(low / CARRY));
  }
}
