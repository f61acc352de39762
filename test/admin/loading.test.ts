/** The admin API's clients that ask before what answers has been loaded, and leave, or may not stay. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AdminApp } from '../../src/admin/app.ts';
import type { AdminServer } from '../../src/admin/server.ts';
import { eventually, openClient } from '../e2e/harness.ts';
import { FILE_NODE, NODES, startAdmin } from './admin-harness.ts';

const EVENTS = 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n';
const DELETE = `DELETE ${NODES}/${FILE_NODE} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
/** Event streams that are open at once. */
const STREAMS_MAX = 8;

test('who has left holds no event stream', async (t) => {
  const { admin, port } = await startAdmin(t);
  const { waiting, go } = holdLoading(t, admin);
  const gone = Array.from({ length: STREAMS_MAX }, () => openClient(t, port, EVENTS));
  await eventually(() => waiting() === STREAMS_MAX, 'all wait');
  for (const { socket } of gone) socket.resetAndDestroy();
  const stays = openClient(t, port, EVENTS);
  await eventually(() => waiting() > STREAMS_MAX, 'one more waits');
  go();
  await stays.until((received) => received.includes('event: snapshot'));
});

test('nothing is changed for who has left, or was refused', async (t) => {
  const { admin, port, ask, edge } = await startAdmin(t);
  const { waiting, go } = holdLoading(t, admin);
  const leaves = openClient(t, port, DELETE);
  const errs = openClient(t, port, DELETE);
  await eventually(() => waiting() === 2, 'both wait');
  errs.socket.write('nonsense\r\n\r\n');
  leaves.socket.resetAndDestroy();
  await errs.until((received) => received.startsWith('HTTP/1.1 400 '));
  const asks = ask('GET', '/status');
  await eventually(() => waiting() === 3, 'one more waits');
  go();
  assert.equal((await asks).status, 200);
  assert.equal(edge.pools.list()[0]?.nodeCount, 1);
});

test('who waits for an event stream does not hold up the end', async (t) => {
  const { admin, port } = await startAdmin(t, { limits: { closeTimeoutMs: 600_000 } });
  const { waiting, go } = holdLoading(t, admin);
  const client = openClient(t, port, EVENTS);
  await eventually(() => waiting() === 1, 'it waits');
  const closed = admin.close();
  go();
  assert.equal(await client.ended, 'FIN');
  assert.match(client.received, /^HTTP\/1\.1 503 .*"stopping"/s);
  client.socket.end();
  await closed;
});

/** Loading ends with go(), not before. */
function holdLoading(t: TestContext, admin: AdminServer) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const create = AdminApp.create;
  t.mock.method(AdminApp, 'create', (...args: Parameters<typeof create>) => promise.then(() => create(...args)));
  const load = t.mock.method(admin, 'load');
  return { waiting: () => load.mock.callCount(), go: resolve };
}
