/** An edge with real listener threads, and a cluster in the test's hands. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NodeAddress } from '../../src/config/addresses.ts';
import type { Edge } from '../../src/control/edge.ts';
import { StartError } from '../../src/control/start-error.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { encodeCommand } from '../../src/control/state-command.ts';
import {
  eventually,
  get,
  type LogLine,
  namedBackend,
  servicesConfig,
  simpleConfig,
  temporaryFolder,
} from '../e2e/harness.ts';
import type { FakeCluster } from './fake-cluster.ts';
import { newEdge } from './new-edge.ts';

const SALTED = ['affinity: yes', 'affinity_use_salt: yes'];

test('services without a salt of their own share the one of the cluster', async (t) => {
  const { address } = await namedBackend(t);
  const service = { nodes: [address], lines: SALTED };
  const { edge, cluster } = newEdge(t, servicesConfig({ a: service, b: service }));
  await edge.join();
  const port = await serve(edge);
  const salt = saltOf(cluster);
  for (const host of ['a', 'b']) assert.equal(await cookieId(port, host), sha1(salt + address));
  assert.equal(cluster.proposals, 1);
});

test('a salt that the cluster has is taken, not proposed', async (t) => {
  const { address } = await namedBackend(t);
  const { edge, cluster } = newEdge(t, simpleConfig([address], { service: SALTED }));
  cluster.options.stateMachine.apply(encodeCommand({ kind: 'salt', salt: 'theirs' }));
  await edge.join();
  assert.equal(await cookieId(await serve(edge)), sha1(`theirs${address}`));
  assert.equal(cluster.proposals, 0);
});

test("without the cluster's salt in time an edge serves with its own, says so, and changes over later", async (t) => {
  const { address } = await namedBackend(t);
  const { edge, cluster, log } = newEdge(t, simpleConfig([address], { service: SALTED }), { joinTimeoutMs: 50 });
  cluster.refusal = 'no-leader';
  await edge.join();
  const port = await serve(edge);
  assert.ok(log.some(({ level, msg }) => level === 40 && /^no affinity salt from the cluster yet/.test(msg)));
  const own = await cookieId(port);
  cluster.refusal = null;
  await eventually(async () => (await cookieId(port)) !== own, 'another id');
  assert.equal(await cookieId(port), sha1(saltOf(cluster) + address));
  assert.ok(log.some(({ msg }) => msg === "the cluster's affinity salt is in use now"));
});

test('a cluster that has lost its salt is given another; until then the old one stays', async (t) => {
  const { address } = await namedBackend(t);
  const { edge, cluster } = newEdge(t, simpleConfig([address], { service: SALTED }));
  await edge.join();
  const port = await serve(edge);
  const before = await cookieId(port);
  cluster.refusal = 'no-leader';
  cluster.options.stateMachine.restore(new Uint8Array());
  assert.equal(await cookieId(port), before);
  cluster.refusal = null;
  await eventually(async () => (await cookieId(port)) !== before, 'another id');
});

test('no service that wants a salt: nothing is proposed, and the start waits for no leader', async (t) => {
  const { address } = await namedBackend(t);
  const explicit = ['affinity: yes', 'affinity_use_salt: yes', 'affinity_salt: s'];
  const { edge, cluster } = newEdge(t, simpleConfig([address], { service: explicit }));
  cluster.refusal = 'no-leader';
  await edge.join();
  assert.equal(await cookieId(await serve(edge)), sha1(`s${address}`));
  assert.equal(cluster.proposals, 0);
});

test('edits from anywhere in the cluster move requests, as do those of a snapshot', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const { edge, cluster } = newEdge(t, simpleConfig([a.address]));
  await edge.join();
  const port = await serve(edge);
  const servedBy = async () => (await get(port)).body;
  assert.equal(await servedBy(), a.address);
  const absent = { kind: 'absent' } as const;
  const present = { kind: 'present', weight: 1, drain: false } as const;
  const edits = [
    encodeCommand({ kind: 'node', pool: 'demo', address: b.address, edit: present }),
    encodeCommand({ kind: 'node', pool: 'demo', address: a.address, edit: absent }),
  ];
  const other = new ReplicatedState();
  for (const entry of edits) {
    cluster.options.stateMachine.apply(entry);
    other.apply(entry);
  }
  await eventually(async () => (await servedBy()) === b.address, 'the other node');
  cluster.options.stateMachine.restore(new Uint8Array());
  await eventually(async () => (await servedBy()) === a.address, 'the first node');
  cluster.options.stateMachine.restore(other.snapshot());
  await eventually(async () => (await servedBy()) === b.address, 'the other node');
});

test('an edit is done when it is in force here, lies over a reloaded file, and says what is in its way', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const files = groupFiles(t);
  const yaml = (...nodes: string[]) => groupConfig(files, nodes);
  const { edge, cluster, file } = newEdge(t, yaml(a.address));
  await edge.join();
  const port = await serve(edge);
  await edge.pools.set('demo', nodeOf(a.address), { weight: 7 }, 'group');
  const { node } = await edge.pools.set('demo', nodeOf(a.address), { drain: true }, 'group');
  assert.deepEqual([node?.weight, node?.drain, node?.origin], [7, true, 'group']);
  await edge.pools.set('demo', nodeOf(b.address), {}, 'group');
  assert.equal((await get(port)).body, b.address);
  await edge.pools.remove('demo', a.address, 'group');
  assert.deepEqual(nodesOf(edge), [b.address]);
  writeFileSync(file, yaml(a.address, '127.0.0.1:1'));
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(nodesOf(edge), ['127.0.0.1:1', b.address]);
  const code = (code: string) => (error: Error & { code?: string }) => error.code === code;
  await assert.rejects(edge.pools.remove('demo', a.address, 'group'), code('unknown-node'));
  await assert.rejects(edge.pools.set('dmeo', nodeOf(a.address), {}, 'group'), /no pool "dmeo"; did you mean "demo"\?/);
  cluster.refusal = 'unconfirmed';
  await assert.rejects(edge.pools.set('demo', nodeOf(a.address), {}, 'group'), code('unconfirmed'));
});

test('a node that was removed stays out, whichever file of the group names it', async (t) => {
  const files = groupFiles(t);
  const { edge, cluster } = newEdge(t, groupConfig(files, ['127.0.0.1:1']));
  await edge.join();
  await edge.pools.set('demo', nodeOf('127.0.0.1:2'), {}, 'group');
  await edge.pools.remove('demo', '127.0.0.1:2', 'group');
  await edge.pools.remove('demo', '127.0.0.1:1', 'group');
  assert.deepEqual(nodesOf(edge), []);
  const other = newEdge(t, groupConfig(files, ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3']));
  await other.edge.join();
  other.cluster.options.stateMachine.restore(cluster.options.stateMachine.snapshot());
  assert.deepEqual(nodesOf(other.edge), ['127.0.0.1:3']);
});

test("without a group an edit is this edge's own, and nothing is proposed", async (t) => {
  const { edge, cluster } = newEdge(t, simpleConfig(['127.0.0.1:1']));
  await edge.join();
  const { scope, node } = await edge.pools.set('demo', nodeOf('127.0.0.1:2'), {}, 'group');
  assert.deepEqual([scope, node?.origin, cluster.proposals], ['local', 'local', 0]);
  assert.deepEqual(nodesOf(edge), ['127.0.0.1:1', '127.0.0.1:2']);
});

test('a reload before the start is what the start begins with', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const { edge, file } = newEdge(t, simpleConfig([a.address]));
  await edge.join();
  writeFileSync(file, simpleConfig([b.address]));
  const reloaded = edge.reload();
  const port = await serve(edge);
  assert.equal((await reloaded).isOk, true);
  assert.equal((await get(port)).body, b.address);
});

test('a reload gives the cluster its servers and certificates, and names what needs a restart', async (t) => {
  const files = groupFiles(t);
  const { edge, cluster, log, file } = newEdge(t, groupConfig(files));
  await edge.join();
  const changed = groupConfig(files).replace('cert_verify_str: ""', 'cert_verify_str: /CN=x');
  writeFileSync(file, changed.replace('port: 10001', 'port: 10002').replace('heart_beat_interval: 100', ''));
  writeFileSync(files.list, LIST.replace('10001', '10002').replace('10.0.0.2', '10.0.0.3'));
  assert.equal((await edge.reload()).isOk, true);
  const [{ servers, peering } = assert.fail()] = cluster.reloads;
  assert.deepEqual(
    servers.map(({ address }) => address),
    ['10.0.0.1', '10.0.0.3'],
  );
  assert.deepEqual([peering.port, peering.certVerifyStr], [10001, '/CN=x']);
  assert.deepEqual(waiting(log), ['stek_share.port']);
});

test('a faulty certificate leaves the group as it was, and the rest of the reload goes on', async (t) => {
  const files = groupFiles(t);
  const { edge, cluster, log, file } = newEdge(t, groupConfig(files));
  await edge.join();
  cluster.reloadError = new Error('edge.crt: certificate 1 cannot be decoded');
  writeFileSync(file, groupConfig(files).replace('127.0.0.1:1"', '127.0.0.1:2"'));
  assert.equal((await edge.reload()).isOk, true);
  assert.ok(log.some(({ level, msg }) => level === 50 && /stek_share was not taken over.*edge\.crt/.test(msg)));
  assert.deepEqual(nodesOf(edge), ['127.0.0.1:2']);
  assert.equal(waiting(log), undefined);
});

test('a fault after what is served has changed is not said to have changed nothing', async (t) => {
  let isFaulty = true;
  const onReload = async () => {
    if (isFaulty) throw new Error('made to fail');
  };
  const { edge, file } = newEdge(t, simpleConfig(['127.0.0.1:1']), { onReload });
  await edge.join();
  writeFileSync(file, simpleConfig(['127.0.0.1:2']));
  const { isOk, isServed, errors } = await edge.reload();
  assert.deepEqual([isOk, isServed, errors], [false, true, ['made to fail']]);
  assert.deepEqual(nodesOf(edge), ['127.0.0.1:2']);
  isFaulty = false;
  assert.equal((await edge.reload()).isOk, true);
});

test('stek_share that is added to the file waits for a restart', async (t) => {
  const files = groupFiles(t);
  const { edge, cluster, log, file } = newEdge(t, simpleConfig(['127.0.0.1:1']));
  await edge.join();
  writeFileSync(file, groupConfig(files));
  await edge.reload();
  assert.deepEqual(waiting(log), ['stek_share']);
  assert.deepEqual(cluster.reloads, []);
});

test('the member takes part until the listeners have drained', async (t) => {
  const { address } = await namedBackend(t);
  const { edge, cluster } = newEdge(t, simpleConfig([address]));
  await edge.join();
  const port = await serve(edge);
  const drained = edge.drain();
  await eventually(
    () =>
      get(port).then(
        () => false,
        () => true,
      ),
    'no more connections',
  );
  await drained;
  assert.deepEqual(cluster.calls, ['start', 'stop']);
});

test('an edge whose member cannot start says why, and leaves nothing running', async (t) => {
  const { edge, cluster } = newEdge(t, simpleConfig(['127.0.0.1:1']));
  cluster.startError = new Error('port 10001 is taken');
  await assert.rejects(edge.join(), (error) => error instanceof StartError && error.message === 'port 10001 is taken');
  assert.deepEqual(cluster.calls, ['start']);
});

test('an edge that is told to drain before it joins takes part in no cluster', async (t) => {
  const { edge, cluster } = newEdge(t, simpleConfig(['127.0.0.1:9']));
  edge.preload();
  await edge.drain();
  await assert.rejects(edge.join(), StartError);
  assert.deepEqual(cluster.calls, []);
});

test('an edge told to stop while it waits for a salt does not wait any longer', async (t) => {
  const { edge, cluster } = newEdge(t, simpleConfig(['127.0.0.1:1'], { service: SALTED }));
  cluster.refusal = 'no-leader';
  await edge.join();
  const started = edge.start();
  const drained = edge.drain();
  await assert.rejects(started);
  assert.equal(await drained, 0);
  assert.deepEqual(cluster.calls, ['start', 'stop']);
});

/** Starts the edge; resolves to the port of its listener. */
async function serve(edge: Edge): Promise<number> {
  const [address] = await edge.start();
  return address?.kind === 'tcp' ? address.port : assert.fail();
}

