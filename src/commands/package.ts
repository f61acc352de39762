/** The package that this program is part of. Main thread. */

import { readFileSync } from 'node:fs';

/** Its folder, from the sources as from the build in dist/. */
export const PACKAGE = new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url);

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8')) as { version: string };
  return version;
}
