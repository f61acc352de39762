/** The main thread takes part in the consensus while the listener threads of the same process use up the machine. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { clusterTest } from './cluster-harness.ts';
import { servingPorts } from './harness.ts';

const AUTOCANNON = fileURLToPath(import.meta.resolve('autocannon'));
const CONNECTIONS = 64;
/** By hand: CLUSTER_LOAD_SECONDS=60. */
const SECONDS = Number(process.env.CLUSTER_LOAD_SECONDS ?? 10);

clusterTest(
  `four listener threads at full load for ${SECONDS} s cost no election`,
  { servers: 3, workers: 4 },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const [port] = await servingPorts(cluster.program(before.serverId));
    const { '2xx': answers, errors, non2xx } = await load(port as number);
    const after = await cluster.settled();
    t.diagnostic(`${Math.round(answers / SECONDS)} requests a second; term ${before.term} -> ${after.term}`);
    assert.deepEqual([errors, non2xx], [0, 0]);
    assert.ok(answers > 1000);
    assert.deepEqual([after.member, after.term], [before.member, before.term]);
  },
);

async function load(port: number): Promise<{ '2xx': number; errors: number; non2xx: number }> {
  const args = [AUTOCANNON, '--json', '-c', `${CONNECTIONS}`, '-d', `${SECONDS}`, `http://127.0.0.1:${port}/`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output) as { '2xx': number; errors: number; non2xx: number };
}
