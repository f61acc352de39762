/** config/openapi.yaml describes what the API has, all of it and nothing else, and what it really answers. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fastify from 'fastify';
import { parse } from 'yaml';
import { type AdminPort, defineApi } from '../../src/admin/api.ts';
import { defineDashboard } from '../../src/admin/dashboard/serve.ts';
import { EventStreams } from '../../src/admin/events.ts';
import { eventually, exchange } from '../e2e/harness.ts';
import { FILE_NODE, NODES, startAdmin } from './admin-harness.ts';

interface Operation {
  readonly responses: Readonly<Record<string, { $ref?: string; content?: Record<string, { schema: object }> }>>;
  readonly requestBody?: { content: Record<string, { schema: object }> };
}

const FILE = new URL('../../config/openapi.yaml', import.meta.url);
const METHODS = ['get', 'post', 'patch', 'delete'];

const description = parse(readFileSync(FILE, 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
};
// a schema within is reached by its place in the file
const CONTAINERS = ['openapi', 'info', 'servers', 'security', 'paths', 'components'];
const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, keywords: CONTAINERS });
ajv.addSchema({ $id: 'api', ...description });

test('the routes and the file are the same', async () => {
  const app = fastify();
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    const path = url.replace(/:(\w+)/g, '{$1}');
    const isAsset = config?.isPage === true && url !== '/';
    if (method !== 'HEAD' && !isAsset) routes.push(`${String(method).toLowerCase()} ${path}`);
  });
  defineApi(app, {} as AdminPort, () => {});
  new EventStreams({} as AdminPort, () => {}).define(app);
  defineDashboard(app);
  await app.ready();
  const described = Object.entries(description.paths).flatMap(([path, operations]) =>
    METHODS.filter((method) => method in operations).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(described.sort(), [...new Set(routes)].sort());
});

test('every answer is as described', async (t) => {
  const { ask, check, cluster } = await describedAdmin(t);
  const hasKeys = async () => ((await ask('GET', '/keys')).body.keys as unknown[]).length === 2;
  await eventually(hasKeys, 'the first keys');
  await check('get', '/healthz', '/healthz');
  await check('get', '/readyz', '/readyz');
  await check('get', '/status', '/status');
  await check('get', '/keys', '/keys');
  await check('post', '/keys/rotate', '/keys/rotate');
  await check('post', '/keys/revoke', '/keys/revoke');
  await check('get', '/pools', '/pools');
  await check('post', '/pools/{name}/nodes', NODES, { address: 'a:1', weight: 2, drain: true });
  await check('post', '/pools/{name}/nodes', NODES, { address: 'b:1', local: true });
  await check('get', '/pools/{name}/nodes/{address}', `${NODES}/a:1`);
  await check('patch', '/pools/{name}/nodes/{address}', `${NODES}/a:1`, { drain: false });
  await check('delete', '/pools/{name}/nodes', `${NODES}?node=b:1&local=1`);
  await check('delete', '/pools/{name}/nodes/{address}', `${NODES}/${FILE_NODE}`);
  await check('get', '/pools/{name}/nodes', NODES);
  await check('delete', '/pools/{name}/edits/{address}', `/pools/demo/edits/${FILE_NODE}`);
  await check('post', '/reload', '/reload');
  cluster.refusal = 'no-leader';
  await check('post', '/pools/{name}/nodes', NODES, { address: 'c:1' }, 503);
  await check('post', '/keys/rotate', '/keys/rotate', undefined, 503);
  cluster.refusal = 'unconfirmed';
  await check('delete', '/pools/{name}/nodes', `${NODES}?node=a:1`, undefined, 504);
});

test('every refusal is as described', async (t) => {
  const { ask, check, edge, cluster, rewrite } = await describedAdmin(t);
  await check('get', '/status', '/status', undefined, 403, { host: 'attacker.example' });
  await check('post', '/pools/{name}/nodes', NODES, {}, 400);
  await check('post', '/pools/{name}/nodes', NODES, 'x'.repeat(20_000), 413);
  await check('post', '/pools/{name}/nodes', NODES, {}, 415, { 'content-type': 'text/plain' });
  await check('get', '/pools/{name}/nodes', '/pools/none/nodes', undefined, 404);
  await check('get', '/pools/{name}/nodes/{address}', `${NODES}/x:1`, undefined, 404);
  await check('delete', '/pools/{name}/edits/{address}', '/pools/demo/edits/x:1', undefined, 404);
  cluster.propose = () => Promise.reject(new Error('a fault'));
  await check('post', '/pools/{name}/nodes', NODES, { address: 'a:1' }, 500);
  rewrite('listeners: []\n');
  await check('post', '/reload', '/reload', undefined, 422);
  const { body } = await ask('POST', '/reload');
  assert.match(String((body.errors as string[])[0]), /^\/.*stekbal\.yaml:1:\d+: /);
  await edge.drain();
  await check('get', '/readyz', '/readyz', undefined, 503);
});

test('the file is served', async (t) => {
  const { port } = await startAdmin(t);
  const answer = await exchange(port, 'GET /openapi.yaml HTTP/1.0\r\nHost: localhost\r\n\r\n');
  assert.match(answer, /^content-type: application\/yaml/im);
  assert.ok(answer.endsWith(readFileSync(FILE, 'utf8')));
});

/** `check` asks, and compares the answer, and what was sent where it is taken, with the file. */
async function describedAdmin(t: TestContext) {
  const admin = await startAdmin(t, { hasGroup: true });
  const check = async (
    method: string,
    path: string,
    actual: string,
    body?: unknown,
    expected = 200,
    headers: Record<string, string> = {},
  ): Promise<void> => {
    const answer = await admin.ask(method.toUpperCase(), actual, body, headers);
    const shown = `${method} ${actual}: ${answer.status} ${JSON.stringify(answer.body)}`;
    assert.equal(answer.status, expected, shown);
    const operation = description.paths[path]?.[method] as Operation;
    const range = `${String(expected)[0]}XX`;
    const key = String(expected) in operation.responses ? String(expected) : range;
    const pointer = `api#/paths/${path.replaceAll('/', '~1')}/${method}/responses/${key}`;
    const schema =
      '$ref' in (operation.responses[key] ?? {})
        ? 'api#/components/schemas/Error'
        : `${pointer}/content/application~1json/schema`;
    assertValid(encodeURI(schema), answer.body, shown);
    if (expected === 200 && body !== undefined) {
      const sent = `api#/paths/${path.replaceAll('/', '~1')}/${method}/requestBody/content/application~1json/schema`;
      assertValid(encodeURI(sent), body, `${shown}, sent`);
    }
  };
  return { ...admin, check, rewrite: (yaml: string) => writeFileSync(admin.file, yaml) };
}

function assertValid(schema: string, data: unknown, shown: string): void {
  const validate = ajv.compile({ $ref: schema });
  assert.ok(validate(data), `${shown}\n${JSON.stringify(validate.errors, null, 1)}`);
}
