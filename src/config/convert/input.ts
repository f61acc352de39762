/**
 * What `stekbal convert` reads: a file or stdin, bounded, as text. Main thread of a command; synchronous.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
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
/** The second is not opened: where stdin is a socket, as of a program started by Node, that fails. */
const STDIN = ['-', '/dev/stdin'];
const STDIN_FD = 0;

interface TextFile {
  readonly text: string;
  /** Not a pipe or a terminal. */
  readonly isRegular: boolean;
}

/** Reads a file or a pipe whole, or stdin for `-`. Refused with the end of a sentence that begins with its name. */
export function readInput(path: string): Parsed<ConvertInput> {
  const isStdin = STDIN.includes(path);
  const read = isStdin ? readTextFrom(STDIN_FD) : readTextFile(path, constants.O_RDONLY);
  if (!read.ok) return read;
  const { text, isRegular } = read.value;
  // a pipe lies in no folder that its text could mean
  const folder = !isStdin && isRegular ? dirname(resolve(path)) : process.cwd();
  return parsed({ name: isStdin ? 'stdin' : path, folder, text });
}

/** A regular file whole; it never waits. Refused with the end of a sentence that begins with its name. */
export function readRegularFile(path: string): Parsed<string> {
  const read = readTextFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!read.ok) return read;
  return read.value.isRegular ? parsed(read.value.text) : refused('is not a regular file');
}

function readTextFile(path: string, flags: number): Parsed<TextFile> {
  let fd: number;
  try {
    fd = openSync(path, flags);
  } catch (error) {
    return refused(`cannot be read: ${errnoReason(error)}`);
  }
  try {
    return readTextFrom(fd);
  } finally {
    closeSync(fd);
  }
}

function readTextFrom(fd: number): Parsed<TextFile> {
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) return refused('is a directory');
    // a device never ends, and may wait for ever
    if (stat.isBlockDevice() || (stat.isCharacterDevice() && fd !== STDIN_FD)) return refused('is a device');
    const bytes = readBounded(fd);
    if (bytes === null) return refused(`is larger than ${formatSize(INPUT_BYTES_MAX)}`);
    if (bytes.includes(0)) return refused('is not text: it holds a zero byte');
    return parsed({ text: new TextDecoder('utf-8').decode(bytes), isRegular: stat.isFile() });
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
