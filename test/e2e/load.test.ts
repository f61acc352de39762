/** autocannon against the running program, also while a listener thread dies under it. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { namedBackend, simpleConfig, startProgram } from './harness.ts';

const AUTOCANNON = fileURLToPath(import.meta.resolve('autocannon'));
const CONNECTIONS = 100;

interface LoadResult {
  readonly requests: { readonly total: number };
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly resets: number;
}

/** Runs autocannon in a process of its own, for `seconds`. */
async function load(port: number, seconds: number, cookie: string): Promise<LoadResult> {
  const args = [AUTOCANNON, '--json', '-c', `${CONNECTIONS}`, '-d', `${seconds}`, '-H', `Cookie: ${cookie}`];
  const child = spawn(process.execPath, [...args, `http://127.0.0.1:${port}/`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output) as LoadResult;
}

test('autocannon -c 100 -d 10 ends without an error', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t)];
  const { port, log } = await startProgram(
    t,
    simpleConfig(
      backends.map((b) => b.address),
      { service: ['affinity: yes'], workers: 2 },
    ),
  );
  const result = await load(port, 10, 'X-SERVERID=none');
  assert.deepEqual([result.errors, result.timeouts, result.resets, result.non2xx], [0, 0, 0, 0]);
  assert.ok(result['2xx'] > 1000);
  assert.deepEqual(
    log.filter((line) => line.level >= 40),
    [],
  );
});

test('a listener thread that dies under load takes its own connections with it and no others', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t)];
  const yaml = simpleConfig(
    backends.map((b) => b.address),
    { workers: 2 },
  );
  const program = await startProgram(t, yaml, true);
  const running = load(program.port, 10, 'a=b');
  // the load is on when requests of both threads have reached the backends
  await new Promise<void>((resolve) => backends[0]?.server.once('request', () => setTimeout(resolve, 2000)));
  program.chaos('terminate');
  await program.logged((line) => line.msg === 'listener thread replaced');
  const result = await running;
  // a connection that breaks is an error or a reset, once: never more of them than connections
  const broken = result.errors + result.resets;
  t.diagnostic(`${broken} of ${CONNECTIONS} connections broke, ${result['2xx']} requests were answered`);
  assert.ok(broken < CONNECTIONS, `${broken} connections broke: the other thread's too`);
  assert.equal(result.non2xx, 0);
  assert.equal(result.timeouts, 0);
  assert.ok(result['2xx'] > 1000);
});
