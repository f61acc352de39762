/**
 * Debian's slowhttptest in its four modes against the running program: others are served throughout, and the slow ones are
 * gone within the time that docs/limits.md says.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { eventually, get, httpBackend, requirePeer, simpleConfig, startProgram, temporaryFolder } from './harness.ts';
import { scrape } from './metrics-scrape.ts';

const ATTACKERS = 150;
const HAS_TOOL = spawnSync('slowhttptest', ['-h']).error === undefined;
const BIG = Buffer.alloc(4 << 20, 'x');

interface Attack {
  /** As slowhttptest has it. */
  readonly mode: readonly string[];
  /** What ends these clients, ms, as configured: they are gone when it has passed, and some ticks. */
  readonly limitMs: number;
  /** The counter that tells of them; null: they are served. */
  readonly counter: string | null;
}

const ATTACKS: Readonly<Record<string, Attack>> = {
  'slow headers (Slowloris)': {
    mode: ['-H', '-i', '1', '-x', '16'],
    limitMs: 1_000,
    counter: 'stekbal_client_timeouts_total{part="head"}',
  },
  'a slow body': {
    mode: ['-B', '-i', '1', '-s', '100000', '-x', '16'],
    limitMs: 1_500,
    counter: 'stekbal_client_timeouts_total{part="body"}',
  },
  'many ranges (Apache killer)': { mode: ['-R', '-a', '1', '-b', '500', '-t', 'HEAD'], limitMs: 1_000, counter: null },
  'slow reading': {
    mode: ['-X', '-w', '64', '-y', '128', '-n', '1', '-z', '32', '-k', '2'],
    limitMs: 1_500,
    counter: 'stekbal_client_timeouts_total{part="response"}',
  },
};

const TOP = 'limits: {header_timeout: 1s}';
const SERVICE = ['body_timeout: 1500ms', 'persist_client_idle_timeout: 1s'];

/** Time for a client to be noticed: two ticks of the wheel, and what a busy machine adds. */
const MARGIN_MS = 8_000;

for (const [name, { mode, limitMs, counter }] of Object.entries(ATTACKS)) {
  test(`${name}: others are served throughout, and ${ATTACKERS} slow clients are gone in time`, async (t) => {
    if (!requirePeer(t, HAS_TOOL, 'there is no slowhttptest')) return;
    const backend = await httpBackend(t, (request, response) => {
      request.resume();
      if (request.url === '/small') response.end('small');
      else request.on('end', () => response.end(request.method === 'HEAD' ? '' : BIG));
    });
    const admin = join(temporaryFolder(t), 'admin');
    const top = [TOP, `admin: {address: "unix:${admin}"}`];
    const program = await startProgram(t, simpleConfig([backend.address], { top, service: SERVICE }));
    const sample = async (metric: string) => (await scrape(admin)).samples.get(metric) ?? Number.NaN;

    attackOn(t, program.port, mode);
    let served = 0;
    const serve = async () => {
      assert.equal((await get(program.port, { path: '/small' })).body, 'small');
      served++;
    };
    await eventually(async () => {
      await serve();
      return (await sample('stekbal_connections_total')) - served >= ATTACKERS;
    }, 'the slow clients did not come');
    const begunMs = performance.now();
    const isOver = async () => {
      await serve();
      return served > 10 && (await sample('stekbal_connections')) === 0;
    };
    await eventually(isOver, 'slow clients are still there', limitMs + MARGIN_MS);
    t.diagnostic(`gone after ${Math.round(performance.now() - begunMs)} ms, ${served} others served meanwhile`);
    if (counter !== null) assert.ok((await sample(counter)) >= ATTACKERS, counter);
  });
}

/** Ends with its last connection, or with the test. */
function attackOn(t: TestContext, port: number, mode: readonly string[]): void {
  const load = ['-c', String(ATTACKERS), '-r', String(ATTACKERS), '-l', '60', '-p', '20'];
  const child = spawn('slowhttptest', [...mode, ...load, '-u', `http://127.0.0.1:${port}/`], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
}
