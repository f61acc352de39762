import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import {
  exchange,
  get,
  httpBackend,
  namedBackend,
  rawBackend,
  scriptedBackend,
  simpleConfig,
  startProgram,
} from './harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const endsWith = (end: string) => (received: string) => received.endsWith(end);
const whenHeadIsWhole = (answer: string) => (received: string) => (received.includes('\r\n\r\n') ? answer : null);

test('a request reaches the backend unchanged but for the hop', async (t) => {
  const backend = await scriptedBackend(t, whenHeadIsWhole(OK));
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const answer = await exchange(
    port,
    'GET /a?b=c%20d HTTP/1.1\r\nHost: a.example\r\nX-Odd: \xe9\xff\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n' +
      'X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nKeep-Alive: timeout=5\r\n\r\n',
    { isWhole: endsWith('ok') },
  );
  assert.equal(answer, OK);
  assert.equal(
    backend.received[0],
    'GET /a?b=c%20d HTTP/1.1\r\nHost: a.example\r\nX-Odd: \xe9\xff\r\n' +
      'X-Forwarded-For: 10.0.0.1, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\r\n',
  );
});

test('pipelined requests are answered in order', async (t) => {
  const backend = await httpBackend(t, (request, response) => {
    // the first answer is the slowest
    setTimeout(() => response.end(`<${request.url}>`), request.url === '/1' ? 80 : 0);
  });
  const { port } = await startProgram(
    t,
    simpleConfig([backend.address, backend.address.replace('127.0.0.1', 'localhost')]),
  );
  const requests = [1, 2, 3, 4, 5].map((i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
  const answer = await exchange(port, requests, { isWhole: (r) => r.includes('</5>') });
  assert.deepEqual(answer.match(/<\/\d>/g), ['</1>', '</2>', '</3>', '</4>', '</5>']);
});

test('pipelined requests with bodies keep their boundaries, at every split', async (t) => {
  const backend = await httpBackend(t, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => response.end(`<${request.method} ${request.url} ${body}>`));
  });
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const bytes =
    'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello' +
    'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n' +
    'GET /3 HTTP/1.1\r\nHost: a\r\n\r\n';
  const expected = ['<POST /1 hello>', '<POST /2 abc>', '<GET /3 >'];
  for (let split = 1; split < bytes.length; split += 3) {
    const answer = await exchange(port, [bytes.slice(0, split), bytes.slice(split)], {
      isWhole: (r) => r.includes('<GET /3 >'),
    });
    assert.deepEqual(answer.match(/<[^>]*>/g), expected, `split at ${split}`);
  }
});

test('connections to a backend are used again, and closed where persist_backend is off', async (t) => {
  for (const persist of ['yes', 'no']) {
    const backend = await namedBackend(t);
    const { port } = await startProgram(
      t,
      simpleConfig([backend.address], { service: [`persist_backend: ${persist}`] }),
    );
    for (let i = 0; i < 5; i++) await get(port);
    assert.equal(backend.connections.length, persist === 'yes' ? 1 : 5);
  }
});

test('persist_client off closes the connection after one answer', async (t) => {
  const backend = await namedBackend(t);
  const { port } = await startProgram(t, simpleConfig([backend.address], { service: ['persist_client: no'] }));
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(answer, /\r\nConnection: close\r\n/);
});

test('Expect: 100-continue waits for the backend and then sends the body', async (t) => {
  const backend = await httpBackend(t, (request, response) => {
    request.on('data', () => {});
    request.on('end', () => response.end('done'));
  });
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
  const [interim] = (await once(socket, 'data')) as [Buffer];
  assert.equal(interim.toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
  socket.write('body');
  const [final] = (await once(socket, 'data')) as [Buffer];
  assert.match(final.toString(), /^HTTP\/1\.1 200 OK\r\n/);
});

test('interim responses pass to HTTP/1.1 clients and not to HTTP/1.0 ones', async (t) => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n';
  const backend = await scriptedBackend(t, whenHeadIsWhole(hint + OK));
  const { port } = await startProgram(t, simpleConfig([backend.address], { service: ['persist_backend: no'] }));
  const isWhole = endsWith('ok');
  assert.equal(await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { isWhole }), hint + OK);
  const old = await exchange(port, 'GET / HTTP/1.0\r\n\r\n', { isWhole });
  assert.equal(old, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
});

test('HEAD, 204 and 304 have no body, whatever their fields say', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', (chunk) => {
      const [method, path = ''] = chunk.toString().split(' ');
      const status = path.slice(1);
      const length = method === 'HEAD' || status === '304' ? 'Content-Length: 1000\r\n' : '';
      socket.write(`HTTP/1.1 ${status} X\r\n${length}ETag: "${method}${status}"\r\n\r\n`);
    });
  });
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const requests =
    'HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n';
  const answer = await exchange(port, requests, { isWhole: (r) => r.includes('GET304"\r\n\r\n') });
  assert.equal(
    answer,
    'HTTP/1.1 200 X\r\nContent-Length: 1000\r\nETag: "HEAD200"\r\n\r\n' +
      'HTTP/1.1 204 X\r\nETag: "GET204"\r\n\r\n' +
      'HTTP/1.1 304 X\r\nContent-Length: 1000\r\nETag: "GET304"\r\n\r\n',
  );
  assert.equal(backend.connections.length, 1);
});

