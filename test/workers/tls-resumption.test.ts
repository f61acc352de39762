/** Sessions that resume, and those that must not: rotations, groups of certificates, trust domains, the fallback. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { KeyBoard, STAGE_ACTIVE, STAGE_RETIRING, STAGE_STAGED } from '../../src/boards/key-board.ts';
import type { Stat } from '../../src/boards/stats-board.ts';
import { proveTicketCallback } from '../../workers/ticket-proof.ts';
import { eventually, requirePeer } from '../e2e/harness.ts';
import {
  certificateFor,
  connectTls,
  newKey,
  publishKeys,
  type Served,
  serveTls,
  tlsSettings,
  VERSIONS,
  type Version,
  visit,
} from './tls-harness.ts';

const A = certificateFor(['a.example']);
const B = certificateFor(['b.example']);
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

for (const version of VERSIONS) {
  const is13 = version === 'TLSv1.3';

  test(`${version}: a session resumes, and every count is right`, async (t) => {
    const served = await serveTls(t);
    const first = await visit(t, served.port, { version });
    assert.equal(first.isResumed, false);
    const second = await visit(t, served.port, { version, ...sessionOf(first) });
    assert.equal(second.isResumed, true);
    assert.deepEqual(countsOf(served), {
      [is13 ? 'handshakesFull13' : 'handshakesFull12']: 1,
      [is13 ? 'handshakesResumed13' : 'handshakesResumed12']: 1,
      ticketsIssued: is13 ? 3 : 1,
      ticketsOpenedActive: 1,
      ...(is13 && { ticketsRenewed: 1 }),
    });
  });

  test(`${version}: a session resumes on another machine with the same ring, and again with what that one gave`, async (t) => {
    const ring = [newKey()];
    const machines = [await machineWith(t, ring), await machineWith(t, ring), await machineWith(t, ring)];
    let { session, isResumed } = await visit(t, (machines[0] as Served).port, { version });
    assert.equal(isResumed, false);
    for (const machine of [...machines, ...machines]) {
      const next = await visit(t, machine.port, { version, ...sessionOf({ session }) });
      assert.equal(next.isResumed, true);
      session = next.session ?? session;
    }
  });

  test(`${version}: through a rotation every ticket opens, and is replaced when its key retires`, async (t) => {
    const [one, two] = [newKey(), newKey(STAGE_STAGED)];
    const served = await machineWith(t, [one, two]);
    const old = await visit(t, served.port, { version });
    // the other machines use the new key already: it is still staged here
    const ahead = await machineWith(t, [
      { ...two, stage: STAGE_ACTIVE },
      { ...one, stage: STAGE_RETIRING },
    ]);
    const early = await visit(t, ahead.port, { version });
    assert.equal((await visit(t, served.port, { version, ...sessionOf(early) })).isResumed, true);
    assert.equal(served.count('ticketsOpenedStaged'), 1);

    publishKeys(served.keys, [
      { ...two, stage: STAGE_ACTIVE },
      { ...one, stage: STAGE_RETIRING },
    ]);
    const renewed = await visit(t, served.port, { version, ...sessionOf(old) });
    assert.equal(renewed.isResumed, true);
    assert.equal(served.count('ticketsRenewed'), is13 ? 2 : 1);
    assert.equal(served.count('ticketsOpenedRetiring'), 1);

    publishKeys(served.keys, [{ ...two, stage: STAGE_ACTIVE }]);
    assert.equal((await visit(t, served.port, { version, ...sessionOf(renewed) })).isResumed, true);
    assert.equal(served.count('ticketsUnknownKey'), 0);
  });

  test(`${version}: after a revocation nothing older resumes`, async (t) => {
    const served = await serveTls(t);
    const first = await visit(t, served.port, { version });
    publishKeys(served.keys, [newKey()]);
    assert.equal((await visit(t, served.port, { version, ...sessionOf(first) })).isResumed, false);
    assert.equal(served.count('ticketsUnknownKey'), 1);
  });

  test(`${version}: without a key clients are served, and offered no session to resume`, async (t) => {
    const served = await serveTls(t, { keys: KeyBoard.create() });
    const { session, isResumed } = await visit(t, served.port, { version });
    assert.equal(isResumed, false);
    if (is13) assert.equal(session, null);
    else assert.equal((await visit(t, served.port, { version, ...sessionOf({ session }) })).isResumed, false);
    assert.equal(served.count('ticketsIssued'), 0);
  });

  test(`${version}: a session does not cross from one group of certificates to another`, async (t) => {
    const served = await serveTls(t, { settings: [tlsSettings({ certificates: [A, B] })] });
    const first = await visit(t, served.port, { version, servername: 'b.example' });
    assert.equal(first.common, 'b.example');
    // a client that keeps its sessions by address, and asks for another name
    const crossed = await resume(t, served.port, version, 'a.example', first.session);
    assert.deepEqual(crossed, { isResumed: false, common: 'a.example' });
    assert.equal(served.count('ticketsRefused'), 1);
    const back = await resume(t, served.port, version, 'b.example', first.session);
    assert.equal(back.isResumed, true);
  });

  test(`${version}: nor between the listeners of a thread, where they show other certificates`, async (t) => {
    const settings = [tlsSettings({ certificates: [A] }), tlsSettings({ certificates: [B] }), tlsSettings()];
    const served = await serveTls(t, { settings });
    const [first, second, third] = served.ports as [number, number, number];
    const { session } = await visit(t, first, { version, servername: 'a.example' });
    assert.equal((await resume(t, second, version, 'a.example', session)).isResumed, false);
    assert.equal((await resume(t, third, version, 'a.example', session)).isResumed, true);
  });

  test(`${version}: a session does not cross into another trust domain`, async (t) => {
    const settings = [tlsSettings({ sessionIdContext: 'one' }), tlsSettings({ sessionIdContext: 'two' })];
    const served = await serveTls(t, { settings });
    const [one, two] = served.ports as [number, number];
    const first = await visit(t, one, { version });
    assert.equal((await visit(t, two, { version, ...sessionOf(first) })).isResumed, false);
    assert.equal(served.count('ticketsRefused'), 1);
  });

  test(`${version}: a ticket with a bad MAC is refused, counted, and its client served`, async (t) => {
    const key = newKey();
    const served = await machineWith(t, [key]);
    const first = await visit(t, served.port, { version });
    const bytes = Buffer.from(key.bytes);
    bytes.fill(1, 16, 32);
    publishKeys(served.keys, [{ ...key, bytes }]);
    assert.equal((await visit(t, served.port, { version, ...sessionOf(first) })).isResumed, false);
    assert.equal(served.count('ticketsRefused'), 1);
  });

  test(`${version}: where the callback does not work sessions resume by the documented option, with one key`, async (t) => {
    const [one, two] = [newKey(), newKey()];
    const keys = KeyBoard.create();
    publishKeys(keys, [one]);
    const served = await serveTls(t, { keys, means: { prove: async () => 'tried out' } });
    const said =
      'the ticket callback does not work on this Node: one key at a time, so each rotation ends all TLS sessions';
    assert.equal((await served.logged(said)).fields.reason, 'tried out');
    const first = await visit(t, served.port, { version });
    const second = await visit(t, served.port, { version, ...sessionOf(first) });
    assert.equal(second.isResumed, true);

    publishKeys(keys, [two, { ...one, stage: STAGE_RETIRING }]);
    assert.equal((await visit(t, served.port, { version, ...sessionOf(first) })).isResumed, false);
    const third = await visit(t, served.port, { version });
    assert.equal((await visit(t, served.port, { version, ...sessionOf(third) })).isResumed, true);

    publishKeys(keys, []);
    const keyless = await visit(t, served.port, { version });
    assert.equal((await visit(t, served.port, { version, ...sessionOf(keyless) })).isResumed, false);
    assert.equal(served.count('handshakesFailed'), 0);
  });

  test(`${version}: where handles cannot be owned sessions resume all the same`, async (t) => {
    const served = await serveTls(t, { means: { ownsHandles: false } });
    const first = await visit(t, served.port, { version });
    assert.equal((await visit(t, served.port, { version, ...sessionOf(first) })).isResumed, true);
  });

  test(`${version}: the ticket's lifetime is the listener's, not OpenSSL's 300 s`, async (t) => {
    if (!requirePeer(t, hasOpenssl, 'openssl is not installed')) return;
    const served = await serveTls(t, { settings: [tlsSettings({ ticketLifetimeS: 123_456 })] });
    const client = await connectTls(t, served.port, { version });
    await client.get();
    await eventually(() => client.session !== null, 'no session');
    const pem = sessionPem(client.session as Buffer);
    const { stdout } = spawnSync('openssl', ['sess_id', '-text', '-noout'], { input: pem, encoding: 'utf8' });
    assert.match(stdout, /lifetime hint: 123456 \(seconds\)/);
  });
}

test('this Node has the callback, and the proof says so for every type of key', async () => {
  assert.equal(await proveTicketCallback(A), null);
  assert.equal(await proveTicketCallback(certificateFor(['a.example'], { keyType: 'rsa' })), null);
});

test('the proof says what is wrong instead of failing', async () => {
  assert.match(String(await proveTicketCallback({ ...A, key: B.key })), /key/i);
});

test('a client that offers both versions resumes what it had', async (t) => {
  const served = await serveTls(t);
  const first = await visit(t, served.port);
  const second = await visit(t, served.port, sessionOf(first));
  assert.equal(second.isResumed, true);
  assert.equal(served.count('handshakesResumed13'), 1);
});

function machineWith(t: TestContext, ring: Parameters<typeof publishKeys>[1]): Promise<Served> {
  const keys = KeyBoard.create();
  publishKeys(keys, ring);
  return serveTls(t, { keys });
}

function sessionOf({ session }: { readonly session: Buffer | null }): { session?: Buffer } {
  return session === null ? {} : { session };
}

/** As `visit`, with a session that was made for another name. */
async function resume(
  t: TestContext,
  port: number,
  version: Version,
  servername: string,
  session: Buffer | null,
): Promise<{ isResumed: boolean; common: string }> {
  const options = { version, servername, ...(session !== null && { session: asMadeFor(servername, session) }) };
  const { isResumed, common } = await visit(t, port, options);
  return { isResumed, common };
}

