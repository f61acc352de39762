/** Files that nobody else may read. Main thread of a command. */

import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

const MODE = 0o600;
/** As `keys export` names them: a key's whole name. */
const KEY_FILE = /^[0-9a-f]{32}\.key$/;

/**
 * Whole or not at all, whoever reads it meanwhile; what stood there is replaced. Returns the absolute path. Throws the
 * system's error.
 */
export function writeSecretFile(path: string, data: string | Uint8Array): string {
  const file = resolve(path);
  // a link into a tmpfs must not become a file on a disk, nor a device one of the system's
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === false) {
    throw Object.assign(new Error(`${file} is there, and is not a regular file`), { code: 'EEXIST' });
  }
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);
  try {
    // wx: never into a file or through a link that someone else has put there
    writeFileSync(temporary, data, { mode: MODE, flag: 'wx', flush: true });
    renameSync(temporary, file);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
  return file;
}

/** Removes the files of keys in `folder` that are not among `kept`, absolute paths. Throws the system's error. */
export function removeOtherKeyFiles(folder: string, kept: readonly string[]): void {
  for (const name of readdirSync(folder)) {
    const file = resolve(folder, name);
    if (KEY_FILE.test(name) && !kept.includes(file)) unlinkSync(file);
  }
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // it was never made
  }
}
