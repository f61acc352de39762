/** Settings that change while a thread serves, and settings that cannot be used. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedBackend } from '../e2e/harness.ts';
import {
  certificateFor,
  connectTls,
  newKey,
  publishKeys,
  serveTls,
  tlsSettings,
  VERSIONS,
  visit,
} from './tls-harness.ts';

const A = certificateFor(['a.example']);
const B = certificateFor(['b.example']);
const NO_CERTIFICATE = { ...A, cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' };
const OTHER_KEY = { ...A, key: B.key };

for (const version of VERSIONS) {
  test(`${version}: new settings are for new connections, open ones go on`, async (t) => {
    const backend = await namedBackend(t);
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A] })], backend });
    const open = await connectTls(t, served.port, { version });
    assert.match(await open.get(), /^HTTP\/1.1 200 /);
    await served.moveTo(0, tlsSettings({ certificates: [B] }));
    assert.equal((await visit(t, served.port, { version })).common, 'b.example');
    assert.match(await open.get(), /^HTTP\/1.1 200 /);
  });

  test(`${version}: a certificate that is renewed ends no session`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A] })] });
    const first = await visit(t, served.port, { version });
    await served.moveTo(0, tlsSettings({ certificates: [certificateFor(['a.example'])] }));
    const options = first.session === null ? {} : { session: first.session };
    assert.equal((await visit(t, served.port, { version, ...options })).isResumed, true);
  });
}

test('each listener gets its own settings', async (t) => {
  const served = await serveTls(t, {
    settings: [tlsSettings({ certificates: [A] }), tlsSettings({ certificates: [B] })],
  });
  const [one, two] = served.ports as [number, number];
  await served.moveTo(1, tlsSettings({ certificates: [A] }));
  assert.equal((await visit(t, one)).common, 'a.example');
  assert.equal((await visit(t, two)).common, 'a.example');
});

for (const [what, faulty] of [
  ['a certificate that is none', { certificates: [NO_CERTIFICATE] }],
  ['a key of another certificate', { certificates: [OTHER_KEY] }],
  ['no certificate', { certificates: [] }],
] as const) {
  test(`settings with ${what} are refused, and the listener keeps those it has`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A] })] });
    await assert.rejects(served.moveTo(0, tlsSettings(faulty)), (error: Error) => !error.message.includes('PRIVATE'));
    assert.equal((await visit(t, served.port)).common, 'a.example');
  });
}

test('a faulty certificate behind a sound one fails the handshakes that ask for it, and no others', async (t) => {
  const served = await serveTls(t, {
    settings: [tlsSettings({ certificates: [A, { ...OTHER_KEY, names: ['bad.example'] }] })],
  });
  await assert.rejects(visit(t, served.port, { servername: 'bad.example' }));
  assert.equal((await visit(t, served.port)).common, 'a.example');
});

test('keys that were revoked leave the thread with the next tick, though no ticket comes', async (t) => {
  const served = await serveTls(t);
  const held = served.context.ticketKeys.encrypting?.bytes ?? assert.fail('no key');
  publishKeys(served.keys, [newKey()]);
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      if (!held.every((byte) => byte === 0)) return;
      clearInterval(timer);
      resolve();
    }, 10);
  });
});
