/** Nodes that have names, through the running program and a real name server. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  eventually,
  get,
  namedBackend,
  type ProgramProcess,
  requirePeer,
  servicesConfig,
  servingPorts,
  spawnProgram,
  temporaryFolder,
} from './harness.ts';
import { type NameServer, startNameServer } from './name-server.ts';

const REASON = 'no namespace of its own, or port 53 of 127.0.0.153 is not to be had';

async function start(t: TestContext, { by }: NameServer, yaml: string): Promise<{ program: ProgramProcess; ask: Ask }> {
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, yaml);
  const program = spawnProgram(t, file, { by });
  const [port = 0] = await servingPorts(program);
  return { program, ask: (host) => get(port, { headers: { Host: host } }) };
}
type Ask = (host: string) => ReturnType<typeof get>;

test('names whose servers are silent hold up no other: those that are known serve on, and none is looked up twice at a time', async (t) => {
  const server = await startNameServer(t);
  if (!requirePeer(t, server !== null, REASON) || server === null) return;
  const backend = await namedBackend(t);
  server.names.set('good.test', ['127.0.0.1']);
  const silent = ['one.test', 'two.test', 'three.test', 'four.test'];
  for (const name of silent) server.names.set(name, 'silent');
  // each request connects, and so asks for the address
  const lines = ['persist_backend: no', 'connect_timeout: 2s', 'max_fails: 0', 'retries: 0'];
  const services = Object.fromEntries(silent.map((name) => [name, { nodes: [`${name}:80`], lines }]));
  const good = { nodes: [`good.test:${backend.port}`], lines };
  const { program, ask } = await start(t, server, servicesConfig({ ...services, 'good.test': good }));
  assert.equal((await ask('good.test')).body, backend.address);

  const hung = silent.flatMap((name) => Array.from({ length: 10 }, () => ask(name)));
  await Promise.race(hung.slice(0, 10));
  for (let i = 0; i < 20; i++) assert.equal((await ask('good.test')).status, 200);
  for (const { status } of await Promise.all(hung)) assert.equal(status, 504);
  // the others wait until one of two is given up by the system
  assert.equal(server.asked.length, 3);
  assert.equal(new Set(server.asked).size, 3, 'good.test, and two of those that are silent');
  const { name, reason, addresses } = await program.logged(({ msg }) => msg === 'name cannot be looked up');
  assert.deepEqual([silent.includes(`${name}`), reason, addresses], [true, 'ETIMEOUT', 0]);
});

test('a name that does not exist is 502, and is said; one of several addresses takes the place of one that refuses', async (t) => {
  const server = await startNameServer(t);
  if (!requirePeer(t, server !== null, REASON) || server === null) return;
  const backend = await namedBackend(t);
  // nothing listens on the backend's port of the first
  server.names.set('several.test', ['127.0.0.77', '127.0.0.1']);
  const services = {
    'several.test': { nodes: [`several.test:${backend.port}`] },
    'gone.test': { nodes: [`gone.test:${backend.port}`], lines: ['retries: 0'] },
  };
  const { program, ask } = await start(t, server, servicesConfig(services));
  assert.equal((await ask('several.test')).body, backend.address);
  assert.equal((await ask('gone.test')).status, 502);
  const { name, reason } = await program.logged(({ msg }) => msg === 'name cannot be looked up');
  assert.deepEqual([name, reason], ['gone.test', 'ENOTFOUND']);
  server.names.set('gone.test', ['127.0.0.1']);
  await eventually(async () => (await ask('gone.test')).status === 200, 'it is tried again by itself');
});
