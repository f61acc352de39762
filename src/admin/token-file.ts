/**
 * The file that holds the admin API's token. Main thread, and the commands that call the API.
 */

import { readFileSync } from 'node:fs';
import { StartError } from '../control/start-error.ts';

const TOKEN_CHARS_MAX = 4096;

/** The one line of the file. Null for no file. Throws a StartError where the file holds no token. */
export function readToken(file: string | null): string | null {
  if (file === null) return null;
  const token = readText(file).trim();
  if (token === '') throw new StartError(`token_file: ${file} is empty; write a token into it`);
  if (!/^[!-~]+$/.test(token) || token.length > TOKEN_CHARS_MAX) {
    throw new StartError(
      `token_file: ${file} holds no token; write one line of at most ${TOKEN_CHARS_MAX} letters and digits`,
    );
  }
  return token;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    throw new StartError(`token_file: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
