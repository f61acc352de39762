/** The package that this program is part of. Main thread. */

import { readFileSync } from 'node:fs';
import { PACKAGE } from '../config/package-folder.ts';

export { PACKAGE } from '../config/package-folder.ts';

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8')) as { version: string };
  return version;
}
