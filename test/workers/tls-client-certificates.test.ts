/** Client certificates: who is let in, in both versions and resumed, and that nothing of the others is read. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import tls from 'node:tls';
import { createAuthority } from '../cluster/certificates.ts';
import { namedBackend } from '../e2e/harness.ts';
import { certificateFor, connectTls, serveTls, tlsSettings, VERSIONS, visit } from './tls-harness.ts';

const OWN = createAuthority('clients');
const ALSO_OWN = createAuthority('more clients');
const FOREIGN = createAuthority('others');
const CLIENT_CA = OWN.certificate + ALSO_OWN.certificate;
const past = (ms: number) => new Date(Date.now() - ms);

const right = credentials(OWN.issue('/CN=right'));
const alsoRight = credentials(ALSO_OWN.issue('/CN=also right'));
const foreign = credentials(FOREIGN.issue('/CN=right'));
const expired = credentials(OWN.issue('/CN=right', { validFrom: past(7_200_000), validTo: past(3_600_000) }));

for (const version of VERSIONS) {
  for (const ownsHandles of [true, false]) {
    const how = `${version}${ownsHandles ? '' : ', without owned handles'}`;
    const means = { ownsHandles };

    test(`${how}: a client with a certificate of one of the CAs is served, and resumes`, async (t) => {
      const backend = await namedBackend(t);
      const served = await serveTls(t, { settings: [tlsSettings({ clientCa: CLIENT_CA })], backend, means });
      for (const certificate of [right, alsoRight]) {
        const first = await visit(t, served.port, { version, ...certificate });
        assert.ok(first.session !== null && !first.isResumed);
        const second = await visit(t, served.port, { version, ...certificate, session: first.session });
        assert.equal(second.isResumed, true);
      }
      assert.equal(served.count('handshakesFailed'), 0);
    });

    for (const [what, certificate, reason] of [
      ['none', {}, /peer did not return a certificate/],
      ['one of another CA', foreign, /certificate/i],
      ['one that has expired', expired, /CERT_HAS_EXPIRED/],
    ] as const) {
      test(`${how}: a client with ${what} is refused, and its request is not read`, async (t) => {
        const backend = await namedBackend(t);
        const served = await serveTls(t, { settings: [tlsSettings({ clientCa: CLIENT_CA })], backend, means });
        const socket = tls.connect({
          port: served.port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          minVersion: version,
          maxVersion: version,
          ...certificate,
        });
        t.after(() => socket.destroy());
        let received = '';
        socket.on('data', (chunk) => {
          received += chunk;
        });
        // a TLS 1.3 client is done before the server has seen its certificate
        socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'));
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('close', resolve));
        assert.equal(received, '');
        assert.match(String((await served.logged('TLS handshake failed')).fields.reason), reason);
        assert.equal(served.count('handshakesFailed'), 1);
        assert.equal(served.count('requestsTotal') + served.count('connectionsTotal'), 0);
        assert.equal(backend.connections.length, 0);
      });
    }
  }

  test(`${version}: a session of a listener that asks for no certificate opens no listener that does`, async (t) => {
    // the same session_id_context, as a careless configuration would have it
    const settings = [tlsSettings(), tlsSettings({ clientCa: CLIENT_CA })];
    const served = await serveTls(t, { settings });
    const [open, closed] = served.ports as [number, number];
    const { session } = await visit(t, open, { version });
    await assert.rejects(async () => {
      const client = await connectTls(t, closed, { version, ...(session !== null && { session }) });
      await client.get();
    });
    await served.logged('TLS handshake failed');
    assert.equal(served.count('connectionsTotal'), 1);
  });

  test(`${version}: a session ends with the certificate it began with`, async (t) => {
    const validTo = new Date(Date.now() + 60_000);
    const brief = credentials(OWN.issue('/CN=brief', { validTo }));
    const served = await serveTls(t, { settings: [tlsSettings({ clientCa: CLIENT_CA })] });
    const first = await visit(t, served.port, { version, ...brief });
    // OpenSSL's time goes on as ever: what a session resumes with is not its concern
    t.mock.timers.enable({ apis: ['Date'], now: validTo.getTime() + 1_000 });
    await assert.rejects(async () => {
      const session = first.session === null ? {} : { session: first.session };
      const client = await connectTls(t, served.port, { version, ...brief, ...session });
      await client.get();
    });
    assert.equal((await served.logged('TLS handshake failed')).fields.reason, 'client certificate: CERT_HAS_EXPIRED');
  });
}

test("TLSv1.3: a client's certificate is vouched for by the tickets of its full handshake, and by no others", async (t) => {
  const backend = await namedBackend(t);
  const served = await serveTls(t, { settings: [tlsSettings({ clientCa: CLIENT_CA })], backend });
  const { session } = await visit(t, served.port, { version: 'TLSv1.3', ...right });
  const issued = served.count('ticketsIssued');
  assert.ok(session !== null && issued > 0);
  for (let i = 0; i < 3; i++) {
    const again = await visit(t, served.port, { version: 'TLSv1.3', ...right, session });
    assert.deepEqual([again.isResumed, again.session], [true, null]);
  }
  assert.deepEqual([served.count('ticketsIssued'), served.count('ticketsRenewed')], [issued, 0]);
});

test('a certificate with a key on a curve that NIST has no name for is like any other', async (t) => {
  const served = await serveTls(t, {
    settings: [tlsSettings({ clientCa: CLIENT_CA })],
    backend: await namedBackend(t),
  });
  const brainpool = { curve: 'brainpoolP256r1' };
  const client = await connectTls(t, served.port, credentials(FOREIGN.issue('/CN=right', brainpool)));
  await client.ended;
  assert.equal(served.count('requestsTotal') + served.count('connectionsTotal'), 0);
  await visit(t, served.port, credentials(OWN.issue('/CN=right', brainpool)));
  assert.deepEqual([served.count('handshakesFailed'), served.count('requestsTotal')], [1, 1]);
});

test('the server shows its own certificate to clients that show theirs', async (t) => {
  const settings = [tlsSettings({ clientCa: CLIENT_CA, certificates: [certificateFor(['b.example'])] })];
  const served = await serveTls(t, { settings });
  assert.equal((await visit(t, served.port, right)).common, 'b.example');
});

function credentials({ certificate, key }: { certificate: string; key: string }): { cert: string; key: string } {
  return { cert: certificate, key };
}
