/** What becomes of threads and their boards while what they serve changes; with real threads. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { KeyBoard } from '../../src/boards/key-board.ts';
import type { Edge } from '../../src/control/edge.ts';
import type { ServingPlan } from '../../src/control/serving-plan.ts';
import type { WorkerStatus } from '../../src/control/status.ts';
import { Supervisor } from '../../src/control/supervisor.ts';
import { hasSystemCalls } from '../../src/control/system-calls.ts';
import { thisMachine, threadHeapMib } from '../../src/control/thread-memory.ts';
import { freePort } from '../e2e/cluster-network.ts';
import { eventually, get, namedBackend, simpleConfig } from '../e2e/harness.ts';
import { tlsSettings } from '../workers/tls-harness.ts';
import { newEdge, recordingLog } from './new-edge.ts';

const skip = hasSystemCalls() ? false : 'this Node has no node:ffi';

test('threads that a reload adds get the larger boards that it needs', async (t) => {
  const before = await namedBackend(t);
  const after = await everywhere(t, 'after');
  const { edge, file, port } = await serving(t, simpleConfig([before.address], { workers: 1 }));
  // more than fit a board of 64 slots
  const nodes = Array.from({ length: 70 }, (_, i) => `127.0.1.${i + 1}:${after}`);
  writeFileSync(file, simpleConfig(nodes, { workers: 4 }));
  assert.equal((await edge.reload()).isOk, true);
  for (let i = 0; i < 40; i++) assert.equal((await get(port)).body, 'after');
});

test('a pool in place of another: all threads have nodes at every moment, those too that are added meanwhile', async (t) => {
  const [a, b] = [await namedBackend(t), await namedBackend(t)];
  const { edge, file, port } = await serving(t, simpleConfig([a.address], { workers: 1 }));
  // another pool in place of the one that is there
  writeFileSync(file, simpleConfig([b.address], { workers: 4 }).replaceAll('demo', 'other'));
  const reloading = edge.reload();
  let isOver = false;
  void reloading.then(() => {
    isOver = true;
  });
  const statuses = new Set<number>();
  const ask = async () => {
    while (!isOver) statuses.add((await get(port)).status);
  };
  await Promise.all(Array.from({ length: 8 }, ask));
  assert.equal((await reloading).isOk, true);
  assert.deepEqual([...statuses], [200]);
});

test('a node that a thread has left out is held to be up again where a reload hashes its pool anew', async (t) => {
  const { address } = await namedBackend(t);
  const yaml = (salt: string) => simpleConfig([address, '127.0.0.1:1'], { service: saltedService(salt) });
  const { edge, file, port } = await serving(t, yaml('a'));
  await eventually(async () => {
    await get(port);
    return statesOf(edge)?.[1] === 'failing';
  }, 'the dead node is left out');
  writeFileSync(file, yaml('b'));
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(statesOf(edge), ['up', 'up']);
});

test('what a thread has said of nodes goes when it retires, though a connection keeps it', async (t) => {
  const { address } = await namedBackend(t);
  const nodes = [address, '127.0.0.1:1'];
  const yaml = (workers: number, salt: string) => simpleConfig(nodes, { service: saltedService(salt), workers });
  const { edge, file, port } = await serving(t, yaml(2, 'a'));
  const kept: net.Socket[] = [];
  t.after(() => {
    for (const client of kept) client.destroy();
  });
  await connectToAll(() => edge.status().workers.list, port, kept);
  // at once, so that both threads meet with the dead node before either hears of it
  await Promise.all(kept.map(answerOf));
  assert.deepEqual(statesOf(edge), ['up', 'failing']);
  for (const salt of ['a', 'b']) {
    writeFileSync(file, yaml(1, salt));
    assert.equal((await edge.reload()).isOk, true);
  }
  assert.equal(edge.status().workers.retiring, 1);
  assert.deepEqual(statesOf(edge), ['up', 'up']);
});

test('threads that have loaded their code ahead are the ones that serve', async (t) => {
  let [created, ended] = [0, 0];
  let supervisor: Supervisor | null = null;
  const onWorker = (worker: Worker) => {
    created++;
    worker.once('exit', () => ended++);
  };
  process.on('worker', onWorker);
  t.after(() => process.off('worker', onWorker));
  // one that has its code a second before the other ends while that is waited for: then it is tried again
  for (let attempt = 0; attempt < 5 && (created === 0 || ended > 0); attempt++) {
    await supervisor?.kill();
    [created, ended] = [0, 0];
    const latest = newSupervisor(t);
    supervisor = latest;
    latest.preload(2);
    await latest.start(plan({ workers: 2 }));
    await eventually(() => latest.areAllAlive, 'a sign of life of each');
  }
  assert.equal(created, 2);
});

test('a start that is given up while threads load their code leaves none behind', async (t) => {
  const supervisor = newSupervisor(t);
  const created = nextWorkers(2);
  supervisor.preload(2);
  const refused = assert.rejects(supervisor.start(plan({ workers: 2 })), /draining/);
  const ended = created.then((workers) => Promise.all(workers.map((worker) => once(worker, 'exit'))));
  await supervisor.kill();
  await refused;
  await ended;
});

test('a thread that is added and dies before the change is in force is replaced', async (t) => {
  const supervisor = newSupervisor(t);
  await supervisor.start(plan({ workers: 1 }));
  const added = nextWorkers(2);
  await supervisor.apply(plan({ workers: 3 }), async () => {
    const [worker] = await added;
    await worker?.terminate();
    await eventually(() => supervisor.workers().filter(({ state }) => state === 'starting').length === 1, 'its end');
  });
  await eventually(() => supervisor.areAllAlive, 'another in its place');
  assert.equal(supervisor.workers().length, 3);
});

test('a thread that dies in a change that is refused: the next one serves what was before, and changes go on', async (t) => {
  const supervisor = newSupervisor(t);
  const three = nextWorkers(3);
  await supervisor.start(plan({ workers: 3 }));
  const port = await freePort();
  const further: ServingPlan['listeners'][number] = { ...LISTENER, address: { kind: 'tcp', host: '127.0.0.1', port } };
  const [, , dying] = await three;
  const refused = new Promise<void>((resolve) => {
    // it is among those that the change is planned for: nobody has heard of its end yet
    dying?.prependOnceListener('exit', () => {
      const changing = supervisor.apply(plan({ workers: 3, listeners: [LISTENER, further] }), async () => {
        throw new Error('made to fail');
      });
      resolve(assert.rejects(changing, /made to fail/));
    });
  });
  await dying?.terminate();
  await refused;
  await eventually(() => supervisor.areAllAlive, 'another in its place');
  await assert.rejects(once(net.connect(port, '127.0.0.1'), 'connect'), /ECONNREFUSED/);
  await supervisor.apply(plan({ workers: 3 }), async () => {});
  assert.equal(supervisor.replaced, 1);
});

test("while a dead thread's replacement is awaited, the others serve what comes to its socket", { skip }, async (t) => {
  const supervisor = newSupervisor(t);
  const both = nextWorkers(2);
  const [address] = await supervisor.start(plan({ workers: 2 }));
  const { port } = address as { port: number };
  let [dying] = await both;
  let order: string[] = [];
  // each death makes the wait for the next thread longer, 0.1 to 3.2 s: one of them is long enough for a busy machine
  for (let death = 0; death < 6 && order[0] !== 'answered'; death++) {
    order = [];
    const replacement = nextWorkers(1);
    void replacement.then(() => order.push('replaced'));
    await dying?.terminate();
    const clients = Array.from({ length: 24 }, () => net.connect(port, '127.0.0.1'));
    assert.deepEqual([...new Set(await Promise.all(clients.map(statusOf)))], ['404']);
    order.push('answered');
    [dying] = await replacement;
    await eventually(() => supervisor.areAllAlive, 'a replacement');
  }
  assert.deepEqual(order, ['answered', 'replaced']);
  const served: net.Socket[] = [];
  await connectToAll(() => supervisor.workers(), port, served);
  for (const client of served) client.destroy();
});

test('a change that fails late: what the threads that it added have accepted is served to its end', async (t) => {
  const supervisor = newSupervisor(t);
  const [address] = await supervisor.start(plan({ workers: 1 }));
  const { port } = address as { port: number };
  const clients: net.Socket[] = [];
  const failing = supervisor.apply(plan({ workers: 3 }), async () => {
    await connectToAll(() => supervisor.workers(), port, clients);
    throw new Error('made to fail');
  });
  await assert.rejects(failing, /made to fail/);
  assert.deepEqual([...new Set(await Promise.all(clients.map(statusOf)))], ['404']);
  await eventually(() => supervisor.workers().length === 1, 'the threads that were added have ended');
});

test('a drain in the middle of a change answers what the threads that it adds have accepted', async (t) => {
  const supervisor = newSupervisor(t);
  const [address] = await supervisor.start(plan({ workers: 1 }));
  const { port } = address as { port: number };
  const clients: net.Socket[] = [];
  let drained: Promise<number> | null = null;
  const applying = supervisor.apply(plan({ workers: 3 }), async () => {
    await connectToAll(() => supervisor.workers(), port, clients);
    drained = supervisor.drain();
  });
  await assert.rejects(applying, /draining/);
  assert.deepEqual([...new Set(await Promise.all(clients.map(statusOf)))], ['404']);
  assert.equal(await drained, 0);
});

test('a listener thread has its share of the memory and no more', async (t) => {
  const supervisor = newSupervisor(t);
  const threads = nextWorkers(1);
  await supervisor.start(plan({ workers: 1 }));
  const [worker] = await threads;
  assert.equal(worker?.resourceLimits?.maxOldGenerationSizeMb, threadHeapMib(thisMachine()));
});

test('a refused change leaves no descriptor behind', { skip }, async (t) => {
  const supervisor = newSupervisor(t);
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  await supervisor.start(plan({ workers: 2 }));
  const { port } = taken.address() as AddressInfo;
  const refused: ServingPlan['listeners'][number] = { ...LISTENER, address: { kind: 'tcp', host: '127.0.0.1', port } };
  // what is to be served as TLS from now on gets a descriptor, which nobody asks for once the address before it has failed
  const changed = plan({ workers: 2, listeners: [refused, { ...LISTENER, tls: tlsSettings() }] });
  const refuse = () =>
    assert.rejects(
      supervisor.apply(changed, async () => {}),
      /EADDRINUSE/,
    );
  await refuse();
  const before = descriptors();
  for (let i = 0; i < 3; i++) await refuse();
  // threads close theirs when they are told of it
  await eventually(
    () => descriptors() <= before,
    () => `${descriptors()} descriptors, ${before} before`,
  );
});

const LISTENER: ServingPlan['listeners'][number] = {
  address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  service: null,
  hosts: [],
  tls: null,
};

/** All requests get 404. */
function plan({
  workers,
  listeners = [LISTENER],
}: {
  workers: number;
  listeners?: ServingPlan['listeners'];
}): ServingPlan {
  const limits = {
    ...{ headBytesMax: 65_536, headersMax: 100, targetBytesMax: 8_192, headerTimeoutMs: 30_000 },
    ...{ connectionsMax: 1_000, connectionsPerThreadMax: 0, connectionsPerAddressMax: 0 },
    ...{ handshakesMax: 100, requestsPerConnectionMax: 0, connectionsShare: 1_000 },
    ...{ upstreamsMax: 1_000, upstreamsShare: 1_000, refusalsMax: 64 },
  };
  // times that no test runs into
  const settings = { ...limits, drainTimeoutMs: 60_000, accessLog: null, services: [] };
  return { workers, hangTimeoutMs: 60_000, settings, listeners, boards: [] };
}

