/**
 * Writes to the storage, one thing at a time, and does not give up: after a failure the whole state is written instead,
 * again and again. Pure: time is ticks.
 */

import type { Done, Report, Storage, StoredBatch, StoredState } from './types.ts';

/** A write that takes as long as this many retries counts as failed until it is done: the member must not run ahead of it. */
const SLOW_RETRIES = 5;

export class Keeper {
  readonly #storage: Storage;
  readonly #report: Report;
  /** Ticks from one attempt to the next. */
  readonly #retryTicks: number;
  #nowTick = 0;
  #isBusy = false;
  #beganTick = 0;
  #retry: { readonly write: () => void; readonly atTick: number } | null = null;
  #isFailed = false;

  constructor(storage: Storage, report: Report, retryTicks: number) {
    this.#storage = storage;
    this.#report = report;
    this.#retryTicks = retryTicks;
  }

  /** Something is being written: wait before the next. */
  get isBusy(): boolean {
    return this.#isBusy;
  }
  /** What is being written has failed, and no promise can be kept until it succeeds. Implies isBusy. */
  get isFailed(): boolean {
    return this.#isFailed;
  }

  tick(): void {
    this.#nowTick++;
    if (this.#isBusy && !this.#isFailed && this.#nowTick - this.#beganTick >= SLOW_RETRIES * this.#retryTicks) {
      this.#sayFailed('no answer from the disk');
    }
    const retry = this.#retry;
    if (retry === null || this.#nowTick < retry.atTick) return;
    this.#retry = null;
    retry.write();
  }

  /** Adds `batch`, then does `then`. `whole` is the state with the batch in it. */
  append(batch: StoredBatch, whole: () => StoredState, then: () => void): void {
    this.#write((done) => this.#storage.append(batch, done), whole, then);
  }

  /** Replaces everything by `whole`, then does `then`. */
  replace(whole: () => StoredState, then: () => void): void {
    this.#write((done) => this.#storage.replace(whole(), done), whole, then);
  }

  #write(write: (done: Done) => void, whole: () => StoredState, then: () => void): void {
    if (this.#isBusy && !this.#isFailed) throw new Error('one write at a time');
    this.#isBusy = true;
    this.#beganTick = this.#nowTick;
    write((error) => {
      if (error !== null) {
        this.#fail(error, whole, then);
        return;
      }
      if (this.#isFailed) this.#report('info', 'the log can be written again');
      this.#isBusy = this.#isFailed = false;
      then();
    });
  }

  #fail({ message }: Error, whole: () => StoredState, then: () => void): void {
    this.#sayFailed(message);
    this.#retry = { write: () => this.replace(whole, then), atTick: this.#nowTick + this.#retryTicks };
  }

  #sayFailed(error: string): void {
    if (this.#isFailed) return;
    this.#isFailed = true;
    const consequence = 'the log cannot be written: this server takes no part in the cluster until it can';
    this.#report('error', consequence, { error });
  }
}
