/**
 * How the process's limit on open files is dealt out: to clients' connections, to backends', and a reserve for what must go on
 * when those take all that they may have: listening sockets, peers, health checks, the admin API, files. Main thread.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

const RESERVE_MAX = 1_024;
/** Beyond it, `auto` would trust in memory that nobody has spoken of: 45 KiB each over TLS. */
const AUTO_MAX = 100_000;
/** What is left for backends at least, where the file asks for many clients: most of them are idle then. */
const UPSTREAM_PART_MIN = 1 / 8;
const LIMIT_LINE = /^Max open files\s+(\d+|unlimited)/m;

/** RLIMIT_NOFILE as it is now (Node has raised it to the hard limit); the largest integer where nothing tells. */
export const OPEN_FILES_MAX = openFilesMax();

type Asked = Pick<Config, 'workers'> & { readonly limits: Pick<Config['limits'], 'connectionsMax'> };

export interface DescriptorShares {
  /** Clients' connections, in all and a thread's part. At least 1 each. */
  readonly connectionsMax: number;
  readonly connectionsShare: number;
  /** Backends', the same way. */
  readonly upstreamsMax: number;
  readonly upstreamsShare: number;
}

/** With `openFiles` descriptors, whatever the file asks for. */
export function descriptorShares({ workers, limits }: Asked, openFiles: number): DescriptorShares {
  const room = roomIn(openFiles);
  const { connectionsMax: asked } = limits;
  const clients = asked === 'auto' ? Math.min(AUTO_MAX, Math.floor(room / 2)) : Math.min(asked, clientsMax(room));
  const connectionsMax = Math.max(1, clients);
  const upstreamsMax = Math.max(1, room - connectionsMax);
  return {
    connectionsMax,
    connectionsShare: Math.ceil(connectionsMax / workers),
    upstreamsMax,
    upstreamsShare: Math.ceil(upstreamsMax / workers),
  };
}

/** What to tell an operator who allows more connections than there are descriptors for; null: nothing. */
export function explainShortage({ limits }: Pick<Asked, 'limits'>, openFiles: number): string | null {
  const { connectionsMax } = limits;
  const max = clientsMax(roomIn(openFiles));
  if (connectionsMax === 'auto' || connectionsMax <= max) return null;
  return `max_connections: the limit on open files, ${openFiles}, has room for ${max}, and no more are served; raise it (LimitNOFILE=)`;
}

function roomIn(openFiles: number): number {
  return openFiles - Math.min(RESERVE_MAX, Math.ceil(openFiles / 4));
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
