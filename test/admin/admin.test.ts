/** The admin API over real HTTP, in front of an edge whose cluster is in the test's hands. */

import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { AdminServer } from '../../src/admin/server.ts';
import { descriptorShares, OPEN_FILES_MAX } from '../../src/control/open-files.ts';
import type { EdgeStatus, KeysStatus } from '../../src/control/status.ts';
import type { Stage } from '../../src/stek/key-ring.ts';
import { newEdge, recordingLog } from '../control/new-edge.ts';
import { eventually, exchange, namedBackend, openClient, simpleConfig, temporaryFolder } from '../e2e/harness.ts';
import { adminConfig, FILE_NODE, NODES, node, REFUSALS, startAdmin } from './admin-harness.ts';

test('the status says who runs, the cluster and the pools, and nothing secret', async (t) => {
  const { ask, cluster } = await startAdmin(t, { service: ['affinity: yes', 'affinity_use_salt: yes'] });
  const { status, body } = await ask('GET', '/status');
  assert.equal(status, 200);
  const { uptimeS: _uptimeS, cluster: told, keys, ...rest } = body as unknown as EdgeStatus;
  assert.deepEqual(rest, {
    version: 'test',
    pid: process.pid,
    isDraining: false,
    workers: {
      connectionsMax: descriptorShares(
        { workers: 1, listeners: [{}], limits: { connectionsMax: 'auto' } },
        OPEN_FILES_MAX,
      ).connectionsMax,
      threads: 1,
      replaced: 0,
      retiring: 0,
      list: [{ thread: 0, state: 'serving', connections: 0, requests: 0 }],
    },
    canary: null,
    pools: [
      { name: 'demo', nodeCount: 1, counts: { up: 1, draining: 0, failing: 0, down: 0 }, nodes: [node(FILE_NODE)] },
    ],
  });
  assert.deepEqual(told, cluster.status());
  assert.deepEqual(Object.keys(keys.keys[0] ?? {}), ['id', 'stage', 'sinceMs']);
  assert.ok(!/[0-9a-f]{32}/.test(JSON.stringify(body)), 'the salt and the keys are secrets');
});

test('what is wrong with a request is said with what would be right', async (t) => {
  const { ask } = await startAdmin(t);
  const cases: [method: string, path: string, body: unknown, status: number, code: string, message: RegExp][] = [
    ['GET', '/pools/dmeo/nodes', undefined, 404, 'unknown-pool', /did you mean "demo"/],
    ['POST', '/pools/dmeo/nodes', { address: 'a:1' }, 404, 'unknown-pool', /did you mean "demo"/],
    ['DELETE', `${NODES}/10.0.0.9:80`, undefined, 404, 'unknown-node', /stekbal pool demo list/],
    ['DELETE', NODES, undefined, 400, 'bad-request', /\?node=/],
    ['DELETE', `${NODES}/10.0.0:80`, undefined, 400, 'bad-request', /not an IPv4 address/],
    ['POST', NODES, { address: '::1' }, 400, 'bad-request', /without brackets/],
    ['POST', NODES, { address: 7 }, 400, 'bad-request', /^address: /],
    ['POST', NODES, {}, 400, 'bad-request', /address is missing/],
    ['POST', NODES, [], 400, 'bad-request', /send JSON/],
    ['POST', NODES, { address: 'a:1', wieght: 2 }, 400, 'bad-request', /unknown key "wieght"/],
    ['POST', NODES, { address: 'a:1', weight: 0 }, 400, 'bad-request', /^weight: .*1 to 256/],
    ['POST', NODES, { address: 'a:1', drain: 'maybe' }, 400, 'bad-request', /^drain: .*yes or no/],
    ['POST', NODES, { address: 'a:1', local: 'here' }, 400, 'bad-request', /^local: .*yes or no/],
    ['PATCH', `${NODES}/${FILE_NODE}`, {}, 400, 'bad-request', /nothing to change/],
    ['PATCH', `${NODES}/${FILE_NODE}`, { address: 'a:1' }, 400, 'bad-request', /unknown key "address"/],
    ['PATCH', `${NODES}/10.0.0.9:80`, { drain: true }, 404, 'unknown-node', /has no node 10\.0\.0\.9:80/],
    ['GET', `${NODES}/10.0.0.9`, undefined, 404, 'unknown-node', /has no node 10\.0\.0\.9:80/],
    ['GET', `${NODES}?offset=-1`, undefined, 400, 'bad-request', /^offset: /],
    ['DELETE', `${NODES}/${FILE_NODE}?local=here`, undefined, 400, 'bad-request', /^local: /],
    ['DELETE', `/pools/demo/edits/${FILE_NODE}`, undefined, 404, 'no-edit', /nothing to withdraw/],
    ['GET', '/keys/rotate', undefined, 404, 'not-found', /there is no GET \/keys\/rotate here/],
    ['POST', '/status', {}, 404, 'not-found', /there is no POST \/status here/],
  ];
  for (const [method, path, body, status, code, message] of cases) {
    const answer = await ask(method, path, body);
    assert.deepEqual([answer.status, answer.body.code], [status, code], `${method} ${path}`);
    assert.match(String(answer.body.message), message);
  }
});

