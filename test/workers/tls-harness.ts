/**
 * The TLS listeners of a thread, in the test's own process: real boards, real sockets, the real data path behind them.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo, type ListenOptions } from 'node:net';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { MessageChannel } from 'node:worker_threads';
import { AddressBoard } from '../../src/boards/address-board.ts';
import { type BoardKey, type BoardStage, KeyBoard, NONE, STAGE_ACTIVE } from '../../src/boards/key-board.ts';
import type { CertificateSettings, ServiceSettings, TlsSettings } from '../../src/boards/listener-task.ts';
import { ServiceBoard } from '../../src/boards/service-board.ts';
import { type Stat, StatsBoard } from '../../src/boards/stats-board.ts';
import type { AcceptedStream } from '../../workers/accept.ts';
import { Downstream } from '../../workers/downstream.ts';
import { ListenerRoutes } from '../../workers/listener-routes.ts';
import { NodePool } from '../../workers/node-pool.ts';
import { Service } from '../../workers/service.ts';
import { ThreadContext, type ThreadLimits } from '../../workers/thread-context.ts';
import { ThreadLog } from '../../workers/thread-log.ts';
import { TicketKeys } from '../../workers/ticket-keys.ts';
import { TlsListeners, type TlsMeans } from '../../workers/tls-listeners.ts';
import { boardOf, node } from '../affinity/fixtures.ts';
import { type Authority, createAuthority, type LeafOptions } from '../cluster/certificates.ts';
import { eventually } from '../e2e/harness.ts';

export type Version = 'TLSv1.2' | 'TLSv1.3';
export const VERSIONS: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];

export const AUTHORITY: Authority = createAuthority('test CA');

/** A certificate as the main thread hands it to a listener thread. */
export function certificateFor(names: readonly string[], options: LeafOptions = {}): CertificateSettings {
  const { certificate, key } = AUTHORITY.issue(`/CN=${names[0] ?? 'nobody'}`, { ...options, names });
  return { cert: certificate, key, names, keyType: options.keyType ?? 'ec' };
}

const CERTIFICATE = certificateFor(['a.example']);

export function tlsSettings(fields: Partial<TlsSettings> = {}): TlsSettings {
  return {
    certificates: [CERTIFICATE],
    minVersion: 'TLSv1.2',
    ticketLifetimeS: 86_400,
    handshakeTimeoutMs: 10_000,
    clientCa: null,
    sessionIdContext: 'test',
    ...fields,
  };
}

export function newKey(stage: BoardStage = STAGE_ACTIVE): BoardKey {
  return { stage, bytes: randomBytes(48) };
}

/** Publishes `keys`; the first that is active encrypts. */
export function publishKeys(board: KeyBoard, keys: readonly BoardKey[]): void {
  const encrypting = keys.findIndex(({ stage }) => stage === STAGE_ACTIVE);
  board.publish(keys, encrypting < 0 ? NONE : encrypting);
}

