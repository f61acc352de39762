/**
 * One file that survives crashes, and the lock on the folder that it lies in. Main thread: after the start nothing here
 * blocks.
 */

import { createHash } from 'node:crypto';
import {
  accessSync,
  close,
  closeSync,
  constants,
  fdatasync,
  fsync,
  fsyncSync,
  mkdirSync,
  open,
  openSync,
  readFileSync,
  rename,
  renameSync,
  statSync,
  unlink,
  unlinkSync,
  write,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, resolve } from 'node:path';
import type { Done } from './types.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * Keeps the bytes of one file. One call at a time: the next only after `done`, which may come at once. `done(null)`: the
 * bytes survive a crash.
 */
export interface Disk {
  /** For messages. */
  readonly path: string;
  /**
   * The whole file, null where there is none. At the start alone: it blocks. What it returns survives a crash. The next
   * write is a `replace`.
   */
  read(): Buffer | null;
  /**
   * Adds to what the last `replace` wrote; after a crash any part of `bytes` may be there, or something else in their
   * place. Fails unless that `replace`, and every append since, succeeded.
   */
  append(bytes: Uint8Array, done: Done): void;
  /** After a crash there is the old content or the new one. With an error either may be there. */
  replace(bytes: Uint8Array, done: Done): void;
}

export class FileDisk implements Disk {
  readonly path: string;
  readonly #temporary: string;
  /**
   * The file that the last replace made, at its end. Null: not to be appended to. After a failed sync the kernel may have
   * dropped what it could not write and call the next sync a success ("fsyncgate"), so only a new file is trusted again.
   */
  #fd: number | null = null;

  /** Makes the folder where it is missing, but none above it: that is rather a path mistyped or not mounted. Throws. */
  constructor(path: string) {
    this.path = resolve(path);
    this.#temporary = `${this.path}.new`;
    makeFolder(dirname(this.path));
  }

  read(): Buffer | null {
    this.close();
    const bytes = readIfThere(this.path);
    if (bytes === null) return null;
    // What an earlier process wrote and did not see synced may stand in the page cache alone, and after a failed sync no
    // further one would write it. Promises will be made on what is read here: it goes to the disk as a new file first.
    try {
      writeFileSync(this.#temporary, bytes, { mode: FILE_MODE, flush: true });
      renameSync(this.#temporary, this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      // a full disk must not keep the server from starting: the file itself is all that there can be
      unlinkSync(this.#temporary);
      syncFileNow(this.path);
    }
    syncFolderNow(dirname(this.path));
    return bytes;
  }

  append(bytes: Uint8Array, done: Done): void {
    const fd = this.#fd;
    if (fd === null) {
      done(new Error(`${this.path} cannot be appended to before it has been replaced`));
      return;
    }
    inOrder([(next) => writeAll(fd, bytes, 0, next), (next) => fdatasync(fd, next)], (error) => {
      if (error) this.close();
      done(error);
    });
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.close();
    open(this.#temporary, 'w', FILE_MODE, (error, fd) => {
      if (error) done(error);
      else this.#fill(fd, bytes, done);
    });
  }

  /** Lets go of the file. Not while a call is under way. */
  close(): void {
    if (this.#fd !== null) close(this.#fd, () => {});
    this.#fd = null;
  }

  #fill(fd: number, bytes: Uint8Array, done: Done): void {
    const steps: Step[] = [
      (next) => writeAll(fd, bytes, 0, next),
      (next) => fsync(fd, next),
      (next) => rename(this.#temporary, this.path, next),
      (next) => syncFolder(dirname(this.path), next),
    ];
    inOrder(steps, (error) => {
      if (error === null) {
        this.#fd = fd;
        done(null);
        return;
      }
      // A full disk has no room for what is left of it.
      close(fd, () => unlink(this.#temporary, () => done(error)));
    });
  }
}

/**
 * Makes the folder as FileDisk does, and keeps every other process out of it: rejects where one is in already. The
 * result lets go; the kernel does when the process dies, however it dies. Linux.
 *
 * Node has no flock. An abstract socket (unix(7)) has an owner and no file, so nothing stale is ever left behind. It is
 * named after the folder's device and inode: a path would mean different folders in two containers that share a network.
 * Not seen: a process in another network namespace, as of a container that shares the folder but not the network.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  makeFolder(folder);
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  const { dev, ino } = statSync(folder, { bigint: true });
  const name = createHash('sha256').update(`${dev}:${ino}`).digest('hex');
  const server = createServer((socket) => socket.destroy());
  const { promise, resolve: held, reject } = Promise.withResolvers<void>();
  server.once('error', (error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'another process uses it' : (error.code ?? error.message);
    reject(new Error(`the folder ${folder} cannot be locked: ${reason}`, { cause: error }));
  });
  server.listen({ path: `\0stekbal-${name}` }, held);
  await promise;
  // whoever knocks there gets nothing, and must not end this process by it
  server.on('error', () => {});
  server.unref();
  return () => server.close();
}

type Step = (next: (error: Error | null) => void) => void;

/** Until the first error. */
function inOrder(steps: readonly Step[], done: Done): void {
  const [first, ...rest] = steps;
  if (first === undefined) done(null);
  else first((error) => (error ? done(error) : inOrder(rest, done)));
}

/** A write may be short, above all on a disk that is about to be full. */
function writeAll(fd: number, bytes: Uint8Array, start: number, done: Done): void {
  if (start === bytes.length) {
    done(null);
    return;
  }
  write(fd, bytes, start, bytes.length - start, null, (error, written) => {
    if (error) done(error);
    else writeAll(fd, bytes, start + written, done);
  });
}

/** A rename survives a crash only once the folder is synced. */
function syncFolder(folder: string, done: Done): void {
  open(folder, 'r', (error, fd) => {
    if (error) done(error);
    else fsync(fd, (failure) => close(fd, () => done(failure)));
  });
}

function syncFolderNow(folder: string): void {
  syncFileNow(folder);
}

function syncFileNow(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, FOLDER_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  syncFolderNow(dirname(resolve(folder)));
}

function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