test('the keys are listed by their ids, rotated and revoked', async (t) => {
  const { ask } = await startAdmin(t);
  const keysOf = async (method: string, path: string) => {
    const { status, body } = await ask(method, path);
    assert.equal(status, 200, JSON.stringify(body));
    return body as unknown as KeysStatus;
  };
  const idOf = ({ keys }: KeysStatus, wanted: Stage) => keys.find(({ stage }) => stage === wanted)?.id;
  // the first two keys come by themselves
  const hasBoth = async () => {
    const keys = await keysOf('GET', '/keys');
    return idOf(keys, 'active') !== undefined && idOf(keys, 'staged') !== undefined;
  };
  await eventually(hasBoth, 'an active key and a staged one');
  const before = await keysOf('GET', '/keys');
  assert.match(idOf(before, 'active') ?? '', /^[0-9a-f]{8}$/);
  assert.deepEqual([before.isIssuing, before.intervalMs, before.lifetimeMs], [true, 3_600_000, 86_400_000]);
  const rotated = await keysOf('POST', '/keys/rotate');
  assert.deepEqual(
    [idOf(rotated, 'active'), idOf(rotated, 'retiring')],
    [idOf(before, 'staged'), idOf(before, 'active')],
  );
  const revoked = await keysOf('POST', '/keys/revoke');
  const known = [...before.keys, ...rotated.keys].map(({ id }) => id);
  assert.deepEqual(
    revoked.keys.filter(({ id }) => known.includes(id)),
    [],
  );
  assert.notEqual(idOf(revoked, 'active'), undefined);
});

test('a change of the keys that the cluster does not take says how it stands', async (t) => {
  const { ask, cluster } = await startAdmin(t);
  for (const [code, status] of REFUSALS) {
    cluster.refusal = code;
    for (const path of ['/keys/rotate', '/keys/revoke']) {
      const answer = await ask('POST', path);
      assert.deepEqual([answer.status, answer.body.code], [status, code], path);
    }
  }
});

