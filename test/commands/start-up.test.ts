/** What a start has to load before it serves. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const FRAMEWORK = /node_modules\/(fastify|prom-client)\//;

test("a start loads no framework of the admin API's: that comes when it is wanted", async () => {
  const { cache } = createRequire(import.meta.url);
  const loaded = () => new Set(Object.keys(cache).flatMap((file) => FRAMEWORK.exec(file)?.[1] ?? []));
  await import('../../src/commands/run.ts');
  assert.deepEqual([...loaded()], []);
  await import('../../src/admin/app.ts');
  assert.deepEqual([...loaded()].sort(), ['fastify', 'prom-client']);
});
