/**
 * The admin API's routes for pools and their nodes. Main thread.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseNodeAddress } from '../config/addresses.ts';
import type { EditResult, PoolEditor } from '../control/pool-editor.ts';
import { BadRequest, JSON_TYPE, wanted } from './errors.ts';
import { parseChangeRequest, parseNodeRequest, parseOffset, parseScope } from './node-request.ts';
import { patiently } from './patiently.ts';
import type { SharedAnswers } from './shared-answers.ts';

export type PoolsPort = Pick<PoolEditor, 'list' | 'page' | 'node' | 'set' | 'change' | 'remove' | 'reset'>;

interface OfPool {
  Params: { name: string };
  Querystring: { node?: unknown; local?: unknown; offset?: unknown };
}

interface OfNode {
  Params: { name: string; address: string };
  Querystring: { local?: unknown };
}

export function definePoolRoutes(app: FastifyInstance, pools: PoolsPort, answers: SharedAnswers): void {
  app.get('/pools', (request, reply) => {
    reply.type(JSON_TYPE);
    return answers.get(request, 'pools', () => JSON.stringify({ pools: pools.list() }));
  });

  app.get<OfPool>('/pools/:name/nodes', (request, reply) => {
    const { name } = request.params;
    const offset = wanted(parseOffset(request.query.offset));
    reply.type(JSON_TYPE);
    return answers.get(request, 'nodes', () => JSON.stringify(pools.page(name, offset)), `${offset} ${name}`);
  });

  app.post<OfPool>('/pools/:name/nodes', (request) => {
    const { name } = request.params;
    const { node, change, scope } = wanted(parseNodeRequest(request.body));
    return answer(request, name, node.address, pools.set(name, node, change, scope));
  });

  app.delete<OfPool>('/pools/:name/nodes', (request) => {
    const { name } = request.params;
    const { node, local } = request.query;
    if (node === undefined) throw new BadRequest(`name the node: DELETE /pools/${name}/nodes?node=10.0.0.1:80`);
    const { address } = wanted(parseNodeAddress(node));
    return answer(request, name, address, pools.remove(name, address, wanted(parseScope(local))));
  });

  app.get<OfNode>('/pools/:name/nodes/:address', ({ params: { name, address } }) => {
    return { pool: name, node: pools.node(name, wanted(parseNodeAddress(address)).address) };
  });

  app.patch<OfNode>('/pools/:name/nodes/:address', (request) => {
    const { name, address } = pathOf(request.params);
    const { change, scope } = wanted(parseChangeRequest(request.body));
    return answer(request, name, address, pools.change(name, address, change, scope));
  });

  app.delete<OfNode>('/pools/:name/nodes/:address', (request) => {
    const { name, address } = pathOf(request.params);
    return answer(request, name, address, pools.remove(name, address, wanted(parseScope(request.query.local))));
  });

  app.delete<OfNode>('/pools/:name/edits/:address', (request) => {
    const { name, address } = pathOf(request.params);
    return answer(request, name, address, pools.reset(name, address, wanted(parseScope(request.query.local))));
  });
}

function pathOf({ name, address }: OfNode['Params']): OfNode['Params'] {
  return { name, address: wanted(parseNodeAddress(address)).address };
}

async function answer(request: FastifyRequest, pool: string, address: string, edit: Promise<EditResult>) {
  return { pool, address, ...(await patiently(request, edit)) };
}