/** Node's clients note the server's name before OpenSSL's session, and use it for no other. */
function asMadeFor(servername: string, session: Buffer): Buffer {
  const { prefix, length } = parts(session);
  const name = Buffer.from(servername);
  const nameLength = Buffer.alloc(2);
  nameLength.writeUInt16BE(name.length);
  return Buffer.concat([session.subarray(0, prefix), nameLength, name, session.subarray(prefix + 2 + length)]);
}

function sessionPem(session: Buffer): string {
  const { prefix, length } = parts(session);
  const der = session.subarray(prefix + 2 + length).toString('base64');
  return `-----BEGIN SSL SESSION PARAMETERS-----\n${der.match(/.{1,64}/g)?.join('\n')}\n-----END SSL SESSION PARAMETERS-----\n`;
}

/** Where the noted name stands; a bare session where nothing is noted. */
function parts(session: Buffer): { prefix: number; length: number } {
  const mark = Buffer.from('\0nodejs:tls:session:1\0');
  assert.ok(session.subarray(0, mark.length).equals(mark), 'Node has changed how it keeps sessions');
  return { prefix: mark.length, length: session.readUInt16BE(mark.length) };
}

function countsOf(served: Served): Record<string, number> {
  const stats: Stat[] = [
    'handshakesFull12',
    'handshakesFull13',
    'handshakesResumed12',
    'handshakesResumed13',
    'handshakesFailed',
    'ticketsIssued',
    'ticketsRenewed',
    'ticketsOpenedActive',
    'ticketsOpenedStaged',
    'ticketsOpenedRetiring',
    'ticketsUnknownKey',
    'ticketsRefused',
  ];
  return Object.fromEntries(stats.map((stat) => [stat, served.count(stat)]).filter(([, count]) => count !== 0));
}
