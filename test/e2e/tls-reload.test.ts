/** The program reads its certificates anew while it serves. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type tls from 'node:tls';
import { createAuthority } from '../cluster/certificates.ts';
import { eventually, namedBackend, runToEnd, simpleConfig, startProgram } from './harness.ts';
import { connectTo, fingerprint, newSite, shown } from './site.ts';
import { visit } from './tls-client.ts';

const authority = createAuthority();
const SITES = ['a', 'b'];
const REQUEST = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';

test('a renewed certificate is shown to new connections by every thread, and open connections go on', async (t) => {
  const { address } = await namedBackend(t);
  const site = servedSite(t, address);
  const program = await startProgram(t, site.yaml({ workers: 2 }), true);
  const before = new Map(site.leaves);
  for (const name of SITES) assert.equal(await shown(program, name), fingerprint(before.get(name)));
  const open = await connectTo(program, 'a');
  assert.match(await answer(open), new RegExp(address));

  site.write('a');
  await program.reload(site.yaml({ workers: 2 }));
  const renewed = fingerprint(site.leaves.get('a'));
  await eventually(async () => {
    const all = await Promise.all(Array.from({ length: 16 }, () => shown(program, 'a')));
    return all.every((one) => one === renewed);
  }, 'the renewed certificate');
  assert.equal(await shown(program, 'b'), fingerprint(before.get('b')));
  assert.match(await answer(open), new RegExp(address));
  open.destroy();

  program.chaos('terminate');
  await program.logged(({ msg }) => msg === 'listener thread replaced');
  const all = await Promise.all(Array.from({ length: 16 }, () => shown(program, 'a')));
  assert.deepEqual(new Set(all), new Set([renewed]));
});

test('a broken key changes nothing, and what is wrong is said where the key is named', async (t) => {
  const { address } = await namedBackend(t);
  const site = servedSite(t, address);
  const program = await startProgram(t, site.yaml());
  const before = new Map(site.leaves);
  site.write('a');
  writeFileSync(join(site.folder, 'b.key'), site.leaves.get('a')?.key ?? '');
  program.child.kill('SIGHUP');
  await program.logged(({ msg }) => msg === 'reload refused: the configuration has errors; nothing was changed');
  const fault = program.log.find(({ level }) => level === 50)?.msg ?? '';
  assert.ok(fault.startsWith(`${program.configFile}:2:`), fault);
  assert.match(fault, /key_file: .*b\.key does not belong to the certificate in .*b\.crt; /);
  for (const name of SITES) assert.equal(await shown(program, name), fingerprint(before.get(name)));
  assert.ok(!/PRIVATE KEY/.test(program.text()));
});

test('clients are asked for a certificate from the reload on, and no session from before it gets around that', async (t) => {
  const { address } = await namedBackend(t);
  const site = servedSite(t, address);
  const program = await startProgram(t, site.yaml());
  const version = 'TLSv1.2';
  const { session, answer } = await visit(program.port, { version, servername: 'a.example' });
  assert.match(answer, new RegExp(address));
  writeFileSync(join(site.folder, 'ca.crt'), authority.certificate);
  await program.reload(site.yaml({ tls: [`client_ca_file: ${join(site.folder, 'ca.crt')}`] }));
  const visits = (options: object) => visit(program.port, { version, servername: 'a.example', ...options });
  await eventually(
    () =>
      visits({ session }).then(
        () => false,
        () => true,
      ),
    'a refusal',
  );
  const { certificate: cert, key } = authority.issue('/CN=client');
  const known = await visits({ session, cert, key });
  assert.equal(known.isReused, false);
  assert.match(known.answer, new RegExp(address));
});

test('an expired certificate stops no start, and fails a check', async (t) => {
  const { address } = await namedBackend(t);
  const site = servedSite(t, address);
  site.write('b', new Date(Date.now() - 1_000));
  const program = await startProgram(t, site.yaml());
  assert.match(program.text(), /:2:\d+: warning: cert_file: .*b\.crt holds a certificate that expired on .*; renew it/);
  for (const name of SITES) assert.equal(await shown(program, name), fingerprint(site.leaves.get(name)));
  const { code, stderr } = await runToEnd(['check', '-c', program.configFile]);
  assert.equal(code, 78);
  assert.match(stderr, /:2:\d+: cert_file: .*b\.crt holds a certificate that expired on/);
});

/** Certificates for a.example and b.example, and the configuration of a listener that shows them. */
function servedSite(t: TestContext, node: string) {
  const site = newSite(t, SITES, authority);
  const yaml = ({ tls = [] as readonly string[], workers = 1 } = {}) =>
    simpleConfig([node], { workers, listeners: [site.listener(...tls)] });
  return { ...site, yaml };
}

/** What is answered to a request on this connection. */
async function answer(socket: tls.TLSSocket): Promise<string> {
  socket.write(REQUEST);
  let text = '';
  while (!/\r\n\r\n127\.0\.0\.1:\d+/.test(text)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
  }
  return text;
}
