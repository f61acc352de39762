/**
 * TLS over a handle as Node's C++ shows it: the one file that knows what a TLSSocket itself is made of. Listener threads.
 *
 * As with stream-binding.ts: it is looked at once, and where anything is not as expected, TLSSocket is used.
 */

import type { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { type ShutdownRequest, STREAM_BINDING, type StreamHandle, type WriteRequest } from './stream-binding.ts';

/**
 * TLS around a handle, of which nobody else may read or write from then on. It takes one write at a time: Node ends the
 * process at a second one. It is not kept alive by the handle, and must not be closed, but ended once the handle is closed.
 */
export interface TlsWrap {
  onread: () => void;
  /** Called within OpenSSL: nothing may be freed there. In TLS 1.2 again at each hello that asks to renegotiate. */
  onhandshakedone: () => void;
  /** A fault in what came; nothing else comes. An alert is on its way by then. */
  onerror: (error: NodeJS.ErrnoException) => void;
  /** Ours: whose it is. */
  stream?: unknown;
  /** Of data, without what TLS adds. */
  readonly bytesRead: number;
  /** Sealed bytes that the handle has not taken. */
  readonly writeQueueSize: number;
  useUserBuffer(buffer: Uint8Array): void;
  /** Takes bytes that were read from the handle before; they are copied first. */
  receive(bytes: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  writeLatin1String(request: null, data: string): number | WriteRequest;
  writeBuffer(request: null, data: Uint8Array): number | WriteRequest;
  /** Each chunk is followed by its encoding, unless all are bytes. */
  writev(request: null, chunks: readonly (string | Uint8Array)[], areAllBytes: boolean): number | WriteRequest;
  /** Sends TLS's own end and a FIN at once. */
  shutdown(request: ShutdownRequest): number;
  setALPNProtocols(protocols: Uint8Array): void;
  setVerifyMode(asksForCertificate: boolean, requiresIt: boolean): void;
  verifyError(): { code?: string; message: string } | null | undefined;
  /** A handle of its own, for peerCertificate alone. */
  getPeerX509Certificate(): unknown;
  isSessionReused(): boolean;
  getProtocol(): string;
  destroySSL(): void;
}

interface Binding {
  wrap(handle: unknown, context: unknown, isServer: boolean, hasActiveWrite: boolean): TlsWrap;
  readonly TLSWrap: { readonly prototype: object };
}

const METHODS = [
  'useUserBuffer',
  'receive',
  'readStart',
  'readStop',
  'writeLatin1String',
  'writeBuffer',
  'writev',
  'shutdown',
  'setALPNProtocols',
  'setVerifyMode',
  'verifyError',
  'getPeerX509Certificate',
  'isSessionReused',
  'getProtocol',
  'destroySSL',
] as const;
const PROPERTIES = ['onread', 'bytesRead', 'writeQueueSize'] as const;

/** Null where this Node's TLS does not look as expected. */
const BINDING: Binding | null = bind();

/** TLS can be put around accepted handles. */
export const CAN_WRAP_HANDLES = BINDING !== null;

/** The server's end of TLS around `handle`. Only where CAN_WRAP_HANDLES. */
export function wrapHandle(handle: StreamHandle, { context }: SecureContext): TlsWrap {
  return (BINDING as Binding).wrap(handle, context, true, false);
}

/**
 * What the other side showed; undefined: no certificate. Not by getPeerCertificate(), whose object Node makes of all that is in
 * one: a key on a curve that NIST has no name for ends the process there, whoever signed it.
 */
export function peerCertificate(wrap: TlsWrap): X509Certificate | undefined {
  return TLSSocket.prototype.getPeerX509Certificate.call({ _handle: wrap } as unknown as TLSSocket);
}

function bind(): Binding | null {
  if (STREAM_BINDING === null) return null;
  try {
    const { binding } = process as unknown as { binding: (name: string) => unknown };
    const parts = binding('tls_wrap') as Binding;
    const { prototype } = parts.TLSWrap;
    const methods = prototype as Record<string, unknown>;
    const isKnown =
      METHODS.every((method) => typeof methods[method] === 'function') &&
      PROPERTIES.every((property) => property in prototype) &&
      isCalledAsExpected(parts);
    return isKnown ? parts : null;
  } catch {
    return null;
  }
}

/** Whether Node itself calls `wrap` as we do: with other arguments it ends the process. */
function isCalledAsExpected(parts: Binding): boolean {
  const { wrap } = parts;
  const secureContext = createSecureContext({ ca: [] });
  const handle = { isStreamBase: true };
  let args: unknown[] = [];
  parts.wrap = (...given) => {
    args = given;
    return {} as TlsWrap;
  };
  try {
    const socket = { _tlsOptions: { isServer: true, secureContext }, listenerCount: () => 1 };
    const { _wrapHandle } = TLSSocket.prototype as unknown as { _wrapHandle: (...args: unknown[]) => unknown };
    _wrapHandle.call(socket, null, handle, false);
  } finally {
    parts.wrap = wrap;
  }
  const [first, second, ...rest] = args;
  return first === handle && second === secureContext.context && rest.join() === 'true,false';
}
