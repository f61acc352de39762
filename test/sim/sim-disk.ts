/** A disk in virtual time: what was not synced when its server crashed may be there, in part, or not at all. */

import type { Disk } from '../../src/cluster/disk.ts';
import type { Done } from '../../src/cluster/types.ts';
import type { EventQueue } from './event-queue.ts';
import type { Random } from './random.ts';

interface Write {
  readonly kind: 'append' | 'replace';
  readonly bytes: Buffer;
}

export class SimDisk implements Disk {
  readonly path = 'a simulated disk';
  /** Writes fail. */
  isFull = false;
  /** Writes take long. */
  isSlow = false;
  /** Torn writes that a crash left behind. */
  torn = 0;
  readonly #queue: EventQueue;
  readonly #random: Random;
  #content: Buffer | null = null;
  #pending: Write | null = null;
  #isAppendable = false;

  constructor(queue: EventQueue, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  read(): Buffer | null {
    return this.#content;
  }

  append(bytes: Uint8Array, done: Done): void {
    if (!this.#isAppendable) done(new Error('replace comes first'));
    else this.#write({ kind: 'append', bytes: Buffer.from(bytes) }, done);
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#isAppendable = false;
    this.#write({ kind: 'replace', bytes: Buffer.from(bytes) }, done);
  }

  /** The server's process ends, or all of the server. */
  crash(): void {
    const write = this.#pending;
    this.#pending = null;
    this.#isAppendable = false;
    if (write === null) return;
    this.torn++;
    if (write.kind === 'replace') {
      if (this.#random.chance(0.5)) this.#content = write.bytes;
      return;
    }
    const isWhole = this.#random.chance(0.4);
    const part = Buffer.from(
      write.bytes.subarray(0, isWhole ? undefined : this.#random.between(0, write.bytes.length)),
    );
    if (!isWhole && part.length > 0 && this.#random.chance(0.3)) {
      part.fill(this.#random.between(0, 255), this.#random.between(0, part.length - 1));
    }
    this.#content = Buffer.concat([this.#content ?? Buffer.alloc(0), part]);
  }

  wipe(): void {
    this.#pending = null;
    this.#isAppendable = false;
    this.#content = null;
  }

  #write(write: Write, done: Done): void {
    if (this.#pending !== null) throw new Error('one write at a time');
    this.#pending = write;
    const finish = () => {
      if (this.#pending !== write) return;
      this.#pending = null;
      if (this.isFull) {
        this.#isAppendable = false;
        // a write that failed may be there all the same
        if (write.kind === 'replace' && this.#random.chance(0.3)) this.#content = write.bytes;
        done(new Error('no space left'));
        return;
      }
      if (write.kind === 'replace') this.#isAppendable = true;
      this.#content = write.kind === 'replace' ? write.bytes : Buffer.concat([this.#content as Buffer, write.bytes]);
      done(null);
    };
    if (!this.isSlow && this.#random.chance(0.6)) finish();
    else this.#queue.after(this.#random.between(1, this.isSlow ? 300 : 5), finish);
  }
}
