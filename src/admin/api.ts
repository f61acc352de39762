/**
 * The admin API's routes: what each answers, and with which errors. Every body but that of /metrics is JSON; that of an
 * error is {code, message}. Main thread.
 */

import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import { parseNodeAddress } from '../config/addresses.ts';
import type { Parsed } from '../config/units.ts';
import { KeyError } from '../control/key-error.ts';
import type { MetricsView } from '../control/metrics-view.ts';
import { type PoolEditor, PoolError } from '../control/pool-editor.ts';
import { type EdgeStatus, type KeysStatus, nodeStatus } from '../control/status.ts';
import { Metrics } from './metrics.ts';
import { parseNodeRequest } from './node-request.ts';

/** What the API shows and changes: an edge. */
export interface AdminPort {
  status(): EdgeStatus;
  metrics(): MetricsView;
  readonly keys: KeysPort;
  readonly pools: Pick<PoolEditor, 'nodes' | 'set' | 'remove'>;
}

export interface KeysPort {
  status(): KeysStatus;
  /** Resolves when the next key is active. Rejects with a KeyError. */
  rotate(): Promise<KeysStatus>;
  /** Resolves when the replacement is in force here. Rejects with a KeyError. */
  revoke(): Promise<KeysStatus>;
}

const ERROR_STATUS: Readonly<Record<PoolError['code'] | KeyError['code'], number>> = {
  'unknown-pool': 404,
  'unknown-node': 404,
  'too-many-edits': 409,
  'no-leader': 503,
  lost: 503,
  unconfirmed: 504,
  'not-activated': 504,
};

class BadRequest extends Error {
  readonly statusCode = 400;
  readonly code = 'bad-request';
}

interface PoolParams {
  Params: { name: string };
}

/** `reportFault` is told of errors that are this program's own. */
export function defineApi(app: FastifyInstance, port: AdminPort, reportFault: (error: Error) => void): void {
  // what a form of a web page can send without asking first
  app.removeContentTypeParser('text/plain');
  app.setNotFoundHandler((request, reply) => {
    reply.code(404).send({ code: 'not-found', message: `there is no ${request.method} ${pathOf(request.url)} here` });
  });
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const { status, code, message } = describe(error);
    if (status === 500) reportFault(error);
    reply.code(status).send({ code, message });
  });

  app.get('/status', () => port.status());

  const metrics = new Metrics(() => port.metrics());
  app.get('/metrics', (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.render();
  });

  app.get('/keys', () => port.keys.status());
  app.post('/keys/rotate', (request) => patiently(request, port.keys.rotate()));
  app.post('/keys/revoke', (request) => patiently(request, port.keys.revoke()));

  app.get<PoolParams>('/pools/:name/nodes', ({ params: { name } }) => {
    return { pool: name, nodes: port.pools.nodes(name).map(nodeStatus) };
  });

  app.post<PoolParams>('/pools/:name/nodes', async ({ params: { name }, body }) => {
    const { node, change } = wanted(parseNodeRequest(body));
    return { pool: name, node: nodeStatus(await port.pools.set(name, node, change)) };
  });

  const remove = async (name: string, text: unknown) => {
    const { address } = wanted(parseNodeAddress(text));
    await port.pools.remove(name, address);
    return { pool: name, removed: address };
  };
  app.delete<{ Params: { name: string; address: string } }>('/pools/:name/nodes/:address', ({ params }) => {
    return remove(params.name, params.address);
  });
  app.delete<PoolParams & { Querystring: { node?: unknown } }>('/pools/:name/nodes', ({ params: { name }, query }) => {
    if (query.node === undefined) throw new BadRequest(`name the node: DELETE /pools/${name}/nodes?node=10.0.0.1:80`);
    return remove(name, query.node);
  });
}

/** What the group has to agree on first may take longer than a connection may stand still; it is bounded of itself. */
async function patiently<T>({ raw: { socket } }: FastifyRequest, work: Promise<T>): Promise<T> {
  const idleTimeoutMs = socket.timeout ?? 0;
  socket.setTimeout(0);
  try {
    return await work;
  } finally {
    socket.setTimeout(idleTimeoutMs);
  }
}

function wanted<T>(result: Parsed<T>): T {
  if (!result.ok) throw new BadRequest(result.message);
  return result.value;
}

function describe(error: FastifyError): { status: number; code: string; message: string } {
  if (error instanceof PoolError || error instanceof KeyError)
    return { status: ERROR_STATUS[error.code], code: error.code, message: error.message };
  const { statusCode: status = 500, code, message } = error;
  // what the framework refuses: a body that is too large, of another type, or no JSON
  if (status < 500) return { status, code: error instanceof BadRequest ? code : 'bad-request', message };
  return { status: 500, code: 'internal', message: 'this failed, and the log says why' };
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}