function nodesOf(edge: Edge): string[] {
  return edge.pools.page('demo', 0).nodes.map(({ address }) => address);
}

function nodeOf(address: string): NodeAddress {
  return { address, host: '127.0.0.1', port: Number(address.split(':')[1]) };
}

async function cookieId(port: number, host = 'web'): Promise<string | undefined> {
  const { headers } = await get(port, { headers: { host } });
  return /=([0-9a-f]{40})/.exec(headers['set-cookie']?.[0] ?? '')?.[1];
}

function saltOf(cluster: FakeCluster): string {
  const salt = (cluster.options.stateMachine as ReplicatedState).salt;
  assert.match(salt ?? '', /^[0-9a-f]{32}$/);
  return salt as string;
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

function waiting(log: readonly LogLine[]): unknown {
  return log.find(({ msg }) => msg === 'changed in the file, in force after a restart')?.keys;
}

const LIST = '- {server_id: 1, address: 10.0.0.1, port: 10001}\n- {server_id: 2, address: 10.0.0.2, port: 10001}\n';

function groupFiles(t: TestContext): { list: string; pem: string } {
  const folder = temporaryFolder(t);
  const files = { list: join(folder, 'list.yaml'), pem: join(folder, 'any.pem') };
  writeFileSync(files.list, LIST);
  writeFileSync(files.pem, '');
  return files;
}

function groupConfig({ list, pem }: { list: string; pem: string }, nodes: readonly string[] = ['127.0.0.1:1']): string {
  return `${simpleConfig(nodes)}
stek_share:
  server_id: 1
  address: 10.0.0.1
  port: 10001
  heart_beat_interval: 100
  key_update_interval: 3600
  server_list_file: ${list}
  root_cert_file: ${pem}
  server_cert_file: ${pem}
  server_key_file: ${pem}
  cert_verify_str: ""
`;
}
