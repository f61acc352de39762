/** What a review of the running program found. Each of these failed before its fix. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exchange, get, namedBackend, runToEnd, simpleConfig, startSound, temporaryFolder } from '../e2e/harness.ts';

test('a Host that could be read as another is refused, and leads to no service', async (t) => {
  const [secret, rest] = [await namedBackend(t), await namedBackend(t)];
  const yaml = `
workers: 1
listeners: [{address: "127.0.0.1:0", service: rest, hosts: {secret.example: secret}}]
pools: {secret: {nodes: ["${secret.address}"]}, rest: {nodes: ["${rest.address}"]}}
services: {secret: {pool: secret}, rest: {pool: rest}}
`;
  const { port } = await startSound(t, yaml);
  for (const host of [
    'secret.example:80:90',
    'secret.example:x',
    'secret.example,a',
    '[secret.example',
    'secret.example..',
  ]) {
    assert.match(await exchange(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), /^HTTP\/1\.1 400 /, host);
  }
  assert.equal((await get(port, { headers: { Host: 'Secret.example.:80' } })).body, secret.address);
});

test('an empty line after a request does not make an idle connection end in 408', async (t) => {
  const backend = await namedBackend(t);
  const { port } = await startSound(
    t,
    simpleConfig([backend.address], {
      service: ['persist_client_idle_timeout: 300ms'],
      top: ['limits: {header_timeout: 2s}'],
    }),
  );
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n');
  assert.ok(answer.endsWith(backend.address), answer);
});

test('told to stop while it starts, the program ends with 0', async (t) => {
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, simpleConfig(['127.0.0.1:1'], { workers: 4 }));
  for (const afterMs of [150, 200, 250, 300, 350]) {
    const { code, stderr } = await runToEnd(['run', '-c', file], { termAfterMs: afterMs });
    // before its first line there is no handler yet, and the signal itself ends it
    assert.ok(code === 0 || code === null, `after ${afterMs} ms: ${code} ${stderr}`);
  }
});

test('quickstart says what is wrong with its port, without a stack trace', async () => {
  const { code, stderr } = await runToEnd(['quickstart', '--port', 'abc']);
  assert.equal(code, 64);
  assert.match(stderr, /--port .*'abc' is invalid\. It takes a number from 0 to 65535/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});
