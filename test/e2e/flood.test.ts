/**
 * A flood of connections at the leader of a group, more than it may serve: what does not come through it keeps its time.
 * The API answers, health checks pass, nobody else is elected, and clients get through: one whose request is late by more
 * than a connection lasts then is cut off or told 503, and comes again.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { EdgeStatus } from '../../src/control/status.ts';
import { loadSeconds } from './autocannon.ts';
import { clusterTest, STEADY } from './cluster-harness.ts';
import { get, servingPorts } from './harness.ts';
import { scrape } from './metrics-scrape.ts';
import { visit } from './tls-client.ts';

const FLOODER = fileURLToPath(new URL('./flooder.ts', import.meta.url));
const SECONDS = loadSeconds(4);
const TRIES_MAX = 100;

clusterTest(
  `a flood of connections for ${SECONDS} s costs no election, check or status, and clients get through it`,
  {
    servers: 3,
    workers: 2,
    // two cores for the flood, the threads, and whatever else runs
    stekShare: STEADY,
    top: ['limits: {max_connections: 200, max_handshakes: 60}'],
    pool: ['health_check: {type: tcp, interval: 100ms, fall: 2}'],
    listeners: [
      '{address: "127.0.0.1:0", service: web}',
      '{address: "127.0.0.1:0", service: web, tls: {certificates: [{cert_file: peer-cert.pem, key_file: peer-key.pem}]}}',
    ],
  },
  async (t, cluster) => {
    await cluster.startAll();
    const before = await cluster.settled();
    const program = cluster.program(before.serverId);
    const [plain = 0, secure = 0] = await servingPorts(program);
    const samples = async () => (await scrape(cluster.file(before.serverId, 'admin.sock'))).samples;
    const checksBefore = passedChecks(await samples());
    const linesBefore = program.log.length;
    const flooder = spawn(process.execPath, [FLOODER, ...[plain, secure, SECONDS].map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => flooder.kill('SIGKILL'));
    let made = '';
    flooder.stdout.on('data', (text) => {
      made += text;
    });
    const over = once(flooder, 'close');
    const served = { plain: 0, secure: 0, status: 0 };
    let isOver = false;
    const until = async (work: () => Promise<void>) => {
      while (!isOver) await work();
    };
    const comingAgain = async (work: () => Promise<void>): Promise<'served' | null> => {
      for (let tries = 0; !isOver; tries++) {
        try {
          await work();
          return 'served';
        } catch (error) {
          if (tries === TRIES_MAX) throw error;
        }
      }
      return null;
    };
    const work = [
      until(async () => {
        const answer = await comingAgain(async () => {
          const { status } = await get(plain);
          assert.equal(status, 200);
        });
        served.plain += Number(answer !== null);
      }),
      until(async () => {
        const answer = await comingAgain(async () => {
          assert.match((await visit(secure, { version: 'TLSv1.3' })).answer, /^HTTP\/1.1 200 /);
        });
        served.secure += Number(answer !== null);
      }),
      until(async () => {
        const { body } = await cluster.ask<EdgeStatus>(before.serverId, 'GET', '/status');
        assert.ok(body.workers.list.every(({ state }) => state === 'serving'));
        served.status++;
      }),
    ];
    const [code] = await Promise.race([over, Promise.all(work).then(() => [null])]);
    isOver = true;
    await Promise.all(work);
    assert.equal(code, 0);
    const after = await cluster.settled();
    t.diagnostic(`${Number(made)} connections; served meanwhile: ${JSON.stringify(served)}`);
    assert.deepEqual([after.member, after.term], [before.member, before.term]);
    assert.ok(Number(made) > 1_000);
    const met = await samples();
    const refused = met.get('stekbal_connections_refused_total{limit="total"}') ?? 0;
    assert.ok(refused + (met.get('stekbal_connections_evicted_total') ?? 0) > 0, 'more came than may be served');
    assert.ok(passedChecks(met) > checksBefore + 5);
    assert.ok(Object.values(served).every((times) => times > 0));
    assert.deepEqual(
      program.log
        .slice(linesBefore)
        .filter(({ level, msg }) => level >= 40 && !/^connections (refused|ended)|log lines left out/.test(msg)),
      [],
    );
  },
);

function passedChecks(samples: ReadonlyMap<string, number>): number {
  return samples.get('stekbal_health_checks_total{pool="demo",result="passed"}') ?? 0;
}
