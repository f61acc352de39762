/** Limits on what clients may hold, against the running program: who is let in, who is told to wait, and who has to go. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  eventually,
  exchange,
  get,
  httpBackend,
  namedBackend,
  openClient,
  type Program,
  rawBackend,
  type SimpleSettings,
  simpleConfig,
  startProgram,
  temporaryFolder,
} from './harness.ts';
import { scrape } from './metrics-scrape.ts';
import { newSite } from './site.ts';
import { visit } from './tls-client.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

interface Limited extends Program {
  /** A sample of its metrics, by name and labels without the prefix. */
  sample(name: string): Promise<number>;
  scrape(): Promise<ReadonlyMap<string, number>>;
}

async function startLimited(
  t: TestContext,
  limits: string,
  nodes: readonly string[],
  settings: Omit<SimpleSettings, 'top'> = {},
  openFilesMax?: number,
): Promise<Limited> {
  const admin = join(temporaryFolder(t), 'admin');
  const top = [`limits: {${limits}}`, `admin: {address: "unix:${admin}"}`];
  const options = openFilesMax === undefined ? {} : { openFilesMax };
  const program = await startProgram(t, simpleConfig(nodes, { ...settings, top }), false, options);
  const all = async () => (await scrape(admin)).samples;
  return { ...program, scrape: all, sample: async (name) => (await all()).get(`stekbal_${name}`) ?? Number.NaN };
}

/** A backend that answers when it is told to. */
async function patientBackend(t: TestContext) {
  const waiting: (() => void)[] = [];
  const backend = await httpBackend(t, (_, response) => waiting.push(() => response.end('done')));
  return { ...backend, waiting, release: () => waiting.splice(0).map((answer) => answer()) };
}

const isAnswered = (received: string) => /\r\n\r\n./s.test(received);

test('past max_connections, with none idle, a client is told to come again: 503 with Retry-After', async (t) => {
  const backend = await patientBackend(t);
  const program = await startLimited(t, 'max_connections: 3', [backend.address]);
  const busy = [1, 2, 3].map(() => openClient(t, program.port, GET));
  await eventually(() => backend.waiting.length === 3, 'the backend has not got all three');
  const refused = openClient(t, program.port, GET);
  assert.equal(await refused.ended, 'FIN');
  assert.match(refused.received, /^HTTP\/1.1 503 Service Unavailable\r\n.*Retry-After: 1\r\n/s);
  assert.match(refused.received, /\r\nConnection: close\r\n/);
  const line = await program.logged(({ msg }) => msg === 'connections refused');
  assert.deepEqual([line.limit, line.connections], ['max_connections', 1]);
  assert.equal(await program.sample('connections_refused_total{limit="total"}'), 1);
  assert.equal(await program.sample('connections_max'), 3);
  backend.release();
  // nobody in need was touched; and idle again, they make room
  for (const client of busy) assert.match(await client.until(isAnswered), /^HTTP\/1.1 200 /);
  const later = openClient(t, program.port, GET);
  await eventually(() => backend.waiting.length === 1, 'the backend has not got the fourth');
  backend.release();
  assert.match(await later.until(isAnswered), /^HTTP\/1.1 200 /);
});

test('past max_connections, the idle connection that would time out first makes room for a new one', async (t) => {
  const backend = await namedBackend(t);
  const program = await startLimited(t, 'max_connections: 3', [backend.address], {
    service: ['persist_client_idle_timeout: 1h'],
  });
  const kept = [openClient(t, program.port, GET), openClient(t, program.port, GET)];
  for (const client of kept) await client.until(isAnswered);
  // it came last, and has header_timeout alone
  const silent = openClient(t, program.port);
  await eventually(async () => (await program.sample('connections')) === 3, 'three connections are not open');
  assert.equal((await get(program.port)).status, 200);
  assert.equal(await silent.ended, 'FIN');
  assert.equal(await program.sample('connections_evicted_total'), 1);
  for (const { socket } of kept) socket.write(GET);
  for (const client of kept) await client.until((received) => received.split('HTTP/1.1 200').length === 3);
  await program.logged(({ msg, connections }) => msg === 'connections ended to make room' && connections === 1);
});

