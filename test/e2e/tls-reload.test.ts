/** The program reads its certificates anew while it serves. */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { createAuthority, type Leaf } from '../cluster/certificates.ts';
import {
  eventually,
  namedBackend,
  type Program,
  runToEnd,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { visit } from './tls-client.ts';

const authority = createAuthority();
const SITES = ['a', 'b'];
const REQUEST = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';

test('a renewed certificate is shown to new connections by every thread, and open connections go on', async (t) => {
  const { address } = await namedBackend(t);
  const site = newSite(t, address);
  const program = await startProgram(t, site.yaml({ workers: 2 }), true);
  const before = new Map(site.leaves);
  for (const name of SITES) assert.equal(await shown(program, name), fingerprint(before.get(name)));
  const open = await connect(program, 'a');
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
  const site = newSite(t, address);
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
  const site = newSite(t, address);
  const program = await startProgram(t, site.yaml());
  const version = 'TLSv1.2';
  const { session, answer } = await visit(program.port, { version, servername: 'a.example' });
  assert.match(answer, new RegExp(address));
  writeFileSync(join(site.folder, 'ca.crt'), authority.certificate);
  await program.reload(site.yaml({ tls: `, client_ca_file: ${join(site.folder, 'ca.crt')}` }));
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
  const site = newSite(t, address);
  site.write('b', new Date(Date.now() - 1_000));
  const program = await startProgram(t, site.yaml());
  assert.match(program.text(), /:2:\d+: warning: cert_file: .*b\.crt holds a certificate that expired on .*; renew it/);
  for (const name of SITES) assert.equal(await shown(program, name), fingerprint(site.leaves.get(name)));
  const { code, stderr } = await runToEnd(['check', '-c', program.configFile]);
  assert.equal(code, 78);
  assert.match(stderr, /:2:\d+: cert_file: .*b\.crt holds a certificate that expired on/);
});

/** Certificates for a.example and b.example as files, and the configuration of a listener that shows them. */
function newSite(t: TestContext, node: string) {
  const folder = temporaryFolder(t);
  const leaves = new Map<string, Leaf>();
  const write = (name: string, validTo?: Date) => {
    const leaf = authority.issue(`/CN=${name}`, { names: [`${name}.example`], ...(validTo && { validTo }) });
    writeFileSync(join(folder, `${name}.crt`), leaf.certificate);
    writeFileSync(join(folder, `${name}.key`), leaf.key);
    leaves.set(name, leaf);
  };
  for (const name of SITES) write(name);
  const pairs = SITES.map((name) => `{cert_file: ${folder}/${name}.crt, key_file: ${folder}/${name}.key}`);
  const yaml = ({ tls = '', workers = 1 } = {}) =>
    simpleConfig([node], { workers }).replace(
      'service: web}]',
      `service: web, tls: {certificates: [${pairs.join(', ')}]${tls}}}]`,
    );
  return { folder, leaves, write, yaml };
}

function fingerprint(leaf: Leaf | undefined): string {
  return new X509Certificate(leaf?.certificate ?? '').fingerprint256;
}

/** The certificate that a new client is shown. */
async function shown(program: Program, name: string): Promise<string | undefined> {
  const socket = await connect(program, name);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function connect({ port }: Program, name: string): Promise<tls.TLSSocket> {
  const servername = `${name}.example`;
  const socket = tls.connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket;
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
