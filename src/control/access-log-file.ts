/** The access log must be there to be appended to before a thread depends on it. Main thread. */

import { closeSync, openSync } from 'node:fs';
import { APPEND_FLAGS, APPEND_MODE } from '../boards/append-only.ts';
import type { Config } from '../config/config.ts';

/** Why it cannot be; null where it can, or there is none. Creates the file. */
export function explainUnwritable({ accessLog }: Pick<Config, 'accessLog'>): string | null {
  if (accessLog === null) return null;
  try {
    closeSync(openSync(accessLog, APPEND_FLAGS, APPEND_MODE));
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENXIO' ? 'ENXIO: it is a FIFO that nobody reads, or a socket' : code;
    return `access_log: cannot append to ${accessLog}: ${why}`;
  }
}
