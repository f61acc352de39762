/**
 * How many connections the process's limit on open files has room for. Main thread.
 *
 * A client's connection takes a descriptor, and mostly one more to a backend. The rest is for what must go on when clients
 * take all that they may have: listening sockets, peers, health checks, the admin API, files.
 */

import { readFileSync } from 'node:fs';
import type { LimitsConfig } from '../config/config.ts';

const DESCRIPTORS_PER_CONNECTION = 2;
const RESERVE_MAX = 1_024;
/** Beyond it, `auto` would trust in memory that nobody has spoken of: 45 KiB each over TLS. */
const AUTO_MAX = 100_000;
const LIMIT_LINE = /^Max open files\s+(\d+|unlimited)/m;

/** RLIMIT_NOFILE as it is now (Node has raised it to the hard limit); Infinity where nothing tells. */
export const OPEN_FILES_MAX = openFilesMax();

/** The limit on connections that is in force with `openFiles` descriptors, whatever the file asks for. At least 1. */
export function connectionsMaxOf({ connectionsMax }: Pick<LimitsConfig, 'connectionsMax'>, openFiles: number): number {
  return Math.min(connectionsMax === 'auto' ? AUTO_MAX : connectionsMax, roomFor(openFiles));
}

/** What to tell an operator who allows more connections than there are descriptors for; null: nothing. */
export function explainShortage(limits: Pick<LimitsConfig, 'connectionsMax'>, openFiles: number): string | null {
  const { connectionsMax } = limits;
  if (connectionsMax === 'auto' || connectionsMax <= roomFor(openFiles)) return null;
  return `max_connections: the limit on open files, ${openFiles}, has room for ${roomFor(openFiles)}, and no more are served; raise it (LimitNOFILE=)`;
}

function roomFor(openFiles: number): number {
  const reserve = Math.min(RESERVE_MAX, openFiles / 4);
  return Math.max(1, Math.floor((openFiles - reserve) / DESCRIPTORS_PER_CONNECTION));
}

function openFilesMax(): number {
  try {
    const limit = Number(LIMIT_LINE.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
