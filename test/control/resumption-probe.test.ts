/** Probes of resumption against TLS servers in this process. */

import assert from 'node:assert/strict';
import { constants } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import type tls from 'node:tls';
import type { TlsVersion } from '../../src/config/config.ts';
import { probeMatrix } from '../../src/control/resumption-matrix.ts';
import {
  offerTicket,
  type ProbeOptions,
  type ProbeResult,
  type ProbeTarget,
  TLS_VERSIONS,
  takeTicket,
} from '../../src/control/resumption-probe.ts';
import { OTHER_KEYS, startSilentServer, startTlsServer } from './tls-servers.ts';

function optionsOf(version: TlsVersion, more: Partial<ProbeOptions> = {}): ProbeOptions {
  return { version, serverName: null, timeoutMs: 10_000, ...more };
}

async function probe(from: ProbeTarget, to: ProbeTarget, options: ProbeOptions): Promise<ProbeResult> {
  const taken = await takeTicket(from, options);
  return 'session' in taken ? offerTicket(to, taken.session, options) : taken;
}

for (const version of TLS_VERSIONS) {
  test(`${version}: a ticket of one server resumes at another with the same keys, under one name or none`, async (t) => {
    const [a, b] = [await startTlsServer(t), await startTlsServer(t)];
    for (const serverName of [null, 'a.example']) {
      const options = optionsOf(version, { serverName });
      assert.deepEqual(await probe(a.target, b.target, options), { outcome: 'resumed' });
      assert.deepEqual(await probe(a.target, { ...b.target, host: 'localhost' }, options), { outcome: 'resumed' });
    }
    assert.deepEqual(a.names, [false, false, 'a.example', 'a.example']);
  });

  test(`${version}: other keys, or another session id context, make it a full handshake`, async (t) => {
    const a = await startTlsServer(t);
    for (const other of [{ ticketKeys: OTHER_KEYS }, { sessionIdContext: 'elsewhere' }]) {
      const b = await startTlsServer(t, other);
      assert.deepEqual(await probe(a.target, b.target, optionsOf(version)), { outcome: 'full' });
    }
  });

  test(`${version}: nobody there is said with its address and code`, async (t) => {
    const [a, gone] = [await startTlsServer(t), await startTlsServer(t)];
    await gone.close();
    const refused = { outcome: 'failed', reason: `127.0.0.1:${gone.target.port}: ECONNREFUSED` };
    assert.deepEqual(await probe(gone.target, a.target, optionsOf(version)), refused);
    assert.deepEqual(await probe(a.target, gone.target, optionsOf(version)), refused);
  });

  test(`${version}: a server that does not speak it is told from one that fails`, async (t) => {
    const spoken = version === 'TLSv1.2' ? 'TLSv1.3' : 'TLSv1.2';
    const [a, b] = [await startTlsServer(t), await startTlsServer(t, { minVersion: spoken, maxVersion: spoken })];
    const reason = `127.0.0.1:${b.target.port} does not speak ${version}`;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.deepEqual(await probe(from.target, to.target, optionsOf(version)), { outcome: 'unsupported', reason });
    }
  });

  test(`${version}: a server that says nothing is given up, and so is a probe that is stopped`, async (t) => {
    const silent = await startSilentServer(t);
    const late = await takeTicket(silent.target, optionsOf(version, { timeoutMs: 50 }));
    const where = `127.0.0.1:${silent.target.port}`;
    assert.deepEqual(late, { outcome: 'failed', reason: `${where}: no answer within 50 ms` });
    await silent.ended;
    const ending = new AbortController();
    const taking = takeTicket(silent.target, optionsOf(version, { signal: ending.signal }));
    ending.abort();
    assert.deepEqual(await taking, { outcome: 'failed', reason: `${where}: stopped` });
    assert.deepEqual(await takeTicket(silent.target, optionsOf(version, { signal: ending.signal })), await taking);
  });

  test(`${version}: what is no TLS is a failure`, async (t) => {
    const plain = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    t.after(() => plain.close());
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const target = { host: '127.0.0.1', port: (plain.address() as net.AddressInfo).port };
    const result = await takeTicket(target, optionsOf(version));
    assert.ok('outcome' in result && result.outcome === 'failed', JSON.stringify(result));
  });
}

