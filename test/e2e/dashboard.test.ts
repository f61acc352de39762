/**
 * The dashboard in a browser, Debian's chromium, in front of the running program. No page may log an error or break its own
 * Content-Security-Policy. STEKBAL_SCREENSHOTS=FOLDER: pictures of what it looks like are left there.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Snapshot } from '../../src/admin/events.ts';
import type { EdgeStatus } from '../../src/control/status.ts';
import { clusterTest } from './cluster-harness.ts';
import { HOST } from './cluster-network.ts';
import {
  get,
  namedBackend,
  type ProgramProcess,
  requirePeer,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';

const CHROMIUM = '/usr/bin/chromium';
const SCREENSHOTS = process.env.STEKBAL_SCREENSHOTS;
const ADMIN = `admin: {address: "${HOST}:0"}`;
/** Five pages, their edges and another test file share two cores. */
const WAIT_MS = 30_000;

let browser: Promise<Browser> | null = null;

// they wait more than they work
describe('the dashboard', { concurrency: 5 }, () => {
  after(async () => (await browser)?.close());

  test('the page shows the edge and follows what it does, and an operator drains a node and rotates the keys', async (t) => {
    const nodes = await Promise.all([namedBackend(t), namedBackend(t)]);
    const [first] = nodes.map(({ address }) => address) as [string, string];
    const program = await startProgram(
      t,
      simpleConfig(
        nodes.map(({ address }) => address),
        { top: [ADMIN], workers: 2 },
      ),
    );
    const url = await adminUrl(program);
    await withPage(t, url, async (page) => {
      const status = async () => JSON.parse((await get(portOf(url), { path: '/status' })).body) as EdgeStatus;

      await page.waitForSelector('#verdict[data-worst="ok"]');
      assert.equal(await text(page, '#headline'), 'All well');
      assert.equal(await page.title(), 'edge 1 – stekbal');
      assert.deepEqual(await page.locator('#pools h3').allTextContents(), ['demo']);
      assert.deepEqual(
        await page.locator('#pools .address').allTextContents(),
        nodes.map(({ address }) => address),
      );
      assert.equal(await page.locator('#workers li').count(), 2);
      assert.match(await text(page, '#group-summary'), /this edge alone/);
      const activeId = () => text(page, '#timeline [data-stage="active"] code');
      const before = await activeId();
      assert.match(before, /^[0-9a-f]{8}$/);
      await page.waitForSelector('#timeline [data-stage="staged"]');

      const load = setInterval(() => void get(program.port).catch(() => {}), 10);
      t.after(() => clearInterval(load));
      await waitFor(page, '#rate', '[1-9]');
      await waitFor(page, '#pools .share', '[1-9]\\d* %');
      await waitFor(page, '#workers .detail b', '[1-9]');
      await shoot(page, 'desktop');

      await page.keyboard.press('/');
      await page.keyboard.type(first);
      assert.deepEqual(await page.locator('#pools .address').allTextContents(), [first]);
      assert.equal(await text(page, '#filter-result'), '1 of 2 nodes match');
      await page.fill('#filter', 'down');
      assert.equal(await page.locator('#pools .address').count(), 0);
      await page.fill('#filter', '');
      await page.click('#pools summary');
      await page.waitForSelector('#pools .address', { state: 'hidden' });
      await page.click('#pools summary');

      const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor') as Promise<string>;
      const light = await background();
      await page.click('#theme');
      assert.deepEqual([await text(page, '#theme-text'), await background()], ['light', light]);
      await page.click('#theme');
      assert.equal(await text(page, '#theme-text'), 'dark');
      assert.notEqual(await background(), light);
      await shoot(page, 'dark');
      await page.click('#theme');

      const drain = page.getByRole('button', { name: `Drain ${first}`, exact: true });
      await drain.click();
      await page.click('#confirm-no');
      assert.equal((await status()).pools[0]?.nodes[0]?.drain, false);
      await drain.click();
      assert.match(await text(page, '#confirm-text'), /In pool demo it keeps the clients/);
      await page.click('#confirm-yes');
      await page.waitForSelector('#pools [data-state="draining"]');
      await page.waitForSelector('#confirm:not([open])', { state: 'attached' });
      assert.equal((await status()).pools[0]?.nodes[0]?.drain, true);
      assert.match(await text(page, '#troubles'), /Pool demo: 1 node draining/);
      await page.getByRole('button', { name: `Undrain ${first}` }).click();
      await page.click('#confirm-yes');
      await page.waitForSelector('#pools [data-state="draining"]', { state: 'detached' });

      await page.click('#rotate');
      await page.keyboard.press('Escape');
      assert.equal(await activeId(), before);
      await page.click('#rotate');
      await page.click('#confirm-yes');
      await page.waitForSelector(`#timeline [data-stage="active"]:not(:has-text("${before}"))`);
      await page.waitForSelector(`#timeline [data-stage="retiring"]:has-text("${before}")`);

      await page.setViewportSize({ width: 360, height: 740 });
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, 'nothing is wider than a phone');
      await shoot(page, 'phone');
    });
  });

  test('where the edge falls silent the page says since when, lets nothing be changed, and recovers by itself', async (t) => {
    const { address } = await namedBackend(t);
    const program = await startProgram(t, simpleConfig([address], { top: [ADMIN] }));
    await withPage(
      t,
      await adminUrl(program),
      async (page) => {
        await page.waitForSelector('#verdict[data-worst="ok"]');
        program.child.kill('SIGSTOP');
        await page.waitForSelector('#banner', { state: 'visible' });
        assert.match(
          await text(page, '#banner'),
          /No contact with this edge\. .* All below is as of \d\d:\d\d:\d\d, \d+s ago/,
        );
        assert.match(await page.title(), /^No contact/);
        assert.deepEqual(await page.evaluate('[document.body.className, document.querySelector("main").inert]'), [
          'stale',
          true,
        ]);
        await shoot(page, 'no-contact');
        program.child.kill('SIGCONT');
        await page.waitForSelector('#banner', { state: 'hidden' });
        assert.equal(await page.evaluate('document.body.className'), '');
        program.child.kill('SIGTERM');
        await page.waitForSelector('#banner', { state: 'visible' });
        await waitFor(page, '#banner', 'No contact');
      },
      /ERR_/,
    );
  });

  test('what an edge says is shown as text, whatever it looks like, and an error of a change is shown', async (t) => {
    const { address } = await namedBackend(t);
    const program = await startProgram(t, simpleConfig([address], { top: [ADMIN] }));
    const url = await adminUrl(program);
    await withPage(
      t,
      url,
      async (page) => {
        const status = JSON.parse((await get(portOf(url), { path: '/status' })).body) as EdgeStatus;
        const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
        const node = {
          ...status.pools[0]?.nodes[0],
          address: evil,
          health: { state: 'down', isChecked: true, reason: evil, changedAtMs: 0 },
        };
        const hostile = {
          ...status,
          version: evil,
          cluster: { ...status.cluster, refusals: { [evil]: 1 } },
          keys: { ...status.keys, keys: [{ id: evil, stage: 'active', sinceMs: 0 }] },
          readiness: { isReady: false, reasons: [evil] },
          pools: [
            {
              name: evil,
              nodeCount: 2,
              counts: { up: 0, draining: 0, failing: 0, down: 2 },
              nodes: [node, { ...node, address: `${evil}2` }],
            },
          ],
          atMs: Date.now(),
          clockMs: 1,
        } as unknown as Snapshot;
        const body = `event: snapshot\ndata: ${JSON.stringify(hostile)}\n\n`;
        await page.route('**/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
        await page.reload();
        await page.waitForSelector('#verdict[data-worst="bad"]');
        assert.equal(await text(page, '#pools h3'), evil);
        assert.equal(await text(page, '#pools .address'), evil);
        assert.match(await text(page, '#about'), /<script>/);
        assert.equal(await page.locator('main img, main script, footer img, footer script').count(), 0);
        assert.match(await page.title(), /2 problems/);
        await page.locator('.action button').first().click();
        await page.click('#confirm-yes');
        await waitFor(page, '#confirm-error', 'is not a host');
      },
      /400/,
    );
  });

  test('with a token the page asks for it, and keeps it in its tab alone', async (t) => {
    const { address } = await namedBackend(t);
    const tokenFile = join(temporaryFolder(t), 'token');
    writeFileSync(tokenFile, 'right-token\n');
    const admin = `admin: {address: "${HOST}:0", token_file: ${JSON.stringify(tokenFile)}}`;
    const url = await adminUrl(await startProgram(t, simpleConfig([address], { top: [admin] })));
    assert.match((await get(portOf(url), { path: '/events' })).body, /"code":"token"/);
    await withPage(
      t,
      url,
      async (page) => {
        await page.waitForSelector('#token-form', { state: 'visible' });
        assert.equal(await page.isVisible('#main'), false);
        await page.fill('#token', 'wrong-token');
        await page.keyboard.press('Enter');
        await waitFor(page, '#token-error', 'not the token');
        await shoot(page, 'token');
        await page.fill('#token', 'right-token');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#verdict[data-worst="ok"]');
        assert.equal(await page.isVisible('#token-form'), false);
        assert.doesNotMatch(
          (await page.evaluate('JSON.stringify(localStorage) + document.cookie + location')) as string,
          /right/,
        );
        await page.click('#rotate');
        await page.click('#confirm-yes');
        await page.waitForSelector('#timeline [data-stage="retiring"]');
      },
      /401/,
    );
  });

  clusterTest(
    'of a group, the page shows who leads and who is there, and says so when a member is gone',
    { servers: 3 },
    async (t, cluster) => {
      await cluster.startAll();
      await cluster.settled();
      const url = await relay(t, cluster.file(1, 'admin.sock'));
      await withPage(t, url, async (page) => {
        await page.waitForSelector('#verdict[data-worst="ok"]');
        assert.deepEqual(await page.locator('#members b').allTextContents(), ['Server 1', 'Server 2', 'Server 3']);
        assert.equal(await text(page, '#members [data-mark="leader"] + p .tag'), 'leader');
        // the leader or not: another one is elected then
        const victim = 3;
        await cluster.kill(victim);
        await page.waitForSelector('#members [data-away="true"]');
        await waitFor(page, '#troubles', `1 server of the group not connected server ${victim} .* no majority`);
        await waitFor(page, '#headline', '^1 warning$');
        await waitFor(page, '#group-summary', 'led by server [12]');
        await shoot(page, 'one-member-down');
        await page.emulateMedia({ colorScheme: 'dark' });
        await shoot(page, 'one-member-down-dark');
      });
    },
  );
});

