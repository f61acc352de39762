/**
 * The few system calls that Node does not offer, by node:ffi: the one file that knows it. Main thread.
 *
 * node:ffi is experimental (Node 26): where it is missing or switched off, every function here says so by its result, and
 * its callers go another way. None of them waits unless it is told how long, and none throws: an error is a value.
 */

import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { ADDRESS_BYTES_MAX, decodeAddress, encodeUnixAddress, type SocketAddress } from './socket-address.ts';

type Ffi = typeof import('node:ffi');

/** fcntl(2): the lowest free descriptor from the argument on, closed on exec. */
const F_DUPFD_CLOEXEC = 1030;
/** Past the standard streams. */
const FD_MIN = 3;

// as Linux has them on the machines that Node is built for
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

interface SystemCalls {
  fcntl(fd: number, command: number, argument: number): number;
  socket(domain: number, type: number, protocol: number): number;
  sendto(fd: number, data: Buffer, length: bigint, flags: number, to: Buffer, toLength: number): bigint;
  getsockopt(fd: number, level: number, option: number, value: Int32Array, length: Uint32Array): number;
  getsockname(fd: number, address: Buffer, length: Uint32Array): number;
  close(fd: number): number;
  /** A struct pollfd: the descriptor, and two half words. */
  poll(fds: Int32Array, count: bigint, timeoutMs: number): number;
  /** Of the call before: nothing may come between. */
  errno(): number;
}

let systemCalls: SystemCalls | null | undefined;

/** Null where there is no node:ffi. */
function load(): SystemCalls | null {
  if (systemCalls !== undefined) return systemCalls;
  try {
    const ffi = createRequire(import.meta.url)('node:ffi') as Ffi;
    const { functions } = ffi.dlopen(null, {
      fcntl: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
      socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
      sendto: { arguments: ['int32', 'buffer', 'uint64', 'int32', 'buffer', 'uint32'], return: 'int64' },
      getsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
      getsockname: { arguments: ['int32', 'buffer', 'buffer'], return: 'int32' },
      close: { arguments: ['int32'], return: 'int32' },
      poll: { arguments: ['buffer', 'uint64', 'int32'], return: 'int32' },
      __errno_location: { arguments: [], return: 'pointer' },
    });
    const errnoAt = functions.__errno_location();
    systemCalls = { ...(functions as unknown as SystemCalls), errno: () => ffi.getInt32(errnoAt) };
  } catch {
    systemCalls = null;
  }
  return systemCalls;
}

/** Whether this Node has node:ffi; without it, every function below fails. */
export function hasSystemCalls(): boolean {
  return load() !== null;
}

/** Another descriptor of what `fd` refers to; null where there is none to be had. */
export function duplicate(fd: number): number | null {
  const copy = load()?.fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN) ?? -1;
  return copy < 0 ? null : copy;
}

/**
 * Sends one datagram to the unix socket at `path`; `@NAME` is one in the abstract namespace. Null when it is sent, else
 * the error's name: `ENOENT`, `EAGAIN` where the receiver's queue is full, `ENOSYS` without node:ffi...
 */
export function sendDatagram(path: string, text: string): string | null {
  const calls = load();
  if (calls === null) return 'ENOSYS';
  const to = encodeUnixAddress(path);
  if (to === null) return 'ENAMETOOLONG';
  const fd = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return getSystemErrorName(-calls.errno());
  const data = Buffer.from(text);
  const sent = calls.sendto(fd, data, BigInt(data.length), MSG_NOSIGNAL, to, to.length);
  const error = sent < 0n ? getSystemErrorName(-calls.errno()) : null;
  calls.close(fd);
  return error;
}

export interface SocketInfo {
  readonly isStream: boolean;
  readonly isListening: boolean;
  /** Null: neither TCP nor unix. */
  readonly address: SocketAddress | null;
}

/** What a descriptor is; null where it is no socket, or that cannot be known. */
export function socketInfo(fd: number): SocketInfo | null {
  const calls = load();
  if (calls === null) return null;
  const type = socketOption(calls, fd, SO_TYPE);
  if (type === null) return null;
  const bytes = Buffer.alloc(ADDRESS_BYTES_MAX);
  const length = Uint32Array.of(bytes.length);
  const isNamed = calls.getsockname(fd, bytes, length) === 0;
  const address = isNamed ? decodeAddress(bytes.subarray(0, length[0])) : null;
  return { isStream: type === SOCK_STREAM, isListening: socketOption(calls, fd, SO_ACCEPTCONN) === 1, address };
}

function socketOption(calls: SystemCalls, fd: number, option: number): number | null {
  const value = new Int32Array(1);
  const length = Uint32Array.of(value.byteLength);
  return calls.getsockopt(fd, SOL_SOCKET, option, value, length) === 0 ? (value[0] ?? null) : null;
}

/**
 * Whether a write of up to PIPE_BUF bytes to a pipe or stream socket would not have to wait, or becomes so within `waitMs`.
 * Files, and what a write fails on at once, are writable. Null without node:ffi.
 */
export function isWritable(fd: number, waitMs: number): boolean | null {
  const calls = load();
  // the events asked for are the lower half of the second word, those that came its upper one (little endian, as Node's)
  return calls === null ? null : calls.poll(Int32Array.of(fd, POLLOUT), 1n, waitMs) > 0;
}
