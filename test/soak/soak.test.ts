/** The soak itself, for some seconds: it runs, finds nothing, and leaves nothing behind; and it does find what is wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CounterWatch } from './counters.ts';
import { explain } from './explain.ts';
import { reportOf } from './report.ts';
import { faultsFound, type SoakResult } from './result.ts';
import { Soak } from './soak.ts';
import { TRAFFIC } from './traffic/traffic.ts';

const SMOKE_SEED = 20;

test('eight seconds of traffic and faults on three edges: every failure is explained, all invariants hold', async () => {
  const soak = new Soak({
    seed: SMOKE_SEED,
    durationMs: 8_000,
    everyMs: 700,
    quietMs: 500,
    ending: new AbortController().signal,
    onPlan: () => {},
    onProgress: () => {},
    progressMs: 2_000,
  });
  const result = await soak.run();
  assert.deepEqual(faultsFound(result), [], reportOf(result));
  assert.ok(result.faults.length >= 5, `${result.faults.length} faults`);
  for (const name of Object.keys(TRAFFIC)) assert.ok((result.traffic.get(name)?.ok ?? 0) > 0, `no ${name} went well`);
  assert.ok(result.tls.elsewhere > 0);
});

const CLEAN: SoakResult = {
  seed: 1,
  ranMs: 1_200_000,
  plan: [],
  faults: [],
  traffic: new Map([['single', { ok: 1, failed: 0 }]]),
  tls: { first: 1, offered: 0, resumed: 0, elsewhere: 0 },
  explained: [],
  unexplained: [],
  invariants: [{ name: 'one leader', fault: '' }],
  series: [],
  isLongEnough: true,
  accessLines: 1,
  warnings: new Map(),
};

test('a run fails by an unexplained failure, a broken invariant and a leak, and the report says so', () => {
  assert.deepEqual(faultsFound(CLEAN), []);
  assert.match(reportOf(CLEAN), /, passed$/m);
  const failure = {
    traffic: 'single',
    symptom: '502' as const,
    id: 'single-1',
    edge: 1,
    node: null,
    pool: null,
    isSafe: true,
    isReused: false,
    attempts: null,
    ticketMs: null,
    ticketEdge: null,
    fromMs: 0,
    atMs: 1,
    detail: 'status 502',
  };
  assert.equal(explain(failure, []), null);
  const growing = Array.from({ length: 120 }, (_, i) => i * 2 ** 20);
  const cases: [Partial<SoakResult>, RegExp][] = [
    [{ unexplained: [failure] }, /1 failures that no fault explains/],
    [{ invariants: [{ name: 'one leader', fault: 'two' }] }, /not so: one leader/],
    [{ series: [{ of: 'edge 1', figure: 'rss', values: growing }] }, /rss of edge 1 grows/],
  ];
  for (const [changes, expected] of cases) {
    const result = { ...CLEAN, ...changes };
    assert.match(faultsFound(result).join(), expected);
    assert.match(reportOf(result), /, FAILED$/m);
    assert.match(reportOf(result), expected);
  }
});

test('a counter that falls within one process is found; one of the next process begins anew', () => {
  const watch = new CounterWatch();
  const types = new Map([
    ['requests_total', 'counter'],
    ['connections', 'gauge'],
  ]);
  const scrape = (total: number, open: number) => ({
    types,
    samples: new Map([
      ['requests_total{code="200"}', total],
      ['connections', open],
    ]),
  });
  watch.look(1, 100, scrape(5, 9));
  watch.look(1, 100, scrape(6, 3));
  watch.look(1, 101, scrape(1, 3));
  assert.deepEqual(watch.violations, []);
  watch.look(1, 101, scrape(0, 3));
  assert.match(watch.violations.join(), /fell from 1 to 0/);
});
