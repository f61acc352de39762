/** What a start has to load before it serves. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const FRAMEWORK = /node_modules\/(fastify|prom-client)\//;
/** Node's fetch(). */
const FETCH = 'NativeModule internal/deps/undici/undici';

test("a start loads no framework of the admin API's, which comes when it is wanted, and no fetch()", async () => {
  const { cache } = createRequire(import.meta.url);
  const loaded = () => new Set(Object.keys(cache).flatMap((file) => FRAMEWORK.exec(file)?.[1] ?? []));
  const { moduleLoadList } = process as unknown as { moduleLoadList: readonly string[] };
  await import('../../src/commands/run.ts');
  assert.deepEqual([...loaded()], []);
  assert.ok(!moduleLoadList.includes(FETCH));
  await import('../../src/admin/app.ts');
  assert.deepEqual([...loaded()].sort(), ['fastify', 'prom-client']);
  await import('node:http');
  assert.ok(moduleLoadList.includes(FETCH));
});
