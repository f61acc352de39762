/**
 * How the process's limit on open files is dealt out: to clients' connections, to backends', and a reserve for what must go on
 * when those take all that they may have: threads and their listening sockets, peers, health checks, the admin API, files,
 * clients that are told that they are refused. Main thread.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

const RESERVE_MAX = 1_024;
/** Open in an edge that serves nobody: in all, for each listener thread, and for each of its listeners. */
const OWN_FILES = 40;
const THREAD_FILES = 6;
const LISTENER_FILES = 2;
/** Of the reserve, one in so many is for clients that are refused. */
const REFUSED_PART = 8;
/** Beyond it, `auto` would trust in memory that nobody has spoken of: 45 KiB each over TLS. */
const AUTO_MAX = 100_000;
/** What is left for backends at least, where the file asks for many clients: most of them are idle then. */
const UPSTREAM_PART_MIN = 1 / 8;
const LIMIT_LINE = /^Max open files\s+(\d+|unlimited)/m;

/** RLIMIT_NOFILE as it is now (Node has raised it to the hard limit); the largest integer where nothing tells. */
export const OPEN_FILES_MAX = openFilesMax();

interface Asked {
  readonly workers: number;
  readonly listeners: readonly unknown[];
  readonly limits: Pick<Config['limits'], 'connectionsMax'>;
}

export interface DescriptorShares {
  /** Clients' connections, in all and a thread's part. At least 1 each. */
  readonly connectionsMax: number;
  readonly connectionsShare: number;
  /** Backends', the same way. */
  readonly upstreamsMax: number;
  readonly upstreamsShare: number;
  /** A thread's: clients that are told at one time that they are refused. At least 1. */
  readonly refusalsMax: number;
}

/** With `openFiles` descriptors, whatever the file asks for. */
export function descriptorShares(asked: Asked, openFiles: number): DescriptorShares {
  const { workers, limits } = asked;
  const room = roomIn(asked, openFiles);
  const clients =
    limits.connectionsMax === 'auto'
      ? Math.min(AUTO_MAX, Math.floor(room / 2))
      : Math.min(limits.connectionsMax, clientsMax(room));
  const connectionsMax = Math.max(1, clients);
  const upstreamsMax = Math.max(1, room - connectionsMax);
  return {
    connectionsMax,
    connectionsShare: Math.ceil(connectionsMax / workers),
    upstreamsMax,
    upstreamsShare: Math.ceil(upstreamsMax / workers),
    refusalsMax: Math.max(1, Math.floor(reserveOf(openFiles) / REFUSED_PART / workers)),
  };
}

/** What to tell an operator who allows more connections than there are descriptors for; null: nothing. */
export function explainShortage(asked: Asked, openFiles: number): string | null {
  const { connectionsMax } = asked.limits;
  const max = Math.max(1, clientsMax(roomIn(asked, openFiles)));
  if (connectionsMax === 'auto' || connectionsMax <= max) return null;
  return `max_connections: the limit on open files, ${openFiles}, has room for ${max}, and no more are served; raise it (LimitNOFILE=)`;
}

/** Many threads and listeners may have more open than the reserve: half of it is for others always. */
function roomIn({ workers, listeners }: Asked, openFiles: number): number {
  const reserve = reserveOf(openFiles);
  const own = OWN_FILES + workers * (THREAD_FILES + LISTENER_FILES * listeners.length);
  return openFiles - Math.max(reserve, own + Math.floor(reserve / 2));
}

function reserveOf(openFiles: number): number {
  return Math.min(RESERVE_MAX, Math.ceil(openFiles / 4));
}

function clientsMax(room: number): number {
  return room - Math.ceil(room * UPSTREAM_PART_MIN);
}

function openFilesMax(): number {
  try {
    const limit = Number(LIMIT_LINE.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    return Number.isNaN(limit) ? Number.MAX_SAFE_INTEGER : limit;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
