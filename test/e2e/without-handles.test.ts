/**
 * The documented way: on a Node whose streams are not as workers/stream-binding.ts expects them (Node 24, for one), connections
 * are served through net.Socket. The tests of the data path hold there, too.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('where the parts of Node’s streams cannot be had, the data path does all it does elsewhere', () => {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const preload = `data:text/javascript,${encodeURIComponent("process.binding = () => { throw new Error('none') };")}`;
  const env = { ...inherited, NODE_OPTIONS: `--import ${preload}` };
  const run = (...args: string[]) => spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  const binding = JSON.stringify(new URL('../../workers/stream-binding.ts', import.meta.url).href);
  assert.equal(
    run('--input-type=module', '-e', `console.log((await import(${binding})).STREAM_BINDING)`).stdout,
    'null\n',
  );
  const { status, stdout } = run('--test', fileURLToPath(new URL('proxy.test.ts', import.meta.url)));
  assert.equal(status, 0, stdout);
});