test('TLS 1.2: a session that its own server keeps is no ticket', async (t) => {
  const a = await startTlsServer(t, { secureOptions: constants.SSL_OP_NO_TICKET });
  assert.deepEqual(await takeTicket(a.target, optionsOf('TLSv1.2')), { outcome: 'no-ticket' });
});

test('TLS 1.3: a server that issues no tickets is not waited for', async (t) => {
  const a = await startTlsServer(t);
  issueNoTickets(a.server);
  const minute = optionsOf('TLSv1.3', { timeoutMs: 60_000 });
  assert.deepEqual(await takeTicket(a.target, minute), { outcome: 'no-ticket' });
});

for (const version of TLS_VERSIONS) {
  test(`${version}: a server that does not end when its client does is not waited for`, async (t) => {
    const [a, b] = [await startTlsServer(t, { allowHalfOpen: true }), await startTlsServer(t, { allowHalfOpen: true })];
    const minute = optionsOf(version, { timeoutMs: 60_000 });
    assert.deepEqual(await probe(a.target, b.target, minute), { outcome: 'resumed' });
    issueNoTickets(a.server);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    // it does so when the handshake is over for it, too
    const clientEnded = new Promise<void>((resolve) => {
      a.server.once('secureConnection', (socket: tls.TLSSocket) => socket.once('end', resolve));
    });
    const taken = takeTicket(a.target, minute);
    await clientEnded;
    t.mock.timers.tick(60_000);
    assert.deepEqual(await taken, { outcome: 'no-ticket' });
  });
}

test('the matrix has a row for each address that gave a ticket, and a column for each that was offered it', async (t) => {
  const [a, b, other, gone] = [
    await startTlsServer(t),
    await startTlsServer(t),
    await startTlsServer(t, { ticketKeys: OTHER_KEYS }),
    await startTlsServer(t),
  ];
  await gone.close();
  for (const version of TLS_VERSIONS) {
    const targets = [a, b, other, gone].map(({ target }) => target);
    const results = await probeMatrix(targets, optionsOf(version));
    assert.deepEqual(
      results.map((row) => row.map(({ outcome }) => outcome)),
      [
        ['resumed', 'resumed', 'full', 'failed'],
        ['resumed', 'resumed', 'full', 'failed'],
        ['full', 'full', 'resumed', 'failed'],
        ['failed', 'failed', 'failed', 'failed'],
      ],
    );
  }
});

test('of a matrix at most eight connections are open at once', async (t) => {
  const sizes: number[] = [];
  let open = 0;
  const a = await startTlsServer(t);
  a.server.on('connection', (socket: net.Socket) => {
    sizes.push(++open);
    socket.on('close', () => open--);
  });
  const targets = Array.from({ length: 12 }, () => a.target);
  const results = await probeMatrix(targets, optionsOf('TLSv1.3'));
  assert.ok(results.flat().every(({ outcome }) => outcome === 'resumed'));
  assert.equal(sizes.length, 12 + 144);
  assert.ok(Math.max(...sizes) <= 8, `${Math.max(...sizes)}`);
});

/** As a stekbal without a ring. */
function issueNoTickets(server: tls.Server): void {
  const { context } = (server as unknown as { _sharedCreds: { context: TicketContext } })._sharedCreds;
  context.onticketkeycallback = () => [0, Buffer.alloc(16), Buffer.alloc(16), Buffer.alloc(16), Buffer.alloc(16)];
  context.enableTicketKeyCallback();
}

interface TicketContext {
  onticketkeycallback: (name: Buffer, iv: Buffer, encrypt: boolean) => unknown[];
  enableTicketKeyCallback(): void;
}
