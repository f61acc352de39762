/**
 * Node's streams as its C++ shows them: the one file that knows what net.Socket itself is made of. Listener threads.
 *
 * `process.binding` is not meant for programs, and its parts change: they are looked at once, and where anything is not as
 * expected (Node 24, for one), connections are served through net.Socket, which is documented, and costs more.
 */

/** A stream's handle: a TCP or unix socket, or TLS over one. */
export interface StreamHandle {
  /** Called as a method when `lastRead` has changed. */
  onread: () => void;
  /** Ours: whose handle it is. */
  stream?: unknown;
  /** In all. */
  readonly bytesRead: number;
  /** Bytes that the kernel has not taken yet. */
  readonly writeQueueSize: number;
  /** What is read goes to `buffer`, from its beginning. */
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** A number: done at once, 0 or an error. An object: to be done later, unless `lastWriteError` says otherwise. */
  writeLatin1String(request: null, data: string): number | WriteRequest;
  writeBuffer(request: null, data: Uint8Array): number | WriteRequest;
  /** Sends a FIN behind all that was written. */
  shutdown(request: ShutdownRequest): number;
  close(onClosed: () => void): void;
  /** TCP alone: closes with a RST. Not 0 where it cannot. */
  reset?(onClosed: () => void): number;
  setNoDelay?(on: boolean): number;
  getpeername?(out: SocketName): number;
  getsockname?(out: SocketName): number;
}

export interface SocketName {
  address?: string;
  port?: number;
}

/** A write that is under way. `oncomplete` is called with 0 or an error; `writeStatus` holds that where it came too early. */
export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  writeStatus?: number | null;
  /** Ours, as `stream` of the handle. */
  stream: unknown;
  /** Ours: kept until it is written. */
  data: string | Uint8Array;
  onFlushed: (() => void) | null;
}

export interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void;
  stream: unknown;
}

/** Errors are negative numbers of libuv's. */
export interface StreamBinding {
  /** Of the read that is being told of: bytes, or an error, or `endOfFile`. Valid during the call alone. */
  lastRead(): number;
  /** Of the write that has just been begun and gave an object. */
  lastWriteError(): number;
  /** Makes that 0: for a write that nothing native has begun yet. */
  forgetWriteError(): void;
  newShutdown(): ShutdownRequest;
  readonly endOfFile: number;
  readonly notConnected: number;
}

interface Parts {
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteErr: number;
  readonly ShutdownWrap: new () => ShutdownRequest;
}

/** Null where this Node's streams do not look as expected. */
export const STREAM_BINDING: StreamBinding | null = bind();

function bind(): StreamBinding | null {
  try {
    const { binding } = process as unknown as { binding: (name: string) => unknown };
    const parts = binding('stream_wrap') as Parts;
    const { UV_EOF, UV_ENOTCONN } = binding('uv') as { UV_EOF: number; UV_ENOTCONN: number };
    const { streamBaseState: state, kReadBytesOrError, kLastWriteErr, ShutdownWrap } = parts;
    const numbers = [kReadBytesOrError, kLastWriteErr, UV_EOF, UV_ENOTCONN];
    const isKnown =
      state instanceof Int32Array &&
      numbers.every((one) => typeof one === 'number') &&
      typeof ShutdownWrap === 'function';
    if (!isKnown) return null;
    return {
      lastRead: () => state[kReadBytesOrError] as number,
      lastWriteError: () => state[kLastWriteErr] as number,
      forgetWriteError: () => {
        state[kLastWriteErr] = 0;
      },
      newShutdown: () => new ShutdownWrap(),
      endOfFile: UV_EOF,
      notConnected: UV_ENOTCONN,
    };
  } catch {
    return null;
  }
}

const METHODS = [
  'useUserBuffer',
  'readStart',
  'readStop',
  'writeLatin1String',
  'writeBuffer',
  'shutdown',
  'close',
] as const;

/** Whether `handle` can be used as a StreamHandle. */
export function isStreamHandle(handle: unknown): handle is StreamHandle {
  if (STREAM_BINDING === null || typeof handle !== 'object' || handle === null) return false;
  return METHODS.every((method) => typeof (handle as Record<string, unknown>)[method] === 'function');
}
