/**
 * The admin API's routes: what each answers, and with which errors; config/openapi.yaml describes them. Every body but that
 * of /metrics is JSON; that of an error is {code, message}. Main thread.
 */

import { readFileSync } from 'node:fs';
import type { FastifyError, FastifyInstance } from 'fastify';
import { PACKAGE } from '../config/package-folder.ts';
import type { MetricsView } from '../control/metrics-view.ts';
import type { Readiness, ReloadResult } from '../control/reload-result.ts';
import type { EdgeStatus, KeysStatus } from '../control/status.ts';
import { describeError, JSON_TYPE } from './errors.ts';
import { Metrics } from './metrics.ts';
import { patiently } from './patiently.ts';
import { definePoolRoutes, type PoolsPort } from './pool-routes.ts';
import { HEALTHZ, pathOf, READYZ } from './probes.ts';
import { SharedAnswers } from './shared-answers.ts';

/** What the API shows and changes: an edge. */
export interface AdminPort {
  status(): EdgeStatus;
  metrics(): MetricsView;
  readiness(): Readiness;
  reload(): Promise<ReloadResult>;
  readonly keys: KeysPort;
  readonly pools: PoolsPort;
}

export interface KeysPort {
  status(): KeysStatus;
  /** Resolves when the next key is active. Rejects with a KeyError. */
  rotate(): Promise<KeysStatus>;
  /** Resolves when the replacement is in force here. Rejects with a KeyError. */
  revoke(): Promise<KeysStatus>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without the token too: load balancers cannot send one. */
    readonly isProbe?: true;
  }
  interface FastifyRequest {
    /** Asks without the token that is wanted of others. */
    isStranger: boolean;
  }
}

const OPENAPI = new URL('config/openapi.yaml', PACKAGE);
const PROBE = { config: { isProbe: true } } as const;

/** `reportFault` is told of errors that are this program's own. */
export function defineApi(app: FastifyInstance, port: AdminPort, reportFault: (error: Error) => void): void {
  app.decorateRequest('isStranger', false);
  // what a form of a web page can send without asking first
  app.removeContentTypeParser('text/plain');
  app.setNotFoundHandler((request, reply) => {
    reply.code(404).send({ code: 'not-found', message: `there is no ${request.method} ${pathOf(request.url)} here` });
  });
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const { status, code, message } = describeError(error);
    if (status === 500) reportFault(error);
    reply.code(status).send({ code, message });
  });

  app.get(HEALTHZ, PROBE, () => ({ isAlive: true }));
  app.get(READYZ, PROBE, ({ isStranger }, reply) => {
    const { isReady, reasons } = port.readiness();
    return reply.code(isReady ? 200 : 503).send(isStranger ? { isReady } : { isReady, reasons });
  });

  const answers = new SharedAnswers();
  app.get('/status', (request, reply) => {
    reply.type(JSON_TYPE);
    return answers.get(request, 'status', () => JSON.stringify(port.status()));
  });

  const metrics = new Metrics(() => port.metrics());
  app.get('/metrics', (request, reply) => {
    reply.type(metrics.contentType);
    return answers.get(request, 'metrics', () => metrics.render());
  });

  app.post('/reload', async (request, reply) => {
    const result = await patiently(request, port.reload());
    if (result.isOk) return result;
    const message = result.isServed ? 'reload failed in part' : 'reload refused: nothing was changed';
    return reply.code(422).send({ code: 'refused', message, ...result });
  });

  app.get('/keys', () => port.keys.status());
  app.post('/keys/rotate', (request) => patiently(request, port.keys.rotate()));
  app.post('/keys/revoke', (request) => patiently(request, port.keys.revoke()));

  definePoolRoutes(app, port.pools, answers);

  app.get('/openapi.yaml', (_request, reply) => reply.type('application/yaml').send(readFileSync(OPENAPI)));
}
