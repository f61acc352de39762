/**
 * The admin API's server: listens on loopback, on a unix socket, or with a token anywhere. Main thread, so everything that
 * a client can make it hold or do is bounded.
 */

import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import fastify, { type FastifyInstance } from 'fastify';
import { type AdminConfig, formatListenAddress, type ListenAddress } from '../config/config.ts';
import type { Log } from '../control/log.ts';
import { Refusals } from '../control/refusals.ts';
import { removeStaleSocket } from '../control/stale-socket.ts';
import { StartError } from '../control/start-error.ts';
import { type AdminPort, defineApi } from './api.ts';
import { refusalOf } from './guard.ts';
import { readToken } from './token-file.ts';

const LIMITS = {
  bodyBytesMax: 16 * 1024,
  headBytesMax: 16 * 1024,
  /** Of a path's part: a node's address, percent-encoded. */
  paramCharsMax: 1024,
  /** Of a header, in a log line. */
  loggedCharsMax: 100,
  connectionsMax: 128,
  headTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 5_000,
  /** What is in flight when it closes. */
  closeTimeoutMs: 1_000,
} as const;
const TIMEOUT_CHECK_MS = 1_000;

export class AdminServer {
  readonly #config: AdminConfig;
  readonly #log: Log;
  readonly #app: FastifyInstance;
  readonly #server: http.Server;
  readonly #refusals: Refusals;
  #token: string | null;

  /** Throws a StartError where the token file holds no token, or the address is one that cannot be served. */
  constructor(config: AdminConfig, port: AdminPort, log: Log) {
    if (config.address.kind === 'fd') throw new StartError('admin: socket activation is not served by this version');
    this.#config = config;
    this.#log = log;
    this.#token = readToken(config.tokenFile);
    this.#refusals = new Refusals(
      (level, message, fields) => log[level](fields ?? {}, message),
      'admin request refused',
    );
    this.#server = createServer();
    this.#app = fastify({
      serverFactory: (handler) => this.#server.on('request', handler),
      bodyLimit: LIMITS.bodyBytesMax,
      routerOptions: { maxParamLength: LIMITS.paramCharsMax },
    });
    this.#guard();
    defineApi(this.#app, port, (err) => log.error({ err }, 'an admin request failed'));
  }

  /** Resolves to the address, with the port that the kernel chose where it was 0. Rejects with a StartError. */
  async listen(): Promise<string> {
    const { address } = this.#config;
    await this.#app.ready();
    if (address.kind === 'unix') await removeStaleSocket(address.path);
    try {
      bind(this.#server, address);
      await once(this.#server, 'listening');
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      throw new StartError(`admin: cannot listen on ${formatListenAddress(address)}`, code);
    }
    this.#server.on('error', (err) => this.#log.error({ err }, 'the admin server'));
    if (address.kind !== 'tcp') return formatListenAddress(address);
    return formatListenAddress({ ...address, port: (this.#server.address() as AddressInfo).port });
  }

  /**
   * Reads the token again, from the file that is named now. With a fault in it, the old token stays; and so it does where
   * the file says another address, which has to wait for a restart: who needs a token depends on the address.
   */
  reload(config: AdminConfig): void {
    if (!isDeepStrictEqual(config.address, this.#config.address)) return;
    try {
      this.#token = readToken(config.tokenFile);
    } catch (error) {
      this.#log.error(`the admin API's token is in force as it was: ${(error as Error).message}`);
    }
  }

  /** Answers what is in flight, for a short while, and ends. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    const cut = setTimeout(() => this.#server.closeAllConnections(), LIMITS.closeTimeoutMs);
    await closed;
    this.#refusals.close();
    clearTimeout(cut);
    await this.#app.close();
  }

  #guard(): void {
    this.#app.addHook('onRequest', async ({ headers }, reply) => {
      reply.header('Cache-Control', 'no-store').header('X-Content-Type-Options', 'nosniff');
      const refusal = refusalOf(headers, this.#config.address, this.#token);
      if (refusal === null) return;
      const { status, code, message } = refusal;
      this.#refusals.add(code, { host: brief(headers.host), origin: brief(headers.origin) });
      if (status === 401) reply.header('WWW-Authenticate', 'Bearer');
      return reply.code(status).send({ code, message });
    });
  }
}

/** What a client may put into a log line. */
function brief(header: string | undefined): string | undefined {
  return header?.slice(0, LIMITS.loggedCharsMax);
}

function createServer(): http.Server {
  const server = http.createServer({
    maxHeaderSize: LIMITS.headBytesMax,
    headersTimeout: LIMITS.headTimeoutMs,
    requestTimeout: LIMITS.requestTimeoutMs,
    keepAliveTimeout: LIMITS.idleTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  });
  server.maxConnections = LIMITS.connectionsMax;
  // answers that nobody reads must not pile up: one request a connection, which ends when it stands still
  server.maxRequestsPerSocket = 1;
  server.setTimeout(LIMITS.idleTimeoutMs);
  return server;
}

/** A unix socket is for this program's user alone, from the moment that it is there. */
function bind(server: http.Server, address: ListenAddress): void {
  if (address.kind === 'tcp') server.listen(address.port, address.host);
  if (address.kind !== 'unix') return;
  const before = process.umask(0o177);
  try {
    // binds before it returns
    server.listen(address.path);
  } finally {
    process.umask(before);
  }
}
