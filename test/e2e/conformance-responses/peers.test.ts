/**
 * docs/conformance-responses.md: what becomes of each case, here and in nginx and HAProxy, which are asked when it is recorded.
 * After a change: `STEKBAL_RECORD=1 node --test test/e2e/conformance-responses/peers.test.ts`, and read the difference.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { simpleConfig, startSound } from '../harness.ts';
import { PROXIES, type ProxySettings, startProxy, versionOf } from '../proxies.ts';
import { type CaseBackend, caseBackend } from './case-backend.ts';
import { GROUPS } from './groups.ts';
import { observe, type Target } from './observe.ts';
import { type Column, recordedColumns, renderPage } from './page.ts';
import type { ResponseCase } from './response-case.ts';
import { type Verdict, verdictOf, worst } from './verdict.ts';

/** They hand on what they get as it comes, ask once, and wait no longer than the suite does. */
const PROXY_SETTINGS: ProxySettings = {
  nginxHttp: ['postpone_output 0;'],
  nginxServer: ' max_fails=0',
  nginxLocation: [
    ...['proxy_request_buffering off;', 'proxy_buffering off;'],
    ...['proxy_next_upstream off;', 'proxy_read_timeout 300ms;'],
  ],
  haproxyDefaults: [
    ...['http-reuse always', 'retries 0'],
    ...['timeout client 10s', 'timeout server 300ms', 'timeout connect 1s'],
  ],
};
const PAGE = new URL('../../../docs/conformance-responses.md', import.meta.url);

test('docs/conformance-responses.md has what becomes of each case', async (t) => {
  const own = await column(t, 'stekbal', async (backend) => {
    const { port } = await startSound(t, simpleConfig([backend.address], { service: ['max_fails: 0'] }));
    return { port, waitMs: 10_000, isExact: false, closeMs: 10_000 };
  });
  for (const [{ name }, verdict] of own.verdicts) assert.ok(!['cut, unseen', 'leaked'].includes(verdict), name);
  if (process.env.STEKBAL_RECORD !== undefined) writeFileSync(PAGE, renderPage(GROUPS, [own, ...(await peers(t))]));
  const page = readFileSync(PAGE, 'utf8');
  assert.equal(page, renderPage(GROUPS, [own, ...recordedColumns(page, GROUPS)]));
});

/** Their columns take a minute: most of it is time in which they wait for what the backend never sends. */
function peers(t: TestContext): Promise<Column[]> {
  for (const proxy of PROXIES) assert.notEqual(versionOf(proxy), '', `${proxy} is not installed`);
  return Promise.all(
    PROXIES.map((proxy) =>
      column(t, `${proxy} ${versionOf(proxy)}`, async (backend) => {
        const port = await startProxy(t, proxy, backend.address, PROXY_SETTINGS);
        return { port, waitMs: 600, isExact: false, closeMs: 50 };
      }),
    ),
  );
}

async function column(
  t: TestContext,
  title: string,
  start: (backend: CaseBackend) => Promise<Target>,
): Promise<Column> {
  const backend = await caseBackend(t);
  const target = await start(backend);
  const verdicts = new Map<ResponseCase, Verdict>();
  for (const { cases } of GROUPS) {
    for (const one of cases) {
      const seen: Verdict[] = [];
      for (const client of ['1.1', '1.0'] as const) {
        if (one.seen(client) !== null) seen.push(verdictOf(one, await observe(target, backend, one, client)));
      }
      verdicts.set(one, worst(seen));
    }
  }
  return { title, verdicts };
}
