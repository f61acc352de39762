/**
 * What the service manager says in the environment: where to report to (sd_notify(3)), how often to show signs of life
 * (sd_watchdog_enabled(3)), which sockets it passed (sd_listen_fds(3)). Main thread.
 */

import type { PassedSockets } from '../listening-sockets.ts';

export interface ServiceEnvironment {
  /** A path, or `@` and a name in the abstract namespace. Null: nobody wants reports. */
  readonly notifySocket: string | null;
  /** Signs of life must come at least this often, ms; null: none are asked for. */
  readonly watchdogMs: number | null;
  readonly sockets: PassedSockets;
  /** What is wrong with the variables, and so was left out of the above. */
  readonly problems: readonly string[];
}

const VARIABLES = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
] as const;
/** Where passed descriptors begin: SD_LISTEN_FDS_START. */
const FIRST_FD = 3;
/** More than anyone passes; each costs a look. */
const SOCKETS_MAX = 4096;
/** What sd_listen_fds_with_names(3) calls sockets without a name. */
const UNNAMED = 'unknown';

/** Takes the variables out of `env`, so that no child takes them for its own. `pid`: of this process. */
export function takeServiceEnvironment(env: NodeJS.ProcessEnv, pid: number): ServiceEnvironment {
  const taken: Partial<Record<(typeof VARIABLES)[number], string>> = {};
  for (const name of VARIABLES) {
    // an empty variable is one that is not set
    if (env[name]) taken[name] = env[name];
    delete env[name];
  }
  const problems: string[] = [];
  return {
    notifySocket: readNotifySocket(taken.NOTIFY_SOCKET, problems),
    watchdogMs: readWatchdog(taken.WATCHDOG_USEC, taken.WATCHDOG_PID, pid, problems),
    sockets: readSockets(taken.LISTEN_FDS, taken.LISTEN_FDNAMES, taken.LISTEN_PID, pid, problems),
    problems,
  };
}

function readNotifySocket(path: string | undefined, problems: string[]): string | null {
  if (path === undefined) return null;
  if (path.length > 1 && (path.startsWith('/') || path.startsWith('@'))) return path;
  problems.push('NOTIFY_SOCKET is neither a path nor an abstract name: the service manager is told nothing');
  return null;
}

/** Null also where they are meant for another process. */
function readWatchdog(usec: string | undefined, forPid: string | undefined, pid: number, problems: string[]) {
  if (usec === undefined || (forPid !== undefined && forPid !== String(pid))) return null;
  const micros = readCount(usec, Number.MAX_SAFE_INTEGER);
  if (micros !== null && micros > 0) return micros / 1000;
  problems.push(`WATCHDOG_USEC=${usec} is no time: no signs of life are sent`);
  return null;
}

function readSockets(
  fds: string | undefined,
  fdNames: string | undefined,
  forPid: string | undefined,
  pid: number,
  problems: string[],
): PassedSockets {
  const sockets = new Map<string, number[]>();
  if (fds === undefined) return sockets;
  const count = readCount(fds, SOCKETS_MAX);
  const names = fdNames?.split(':');
  if (count === null) problems.push(`LISTEN_FDS=${fds} is no number of sockets up to ${SOCKETS_MAX}`);
  else if (forPid !== String(pid)) {
    problems.push(`sockets were passed to process ${forPid ?? '(none)'}, and this one is ${pid}: start it directly`);
  } else if (names !== undefined && names.length !== count) {
    problems.push(`LISTEN_FDNAMES has ${names.length} names for ${count} sockets`);
  } else {
    for (let i = 0; i < count; i++) {
      const name = names?.[i] || UNNAMED;
      sockets.set(name, [...(sockets.get(name) ?? []), FIRST_FD + i]);
    }
  }
  return sockets;
}

function readCount(text: string, max: number): number | null {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return count <= max ? count : null;
}
