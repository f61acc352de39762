/** The access log must be there to be appended to before a thread depends on it. Main thread. */

import { closeSync, openSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** Why it cannot be; null where it can, or there is none. Creates the file. */
export function explainUnwritable({ accessLog }: Pick<Config, 'accessLog'>): string | null {
  if (accessLog === null) return null;
  try {
    closeSync(openSync(accessLog, 'a', 0o640));
    return null;
  } catch (error) {
    return `access_log: cannot append to ${accessLog}: ${(error as NodeJS.ErrnoException).code}`;
  }
}
