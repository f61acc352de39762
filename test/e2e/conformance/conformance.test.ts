/**
 * HTTP/1.1 by the letter, as an attacker spells it: raw bytes to the running program, and a backend that records raw bytes.
 * Each case is refused, or forwarded in one meaning only, however its bytes arrive. STEKBAL_CONFORMANCE=all splits every
 * case at every offset; else each run of the suite takes a share of them.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PLAIN_LISTENER, type Program, requirePeer, simpleConfig, startSound } from '../harness.ts';
import { PROXIES, type ProxyName, type ProxySettings, startProxy, versionOf } from '../proxies.ts';
import { newSite } from '../site.ts';
import { beliefComplaints, believedByTag } from './believed.ts';
import type { Case } from './case.ts';
import { CASES } from './cases/index.ts';
import { llhttpComplaints } from './node-reading.ts';
import { groupsOf, ownRow, type PeerResults, renderPage, treatmentOf } from './page.ts';
import { type RecordingBackend, recordingBackend } from './recording-backend.ts';
import { type Outcome, type Run, runAll } from './runner.ts';
import { arrivals, complaints } from './verdict.ts';

const isLong = process.env.STEKBAL_CONFORMANCE === 'all';
/** One offset of so many is tried in a short run. */
const SHARE = 8;
/** In a short run, into how many pieces at most a case is cut. */
const PIECES_MAX = 300;
const PAGE = new URL('../../../docs/conformance.md', import.meta.url);

const LIMITS = 'limits: {max_head_size: 1KiB, max_target_size: 256B, max_headers: 32, header_timeout: 1m}';

