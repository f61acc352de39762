/** The published package: packed, installed into an empty folder, run as its user would, without TypeScript. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { get, requirePeer, temporaryFolder } from './harness.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The oldest Node that the package promises to run on. */
const OLDEST_NODE = 'node@24';

test('the packed package, installed into an empty folder, runs stekbal quickstart', async (t) => {
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
  const child = spawn(join(bin, 'stekbal'), ['quickstart', '--port', '0', '--tls-port', '0'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const match = /serves http:\/\/127\.0\.0\.1:(\d+)\//.exec(output);
      if (match) resolve(Number(match[1]));
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    void exited.then(() => reject(new Error(output)));
  });
  assert.match((await get(port)).body, /^backend 127\.0\.0\.1:\d+ answered GET \//);
  assert.doesNotMatch(output, /ticket callback does not work/);
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});
