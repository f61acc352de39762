/**
 * `stekbal convert` as its user meets it: the configuration of SessionAffinity's documentation is converted, checked and
 * run, and the cookies are those that Perlbal gave. The ids come from coreutils' sha1sum.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';
import {
  type Backend,
  get,
  MAIN,
  namedBackend,
  type Program,
  runToEnd,
  startProgram,
  temporaryFolder,
} from './harness.ts';

const FIXTURES = fileURLToPath(new URL('../config/convert/fixtures/', import.meta.url));
const SYNOPSIS = readFileSync(`${FIXTURES}perlbal/session-affinity.conf`, 'utf8');

test("SessionAffinity's synopsis, converted and run, is sticky with the ids that Perlbal gave", async (t) => {
  const { program, backends } = await convertAndRun(t, '');
  const seen = new Set<string>();
  for (let visitor = 0; visitor < 12; visitor++) {
    const first = await get(program.port);
    seen.add(first.body);
    const cookie = `X-SERVERID=${sha1(first.body)}`;
    assert.equal(first.headers['set-cookie']?.[0]?.split(';')[0], cookie);
    for (let i = 0; i < 5; i++) {
      const again = await get(program.port, { headers: { Cookie: `other=1; ${cookie}` } });
      assert.deepEqual([again.body, again.headers['set-cookie']], [first.body, undefined]);
    }
  }
  assert.ok(seen.size > 1);
  for (const { address } of backends) {
    const { body } = await get(program.port, { headers: { Cookie: `X-SERVERID=${sha1(address)}` } });
    assert.equal(body, address);
  }
});

test('so is one with a salt and a name for the cookie', async (t) => {
  const lines = 'AFFINITY_COOKIE_HEADER = SRV\naffinity_use_salt = yes\naffinity_salt = helloworld\n';
  const { program, backends } = await convertAndRun(t, lines);
  for (const { address } of backends) {
    const cookie = `SRV=${sha1(`helloworld${address}`)}`;
    const { body, headers } = await get(program.port, { headers: { Cookie: cookie } });
    assert.deepEqual([body, headers['set-cookie']], [address, undefined]);
    const without = await get(program.port, { headers: { Cookie: `SRV=${sha1(address)}` } });
    assert.equal(without.headers['set-cookie']?.[0]?.split(';')[0], `SRV=${sha1(`helloworld${without.body}`)}`);
  }
});

test('in domain mode the Host header chooses the node, and there is no cookie', async (t) => {
  const { program, backends } = await convertAndRun(t, 'affinity_use_domain = 1\n');
  const sorted = backends.map(({ address }) => address).toSorted();
  for (const host of ['a.example', 'www.b.example:8080', 'C']) {
    const sum = Buffer.from(host).reduce((total, code) => total + code, 0);
    const { body, headers } = await get(program.port, { headers: { Host: host } });
    assert.deepEqual([body, headers['set-cookie']], [sorted[sum % sorted.length], undefined]);
  }
});

test('warnings go to stderr and the result to stdout; --strict makes them an exit code', async () => {
  const file = `${FIXTURES}perlbal/old-style.conf`;
  const [plain, strict, clean] = await Promise.all([
    runToEnd(['convert', file]),
    runToEnd(['convert', '--strict', file]),
    runToEnd(['convert', '--strict', `${FIXTURES}perlbal/session-affinity.conf`]),
  ]);
  assert.equal(plain.code, 0);
  assert.match(plain.stdout, /^services:$/m);
  assert.ok(
    plain.stderr
      .split('\n')
      .includes(
        `${file}:8:1: warning: connect_ahead has no counterpart: connections are kept rather than made ahead (backend_persist_cache)`,
      ),
  );
  assert.deepEqual([strict.code, strict.stdout], [1, plain.stdout]);
  assert.deepEqual([clean.code, clean.stderr], [0, '']);
});

test('stdin is read, and what cannot be read exits 78 with nothing on stdout', async () => {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'convert', '-'], { input: SYNOPSIS, encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /stdin:8-16: service balancer/);
  const [missing, neither, wrong] = await Promise.all([
    runToEnd(['convert', `${FIXTURES}none.conf`]),
    runToEnd(['convert', `${FIXTURES}trafficserver/prose.conf`]),
    runToEnd(['convert', '--from', 'nginx', '-']),
  ]);
  assert.deepEqual([missing.code, missing.stdout], [78, '']);
  assert.match(missing.stderr, /none\.conf cannot be read: there is no such file/);
  assert.deepEqual([neither.code, neither.stdout], [78, '']);
  assert.equal(wrong.code, 64);
});

/** From coreutils, not from the code under test. */
function sha1(text: string): string {
  return execFileSync('sha1sum', { input: text, encoding: 'utf8' }).slice(0, 40);
}

/** The synopsis with `lines` behind its LOAD and its addresses replaced by ones of this machine, as it runs. */
async function convertAndRun(t: TestContext, lines: string): Promise<{ program: Program; backends: Backend[] }> {
  const backends = [await namedBackend(t), await namedBackend(t), await namedBackend(t)];
  let text = SYNOPSIS.replace('LOAD SessionAffinity\n', `$&${lines}`).replace('0.0.0.0:80', '127.0.0.1:0');
  for (const [i, { address }] of backends.entries()) text = text.replace(`10.20.20.10${i}`, address);
  const folder = temporaryFolder(t);
  const [perlbal, yaml] = [join(folder, 'perlbal.conf'), join(folder, 'stekbal.yaml')];
  writeFileSync(perlbal, text);
  const converted = await runToEnd(['convert', perlbal]);
  assert.deepEqual([converted.code, converted.stderr], [0, '']);
  writeFileSync(yaml, converted.stdout);
  assert.deepEqual(loadConfig(yaml).diagnostics, []);
  return { program: await startProgram(t, converted.stdout), backends };
}