test('an HTTP/1.0 client gets content until close where the backend sends chunks', async (t) => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T: 1\r\n\r\n';
  const backend = await scriptedBackend(t, whenHeadIsWhole(chunked));
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const answer = await exchange(port, 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
  assert.equal(answer, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde');
});

test('an HTTP/1.0 client that asks for it keeps its connection', async (t) => {
  const backend = await namedBackend(t);
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const request = 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n';
  const answer = await exchange(port, request + request, { isWhole: (r) => r.split(backend.address).length === 3 });
  assert.equal(answer.split('Connection: keep-alive').length, 3);
});

test('an HTTP/1.0 backend that ends its body by closing is relayed in chunks, and the client keeps its connection', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.on('data', () => socket.end('HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello'));
  });
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const answer = await exchange(port, request + request, { isWhole: (r) => r.split('0\r\n\r\n').length === 3 });
  const one =
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
  assert.equal(answer, one + one);
});

test('trailers pass both ways, those that frame or route are left out', async (t) => {
  const chunks = '3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n';
  const backend = await scriptedBackend(t, (r) =>
    r.includes('\r\n0\r\n') && r.endsWith('\r\n\r\n')
      ? `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`
      : null,
  );
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const request = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`;
  const answer = await exchange(port, request, { isWhole: endsWith('X-Sum: 1\r\n\r\n') });
  const kept = '3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n';
  assert.ok(answer.endsWith(`\r\n\r\n${kept}`));
  assert.ok(backend.received[0]?.endsWith(`\r\n\r\n${kept}`));
});

test('a client that ends its side after the request still gets its answer', async (t) => {
  const backend = await httpBackend(t, (_, response) => setTimeout(() => response.end('late'), 50));
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { halfClose: true });
  assert.ok(answer.endsWith('late'));
});

test('a client that leaves takes its backend connection with it', async (t) => {
  const backend = await rawBackend(t, () => {});
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const accepted = once(backend.server, 'connection');
  const client = net.connect(port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const [socket] = (await accepted) as [net.Socket];
  await once(socket, 'data');
  const closed = once(socket, 'close');
  socket.resume();
  socket.once('end', () => socket.end());
  client.resetAndDestroy();
  await closed;
});

test('malformed and ambiguous requests are refused with their status, and nothing is forwarded', async (t) => {
  const backend = await scriptedBackend(t, whenHeadIsWhole(OK));
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const cases: [number, string][] = [
    [400, 'GET / HTTP/1.1\r\n\r\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    [400, 'GET / HTTP/1.1\nHost: a\n\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n'],
    [400, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [400, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx'],
    [400, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx'],
    [400, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'],
    [400, 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [400, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length\r\n\r\n'],
    [400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
    [501, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    [501, 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'],
    [505, 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    [414, `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    [431, `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(200)}\r\n`],
    [431, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`],
    [417, 'POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1\r\n\r\nx'],
  ];
  for (const [status, request] of cases) {
    const answer = await exchange(port, request);
    const shown = JSON.stringify(request.slice(0, 80));
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), shown);
    assert.match(answer, /\r\nConnection: close\r\n/, shown);
  }
  assert.deepEqual(backend.received, []);
});

test('a fault in a chunked body ends the request with 400, and the backend sees no whole body', async (t) => {
  const backend = await scriptedBackend(t, () => null);
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  const answer = await exchange(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n',
  );
  assert.match(answer, /^HTTP\/1\.1 400 /);
  assert.ok(!backend.received.some((r) => r.includes('0\r\n\r\n')));
});

test('an absolute-form target is forwarded in origin-form, its authority in place of Host', async (t) => {
  const backend = await scriptedBackend(t, whenHeadIsWhole(OK));
  const { port } = await startProgram(t, simpleConfig([backend.address]));
  await exchange(port, 'GET http://b.example:81/p?q HTTP/1.1\r\nHost: a.example\r\nX: 1\r\n\r\n', {
    isWhole: endsWith('ok'),
  });
  assert.match(backend.received[0] ?? '', /^GET \/p\?q HTTP\/1\.1\r\nHost: b\.example:81\r\nX: 1\r\n/);
  assert.doesNotMatch(backend.received[0] ?? '', /a\.example/);
});

test('hosts lead to their services, wildcards too, and the rest to the default', async (t) => {
  const [a, b, rest] = [await namedBackend(t), await namedBackend(t), await namedBackend(t)];
  const yaml = `
workers: 1
listeners:
  - address: 127.0.0.1:0
    service: rest
    hosts: {a.example: a, "*.b.example": b}
pools: {a: {nodes: ["${a.address}"]}, b: {nodes: ["${b.address}"]}, rest: {nodes: ["${rest.address}"]}}
services: {a: {pool: a}, b: {pool: b}, rest: {pool: rest}}
`;
  const { port } = await startProgram(t, yaml);
  const to = async (host: string) => (await get(port, { headers: { Host: host } })).body;
  assert.equal(await to('A.example:80'), a.address);
  assert.equal(await to('x.y.b.example'), b.address);
  assert.equal(await to('b.example'), rest.address);
  assert.equal(await to('other'), rest.address);
});

test('a Host that no service is there for is 404, said in the log, and reaches no backend', async (t) => {
  const backend = await namedBackend(t);
  const yaml = `
workers: 1
listeners: [{address: "127.0.0.1:0", hosts: {a.example: a}}]
pools: {a: {nodes: ["${backend.address}"]}}
services: {a: {pool: a}}
`;
  const { port, logged } = await startProgram(t, yaml);
  assert.equal((await get(port, { headers: { Host: 'b.example' } })).status, 404);
  await logged((line) => line.status === 404 && line.reason === 'no service for this Host');
  assert.equal(backend.connections.length, 0);
});

test('via adds a Via line', async (t) => {
  const backend = await scriptedBackend(t, whenHeadIsWhole(OK));
  const { port } = await startProgram(t, simpleConfig([backend.address], { service: ['via: edge1'] }));
  await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { isWhole: endsWith('ok') });
  assert.match(backend.received[0] ?? '', /\r\nVia: 1\.1 edge1\r\n/);
});
