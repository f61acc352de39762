/** A Disk in memory that completes when it is told to, fails when it is told to, and crashes as disks do. */

import assert from 'node:assert/strict';
import type { Disk } from '../../src/cluster/disk.ts';
import type { Done } from '../../src/cluster/types.ts';

/** What a crash makes of the call under way. */
export interface Fate {
  /** Of an append: bytes that reached the disk. More than there are: all. */
  readonly bytesKept: number;
  /** Of an append: what stands in place of the other bytes. */
  readonly rest: 'nothing' | 'zeros' | 'garbage';
  /** Of a replace: whether the new content is there. */
  readonly isReplaced: boolean;
}

export const LOST: Fate = { bytesKept: 0, rest: 'nothing', isReplaced: false };
export const KEPT: Fate = { bytesKept: Infinity, rest: 'nothing', isReplaced: true };

interface Call {
  readonly kind: 'append' | 'replace';
  readonly bytes: Buffer;
  readonly done: Done;
}

export class FakeDisk implements Disk {
  readonly path: string;
  /** Calls the function that completes a call: at once, or later. */
  readonly #schedule: (complete: () => void) => void;
  /** Null: no file. In pieces, so that a million appends copy nothing twice. */
  #pieces: Buffer[] | null = null;
  #call: Call | null = null;
  #isTrusted = false;
  #failures: { error: Error; fate: Fate }[] = [];

  constructor(schedule: (complete: () => void) => void = (complete) => complete(), path = '/fake/wal') {
    this.#schedule = schedule;
    this.path = path;
  }

  /** What a crash now would leave of everything but the call under way. */
  get content(): Buffer | null {
    if (this.#pieces === null) return null;
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [whole];
    return whole;
  }
  set content(bytes: Buffer | null) {
    this.#pieces = bytes && [Buffer.from(bytes)];
    this.#isTrusted = false;
  }

  /** Bytes of the call under way, 0 where there is none. */
  get bytesUnderWay(): number {
    return this.#call?.bytes.length ?? 0;
  }

  read(): Buffer | null {
    assert.equal(this.#call, null, 'read while a call is under way');
    this.#isTrusted = false;
    const { content } = this;
    return content && Buffer.from(content);
  }

  append(bytes: Uint8Array, done: Done): void {
    if (this.#isTrusted) this.#begin({ kind: 'append', bytes: Buffer.from(bytes), done });
    else done(new Error('appended to a file that cannot be trusted'));
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#isTrusted = false;
    this.#begin({ kind: 'replace', bytes: Buffer.from(bytes), done });
  }

  /** The next call that completes fails, and leaves what `fate` says. */
  failNext(error: Error, fate: Fate = LOST): void {
    this.#failures.push({ error, fate });
  }

  /** The machine or the process dies: the call under way never completes. What follows is a new process. */
  crash(fate: Fate): void {
    if (this.#call !== null) this.#leave(this.#call, fate);
    this.#call = null;
    this.#isTrusted = false;
    this.#failures = [];
  }

  #begin(call: Call): void {
    assert.equal(this.#call, null, 'one call at a time');
    this.#call = call;
    this.#schedule(() => {
      // A crash came first.
      if (this.#call !== call) return;
      this.#call = null;
      this.#complete(call);
    });
  }

  #complete(call: Call): void {
    const failure = this.#failures.shift();
    this.#leave(call, failure?.fate ?? KEPT);
    this.#isTrusted = failure === undefined;
    call.done(failure?.error ?? null);
  }

  #leave({ kind, bytes }: Call, { bytesKept, rest, isReplaced }: Fate): void {
    if (kind === 'replace') {
      if (isReplaced) this.#pieces = [bytes];
      return;
    }
    const kept = bytes.subarray(0, Math.min(bytesKept, bytes.length));
    this.#pieces?.push(kept);
    const lost = bytes.length - kept.length;
    if (lost > 0 && rest !== 'nothing') this.#pieces?.push(Buffer.alloc(lost, rest === 'zeros' ? 0 : GARBAGE));
  }
}

/** Repeated. Holds no record's marker. */
const GARBAGE = Buffer.from('5ca1ab1e', 'hex');