test('past max_connections_per_address, that address gets 429, and others are served', async (t) => {
  const backend = await namedBackend(t);
  const program = await startLimited(t, 'max_connections_per_address: 2', [backend.address]);
  const held = [openClient(t, program.port, GET), openClient(t, program.port)];
  await held[0]?.until(isAnswered);
  await eventually(async () => (await program.sample('connections')) === 2, 'two connections are not open');
  const refused = await exchange(program.port, GET);
  assert.match(refused, /^HTTP\/1.1 429 Too Many Requests\r\n.*Retry-After: 1\r\n/s);
  const other = net.connect({ port: program.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  t.after(() => other.destroy());
  other.write(GET);
  const [answer] = (await once(other, 'data', { signal: AbortSignal.timeout(20_000) })) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1.1 200 /);
  assert.equal(await program.sample('connections_refused_total{limit="address"}'), 1);
  held[1]?.socket.destroy();
  await eventually(
    async () => /^HTTP\/1.1 200/.test(await exchange(program.port, GET, { isWhole: isAnswered })),
    'no room',
  );
});

test('a reload changes the limits for connections that come from then on', async (t) => {
  const backend = await namedBackend(t);
  const yaml = (limit: number) =>
    simpleConfig([backend.address], { top: [`limits: {max_connections_per_address: ${limit}}`] });
  const program = await startProgram(t, yaml(1));
  const held = openClient(t, program.port, GET);
  await held.until(isAnswered);
  assert.match(await exchange(program.port, GET), /^HTTP\/1.1 429 /);
  await program.reload(yaml(2));
  assert.equal((await get(program.port)).status, 200);
  held.socket.write(GET);
  await held.until((received) => received.split('HTTP/1.1 200').length === 3);
});

test('max_requests_per_connection closes a connection with its last response', async (t) => {
  const backend = await namedBackend(t);
  const program = await startLimited(t, 'max_requests_per_connection: 2', [backend.address]);
  const client = openClient(t, program.port, GET + GET + GET);
  assert.equal(await client.ended, 'FIN');
  const responses = client.received.split('HTTP/1.1 200').slice(1);
  assert.deepEqual(
    responses.map((response) => /\r\nConnection: close\r\n/.test(response)),
    [false, true],
  );
});

test('a body slower than min_body_rate is 408 although it never stops; a faster one passes', async (t) => {
  const backend = await httpBackend(t, (request, response) => {
    request.resume();
    request.on('end', () => response.end('whole'));
  });
  const program = await startLimited(t, '', [backend.address], {
    // this process may stand still for no longer than this
    service: ['body_timeout: 2s', 'min_body_rate: 1KiB'],
  });
  const post = (length: number) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  const slow = openClient(t, program.port, post(100_000));
  const steady = openClient(t, program.port, post(32_000));
  const drip = setInterval(() => slow.socket.write('x'), 30);
  let sent = 0;
  const flow = setInterval(() => {
    // 13 KiB a second
    if (sent < 32_000) steady.socket.write('x'.repeat(400));
    sent += 400;
  }, 30);
  t.after(() => {
    clearInterval(drip);
    clearInterval(flow);
  });
  assert.match(await slow.until(isAnswered), /^HTTP\/1.1 408 Request Timeout\r\n/);
  assert.match(await steady.until(isAnswered), /^HTTP\/1.1 200 OK\r\n/);
  assert.equal(await program.sample('client_timeouts_total{part="body"}'), 1);
});

test('time in which the backend takes no body is not held against the client', async (t) => {
  // five pauses: more than body_timeout together, and none of them as long
  const [bytes, pauses, pauseMs] = [16_000_000, 5, 400];
  const backend = await rawBackend(t, (socket) => {
    let received = 0;
    let paused = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received > bytes) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else if (paused < pauses && received > (paused * bytes) / pauses) {
        paused++;
        socket.pause();
        setTimeout(() => socket.resume(), pauseMs);
      }
    });
  });
  const program = await startLimited(t, '', [backend.address], {
    service: ['body_timeout: 1500ms', 'min_body_rate: 1GiB'],
  });
  const client = openClient(t, program.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`);
  client.socket.write(Buffer.alloc(bytes, 'x'));
  assert.match(await client.until(isAnswered), /^HTTP\/1.1 200 OK\r\n/);
});

test('a client that reads too slowly is cut off, and its backend connection goes', async (t) => {
  const backend = await httpBackend(t, (_, response) => {
    // small writes, so that each is taken for itself
    const feed = setInterval(() => response.write('x'.repeat(8_000)), 1);
    response.on('close', () => clearInterval(feed));
  });
  const program = await startLimited(t, '', [backend.address], { service: ['body_timeout: 300ms'] });
  const client = openClient(t, program.port, GET);
  await client.until(isAnswered);
  client.socket.pause();
  await eventually(
    async () => (await program.sample('client_timeouts_total{part="response"}')) === 1,
    'the slow reader is still served',
  );
  await eventually(
    () => backend.connections.every((socket) => socket.destroyed),
    'its backend connection is still open',
  );
});

test('with max_handshakes unfinished, one more ends the oldest, and whoever finishes is served', async (t) => {
  const backend = await namedBackend(t);
  const listeners = [newSite(t).listener('handshake_timeout: 10m')];
  const limits = 'max_handshakes: 3, max_connections_per_address: 5';
  const program = await startLimited(t, limits, [backend.address], { listeners });
  const { sample } = program;
  const silent = [];
  for (let i = 1; i <= 3; i++) {
    silent.push(openClient(t, program.port));
    await eventually(
      async () => (await sample('tls_handshakes_in_progress')) === i,
      `${i} handshakes are not under way`,
    );
  }
  assert.match((await visit(program.port, { version: 'TLSv1.3' })).answer, /^HTTP\/1.1 200 OK/);
  assert.equal(await sample('tls_handshakes_evicted_total'), 1);
  assert.equal(await silent[0]?.ended, 'FIN');
  // two handshakes and a connection are there: two more fit, and then the address has all that it may have
  openClient(t, program.port);
  await eventually(async () => (await sample('tls_handshakes_in_progress')) === 3, 'the fourth is not under way');
  openClient(t, program.port);
  await eventually(async () => (await sample('tls_handshakes_evicted_total')) === 2, 'the fifth has ended none');
  openClient(t, program.port);
  await eventually(async () => (await sample('tls_handshakes_evicted_total')) === 3, 'the sixth has ended none');
});

test('with few descriptors and many connections, the program serves on, its API too, and recovers', async (t) => {
  const backend = await namedBackend(t);
  const program = await startLimited(t, 'max_connections: 100000', [backend.address], {}, 200);
  const files = program.openFiles;
  const warned = await program.logged(({ msg }) => msg === 'fewer connections than the configuration allows');
  assert.match(String(warned.why), /limit on open files, 200, has room for 111/);
  const before = files();
  const flood = Array.from({ length: 600 }, () => openClient(t, program.port));
  await Promise.all(flood.map(({ socket }) => new Promise((resolve) => socket.once('connect', resolve))));
  for (let i = 0; i < 20; i++) {
    assert.equal((await get(program.port)).status, 200);
    assert.ok((await program.sample('connections')) <= 111);
    assert.ok(files() < 200);
  }
  for (const { socket } of flood) socket.destroy();
  await eventually(
    () => files() <= before + 4,
    () => `${files()} descriptors, ${before} before`,
  );
  assert.equal((await get(program.port)).status, 200);
});

test('clients that are refused and stay take no descriptor that the API needs', async (t) => {
  const backend = await patientBackend(t);
  const program = await startLimited(t, '', [backend.address], {}, 200);
  const max = await program.sample('connections_max');
  for (let i = 0; i < max; i++) openClient(t, program.port, GET);
  await eventually(() => backend.waiting.length === max, 'the backend has not got all');
  const refused = Array.from({ length: 100 }, () => openClient(t, program.port, GET));
  const told = await Promise.all(refused.map(async ({ ended }) => await ended));
  assert.ok(told.includes('FIN') && told.includes('ECONNRESET'));
  assert.equal(await program.sample('connections_refused_total{limit="total"}'), 100);
  assert.deepEqual(
    program.log.filter(({ msg }) => msg === 'cannot accept'),
    [],
  );
  backend.release();
});