function newSupervisor(t: TestContext): Supervisor {
  const supervisor = new Supervisor({
    keys: KeyBoard.create().buffer,
    passedSockets: new Map(),
    log: recordingLog().log,
    onNodeMark: () => {},
    onThreadRetires: () => {},
    onThreadEnded: () => {},
  });
  t.after(() => supervisor.kill());
  return supervisor;
}

/**
 * Connections that have been accepted, some of them by each thread. The kernel deals them out by a hash of the client's port,
 * and leaves one of three threads out of 24 once in 6,000 times: then there come more.
 */
async function connectToAll(
  workers: () => readonly WorkerStatus[],
  port: number,
  clients: net.Socket[],
): Promise<void> {
  const counts = () => workers().map(({ connections }) => connections);
  const accepted = () => counts().reduce((sum, count) => sum + count, 0);
  do {
    for (let i = 0; i < 24; i++) clients.push(net.connect(port, '127.0.0.1'));
    await eventually(
      () => accepted() === clients.length,
      () => `${clients.length} connections accepted, in ${counts().join(' + ')}`,
    );
  } while (counts().includes(0));
}

/** Asks for one. */
async function answerOf(client: net.Socket): Promise<string> {
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const [bytes] = (await once(client, 'data')) as [Buffer];
  return bytes.toString('latin1');
}

