/**
 * What `stekbal convert` reads: a file or stdin, bounded, as text. Main thread of a command; synchronous.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errnoReason } from '../source.ts';
import { formatSize, type Parsed, parsed, refused } from '../units.ts';

/** One text to convert. */
export interface ConvertInput {
  /** As messages name it. */
  readonly name: string;
  /** Absolute: what relative paths in the text start from. */
  readonly folder: string;
  /** Bytes that are no UTF-8 stand in it as U+FFFD. */
  readonly text: string;
}

/** Configurations written by hand have some KiB; a list of 100,000 nodes has 2 MiB. */
export const INPUT_BYTES_MAX = 4 * 1024 * 1024;
const STDIN = '-';
const STDIN_FD = 0;

/** Reads a file, or stdin for `-`. Refused with the end of a sentence that begins with its name. */
export function readInput(path: string): Parsed<ConvertInput> {
  const isStdin = path === STDIN;
  const text = isStdin ? readTextFrom(STDIN_FD) : readTextFile(path);
  if (!text.ok) return text;
  const folder = isStdin ? process.cwd() : dirname(resolve(path));
  return parsed({ name: isStdin ? 'stdin' : path, folder, text: text.value });
}

/** A regular file or a pipe, whole. Refused with the end of a sentence that begins with its name. */
export function readTextFile(path: string): Parsed<string> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return refused(`cannot be read: ${errnoReason(error)}`);
  }
  try {
    return readTextFrom(fd);
  } finally {
    closeSync(fd);
  }
}

function readTextFrom(fd: number): Parsed<string> {
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) return refused('is a directory');
    // a device never ends, and may wait for ever
    if (stat.isBlockDevice() || (stat.isCharacterDevice() && fd !== STDIN_FD)) return refused('is a device');
    const bytes = readBounded(fd);
    if (bytes === null) return refused(`is larger than ${formatSize(INPUT_BYTES_MAX)}`);
    if (bytes.includes(0)) return refused('is not text: it holds a zero byte');
    return parsed(new TextDecoder('utf-8').decode(bytes));
  } catch (error) {
    return refused(`cannot be read: ${errnoReason(error)}`);
  }
}

/** Null where there is more than INPUT_BYTES_MAX. */
function readBounded(fd: number): Buffer | null {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length <= INPUT_BYTES_MAX) {
    const chunk = Buffer.allocUnsafe(64 * 1024);
    const count = readSync(fd, chunk);
    if (count === 0) return Buffer.concat(chunks, length);
    chunks.push(chunk.subarray(0, count));
    length += count;
  }
  return null;
}