/** Gives `use` a page of its own at `url`; skips the test where there is no browser. `expected`: of its console errors. */
async function withPage(
  t: TestContext,
  url: string,
  use: (page: Page) => Promise<void>,
  expected?: RegExp,
): Promise<void> {
  if (!requirePeer(t, existsSync(CHROMIUM), `no ${CHROMIUM} here`)) return;
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const context = await (await browser).newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const faults: string[] = [];
    page.on('pageerror', ({ message }) => faults.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error' && expected?.test(message.text()) !== true) faults.push(message.text());
    });
    await page.goto(url);
    await use(page);
    assert.deepEqual(faults, [], 'errors of the page');
  } finally {
    await context.close();
  }
}

async function adminUrl({ logged }: ProgramProcess): Promise<string> {
  const { address } = await logged(({ msg }) => msg === 'admin API');
  return `http://${address}/`;
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

async function text(page: Page, selector: string): Promise<string> {
  return (await page.locator(selector).first().textContent()) ?? '';
}

/** Until the element's text matches. */
async function waitFor(page: Page, selector: string, pattern: string): Promise<void> {
  await page
    .locator(selector, { hasText: new RegExp(pattern) })
    .first()
    .waitFor();
}

async function shoot(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** What `ssh -L PORT:SOCKET` does. */
async function relay(t: TestContext, socketPath: string): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((here) => {
    const there = net.connect(socketPath);
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://${HOST}:${(server.address() as net.AddressInfo).port}/`;
}