async function statusOf(client: net.Socket): Promise<string> {
  const answer = await answerOf(client);
  client.destroy();
  return answer.slice(9, 12);
}

/** The next `count` threads that this process starts. */
function nextWorkers(count: number): Promise<Worker[]> {
  const workers: Worker[] = [];
  return new Promise((resolve) => {
    const take = (worker: Worker) => {
      workers.push(worker);
      if (workers.length < count) return;
      process.off('worker', take);
      resolve(workers);
    };
    process.on('worker', take);
  });
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

async function serving(t: TestContext, yaml: string): Promise<{ edge: Edge; file: string; port: number }> {
  const { edge, file } = newEdge(t, yaml);
  await edge.join();
  const [address] = await edge.start();
  assert.equal(address?.kind, 'tcp');
  return { edge, file, port: (address as { port: number }).port };
}

function saltedService(salt: string): string[] {
  const affinity = ['affinity: yes', 'affinity_use_salt: yes', `affinity_salt: ${salt}`];
  return ['max_fails: 1', 'fail_timeout: 1h', 'balance: round_robin', ...affinity];
}

/** Of the nodes of the one pool. */
function statesOf(edge: Edge): string[] | undefined {
  return edge.status().pools[0]?.nodes.map(({ health }) => health.state);
}

/** A backend on all of 127.0.0.0/8; its port. */
async function everywhere(t: TestContext, says: string): Promise<number> {
  const server = http.createServer((_request, response) => response.end(says)).listen(0, '0.0.0.0');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
