/**
 * Edits of pools for this edge alone, over the file and the group's edits: in force until they are withdrawn, and with a
 * state_dir kept there over a restart. Main thread: but for the start, nothing here blocks.
 *
 *   STATE_DIR/local-pools.json   {"version": 1, "pools": [[POOL, [[ADDRESS, ...edit], ...]], ...]}, edits as the group's
 *                                commands write them
 */

import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileDisk, lockFolder } from '../cluster/disk.ts';
import type { Log } from './log.ts';
import { type EditsOfPool, PoolEdits } from './pool-edits.ts';
import type { NodeEdit } from './state-command.ts';

const FILE_NAME = 'local-pools.json';
const VERSION = 1;
/** Above what EDITS_MAX edits of the longest names and addresses take. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

export class LocalEdits {
  /** Called after each change, when it is in force here and not on disk yet. */
  onChange: (pool: string) => void = () => {};
  readonly #log: Log;
  /** Null: there is no state_dir. */
  readonly #path: string | null;
  #edits = new PoolEdits();
  #disk: FileDisk | null = null;
  /** Lets go of the folder. Null: it is not ours, as nothing has been written yet, or another process's. */
  #unlock: (() => void) | null = null;
  /** A write that has not begun: what changes until then is part of it. */
  #next: Promise<boolean> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Reads what was kept. A file that cannot be read is logged, and there are no edits then: an edge has to start.
   * `isLocked`: this process has the folder to itself already.
   */
  constructor(stateDir: string | null, log: Log, isLocked = false) {
    if (isLocked) this.#unlock = () => {};
    this.#log = log;
    this.#path = stateDir === null ? null : join(stateDir, FILE_NAME);
    if (this.#path !== null) this.#read(this.#path);
  }

  of(pool: string): EditsOfPool {
    return this.#edits.of(pool);
  }

  /** Whether an edit of this node would be kept in mind. */
  hasRoomFor(pool: string, address: string): boolean {
    return this.#edits.hasRoomFor(pool, address);
  }

  /** As PoolEdits.set; in force at once. Resolves to whether it outlasts a restart: if a disk fails, the log says so. */
  set(pool: string, address: string, edit: NodeEdit | null): Promise<boolean> {
    this.#edits.set(pool, address, edit);
    this.onChange(pool);
    return this.#write();
  }

  /** After the last write. */
  async close(): Promise<void> {
    await this.#last;
    this.#unlock?.();
    this.#unlock = null;
  }

  #read(path: string): void {
    try {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) return;
      if (!stat.isFile() || stat.size > FILE_BYTES_MAX)
        throw new TypeError('it is not a file that this program writes');
      const data = JSON.parse(readFileSync(path, 'utf8')) as unknown;
      if (!isFile(data)) throw new TypeError('it is not one that this version reads');
      this.#edits = PoolEdits.fromSnapshot(data.pools);
    } catch (error) {
      const reason = (error as Error).message;
      const effect = 'pools are without the edits of this edge alone; the next one is written over the file';
      this.#log.error({ file: path, reason }, `${path} is damaged or cannot be read: ${effect}`);
    }
  }

  #write(): Promise<boolean> {
    const path = this.#path;
    if (path === null) return Promise.resolve(false);
    this.#next ??= this.#last.then(async () => {
      const unlocked = await this.#lock(path);
      this.#next = null;
      return unlocked === null ? this.#replace(path) : this.#notKept(path, unlocked);
    });
    this.#last = this.#next;
    return this.#next;
  }

  /** Two processes would write over what the other keeps. Null, or why not. */
  async #lock(path: string): Promise<Error | null> {
    try {
      this.#unlock ??= await lockFolder(dirname(path));
      return null;
    } catch (error) {
      return error as Error;
    }
  }

  #notKept(file: string, err: Error): boolean {
    this.#log.error({ file, err }, 'an edit of this edge alone is not kept over a restart');
    return false;
  }

  /** Never rejects. */
  #replace(path: string): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const done = (error: Error | null) => resolve(error === null || this.#notKept(path, error));
    try {
      this.#disk ??= new FileDisk(path);
      const text = JSON.stringify({ version: VERSION, pools: this.#edits.toSnapshot() });
      this.#disk.replace(Buffer.from(`${text}\n`), done);
    } catch (error) {
      done(error as Error);
    }
    return promise;
  }
}

function isFile(data: unknown): data is { pools: unknown } {
  return typeof data === 'object' && data !== null && 'version' in data && data.version === VERSION && 'pools' in data;
}