export interface LoggedLine {
  readonly level: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Served {
  readonly ports: readonly number[];
  readonly port: number;
  readonly keys: KeyBoard;
  readonly listeners: TlsListeners;
  /** Serves new connections of a listener with these settings. Rejects where they cannot be used. */
  moveTo(index: number, settings: TlsSettings): Promise<void>;
  readonly context: ThreadContext;
  readonly connections: ReadonlySet<Downstream>;
  count(stat: Stat): number;
  /** All lines so far; of `event`, where it is given. */
  logs(event?: string): readonly LoggedLine[];
  /** Resolves to the first line, past or future, of `event`. */
  logged(event: string): Promise<LoggedLine>;
}

export interface ServeOptions {
  /** One for each listener. */
  readonly settings?: readonly TlsSettings[];
  readonly backend?: { readonly address: string };
  readonly means?: TlsMeans;
  readonly keys?: KeyBoard;
  /** Other than the harness's own. */
  readonly limits?: Partial<ThreadLimits>;
  /** Where the first listener listens, other than on a free port. */
  readonly listen?: ListenOptions;
}

/** Serves until the test's end. The board has one active key, unless one is given. */
export async function serveTls(t: TestContext, options: ServeOptions = {}): Promise<Served> {
  const { settings = [tlsSettings()], backend = { address: '127.0.0.1:9' }, means = {} } = options;
  const keys = options.keys ?? KeyBoard.create();
  if (options.keys === undefined) publishKeys(keys, [newKey()]);
  const stats = StatsBoard.create(1);
  const { port1, port2 } = new MessageChannel();
  const lines: LoggedLine[] = [];
  port2.on('message', (line: LoggedLine) => lines.push(line));
  const limits = {
    ...{ headBytesMax: 16_384, headersMax: 64, targetBytesMax: 8_192, headerTimeoutMs: 10_000 },
    ...{ connectionsMax: 1_000, connectionsPerThreadMax: 0, connectionsPerAddressMax: 0 },
    ...{ handshakesMax: 100, requestsPerConnectionMax: 0, connectionsShare: 1_000 },
    ...{ upstreamsMax: 1_000, upstreamsShare: 1_000 },
    ...options.limits,
  };
  const addresses = AddressBoard.create(1);
  addresses.clear(0);
  const boards = { stats, services: ServiceBoard.create(), addresses };
  const log = new ThreadLog(port1, 0);
  const context = new ThreadContext(0, boards, log, null, new TicketKeys(keys), limits);
  const pool = new NodePool(0, boardOf([node({ slot: 0, address: backend.address })]), context);
  const service = new Service(SERVICE, pool);
  const routes = new ListenerRoutes({ service: 0, hosts: [] }, [service]);
  const connections = new Set<Downstream>();
  const onSecure = (stream: AcceptedStream) => {
    const connection = new Downstream(stream, context, { routes, isTls: true }, (gone) => connections.delete(gone));
    connections.add(connection);
    return connection;
  };
  const listeners = new TlsListeners(context, means);
  const contexts = await Promise.all(settings.map((one) => listeners.contexts(one)));
  const acceptors = contexts.map((one) => listeners.create(one, onSecure));
  const servers = acceptors.map((acceptor) => acceptor.createServer());
  t.after(() => {
    listeners.cut();
    for (const connection of connections) connection.cut();
    for (const server of servers) server.close();
    pool.closeIdle();
    context.wheel.stop();
    port2.close();
  });
  for (const [i, server] of servers.entries()) {
    server.listen((i === 0 ? options.listen : undefined) ?? { port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  return {
    ports,
    port: ports[0] as number,
    keys,
    listeners,
    moveTo: async (index, one) => acceptors[index]?.moveTo(await listeners.contexts(one)),
    context,
    connections,
    count: (stat) => stats.read(0, stat),
    logs: (event) => lines.filter((line) => event === undefined || line.event === event),
    logged: async (event) => {
      const find = () => lines.find((line) => line.event === event);
      await eventually(() => find() !== undefined, `no line "${event}"`);
      return find() as LoggedLine;
    },
  };
}

/** Times that no test runs into. */
export const SERVICE: ServiceSettings = {
  id: 0,
  name: 'web',
  route: 0,
  pool: 'demo',
  balance: 'round_robin',
  persistClient: true,
  persistClientIdleTimeoutMs: 10_000,
  persistBackend: true,
  backendPersistCache: 8,
  backendIdleTimeoutMs: 10_000,
  pipelining: 1,
  verifyBackend: false,
  verifyBackendPath: '*',
  connectTimeoutMs: 5_000,
  responseTimeoutMs: 10_000,
  bodyTimeoutMs: 10_000,
  bodyRateMin: 240,
  tunnelTimeoutMs: 10_000,
  retries: 0,
  maxFails: 0,
  failTimeoutMs: 1_000,
  via: null,
  affinity: null,
};

/** A TLS client whose handshake is done. */
export interface TlsClient {
  readonly socket: tls.TLSSocket;
  readonly received: string;
  /** The last session it was offered; null: none so far. */
  readonly session: Buffer | null;
  until(holds: (received: string) => boolean): Promise<string>;
  /** Sends a request and resolves to its whole response. */
  get(path?: string): Promise<string>;
  /** Resolves once the connection is closed: 'FIN', or the error's code. */
  readonly ended: Promise<string>;
}

export type ClientOptions = tls.ConnectionOptions & { readonly version?: Version };

/** Connects; rejects where the handshake fails. Certificates are not checked unless `ca` is given. */
export async function connectTls(t: TestContext, port: number, options: ClientOptions = {}): Promise<TlsClient> {
  const { version, ...rest } = options;
  const socket = tls.connect({
    ...(options.path === undefined && { port, host: '127.0.0.1' }),
    rejectUnauthorized: options.ca !== undefined,
    ...(version && { minVersion: version, maxVersion: version }),
    ...rest,
  });
  t.after(() => socket.destroy());
  let session: Buffer | null = null;
  let received = '';
  const watchers = new Set<() => void>();
  const notify = () => {
    for (const watcher of watchers) watcher();
  };
  const ended = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('FIN'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('closed'));
  });
  socket.on('session', (one: Buffer) => {
    session = one;
    notify();
  });
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    notify();
  });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  const until = (holds: (received: string) => boolean) =>
    new Promise<string>((resolve, reject) => {
      const watcher = () => {
        if (!holds(received)) return;
        watchers.delete(watcher);
        resolve(received);
      };
      watchers.add(watcher);
      watcher();
      void ended.then((how) =>
        reject(new Error(`ended by ${how}; received: ${JSON.stringify(received.slice(0, 500))}`)),
      );
    });
  return {
    socket,
    until,
    ended,
    get received() {
      return received;
    },
    get session() {
      return session;
    },
    get: async (path = '/') => {
      received = '';
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      return await until(isWhole);
    },
  };
}

/** A response with a Content-Length has come to its end. */
export function isWhole(received: string): boolean {
  const head = received.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(received);
  return head >= 0 && length !== null && received.length >= head + 4 + Number(length[1]);
}

export interface Visit {
  readonly isResumed: boolean;
  /** To resume with; null where the server offered none. */
  readonly session: Buffer | null;
  /** The common name of the certificate that was shown. */
  readonly common: string;
}

/** A visit of one request: what a browser does. The session it was offered last, if any, comes with it. */
export async function visit(t: TestContext, port: number, options: ClientOptions = {}): Promise<Visit> {
  const client = await connectTls(t, port, options);
  const isResumed = client.socket.isSessionReused();
  const common = String(client.socket.getPeerCertificate().subject?.CN);
  assert.match(await client.get(), /^HTTP\/1.1 \d{3} /);
  // of a session that is renewed in TLS 1.2, no event tells
  const session = client.socket.getProtocol() === 'TLSv1.2' ? (client.socket.getSession() ?? null) : client.session;
  client.socket.end();
  await client.ended;
  return { isResumed, session, common };
}

/** A client's hello, as it comes with one read. */
export async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', ...options });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
