/**
 * What the admin API answers: the framework with all routes, and who may ask. Loaded by server.ts when it is wanted, as it
 * takes as long as a third of all else that a start loads. Main thread.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import fastify, { type FastifyInstance } from 'fastify';
import type { ListenAddress } from '../config/config.ts';
import type { Log } from '../control/log.ts';
import type { Refusals } from '../control/refusals.ts';
import { type AdminPort, defineApi } from './api.ts';
import { defineDashboard } from './dashboard/serve.ts';
import { refuseUnrouted } from './errors.ts';
import { EventStreams } from './events.ts';
import { refusalOf } from './guard.ts';

/** Of a header, in a log line. */
const LOGGED_CHARS_MAX = 100;
const HEADERS = {
  // maxRequestsPerSocket says so too, and leaves the connection open
  Connection: 'close',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

export interface AdminAppOptions {
  /** It listens, or is going to; its requests are for whoever has this app to hand them on to `handle`. */
  readonly server: Server;
  /** What clients may call it by. */
  readonly address: ListenAddress;
  /** In force at this moment; null where there need be none. */
  readonly token: () => string | null;
  readonly log: Log;
  readonly refusals: Refusals;
  readonly bodyBytesMax: number;
  /** Of a path's part: a node's address, percent-encoded. */
  readonly paramCharsMax: number;
}

export class AdminApp {
  readonly #options: AdminAppOptions;
  readonly #app: FastifyInstance;
  readonly #events: EventStreams;

  private constructor(port: AdminPort, options: AdminAppOptions) {
    const { server, log, bodyBytesMax, paramCharsMax } = options;
    this.#options = options;
    this.#app = fastify({
      serverFactory: () => server,
      bodyLimit: bodyBytesMax,
      routerOptions: { maxParamLength: paramCharsMax },
      // the server's own: what cannot be parsed may come before there is an app
      clientErrorHandler: () => {},
      // paths that the router cannot read: no hook and no route is asked
      frameworkErrors: (error, _request, { raw }) => refuseUnrouted(error, raw),
    });
    this.#guard();
    const reportFault = (err: Error) => log.error({ err }, 'an admin request failed');
    defineApi(this.#app, port, reportFault);
    this.#events = new EventStreams(port, reportFault);
    this.#events.define(this.#app);
    defineDashboard(this.#app);
  }

  /** Resolves when it can answer. */
  static async create(port: AdminPort, options: AdminAppOptions): Promise<AdminApp> {
    const app = new AdminApp(port, options);
    await app.#app.ready();
    return app;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#app.routing(request, response);
  }

  /** Ends the event streams that are open, with their next tick; their clients may come back. */
  renewStreams(): void {
    this.#events.renew();
  }

  /** Ends the event streams for good: the program stops. */
  closeStreams(): void {
    this.#events.close();
  }

  /** When the server has closed. */
  async close(): Promise<void> {
    await this.#app.close();
  }

  #guard(): void {
    const { address, token, refusals } = this.#options;
    this.#app.addHook('onRequest', async (request, reply) => {
      reply.headers(HEADERS);
      const { method, headers, raw, routeOptions } = request;
      const { isProbe, isPage = false } = routeOptions.config;
      const hosts = raw.headersDistinct.host?.length ?? 0;
      const asked = { method, headers, hosts, httpVersion: raw.httpVersion, isPage };
      const refusal = refusalOf(asked, address, token());
      if (refusal === null) return;
      const { status, code, message } = refusal;
      if (status === 401 && (isProbe ?? isPage)) {
        request.isStranger = true;
        return;
      }
      refusals.add(code, { host: brief(headers.host), origin: brief(headers.origin) });
      if (status === 401) reply.header('WWW-Authenticate', 'Bearer');
      return reply.code(status).send({ code, message });
    });
  }
}

/** What a client may put into a log line. */
function brief(header: string | undefined): string | undefined {
  return header?.slice(0, LOGGED_CHARS_MAX);
}