/** As a user would configure them. */
const PROXY_SETTINGS: ProxySettings = {
  nginxLocation: ['proxy_set_header Host $host;', 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;'],
  haproxyDefaults: ['option forwardfor', ...['client', 'server', 'connect'].map((side) => `timeout ${side} 10s`)],
};
const TITLES: Readonly<Record<ProxyName, string>> = { nginx: 'nginx', haproxy: 'HAProxy' };

interface Bench {
  readonly program: Program;
  readonly backend: RecordingBackend;
  readonly accessLog: string;
}

/** The program with a plain listener and one with TLS. */
async function bench(t: TestContext): Promise<Bench> {
  const backend = await recordingBackend(t);
  const site = newSite(t);
  const accessLog = join(site.folder, 'access.log');
  const yaml = simpleConfig([backend.address], {
    top: [LIMITS, `access_log: ${accessLog}`],
    listeners: [PLAIN_LISTENER, site.listener()],
    // no connection to the backend ends for another reason than what came over it
    service: ['backend_persist_cache: 1000', 'backend_idle_timeout: 10m'],
  });
  return { program: await startSound(t, yaml), backend, accessLog };
}

/** Runs them all; the outcomes, where nothing is wrong with any. */
async function check(t: TestContext, runs: readonly Run[], isTls = false): Promise<Outcome[]> {
  const { program, backend, accessLog } = await bench(t);
  const readsBefore = readsOf(program);
  const port = program.ports[isTls ? 1 : 0] as number;
  const outcomes = await runAll(runs, { port, knowsProxy: true, isTls });
  const pieces = outcomes.reduce((sum, { sent }) => sum + sent, 0);
  const reads = readsOf(program) - readsBefore;
  t.diagnostic(`${runs.length} runs, ${pieces} pieces, ${reads} reads by the program`);
  if (!isTls) assert.ok(reads > pieces * 0.95, 'pieces arrive one by one');
  program.child.kill('SIGTERM');
  await program.exited;
  const byTag = arrivals(backend.recorded);
  const believed = believedByTag(accessLog);
  const failed = outcomes.flatMap((outcome) => {
    const arrived = byTag.get(outcome.tag);
    const wrong = complaints(outcome, arrived);
    return described(outcome, [...wrong, ...beliefComplaints(outcome, arrived, believed.get(outcome.tag))]);
  });
  const strangers = (byTag.get('untagged')?.requests ?? []).filter(({ target }) => target !== '/barrier');
  assert.deepEqual([...failed, ...strangers, ...backend.recorded.flatMap(llhttpComplaints)], []);
  return outcomes;
}

function readsOf({ pid }: Program): number {
  return Number(/syscr: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

function described({ run }: Outcome, wrong: readonly string[]): string[] {
  return wrong.map((what) => `${run.case.group}: ${run.case.name} [${run.cuts}]: ${what}`);
}

function whole(c: Case): Run {
  return { case: c, cuts: [] };
}

function throughTls(c: Case): Case {
  const text = JSON.stringify(c.expected).replaceAll('"x-forwarded-proto":"http"', '"x-forwarded-proto":"https"');
  return { ...c, expected: JSON.parse(text) as Case['expected'] };
}

function offsets({ bytes }: Case): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1);
}

function splits(c: Case, i: number): Run[] {
  return offsets(c)
    .filter((offset) => isLong || (offset + i) % SHARE === 0)
    .map((offset) => ({ case: c, cuts: [offset] }));
}

/** Those that are long come in pieces of so many bytes that they take no longer than the others. */
function byteByByte(c: Case): Run {
  const stride = isLong ? 1 : Math.ceil(c.bytes.length / PIECES_MAX);
  return { case: c, cuts: offsets(c).filter((offset) => offset % stride === 0) };
}

test('each case is refused or forwarded as it must be', async (t) => {
  await check(t, CASES.map(whole));
});

test('and the same wherever its bytes are cut in two', async (t) => {
  await check(t, CASES.flatMap(splits));
});

test('and byte by byte', async (t) => {
  await check(t, CASES.map(byteByByte));
});

test('and over TLS', async (t) => {
  await check(t, CASES.map(throughTls).map(whole), true);
});

test('no two cases of a group have the same name or the same bytes', () => {
  for (const cases of groupsOf(CASES).values()) {
    for (const texts of [cases.map((c) => c.name), cases.map((c) => `${c.bytes} ${c.halfCloses}`)]) {
      assert.deepEqual(
        texts.filter((text, i) => texts.indexOf(text) !== i),
        [],
      );
    }
  }
});

test('docs/conformance.md counts the cases as they are, and all of them as passed', async (t) => {
  if (process.env.STEKBAL_RECORD !== undefined) {
    const peers: PeerResults[] = [];
    for (const proxy of PROXIES) peers.push(await resultsOf(t, proxy));
    writeFileSync(PAGE, renderPage(CASES, peers));
  }
  const page = readFileSync(PAGE, 'utf8');
  for (const [group, cases] of groupsOf(CASES)) assert.ok(page.includes(ownRow(group, cases, cases.length)), group);
  assert.ok(page.includes(ownRow('**all**', CASES, CASES.length)));
});

for (const proxy of PROXIES) {
  test(`${TITLES[proxy]} answers the same cases, each in some way`, async (t) => {
    if (!requirePeer(t, versionOf(proxy) !== '', `needs ${proxy}`)) return;
    const { treatments } = await resultsOf(t, proxy);
    const all = [...treatments.values()].map(({ treatment }) => treatment);
    t.diagnostic(
      JSON.stringify(
        Object.groupBy(all, (one) => one),
        (_, v) => (Array.isArray(v) ? v.length : v),
      ),
    );
    assert.equal(all.length, CASES.length);
    assert.ok(all.filter((one) => one === 'forwarded').length > CASES.length / 10, 'it serves');
    assert.ok(all.filter((one) => one === 'refused').length > CASES.length / 10, 'it refuses');
  });
}

async function resultsOf(t: TestContext, proxy: ProxyName): Promise<PeerResults> {
  const backend = await recordingBackend(t);
  const port = await startProxy(t, proxy, backend.address, PROXY_SETTINGS);
  const outcomes = await runAll(CASES.map(whole), { port, knowsProxy: false });
  const byTag = arrivals(backend.recorded);
  const treatments = new Map(
    outcomes.map((outcome) => [outcome.run.case, treatmentOf(outcome, byTag.get(outcome.tag))]),
  );
  return { name: TITLES[proxy], version: versionOf(proxy), treatments };
}
