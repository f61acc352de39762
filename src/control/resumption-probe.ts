/**
 * Whether a session that was begun at one address resumes at another: as a client, against any TLS server. Certificates
 * are not checked: only tickets are of interest, and nothing is sent. Main thread.
 */

import net from 'node:net';
import tls from 'node:tls';
import { joinHostPort, type TlsVersion } from '../config/config.ts';

export const TLS_VERSIONS: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3'];

/**
 * Node gives a session back only for the host that it is from, so that no identity is checked at one and used at another.
 * None is checked here: under one name for all, sessions go anywhere. It is not sent.
 */
const ANY_HOST = 'any';

/** What a server that does not speak the version answers, and what OpenSSL makes of an answer in another version. */
const UNSUPPORTED = /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|UNSUPPORTED_VERSION|WRONG_SSL_VERSION/;

/** For the server to end as well, so that it sees no connection that was broken off. */
const LINGER_MS = 250;

export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
}

export interface ProbeOptions {
  readonly version: TlsVersion;
  /** For SNI; null: none is sent. */
  readonly serverName: string | null;
  /** For one connection, from the look-up of its name to its end. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export type ProbeResult =
  | { readonly outcome: 'resumed' }
  /** The ticket was not taken: a full handshake. */
  | { readonly outcome: 'full' }
  /** The first address gave none. */
  | { readonly outcome: 'no-ticket' }
  /** One of the two, as `reason` says, does not speak the version. */
  | { readonly outcome: 'unsupported' | 'failed'; readonly reason: string };

/** A session with its ticket, or why there is none. */
export type Taken = { readonly session: Buffer } | Exclude<ProbeResult, { outcome: 'resumed' | 'full' }>;

/** Never rejects. */
export async function takeTicket(target: ProbeTarget, options: ProbeOptions): Promise<Taken> {
  let session: Buffer | null = null;
  const fault = await connect(target, options, null, (socket, onKnown) => {
    socket.once('session', (data: Buffer) => {
      // in TLS 1.2 a session may have an id alone, which only its own server knows
      if (options.version !== 'TLSv1.2' || socket.getTLSTicket() !== undefined) session = data;
      onKnown();
    });
  });
  // a server may cut the connection once it has given one
  if (session !== null) return { session };
  return fault ?? { outcome: 'no-ticket' };
}

/** Never rejects. */
export async function offerTicket(target: ProbeTarget, session: Buffer, options: ProbeOptions): Promise<ProbeResult> {
  let isResumed: boolean | null = null;
  const fault = await connect(target, options, session, (socket, onKnown) => {
    socket.once('secureConnect', () => {
      isResumed = socket.isSessionReused();
      onKnown();
    });
  });
  if (isResumed !== null) return { outcome: isResumed ? 'resumed' : 'full' };
  return fault ?? { outcome: 'failed', reason: 'the connection ended before the handshake' };
}

type Fault = Extract<ProbeResult, { reason: string }>;

/** `onKnown`: nothing more is wanted of this connection. */
type Watch = (socket: tls.TLSSocket, onKnown: () => void) => void;

/**
 * One connection from its beginning to its end. It says at once that it will send nothing: TLS 1.3's tickets come after
 * the handshake, and before the server's own end, so that none is waited for that does not come. Resolves to what went
 * wrong until the handshake was over, or with its alert after it; null where nothing did.
 */
async function connect(
  target: ProbeTarget,
  options: ProbeOptions,
  session: Buffer | null,
  watch: Watch,
): Promise<Fault | null> {
  const { timeoutMs, signal } = options;
  const transport = net.connect({ ...target, noDelay: true });
  const socket = tls.connect({ socket: transport, ...tlsOptions(options), ...(session && { session }) });
  let error: NodeJS.ErrnoException | null = null;
  let isSecure = false;
  const fail = (fault: Error | null) => {
    error ??= fault;
    socket.destroy();
    transport.destroy();
  };
  const stop = () => fail(new Error('stopped'));
  // a server need not end when its client does
  const onLate = () => fail(isSecure ? null : new Error(`no answer within ${timeoutMs} ms`));
  const timers = [setTimeout(onLate, timeoutMs)];
  signal?.addEventListener('abort', stop, { once: true });
  transport.on('error', fail);
  socket.on('error', fail).once('secureConnect', () => {
    isSecure = true;
    socket.end();
  });
  socket.resume();
  watch(socket, () => timers.push(setTimeout(onLate, LINGER_MS)));
  if (signal?.aborted) stop();
  await new Promise((resolve) => socket.once('close', resolve));
  for (const timer of timers) clearTimeout(timer);
  signal?.removeEventListener('abort', stop);
  return error && describe(error, target, options.version);
}

function tlsOptions({ version, serverName }: ProbeOptions): tls.ConnectionOptions {
  const versions = { minVersion: version, maxVersion: version };
  return { host: ANY_HOST, rejectUnauthorized: false, ...versions, ...(serverName && { servername: serverName }) };
}

function describe(error: NodeJS.ErrnoException, { host, port }: ProbeTarget, version: TlsVersion): Fault {
  const { code, message } = error;
  const where = joinHostPort(host, port);
  if (UNSUPPORTED.test(code ?? '')) return { outcome: 'unsupported', reason: `${where} does not speak ${version}` };
  return { outcome: 'failed', reason: `${where}: ${code ?? message}` };
}
