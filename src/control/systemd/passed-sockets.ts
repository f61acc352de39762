/**
 * Whether the sockets that a configuration names (`fd:NAME`) are among those that the service manager passed, and are such
 * that can be served. Main thread.
 */

import { isLocalAddress } from '../../config/addresses.ts';
import type { Config, ListenAddress } from '../../config/config.ts';
import { formatDiagnostic } from '../../config/diagnostics.ts';
import type { PassedSockets } from '../listening-sockets.ts';
import { hasSystemCalls, type SocketInfo, socketInfo } from '../system-calls.ts';

/** What is asked of the system. For tests. */
interface Sockets {
  hasSystemCalls(): boolean;
  socketInfo(fd: number): SocketInfo | null;
}

const SYSTEM: Sockets = { hasSystemCalls, socketInfo };

/** A socket that the admin server is to listen on: not its own to close. */
export interface AdminSocket {
  readonly fd: number;
  /** Where it is bound. */
  readonly address: ListenAddress;
}

/** Every `fd:` address of `config` that cannot be served, as `FILE:LINE:COLUMN: ...`. */
export function explainUnservable(config: Config, passed: PassedSockets, sockets: Sockets = SYSTEM): string[] {
  const errors: string[] = [];
  for (const { address, path } of config.listeners) {
    if (address.kind !== 'fd') continue;
    const why = whyUnservable(address.name, passed, sockets);
    if (why !== null)
      errors.push(formatDiagnostic({ ...path, severity: 'error', message: `fd:${address.name}: ${why}` }));
  }
  if (config.admin?.address.kind === 'fd') {
    const { address, tokenFile } = config.admin;
    const why =
      whyUnservable(address.name, passed, sockets) ?? whyNotAdmin(address.name, tokenFile !== null, passed, sockets);
    if (why !== null) errors.push(`${config.file}: admin: fd:${address.name}: ${why}`);
  }
  return errors;
}

/** Names that were passed and that `config` does not serve: whoever connects there waits for ever. */
export function unservedNames({ listeners, admin }: Config, passed: PassedSockets): string[] {
  const addresses = [...listeners.map(({ address }) => address), ...(admin === null ? [] : [admin.address])];
  const named = new Set(addresses.map((address) => (address.kind === 'fd' ? address.name : '')));
  return [...passed.keys()].filter((name) => !named.has(name));
}

/** Null where the admin API listens on an address of its own. After `explainUnservable` found nothing. */
export function adminSocket({ admin }: Config, passed: PassedSockets): AdminSocket | null {
  if (admin?.address.kind !== 'fd') return null;
  const [fd = -1] = passed.get(admin.address.name) ?? [];
  return { fd, address: socketInfo(fd)?.address ?? admin.address };
}

function whyUnservable(name: string, passed: PassedSockets, sockets: Sockets): string | null {
  if (!sockets.hasSystemCalls()) {
    return `socket activation needs node:ffi, which Node 26.10 has, and this is ${process.version}`;
  }
  const fds = passed.get(name);
  if (fds === undefined) {
    const others = passed.size === 0 ? 'none at all' : [...passed.keys()].join(', ');
    return `no socket of this name was passed (there is ${others}); set FileDescriptorName=${name} in the socket unit`;
  }
  const unfit = fds.find((fd) => !isFit(sockets.socketInfo(fd)));
  return unfit === undefined
    ? null
    : `descriptor ${unfit} is no listening stream socket; use ListenStream= and Accept=no`;
}

function isFit(info: SocketInfo | null): boolean {
  return info?.isStream === true && info.isListening && info.address !== null;
}

function whyNotAdmin(name: string, hasToken: boolean, passed: PassedSockets, sockets: Sockets): string | null {
  const fds = passed.get(name) ?? [];
  if (fds.length !== 1) return `${fds.length} sockets of this name were passed, and one alone can be served here`;
  const address = sockets.socketInfo(fds[0] as number)?.address;
  if (hasToken || (address && isLocalAddress(address))) return null;
  return 'others can reach this socket; bind it to 127.0.0.1, [::1] or a path, or give a token_file';
}
