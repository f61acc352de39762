/**
 * The admin API's routes: what each answers, and with which errors. Every body is JSON; that of an error is
 * {code, message}. Main thread.
 */

import type { FastifyError, FastifyInstance } from 'fastify';
import { parseNodeAddress } from '../config/addresses.ts';
import type { Parsed } from '../config/units.ts';
import { type PoolEditor, PoolError } from '../control/pool-editor.ts';
import { type EdgeStatus, nodeStatus } from '../control/status.ts';
import { parseNodeRequest } from './node-request.ts';

/** What the API shows and changes: an edge. */
export interface AdminPort {
  status(): EdgeStatus;
  readonly pools: Pick<PoolEditor, 'nodes' | 'set' | 'remove'>;
}

const POOL_ERROR_STATUS: Readonly<Record<PoolError['code'], number>> = {
  'unknown-pool': 404,
  'unknown-node': 404,
  'too-many-edits': 409,
  'no-leader': 503,
  lost: 503,
  unconfirmed: 504,
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

function wanted<T>(result: Parsed<T>): T {
  if (!result.ok) throw new BadRequest(result.message);
  return result.value;
}

function describe(error: FastifyError): { status: number; code: string; message: string } {
  if (error instanceof PoolError)
    return { status: POOL_ERROR_STATUS[error.code], code: error.code, message: error.message };
  const { statusCode: status = 500, code, message } = error;
  // what the framework refuses: a body that is too large, of another type, or no JSON
  if (status < 500) return { status, code: error instanceof BadRequest ? code : 'bad-request', message };
  return { status: 500, code: 'internal', message: 'this failed, and the log says why' };
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}