test('the metrics are text, and guarded as all else is', async (t) => {
  const { ask, port } = await startAdmin(t);
  const answer = await exchange(port, 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.match(answer, /^content-type: text\/plain; version=0\.0\.4/im);
  assert.match(answer, /^stekbal_raft_is_leader 1$/m);
  const refused = await ask('GET', '/metrics', undefined, { host: 'attacker.example' });
  assert.deepEqual([refused.status, refused.body.code], [403, 'foreign-host']);
});

test('with a token file every request carries the token, and a reload reads it again', async (t) => {
  const tokenFile = join(temporaryFolder(t), 'token');
  writeFileSync(tokenFile, 'first-token\n');
  const { ask, admin, config, lines, port } = await startAdmin(t, { tokenFile });
  const statusWith = async (authorization?: string) =>
    (await ask('GET', '/status', undefined, { host: 'edge.example', ...(authorization ? { authorization } : {}) }))
      .status;
  assert.equal(await statusWith('Bearer first-token'), 200);
  assert.equal(await statusWith('bearer first-token'), 200);
  for (const wrong of [undefined, 'Bearer', 'Bearer x', 'Bearer first-token2', 'Bearer first', 'Basic first-token']) {
    assert.equal(await statusWith(wrong), 401, `${wrong}`);
  }
  const onlooker = openClient(t, port, 'GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer first-token\r\n\r\n');
  await onlooker.until((received) => received.includes('event: snapshot'));
  writeFileSync(tokenFile, 'second-token');
  admin.reload(config);
  assert.equal(await onlooker.ended, 'FIN', 'a stream that was let in by the old token ends');
  assert.deepEqual([await statusWith('Bearer first-token'), await statusWith('Bearer second-token')], [401, 200]);
  writeFileSync(tokenFile, '');
  admin.reload(config);
  assert.equal(await statusWith('Bearer second-token'), 200);
  assert.ok(lines.some(({ msg }) => /token is in force as it was: token_file: .* is empty/.test(msg)));
  assert.ok(!JSON.stringify(lines).includes('first-token'));
});

test('a token file without a token is refused at the start', (t) => {
  const tokenFile = join(temporaryFolder(t), 'token');
  const start = () => new AdminServer(adminConfig('127.0.0.1:0', tokenFile), {} as never, recordingLog().log);
  assert.throws(start, /token_file: .* cannot be read: ENOENT/);
  for (const text of ['', '\n', 'two\nlines', 'a b', 'x'.repeat(5000)]) {
    writeFileSync(tokenFile, text);
    assert.throws(start, /token_file: /, JSON.stringify(text.slice(0, 20)));
  }
});

test('a unix socket is for its owner and group alone, and one left behind is taken over', async (t) => {
  const path = join(temporaryFolder(t), 'admin.sock');
  const abandoned = net.createServer();
  await new Promise<void>((resolve) => abandoned.listen(path, resolve));
  // closing would remove the file: as at a kill, it stays
  (abandoned as unknown as { _handle: { close(): void } })._handle.close();
  const { ask, admin } = await startAdmin(t, { address: `unix:${path}` });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal((await ask('GET', '/status')).status, 200);
  await admin.close();
  assert.throws(() => statSync(path), /ENOENT/);
});

test('an address that is taken is said, with its code', async (t) => {
  const taken = await namedBackend(t);
  const { edge } = newEdge(t, simpleConfig([FILE_NODE]));
  const admin = new AdminServer(adminConfig(taken.address), edge, recordingLog().log);
  await assert.rejects(admin.listen(), { message: `admin: cannot listen on ${taken.address}`, code: 'EADDRINUSE' });
});

test('what comes before the framework has been loaded is answered like all else', async (t) => {
  const { ask, port } = await startAdmin(t);
  assert.match(await exchange(port, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 .*"bad-request"/s);
  const first = await Promise.all([ask('GET', '/status'), ask('GET', '/nothing'), ask('POST', NODES, '{"address":')]);
  assert.deepEqual(
    first.map(({ status }) => status),
    [200, 404, 400],
  );
});

test('bodies and heads are bounded', async (t) => {
  const { ask, port } = await startAdmin(t);
  const large = await ask('POST', NODES, { address: 'a'.repeat(20_000) });
  assert.deepEqual([large.status, large.body.code], [413, 'bad-request']);
  const head = `GET /status HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
  assert.match(await exchange(port, head), /^HTTP\/1\.1 431 /);
  assert.equal((await ask('GET', `/pools/${'x'.repeat(2000)}/nodes`)).status, 414);
});

test('a faulty percent-encoding or JSON is 400', async (t) => {
  const { ask } = await startAdmin(t);
  assert.equal((await ask('DELETE', '/pools/demo/nodes/%zz')).status, 400);
  assert.equal((await ask('POST', NODES, '{"address":')).status, 400);
});

test('a fault of our own is 500, its reason in the log and not in the answer', async (t) => {
  const { ask, cluster, lines } = await startAdmin(t, { hasGroup: true });
  cluster.propose = () => Promise.reject(new TypeError('inner secret'));
  const answer = await ask('POST', NODES, { address: 'a:1' });
  assert.deepEqual([answer.status, answer.body.code], [500, 'internal']);
  assert.ok(!JSON.stringify(answer.body).includes('inner secret'));
  assert.ok(lines.some(({ msg }) => msg === 'an admin request failed'));
});
