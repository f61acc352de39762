/** Pools that are changed while they are in use: by the commands, on a group of real processes, also under load. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ServerId } from '../../src/cluster/types.ts';
import type { NodePage } from '../../src/control/pool-editor.ts';
import type { ReloadResult } from '../../src/control/reload-result.ts';
import type { NodeStatus } from '../../src/control/status.ts';
import { failures, load, loadSeconds, NO_FAILURES } from './autocannon.ts';
import { type ClusterHarness, clusterTest, STEADY } from './cluster-harness.ts';
import {
  eventually,
  get,
  httpBackend,
  namedBackend,
  type Program,
  runToEnd,
  simpleConfig,
  startProgram,
  startSound,
  temporaryFolder,
} from './harness.ts';

const LOAD_SECONDS = loadSeconds(3);
const ADDED = '10.255.255.1:80';
const ADMIN = 'admin: {address: "127.0.0.1:0"}';

clusterTest(
  'what is said of a node at one edge holds on all, over reloads and restarts; with --local on one',
  { servers: 3 },
  async (t, cluster) => {
    const other = await namedBackend(t);
    await cluster.startAll();
    await cluster.settled();
    const pool = (id: ServerId, ...args: string[]) => runPool(`unix:${cluster.file(id, 'admin.sock')}`, args);

    const added = await pool(1, 'demo', 'add', other.address, '--weight', '3');
    assert.deepEqual([added.code, added.stderr], [0, '']);
    assert.equal(added.stdout, `pool demo: ${other.address} is in the pool, weight 3; on every edge of the group\n`);
    const drained = await pool(2, 'demo', 'drain', cluster.node);
    assert.match(drained.stdout, /drains: no new clients.*\(0 requests in flight\); on every edge of the group\n$/);
    assert.equal((await cluster.addNode(3, ADDED)).status, 200);
    assert.match((await pool(3, 'demo', 'remove', ADDED)).stdout, /is removed; on every edge of the group\n$/);
    const local = await pool(3, 'demo', 'drain', other.address, '--local');
    assert.match(local.stdout, /; on this edge only\n$/);

    const expected = async () => {
      for (const id of cluster.ids) {
        const isDrained = id === 3;
        await eventually(async () => {
          const { nodes, removed } = await pageOf(cluster, id);
          const [first, second] = nodes as [NodeStatus, NodeStatus | undefined];
          const isFirst = first.drain && first.origin === 'group';
          const isSecond = second?.weight === 3 && second.drain === isDrained && nodes.length === 2;
          return isFirst && isSecond && removed[0]?.address === ADDED;
        }, `the edits at edge ${id}`);
      }
    };
    await expected();
    await Promise.all(cluster.ids.map((id) => cluster.reload(id)));
    await expected();
    await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
    await cluster.startAll();
    await cluster.settled();
    await expected();
    const isOther = async () => (await cluster.request(1)).body === other.address;
    await eventually(isOther, 'requests to go to the one that is not drained');

    const reset = await pool(1, 'demo', 'reset', cluster.node);
    assert.match(reset.stdout, /is as the file says again, weight 1; on every edge of the group\n$/);
    assert.ok(
      (await pageOf(cluster, 1)).nodes.every(({ drain }) => !drain),
      'in force where it was asked for',
    );
    const withdrawn = await pool(3, 'demo', 'reset', other.address, '--local');
    assert.match(withdrawn.stdout, /is as the file and the group say again, weight 3; on this edge only\n$/);
    await eventually(async () => {
      const all = await Promise.all(cluster.ids.map(async (id) => (await pageOf(cluster, id)).nodes));
      return all.flat().every(({ drain }) => !drain);
    }, 'no node to drain at any edge');
  },
);

test('a drained node keeps its sticky clients, and --wait ends when its last request does', async (t) => {
  const held: ServerResponse[] = [];
  const slow = await httpBackend(t, (request, response) => {
    if (request.url === '/slow') held.push(response);
    else response.end(slow.address);
  });
  const other = await namedBackend(t);
  const yaml = simpleConfig([slow.address], { top: [ADMIN], workers: 2, service: ['affinity: yes'] });
  const program = await startSound(t, yaml);
  const admin = await adminAddress(program);
  const first = await get(program.port);
  const cookie = String(first.headers['set-cookie']?.[0]).split(';')[0] as string;
  assert.equal((await runPool(admin, ['demo', 'add', other.address])).code, 0);
  const pending = [1, 2, 3].map(() => get(program.port, { path: '/slow', headers: { cookie } }));
  await eventually(() => held.length === 3, 'three requests on the slow node');

  const drained = await runPool(admin, ['demo', 'drain', slow.address]);
  assert.match(drained.stdout, /\(3 requests in flight\); on this edge only, until it restarts\n$/);
  for (let i = 0; i < 6; i++) {
    assert.equal((await get(program.port)).body, other.address, 'a new client');
    assert.equal((await get(program.port, { headers: { cookie } })).body, slow.address, 'a sticky one');
  }
  const impatient = await runPool(admin, ['demo', 'drain', slow.address, '--wait', '--timeout', '1s', '--json']);
  assert.deepEqual([impatient.code, JSON.parse(impatient.stdout).node.inFlight], [1, 3]);
  assert.match(impatient.stderr, /3 requests in flight on this edge\nnot idle after 1s; it goes on draining\n$/);

  const waiting = runPool(admin, ['demo', 'drain', slow.address, '--wait']);
  const status = await runToEnd(['status', '--admin', admin]);
  assert.match(status.stdout, new RegExp(`^ {2}${slow.address} +draining +1 +3 `, 'm'));
  for (const response of held) response.end('late');
  assert.deepEqual(
    (await Promise.all(pending)).map(({ body }) => body),
    ['late', 'late', 'late'],
  );
  const done = await waiting;
  assert.deepEqual([done.code, /^0 requests in flight on this edge$/m.test(done.stderr)], [0, true]);
  const idle = await runToEnd(['status', '--admin', admin]);
  assert.match(idle.stdout, new RegExp(`^ {2}${slow.address} +draining +1 +0 `, 'm'));
});

test('a mistake is said with what would be right', async (t) => {
  const program = await startProgram(t, simpleConfig(['127.0.0.1:1'], { top: [ADMIN] }));
  const admin = await adminAddress(program);
  const cases: [args: string[], code: number, stderr: RegExp][] = [
    [['dmeo'], 1, /refused with 404: there is no pool "dmeo"; did you mean "demo"\?/],
    [['demo', 'drian', 'a:1'], 64, /there is no action "drian"; did you mean "drain"\?/],
    [['demo', 'drain', '10.0.0.9'], 1, /pool demo has no node 10\.0\.0\.9:80; .*stekbal pool demo list/],
    [['demo', 'reset', '127.0.0.1:1'], 1, /no edit of this edge alone of 127\.0\.0\.1:1/],
  ];
  const answers = await Promise.all(cases.map(([args]) => runPool(admin, args)));
  for (const [i, [args, code, stderr]] of cases.entries()) {
    assert.equal(answers[i]?.code, code, `${args.join(' ')}: ${answers[i]?.stderr}`);
    assert.match(answers[i]?.stderr ?? '', stderr);
  }
  const { code, stdout } = await runPool(admin, []);
  assert.deepEqual([code, /^demo +1 +1 +0 +0 +0 +0 +0$/m.test(stdout)], [0, true]);
});

test('reload says what came of it, and 78 where the file is refused', async (t) => {
  const folder = temporaryFolder(t);
  const [socket, tokenFile] = [join(folder, 'admin.sock'), join(folder, 'token')];
  writeFileSync(tokenFile, 'edge-token');
  const top = [`admin: {address: "unix:${socket}", token_file: ${tokenFile}}`];
  const yaml = simpleConfig(['127.0.0.1:1'], { top });
  const program = await startProgram(t, yaml);
  const { configFile } = program;
  const asked = ['--admin', `unix:${socket}`, '--token-file', tokenFile];

  writeFileSync(configFile, simpleConfig(['127.0.0.1:2'], { top: [...top, 'session_id_context: changed'] }));
  const done = await runToEnd(['reload', '-c', configFile]);
  assert.deepEqual([done.code, done.stdout.startsWith('reloaded')], [0, true], done.stderr);
  assert.match((await runToEnd(['pool', 'demo', '-c', configFile])).stdout, /^ {2}127\.0\.0\.1:2 +up/m);

  writeFileSync(configFile, yaml.replace('pool: demo', 'pool: dmeo'));
  const before = program.log.length;
  const refused = await runToEnd(['reload', ...asked]);
  assert.deepEqual([refused.code, refused.stdout], [78, '']);
  assert.match(
    refused.stderr,
    /stekbal\.yaml:\d+:\d+: .*did you mean "demo".*\nreload refused: nothing was changed\n$/s,
  );
  assert.ok(program.log.length > before);
  const json = await runToEnd(['reload', '--json', ...asked]);
  assert.deepEqual([json.code, (JSON.parse(json.stdout) as ReloadResult).isOk], [78, false]);
  const unread = await runToEnd(['reload', '-c', configFile]);
  assert.deepEqual([unread.code, /stekbal\.yaml:\d+:\d+: /.test(unread.stderr)], [78, true]);

  writeFileSync(configFile, simpleConfig(['127.0.0.1:1']));
  const closed = await runToEnd(['reload', '-c', configFile]);
  assert.equal(closed.code, 78);
  assert.match(closed.stderr, /the admin API is off; reload by "kill -HUP PID"/);
});

test('a damaged file of local edits is named in the log, and the edge serves without them', async (t) => {
  const folder = temporaryFolder(t);
  const { address } = await namedBackend(t);
  writeFileSync(join(folder, 'local-pools.json'), '{"version":1,"pools":[["demo",[["127');
  const program = await startSound(t, simpleConfig([address], { top: [ADMIN, `state_dir: ${folder}`] }));
  const line = program.log.find(({ level, msg }) => level === 50 && msg.includes(join(folder, 'local-pools.json')));
  assert.ok(line, program.text());
  assert.equal((await get(program.port)).body, address);
  const admin = await adminAddress(program);
  assert.equal((await runPool(admin, ['demo', 'add', ADDED])).stdout.endsWith('; on this edge only\n'), true);
});

clusterTest(
  `${LOAD_SECONDS} s of load while nodes are added, removed and drained at all edges: no request fails`,
  { servers: 3, workers: 2, service: ['retries: 0'], stekShare: STEADY },
  async (t, cluster) => {
    const others = [await namedBackend(t), await namedBackend(t)];
    await cluster.startAll();
    await cluster.settled();
    const ports = await Promise.all([1, 2].map(async (id) => (await cluster.ports(id))[0] as number));
    const ending = new AbortController();
    const editing = editWithoutPause(
      cluster,
      others.map(({ address }) => address),
      ending.signal,
    );
    const results = await Promise.all(
      ports.map((port) => load(`http://127.0.0.1:${port}/`, { seconds: LOAD_SECONDS, connections: 16 })),
    );
    ending.abort();
    const edits = await editing;
    for (const result of results) {
      t.diagnostic(`${result['2xx']} answers under ${edits} edits`);
      assert.deepEqual(failures(result), NO_FAILURES);
      assert.ok(result['2xx'] > 100 * LOAD_SECONDS);
    }
    assert.ok(edits > 5 * LOAD_SECONDS, `${edits} edits`);
  },
);

/** Resolves to how many edits were made. One node at least always takes new clients. */
async function editWithoutPause(
  cluster: ClusterHarness,
  nodes: readonly string[],
  ending: AbortSignal,
): Promise<number> {
  const [a = '', b = ''] = nodes.map((address) => `/pools/demo/nodes/${address}`);
  const own = `/pools/demo/nodes/${cluster.node}`;
  const round: [method: string, path: string, body?: object][] = [
    ...nodes.map((address): [string, string, object] => ['POST', '/pools/demo/nodes', { address, weight: 2 }]),
    ['PATCH', own, { drain: true }],
    ['PATCH', a, { drain: true, local: true }],
    ['PATCH', b, { weight: 5 }],
    ['PATCH', own, { drain: false }],
    ['DELETE', `${b}?local=1`],
    ['DELETE', a],
    ['DELETE', `/pools/demo/edits/${nodes[1]}?local=1`],
    ['DELETE', b],
    ['DELETE', `/pools/demo/edits/${nodes[0]}?local=1`],
  ];
  let edits = 0;
  while (!ending.aborted) {
    const [method, path, body] = round[edits % round.length] as [string, string, object?];
    const isLocal = path.includes('local=1') || (body !== undefined && 'local' in body);
    // what is said for one edge alone is taken back there; and that edge must know that its last node is open again before
    // it is told to do without another: an edit is in force where it was made when it is answered, and elsewhere soon after
    const id = isLocal || path === own ? 1 : (edits % cluster.ids.length) + 1;
    const { status, body: answer } = await cluster.ask(id, method, path, body);
    assert.equal(status, 200, `${method} ${path} at ${id}: ${JSON.stringify(answer)}`);
    edits += 1;
  }
  return edits;
}

async function pageOf(cluster: ClusterHarness, id: ServerId): Promise<NodePage> {
  return (await cluster.ask<NodePage>(id, 'GET', '/pools/demo/nodes')).body;
}

function runPool(admin: string, args: readonly string[]) {
  return runToEnd(['pool', ...args, '--admin', admin]);
}

async function adminAddress(program: Program): Promise<string> {
  return String((await program.logged(({ msg }) => msg === 'admin API')).address);
}
