/** The published package: packed, installed into an empty folder, run as its user would, without TypeScript. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { get, namedBackend, requirePeer, simpleConfig, temporaryFolder } from './harness.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The oldest Node that the package promises to run on. */
const OLDEST_NODE = 'node@24';

test('the packed package, installed into an empty folder, runs, shows its dashboard and reloads', async (t) => {
  const folder = temporaryFolder(t);
  await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true,"allowScripts":{"node":true}}');
  const onOldest = process.env.STEKBAL_REQUIRE_PEERS === '1';
  const args = [
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    `./${tarball}`,
    ...(onOldest ? [OLDEST_NODE] : []),
  ];
  const problem = await run('npm', args, { cwd: folder }).then(
    () => '',
    (error: Error) => error.message,
  );
  if (!requirePeer(t, problem === '', `npm cannot install the dependencies here: ${problem.slice(0, 200)}`)) return;

  const bin = join(folder, 'node_modules/.bin');
  const nodeFolder = onOldest ? bin : dirname(process.execPath);
  const env = { ...process.env, PATH: `${nodeFolder}:${process.env.PATH}` };
  const start = (args: readonly string[]) => startPacked(t, join(bin, 'stekbal'), args, env);

  const { address } = await namedBackend(t);
  const taken = start(['quickstart', '--port', '0', '--tls-port', '0', '--admin-port', address.split(':')[1] ?? '']);
  assert.deepEqual(await once(taken.child, 'close'), [1, null]);
  assert.match(taken.output(), /admin: cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE.*\nother ports: /);

  const quickstart = start(['quickstart', '--port', '0', '--tls-port', '0', '--admin-port', '0']);
  const port = Number(await quickstart.said(/serves http:\/\/127\.0\.0\.1:(\d+)\//));
  assert.match((await get(port)).body, /^backend 127\.0\.0\.1:\d+ answered GET \//);
  const dashboard = Number(await quickstart.said(/http:\/\/127\.0\.0\.1:(\d+)\/ +the dashboard/));
  assert.match((await get(dashboard)).headers['content-type'] ?? '', /^text\/html/);
  assert.doesNotMatch(quickstart.output(), /ticket callback does not work/);
  await quickstart.end();

  const file = join(folder, 'edge.yaml');
  const yaml = (workers: number) => simpleConfig([address], { workers, top: ['admin: {address: "127.0.0.1:0"}'] });
  writeFileSync(file, yaml(1));
  const edge = start(['run', '-c', file]);
  const [served, admin] = await Promise.all([
    edge.said(/"addresses":\["127\.0\.0\.1:(\d+)"\]/),
    edge.said(/"address":"127\.0\.0\.1:(\d+)","msg":"admin API"/),
  ]);
  const { headers, body } = await get(Number(admin), { path: '/' });
  const assets = [...body.matchAll(/(?:src|href)="(dashboard\/[^"]+)"/g)].map(([, path]) => `/${path}`);
  assert.match(headers['content-type'] ?? '', /^text\/html/);
  assert.ok(assets.length >= 2);
  for (const path of assets) assert.equal((await get(Number(admin), { path })).status, 200, path);
  // also where descriptors cannot be duplicated: Node 24 has no node:ffi
  for (const workers of [3, 1, 2]) {
    writeFileSync(file, yaml(workers));
    edge.child.kill('SIGHUP');
    await edge.said(/"msg":"reloaded"/);
    for (let i = 0; i < 6; i++) assert.equal((await get(Number(served))).body, address);
  }
  await edge.end();
});

/** A program of the package. `said` resolves to what the first group matches in what it has yet to write, or wrote. */
function startPacked(t: TestContext, command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  let output = '';
  let seen = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
      seen += chunk;
      for (const watcher of watchers) watcher();
    });
  }
  const said = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(seen);
        if (match === null) return;
        watchers.delete(look);
        // the same line does not answer twice
        if (match[1] === undefined) seen = seen.slice(match.index + match[0].length);
        resolve(match[1] ?? '');
      };
      watchers.add(look);
      void exited.then(() => reject(new Error(output)));
      look();
    });
  const end = async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  };
  return { child, said, output: () => output, end };
}
