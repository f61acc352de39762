/**
 * The admin API's server: listens on loopback, on a unix socket, or with a token anywhere. Main thread, so everything that
 * a client can make it hold or do is bounded.
 *
 * What answers (app.ts) is loaded when load() says so, or with the first request: a start need not wait for it.
 */

import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { type AdminConfig, formatListenAddress, type ListenAddress } from '../config/config.ts';
import type { Log } from '../control/log.ts';
import { nodeHttp } from '../control/node-http.ts';
import { Refusals } from '../control/refusals.ts';
import { removeStaleSocket } from '../control/stale-socket.ts';
import { StartError } from '../control/start-error.ts';
import type { AdminSocket } from '../control/systemd/passed-sockets.ts';
import type { AdminPort } from './api.ts';
import type { AdminApp } from './app.ts';
import { limitConnections } from './connections.ts';
import { refuseExpectation, refuseUnparsed } from './errors.ts';
import { isProbe } from './probes.ts';
import { readToken } from './token-file.ts';

export interface AdminLimits {
  readonly bodyBytesMax: number;
  readonly headBytesMax: number;
  /** Of a path's part: a node's address, percent-encoded. */
  readonly paramCharsMax: number;
  readonly connectionsMax: number;
  readonly headTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** What is in flight when it closes. */
  readonly closeTimeoutMs: number;
}

const LIMITS: AdminLimits = {
  bodyBytesMax: 16 * 1024,
  headBytesMax: 16 * 1024,
  paramCharsMax: 1024,
  connectionsMax: 128,
  headTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 5_000,
  closeTimeoutMs: 1_000,
};
const TIMEOUT_CHECK_MS = 1_000;

export interface AdminServerOptions {
  /** Where the address is `fd:`. */
  readonly socket?: AdminSocket | null;
  /** Others than the usual ones, for tests. */
  readonly limits?: Partial<AdminLimits>;
}

export class AdminServer {
  readonly #limits: AdminLimits;
  readonly #config: AdminConfig;
  readonly #port: AdminPort;
  readonly #socket: AdminSocket | null;
  readonly #log: Log;
  readonly #server: Server;
  readonly #refusals: Refusals;
  #token: string | null;
  #loading: Promise<AdminApp> | null = null;
  #app: AdminApp | null = null;

  /** Throws a StartError where the token file holds no token. */
  constructor(config: AdminConfig, port: AdminPort, log: Log, { socket = null, limits }: AdminServerOptions = {}) {
    this.#limits = { ...LIMITS, ...limits };
    this.#config = config;
    this.#port = port;
    this.#socket = socket;
    this.#log = log;
    this.#token = readToken(config.tokenFile);
    this.#refusals = new Refusals(
      (level, message, fields) => log[level](fields ?? {}, message),
      'admin request refused',
    );
    this.#server = createServer(this.#limits);
    const admits = limitConnections(this.#server, {
      connectionsMax: this.#limits.connectionsMax,
      isQuick: isProbe,
      onRefused: (address) => this.#refusals.add('too-many-connections', { address }),
    });
    this.#server.on('request', (request, response) => {
      if (admits(request, response)) this.#answer(request, response);
    });
  }

  /** Resolves to the address, with the port that the kernel chose where it was 0. Rejects with a StartError. */
  async listen(): Promise<string> {
    const { address } = this.#config;
    if (address.kind === 'unix') await removeStaleSocket(address.path);
    try {
      if (this.#socket === null) bind(this.#server, address);
      else this.#server.listen({ fd: this.#socket.fd });
      await once(this.#server, 'listening');
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      throw new StartError(`admin: cannot listen on ${formatListenAddress(address)}`, code);
    }
    this.#server.on('error', (err) => this.#log.error({ err }, 'the admin server'));
    if (address.kind !== 'tcp') return formatListenAddress(address);
    return formatListenAddress({ ...address, port: (this.#server.address() as AddressInfo).port });
  }

  /** Loads what answers, for which the main thread stands still for some 80 ms. Requests that came before wait for it. */
  load(): Promise<AdminApp> {
    this.#loading ??= this.#createApp();
    return this.#loading;
  }

  /**
   * Reads the token again, from the file that is named now. With a fault in it, the old token stays; and so it does where
   * the file says another address, which has to wait for a restart: who needs a token depends on the address.
   */
  reload(config: AdminConfig): void {
    if (!isDeepStrictEqual(config.address, this.#config.address)) return;
    const before = this.#token;
    try {
      this.#token = readToken(config.tokenFile);
      // whoever still looks on has to come back with the new one
      if (this.#token !== before) this.#app?.renewStreams();
    } catch (error) {
      this.#log.error(`the admin API's token is in force as it was: ${(error as Error).message}`);
    }
  }

  /** Answers what is in flight, for a short while, and ends. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    // whose request waits for the app would else be given a stream by it
    const app = this.#loading?.then(
      (loaded) => {
        loaded.closeStreams();
        return loaded;
      },
      () => null,
    );
    this.#server.closeIdleConnections();
    const cut = setTimeout(() => this.#server.closeAllConnections(), this.#limits.closeTimeoutMs);
    await closed;
    this.#refusals.close();
    clearTimeout(cut);
    await (await app)?.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#app !== null) this.#app.handle(request, response);
    else
      this.load().then(
        (app) => {
          // of who has left meanwhile, or was refused, the app would not hear that it leaves
          if (request.socket.writable) app.handle(request, response);
        },
        // whoever awaits load() hears why
        () => response.destroy(),
      );
  }

  async #createApp(): Promise<AdminApp> {
    const { AdminApp } = await import('./app.ts');
    this.#app = await AdminApp.create(this.#port, {
      server: this.#server,
      address: this.#socket?.address ?? this.#config.address,
      token: () => this.#token,
      log: this.#log,
      refusals: this.#refusals,
      bodyBytesMax: this.#limits.bodyBytesMax,
      paramCharsMax: this.#limits.paramCharsMax,
    });
    return this.#app;
  }
}

function createServer(limits: AdminLimits): Server {
  const server = nodeHttp().createServer({
    maxHeaderSize: limits.headBytesMax,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    // refused by the guard, which answers in JSON
    requireHostHeader: false,
  });
  // answers that nobody reads must not pile up: one request a connection, which ends when it stands still
  server.maxRequestsPerSocket = 1;
  server.setTimeout(limits.idleTimeoutMs);
  server.on('clientError', refuseUnparsed);
  server.on('checkExpectation', (_request, response: ServerResponse) => refuseExpectation(response));
  return server;
}

/** A unix socket is for this program's user and group alone, from the moment that it is there. */
function bind(server: Server, address: ListenAddress): void {
  if (address.kind === 'tcp') server.listen(address.port, address.host);
  if (address.kind !== 'unix') return;
  const before = process.umask(0o117);
  try {
    // binds before it returns
    server.listen(address.path);
  } finally {
    process.umask(before);
  }
}
