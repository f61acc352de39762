/** The main thread takes part in the consensus while the listener threads of the same process use up the machine. */

import assert from 'node:assert/strict';
import { load, loadSeconds } from './autocannon.ts';
import { clusterTest, STEADY } from './cluster-harness.ts';
import { servingPorts } from './harness.ts';

const CONNECTIONS = 64;
const SECONDS = loadSeconds(10);

clusterTest(
  `four listener threads at full load for ${SECONDS} s cost no election`,
  // Traffic Server's timing where nothing else has the machine: a run that is asked to last
  { servers: 3, workers: 4, stekShare: SECONDS > 10 ? [] : STEADY },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const [port] = await servingPorts(cluster.program(before.serverId));
    const {
      '2xx': answers,
      errors,
      non2xx,
    } = await load(`http://127.0.0.1:${port}/`, {
      seconds: SECONDS,
      connections: CONNECTIONS,
    });
    const after = await cluster.settled();
    t.diagnostic(`${Math.round(answers / SECONDS)} requests a second; term ${before.term} -> ${after.term}`);
    assert.deepEqual([errors, non2xx], [0, 0]);
    assert.ok(answers > 1000);
    assert.deepEqual([after.member, after.term], [before.member, before.term]);
  },
);
