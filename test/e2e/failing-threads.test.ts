/**
 * Listener threads that end in every way, through the running program: they end alone, and others take their places.
 * Throwing, hanging and dying again and again are in drain.test.ts.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type ChaosAction,
  type Client,
  eventually,
  get,
  namedBackend,
  openClient,
  type Program,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { scrape } from './metrics-scrape.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const ENDED = 'listener thread ended; another takes its place';
const STANDS = 'made to throw late by the test';
const REPLACED = 'listener thread replaced';
/** What a thread reaches soon; the main thread has room enough in it. */
const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=80' };

const ENDS: readonly (readonly [ChaosAction, RegExp])[] = [
  ['reject', /made to fail by the test/],
  ['exit', /exited with code: 7/],
  ['stack', /Maximum call stack size exceeded/],
  ['heap', /ERR_WORKER_OUT_OF_MEMORY/],
];

test('a rejection, process.exit, a full stack or a full heap ends one thread, not the program or what others serve', async (t) => {
  const { program, metrics } = await start(t, 2, SMALL_HEAP);
  for (const [i, [action, reason]] of ENDS.entries()) {
    const clients = await manyClients(t, program);
    const broken = new Set<Client>();
    for (const client of clients) void client.ended.then(() => broken.add(client));
    program.chaos(action);
    await nth(program, REPLACED, i + 1);
    await eventually(() => broken.size > 0, 'the connections of the thread break');
    const others = clients.filter((client) => !broken.has(client));
    assert.ok(others.length > 0, `${action}: the connections of both threads broke`);
    for (const { socket, until } of others) {
      socket.write(GET);
      await until((r) => r.split('127.0.0.1:').length === 3);
    }
    assert.match(JSON.stringify((await nth(program, ENDED, i + 1)).err), reason);
    for (const { socket } of clients) socket.destroy();
    await eventually(async () => (await metrics()).get('stekbal_workers_replaced_total') === i + 1, 'it is counted');
  }
});

for (const [action, sign] of [
  ['throw', ENDED],
  ['throw-late', STANDS],
] as const) {
  test(`the only thread ends by ${action}: new connections wait for its replacement, and are answered`, async (t) => {
    const { program, metrics } = await start(t, 1);
    program.chaos(action);
    await nth(program, sign, 1);
    assert.deepEqual(await statuses(program), [200]);
    assert.equal((await metrics()).get('stekbal_workers_replaced_total'), 1);
  });
}

test('all threads at once are replaced', async (t) => {
  const { program, metrics } = await start(t, 3);
  program.chaos('throw-all');
  await nth(program, ENDED, 3);
  const up = (samples: ReadonlyMap<string, number>) =>
    [0, 1, 2].map((i) => samples.get(`stekbal_worker_up{thread="${i}"}`));
  await eventually(async () => up(await metrics()).every((value) => value === 1), 'all threads');
  assert.deepEqual(await statuses(program), [200]);
  // a replacement can be taken down by another thread's end, and is replaced too
  assert.ok(((await metrics()).get('stekbal_workers_replaced_total') ?? 0) >= 3);
});

/** Of twelve requests at once, each once. */
async function statuses(program: Program): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: 12 }, () => get(program.port)));
  return [...new Set(answers.map(({ status }) => status))];
}

async function start(t: TestContext, workers: number, env: NodeJS.ProcessEnv = {}) {
  const socket = join(temporaryFolder(t), 'admin.sock');
  const backend = await namedBackend(t);
  // to fill a heap takes a busy machine longer than a thread may stand still by default
  const top = [`admin: {address: "unix:${socket}"}`, 'worker_hang_timeout: 5m'];
  const yaml = simpleConfig([backend.address], { workers, top });
  const program = await startProgram(t, yaml, true, { env });
  return { program, metrics: async () => (await scrape(socket)).samples };
}

/** The `count`th line of this text, past or future. */
function nth(program: Program, msg: string, count: number) {
  return program.logged(
    (line) => line.msg === msg && program.log.filter((one) => one.msg === msg).indexOf(line) >= count - 1,
  );
}

/** Connections enough that each of two threads has some, each of which has been answered once. */
async function manyClients(t: TestContext, program: Program): Promise<Client[]> {
  return await Promise.all(
    Array.from({ length: 24 }, async () => {
      const client = openClient(t, program.port, GET);
      await client.until((r) => r.includes('127.0.0.1:'));
      return client;
    }),
  );
}
