/** Main thread of a command. */

import { InvalidArgumentError } from 'commander';
import type { Parsed } from '../config/units.ts';

/** For commander: the value, or the error that it prints. */
export function argumentOf<T>(result: Parsed<T>): T {
  if (!result.ok) throw new InvalidArgumentError(result.message);
  return result.value;
}
