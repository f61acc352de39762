/** The version of a program that may be installed or not. */

import { spawnSync } from 'node:child_process';

/** As the program prints it: "1.22.1". null: not installed. */
export function installedVersion(program: string, flag = '-v'): string | null {
  const { stdout, stderr, error } = spawnSync(program, [flag], { encoding: 'utf8', timeout: 10_000 });
  if (error !== undefined) return null;
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown';
}
