/** An edge that reads its certificates anew: what it takes over, what it refuses, and what it says of it. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createAuthority, type Leaf } from '../cluster/certificates.ts';
import { type LogLine, simpleConfig } from '../e2e/harness.ts';
import { newSite } from '../e2e/site.ts';
import { newEdge } from './new-edge.ts';

const authority = createAuthority();

test('a certificate whose file was overwritten is taken over, and named in the log without its text', async (t) => {
  const site = servedSite(t);
  const { edge, log } = newEdge(t, site.yaml());
  const renewed = site.write('b');
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(takenOver(log), [[join(site.folder, 'b.crt')]]);
  assert.equal(waiting(log), undefined);
  assertNoKeys(log, [renewed]);
});

test('a reload that changes nothing of TLS says nothing of it', async (t) => {
  const { edge, log } = newEdge(t, servedSite(t).yaml());
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(takenOver(log), []);
});

test('other versions, lifetimes and CAs are taken over too', async (t) => {
  const site = servedSite(t);
  const { edge, log, file } = newEdge(t, site.yaml());
  const more = `min_version: TLSv1.3, ticket_lifetime: 1h, handshake_timeout: 1s, client_ca_file: ${site.caFile}`;
  writeFileSync(file, site.yaml(more));
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(takenOver(log), [[site.caFile]]);
  assert.equal(waiting(log), undefined);
});

test('a broken key changes nothing, and is reported at its place', async (t) => {
  const site = servedSite(t);
  const { edge, log, file } = newEdge(t, site.yaml());
  site.write('a');
  writeFileSync(join(site.folder, 'b.key'), 'no key');
  assert.equal((await edge.reload()).isOk, false);
  const fault = log.find(({ level }) => level === 50)?.msg ?? '';
  assert.ok(fault.startsWith(`${file}:2:`), fault);
  assert.match(fault, /: key_file: .*b\.key holds no private key in PEM form; /);
  assert.ok(log.some(({ msg }) => msg === 'reload refused: the configuration has errors; nothing was changed'));
  assert.deepEqual(takenOver(log), []);
  const { certificate, key } = site.write('b');
  assert.equal((await edge.reload()).isOk, true);
  assert.deepEqual(takenOver(log).flat().map(nameIn), ['a.crt', 'b.crt']);
  assertNoKeys(log, [{ certificate, key }]);
});

test('a certificate that expired is refused by a reload', async (t) => {
  const site = servedSite(t);
  const { edge, log } = newEdge(t, site.yaml());
  site.write('b', new Date(Date.now() - 1_000));
  assert.equal((await edge.reload()).isOk, false);
  assert.ok(log.some(({ level, msg }) => level === 50 && /b\.crt holds a certificate that expired on/.test(msg)));
});

test('a plain listener that is to speak TLS is served so, and its files are named', async (t) => {
  const site = servedSite(t);
  const { edge, log, file } = newEdge(t, simpleConfig(['127.0.0.1:1']));
  writeFileSync(file, site.yaml());
  assert.equal((await edge.reload()).isOk, true);
  assert.equal(waiting(log), undefined);
  assert.deepEqual(takenOver(log).flat().map(nameIn), ['a.crt', 'b.crt']);
  assertNoKeys(log, [...site.leaves.values()]);
});

/** Certificates a and b, and the configuration of a listener that shows them. */
function servedSite(t: TestContext) {
  const site = newSite(t, ['a', 'b'], authority);
  const caFile = join(site.folder, 'ca.crt');
  writeFileSync(caFile, authority.certificate);
  const yaml = (...more: readonly string[]) => simpleConfig(['127.0.0.1:1'], { listeners: [site.listener(...more)] });
  return { ...site, caFile, yaml };
}

/** The files of each time that TLS settings were taken over. */
function takenOver(log: readonly LogLine[]): unknown[] {
  return log.filter(({ msg }) => msg.startsWith('new connections get the TLS settings')).map(({ files }) => files);
}

function waiting(log: readonly LogLine[]): unknown {
  return log.find(({ msg }) => msg === 'changed in the file, in force after a restart')?.keys;
}

function nameIn(file: unknown): string {
  return String(file).slice(dirname(String(file)).length + 1);
}

function assertNoKeys(log: readonly LogLine[], leaves: readonly Leaf[]): void {
  const text = JSON.stringify(log);
  for (const { certificate, key } of leaves) {
    for (const line of [...certificate.split('\n'), ...key.split('\n')].slice(1, -2)) {
      if (!line.startsWith('-----') && line.length > 8) assert.ok(!text.includes(line));
    }
  }
}
