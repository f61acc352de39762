/**
 * Lets Node keep what it made of the sources: without that, each start strips the types of 250 files anew, in each thread,
 * and takes twice as long. Main thread; the threads learn of it from the environment.
 *
 * What lies in the cache is run as it is, so it lies beside the packages that the program loads, in a folder of this user's
 * alone: whoever could change it could change the program, too. Where there is no such folder, there is no cache. The built
 * package has none: it starts fast enough, and a service has no business writing code.
 */

import { existsSync, mkdirSync, statSync } from 'node:fs';
import { constants, enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Write permission for others than the owner: stat(2). */
const OTHERS_WRITE = 0o022;

/** Never throws. An operator's NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE stand. */
export function keepCompiled(folder = fileURLToPath(new URL('../node_modules/.compile-cache', import.meta.url))): void {
  if (!isOwn(folder)) return;
  const { status } = enableCompileCache(folder);
  if (status === constants.compileCacheStatus.ENABLED) process.env.NODE_COMPILE_CACHE = folder;
}

/** Whether the folder is there, made where it was not, and nobody else can write to it. */
function isOwn(folder: string): boolean {
  try {
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    const { uid, mode } = statSync(folder);
    return uid === process.getuid?.() && (mode & OTHERS_WRITE) === 0;
  } catch {
    return false;
  }
}
