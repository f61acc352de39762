/**
 * Unix sockets that a program killed at once has left behind: bind would fail on them for ever. Main thread.
 */

import { lstat, unlink } from 'node:fs/promises';
import net from 'node:net';

/**
 * Removes the socket file at `path` where nobody listens on it any more. Leaves anything else as it is: binding then
 * says what is wrong.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const isSocket = await lstat(path).then(
    (stat) => stat.isSocket(),
    () => false,
  );
  if (isSocket && (await refuses(path))) await unlink(path).catch(() => {});
}

function refuses(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
