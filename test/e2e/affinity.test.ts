import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  get,
  httpBackend,
  namedBackend,
  type Program,
  requirePeer,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';

const run = promisify(execFile);

function hasCommand(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`]);
    return true;
  } catch {
    return false;
  }
}

/** From coreutils, not from the code under test. */
function sha1(text: string): string {
  return execFileSync('sha1sum', { input: text, encoding: 'utf8' }).slice(0, 40);
}

/** The affinity cookie that a first request is given, and the backend that answered it. */
async function firstVisit(program: Program): Promise<{ id: string; backend: string }> {
  const { headers, body } = await get(program.port);
  return { id: /X-SERVERID=([0-9a-f]+)/.exec(headers['set-cookie']?.[0] ?? '')?.[1] ?? '', backend: body };
}

const affinity = { service: ['affinity: yes'] };

test('curl with a cookie jar: 100 requests, one node, Set-Cookie once, and its value is the SHA-1 of ip:port', async (t) => {
  if (!requirePeer(t, hasCommand('curl'), 'curl is not installed')) return;
  const backends = [await namedBackend(t), await namedBackend(t), await namedBackend(t)];
  const { port } = await startProgram(
    t,
    simpleConfig(
      backends.map((b) => b.address),
      { ...affinity, workers: 2 },
    ),
  );
  const folder = temporaryFolder(t);
  const [jar, heads] = [join(folder, 'jar'), join(folder, 'heads')];
  let bodies = '';
  for (let i = 0; i < 100; i++) {
    const args = ['-s', '-b', jar, '-c', jar, '-D', `${heads}${i}`, '-w', '\n', `http://127.0.0.1:${port}/`];
    bodies += (await run('curl', args)).stdout;
  }
  const answeredBy = new Set(bodies.trim().split('\n'));
  assert.equal(answeredBy.size, 1);
  const setCookies = Array.from({ length: 100 }, (_, i) => readFileSync(`${heads}${i}`, 'utf8'))
    .join('')
    .match(/^Set-Cookie:.*$/gim);
  assert.deepEqual(setCookies, [`Set-Cookie: X-SERVERID=${sha1([...answeredBy][0] ?? '')}; path=/; HttpOnly`]);
});

test('when a node leaves the pool, its client gets another node and a new cookie', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t)];
  const program = await startProgram(
    t,
    simpleConfig(
      backends.map((b) => b.address),
      affinity,
    ),
  );
  const { id, backend } = await firstVisit(program);
  const others = backends.map((b) => b.address).filter((address) => address !== backend);
  await program.reload(simpleConfig(others, affinity));
  const { headers, body } = await get(program.port, { headers: { Cookie: `X-SERVERID=${id}` } });
  assert.equal(body, others[0]);
  assert.match(headers['set-cookie']?.[0] ?? '', new RegExp(`^X-SERVERID=${sha1(body)};`));
});

test('two programs with one configuration agree on every id, with a salt and without', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t), await namedBackend(t)];
  const addresses = backends.map((b) => b.address);
  for (const salt of ['', 'helloworld']) {
    const service = [
      'affinity: yes',
      'balance: round_robin',
      ...(salt ? ['affinity_use_salt: yes', `affinity_salt: ${salt}`] : []),
    ];
    const [one, two] = [
      await startProgram(t, simpleConfig(addresses, { service })),
      await startProgram(t, simpleConfig(addresses, { service })),
    ];
    for (let i = 0; i < 3; i++) {
      const { id, backend } = await firstVisit(one);
      assert.equal(id, sha1(salt + backend));
      const elsewhere = await get(two.port, { headers: { Cookie: `other=1; X-SERVERID=${id}` } });
      assert.equal(elsewhere.body, backend);
      assert.equal(elsewhere.headers['set-cookie'], undefined);
    }
  }
});

test("the backend's own cookies are kept beside the affinity cookie", async (t) => {
  const backend = await httpBackend(t, (_, response) => response.setHeader('Set-Cookie', ['a=1', 'b=2']).end());
  const { port } = await startProgram(t, simpleConfig([backend.address], affinity));
  const { headers } = await get(port);
  assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2', `X-SERVERID=${sha1(backend.address)}; path=/; HttpOnly`]);
});

test('cookie attributes are as configured', async (t) => {
  const backend = await namedBackend(t);
  const service = [
    'affinity: yes',
    'affinity_cookie_header: SRV',
    'affinity_cookie_secure: yes',
    'affinity_cookie_same_site: None',
    'affinity_cookie_max_age: 1h',
    'affinity_cookie_partitioned: yes',
  ];
  const { port } = await startProgram(t, simpleConfig([backend.address], { service }));
  const { headers } = await get(port);
  const expected = `SRV=${sha1(backend.address)}; path=/; Max-Age=3600; Secure; HttpOnly; SameSite=None; Partitioned`;
  assert.deepEqual(headers['set-cookie'], [expected]);
});

test('domain mode chooses by the Host header, sets no cookie and ignores one', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t), await namedBackend(t)];
  const addresses = backends.map((b) => b.address);
  const { port } = await startProgram(
    t,
    simpleConfig(addresses, { service: ['affinity: yes', 'affinity_use_domain: yes'] }),
  );
  const sorted = addresses.toSorted();
  for (const host of ['a.example', 'b.example', 'www.c.example:8080', 'D']) {
    const index = [...host].reduce((sum, c) => sum + c.charCodeAt(0), 0) % sorted.length;
    const cookie = `X-SERVERID=${sha1(sorted[(index + 1) % 3] ?? '')}`;
    const { headers, body } = await get(port, { headers: { Host: host, Cookie: cookie } });
    assert.equal(body, sorted[index]);
    assert.equal(headers['set-cookie'], undefined);
  }
});

test('clients without a cookie spread over the nodes by weight', async (t) => {
  const [light, heavy] = [await namedBackend(t), await namedBackend(t)];
  const nodes = [light.address, `{address: "${heavy.address}", weight: 3}`];
  const { port } = await startProgram(t, simpleConfig(nodes, { service: ['balance: round_robin'] }));
  let toHeavy = 0;
  for (let i = 0; i < 40; i++) if ((await get(port)).body === heavy.address) toHeavy++;
  assert.equal(toHeavy, 30);
});
