/** The network between the machines: messages, links that come and go, and the end. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { FRAME_BYTES_MAX } from '../../src/cluster/limits.ts';
import { Transport } from '../../src/cluster/transport.ts';
import type { PeerMessage } from '../../src/cluster/types.ts';
import { freePort } from '../e2e/cluster-network.ts';
import { eventually, temporaryFolder } from '../e2e/harness.ts';
import { createAuthority, writeCredentials } from './certificates.ts';
import {
  announces,
  authority,
  credentialsOf,
  dial,
  fakeServer,
  HOST,
  hello,
  ids,
  LEAF,
  listOf,
  messages,
  newRecord,
  optionsOf,
  PEER_ID,
  SUBJECT,
  startGroup,
  startServer,
  text,
  texts,
} from './transport-harness.ts';

test('two servers exchange messages both ways', async (t) => {
  const [a, b] = await startGroup(t, 2);
  a.transport.send(2, text('to b'));
  b.transport.send(1, text('to a'));
  await eventually(() => texts(a).length > 0 && texts(b).length > 0, 'both messages');
  assert.deepEqual(texts(a), ['2: to a']);
  assert.deepEqual(texts(b), ['1: to b']);
  assert.deepEqual(a.links, ['+2']);
});

test('five servers exchange messages in order, each with each', async (t) => {
  const group = await startGroup(t, 5);
  for (const { transport, serverId } of group) {
    for (const to of group) for (let i = 0; i < 20; i += 1) transport.send(to.serverId, text(`${serverId} ${i}`));
  }
  await eventually(() => group.every((server) => texts(server).length === 80), 'all messages');
  for (const server of group) {
    for (const from of group.filter((other) => other !== server)) {
      const expected = Array.from({ length: 20 }, (_, i) => `${from.serverId}: ${from.serverId} ${i}`);
      assert.deepEqual(
        texts(server).filter((one) => one.startsWith(`${from.serverId}:`)),
        expected,
      );
    }
    assert.deepEqual(server.transport.counters.refusals, {});
  }
});

test('each learns what the other announces, as of the moment of the hello', async (t) => {
  const [a, b] = await startGroup(t, 2);
  assert.deepEqual(announces(a), ['2.test', '2.test']);
  assert.deepEqual(announces(b), ['1.test', '1.test']);
});

test('the largest message gets through, and one that is larger is dropped and counted', async (t) => {
  const [a, b] = await startGroup(t, 2);
  const snapshot = (bytes: number): PeerMessage => ({
    type: 'raft',
    cluster: '1.ab',
    message: {
      type: 'snapshot-request',
      from: '1.a',
      to: '2.b',
      term: 1,
      snapshot: { index: 1, term: 1, membership: { voters: ['1.a'], learners: [] }, data: new Uint8Array(bytes) },
    },
  });
  a.transport.send(2, snapshot(FRAME_BYTES_MAX));
  assert.equal(a.refusals('oversized-message'), 1);
  a.transport.send(2, snapshot(FRAME_BYTES_MAX - 1000));
  await eventually(() => messages(b).length > 0, 'the snapshot');
  assert.deepEqual(messages(b), [[1, snapshot(FRAME_BYTES_MAX - 1000)]]);
});

test('a message to a server that is not there, or not listed, is dropped and counted', async (t) => {
  const [a, b] = await startGroup(t, 2);
  await b.transport.close();
  await eventually(() => a.links.includes('-2'), 'the end of the link');
  a.transport.send(2, text('lost'));
  a.transport.send(3, text('lost'));
  assert.equal(a.transport.counters.dropped, 2);
});

test('a link that dies is dialled again', async (t) => {
  const [a] = await startGroup(t, 1);
  const fake = await fakeServer(t, LEAF, (socket) => socket.write(hello()));
  a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
  for (let i = 1; i <= 4; i += 1) {
    await eventually(() => fake.sockets.length === i && a.links.length === 2 * i - 1, 'a link');
    fake.sockets[i - 1]?.destroy();
  }
  assert.deepEqual(a.links.slice(0, 4), ['+9', '-9', '+9', '-9']);
});

test('a server that is not there yet is dialled until it is', async (t) => {
  const listen = { address: HOST, port: await freePort() };
  const [a] = await startGroup(t, 1);
  const b = await startServer(t, 2, { listen });
  for (const { transport } of [a, b]) transport.setServers(listOf([a, b]));
  await eventually(() => a.links.length === 1, 'the first link');
  await b.transport.close();
  await eventually(() => a.lines.some((one) => /cannot be reached/.test(one.message)), 'a report');
  const again = await startServer(t, 2, { listen });
  again.transport.setServers(listOf([a, again]));
  await eventually(() => a.links.length === 3, 'the link');
  a.transport.send(2, text('welcome back'));
  await eventually(() => texts(again).length > 0, 'a message');
  assert.equal(a.lines.filter((one) => /cannot be reached/.test(one.message)).length, 1);
});

test('a server that answers no pings is dialled again', async (t) => {
  const limits = { pingIntervalMs: 30 };
  const [a] = await startGroup(t, 1, { options: { limits } });
  const fake = await fakeServer(t, LEAF, (socket) => socket.write(hello()));
  a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
  await eventually(() => fake.sockets.length >= 2, 'a second connection');
  assert.equal(a.lines.find((one) => /cannot be reached/.test(one.message))?.fields.why, 'no answer to pings');
  assert.equal(fake.frames.filter((one) => one.type === 'ping').length >= 3, true);
});

test('a server that answers pings is not', async (t) => {
  const limits = { pingIntervalMs: 50 };
  const [a, b] = await startGroup(t, 2, { options: { limits } });
  const before = b.transport.counters.framesIn;
  await eventually(() => b.transport.counters.framesIn > before + 10, 'ten pings');
  assert.deepEqual([...a.links, ...b.links], ['+2', '+1']);
});

test('a large message on a slow line is acknowledged while it arrives', async (t) => {
  const limits = { pingIntervalMs: 20 };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits } });
  const peer = dial(t, a.port, LEAF);
  peer.socket.write(Buffer.concat([hello(), Buffer.from([0, 0xff, 0, 0])]));
  const timer = setInterval(() => peer.socket.write(Buffer.alloc(10)), 10);
  t.after(() => clearInterval(timer));
  await eventually(() => peer.frames.filter((one) => one.type === 'pong').length >= 4, 'pongs');
});

test('a server that goes silent is forgotten', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: { idleTimeoutMs: 100 } } });
  const peer = dial(t, a.port, LEAF);
  peer.socket.write(hello());
  await peer.closed;
  assert.equal(peer.frames.length, 1);
});

test('a server that says hello and closes is not dialled again and again without a wait', async (t) => {
  const limits = { backoffMinMs: 20, backoffMaxMs: 10_000 };
  const [a] = await startGroup(t, 1, { options: { limits, random: () => 1 } });
  const fake = await fakeServer(t, LEAF, (socket) => socket.end(hello()));
  a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
  const started = performance.now();
  await eventually(() => fake.sockets.length === 6, 'six attempts');
  assert.ok(performance.now() - started >= 20 + 40 + 80 + 160 + 320);
  assert.equal(a.lines.length, 1);
});

test('new credentials are used at once, also by connections that are there', async (t) => {
  const [a, b] = await startGroup(t, 2);
  const another = createAuthority('new CA');
  const renewed = await credentialsOf(t, another.issue('/CN=new'), [another], '/CN=new');
  a.transport.setCredentials(renewed);
  await eventually(() => a.links.at(-1) === '-2' && b.links.at(-1) === '-1', 'the end of both links');
  await eventually(() => a.refusals('untrusted-certificate') > 0, 'the old certificate to be refused');
  assert.equal(b.links.length, 2);
  b.transport.setCredentials(renewed);
  await eventually(() => a.links.at(-1) === '+2' && b.links.at(-1) === '+1', 'new links');
  a.transport.send(2, text('with new certificates'));
  await eventually(() => texts(b).length === 1, 'a message');
});

test('servers are added and removed', async (t) => {
  const [a, b, c] = await startGroup(t, 3);
  a.transport.setServers(listOf([a, b]));
  await eventually(() => c.links.includes('-1'), 'the end of the link of the removed one');
  assert.deepEqual(a.links.at(-1), '-3');
  assert.deepEqual(ids(a), [2]);
  await eventually(() => a.refusals('unknown-server') > 0, 'the removed one to be refused');
  a.transport.send(3, text('lost'));
  a.transport.setServers(listOf([a, b, c]));
  await eventually(() => a.links.at(-1) === '+3' && c.links.at(-1) === '+1', 'new links');
  assert.deepEqual(ids(a), [2, 3]);
  assert.equal(b.links.includes('-1'), false);
  assert.equal(a.links.includes('-2'), false);
});

test('a server that has moved is dialled where it is now', async (t) => {
  const [a, b] = await startGroup(t, 2);
  const moved = await startServer(t, 2);
  moved.transport.setServers(listOf([a, moved]));
  a.transport.setServers(listOf([a, moved]));
  await eventually(() => a.links.length === 3, 'the new link');
  a.transport.send(2, text('to the new place'));
  await eventually(() => texts(moved).length === 1, 'a message');
  assert.deepEqual(texts(b), []);
});

test('who is connected is told', async (t) => {
  const started = Date.now();
  const [a, b] = await startGroup(t, 2, { extra: [PEER_ID] });
  const [peer, absent] = a.transport.peers();
  assert.deepEqual(
    { ...peer, changedAtMs: 0 },
    { ...listOf([b])[0], isConnected: true, isHeard: true, changedAtMs: 0 },
  );
  assert.ok((peer?.changedAtMs ?? 0) >= started && (peer?.changedAtMs ?? 0) <= Date.now());
  assert.equal(absent?.isConnected, false);
  assert.equal(absent?.isHeard, false);
});

test('a port that is taken is told with its address', async (t) => {
  const [a] = await startGroup(t, 1);
  const transport = new Transport(await optionsOf(t, 2, { listen: { address: HOST, port: a.port } }, newRecord()));
  await assert.rejects(transport.listen(), new RegExp(`cannot listen for peers on ${HOST}:${a.port}: EADDRINUSE`));
  await transport.close();
});

test('after close nothing keeps the process alive', async (t) => {
  const files = writeCredentials(temporaryFolder(t), 'own', [authority], LEAF);
  const source = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const program = `
    import net from 'node:net';
    import { loadCredentials } from ${source('../../src/cluster/credentials.ts')};
    import { Transport } from ${source('../../src/cluster/transport.ts')};
    const credentials = await loadCredentials(${JSON.stringify(files)}, ${JSON.stringify(SUBJECT)});
    const announce = (id) => ({ type: 'announce', member: id + '.a', cluster: null, leader: null, term: 0, excludes: null,
      position: { generation: 0, term: 0, index: 0 } });
    let ups = 0;
    const done = Promise.withResolvers();
    const make = (serverId) => new Transport({ serverId, listen: { address: '${HOST}', port: 0 }, credentials,
      hello: () => announce(serverId), onMessage: () => null, report: () => {}, random: Math.random,
      onLinkUp: () => { ups += 1; if (ups === 2) done.resolve(); }, onLinkDown: () => {} });
    const group = [make(1), make(2)];
    const ports = await Promise.all(group.map((one) => one.listen()));
    const list = ports.map((port, i) => ({ serverId: i + 1, address: '${HOST}', port }));
    list.push({ serverId: 3, address: '${HOST}', port: 1 });
    for (const one of group) one.setServers(list);
    await done.promise;
    const silent = net.connect(ports[0], '${HOST}');
    silent.on('error', () => {});
    const plain = net.connect(ports[0], '${HOST}');
    plain.on('error', () => {});
    plain.write('plain text');
    await new Promise((resolve) => plain.on('close', resolve));
    await Promise.all(group.map((one) => one.close()));
    await Promise.all(group.map((one) => one.close()));
    process.stdout.write('closed');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  const closed = once(child, 'close');
  await eventually(
    () => child.exitCode !== null,
    () => `the process to end; it printed ${printed}`,
  );
  assert.deepEqual(await closed, [0, null]);
  assert.equal(printed, 'closed');
});
