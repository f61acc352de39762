/** What a web page in a browser of this machine, or a stranger, can make the admin API do: nothing. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exchange, temporaryFolder } from '../e2e/harness.ts';
import { FILE_NODE, NODES, node, startAdmin } from './admin-harness.ts';

type Headers = Record<string, string>;
type Admin = Awaited<ReturnType<typeof startAdmin>>;

/** Everything that changes something, with a body that would do. */
const CHANGES: readonly [method: string, path: string, body?: object][] = [
  ['POST', NODES, { address: 'a:1' }],
  ['PATCH', `${NODES}/${FILE_NODE}`, { drain: true }],
  ['DELETE', `${NODES}/${FILE_NODE}`],
  ['DELETE', `${NODES}?node=${FILE_NODE}`],
  ['DELETE', `/pools/demo/edits/${FILE_NODE}`],
  ['POST', '/reload'],
  ['POST', '/keys/rotate'],
  ['POST', '/keys/revoke'],
];

test('requests that a web page could send are refused, and change nothing', async (t) => {
  const admin = await startAdmin(t);
  const { ask, port, lines } = admin;
  const foreign: Headers[] = [
    { host: 'attacker.example' },
    { host: `attacker.example:${port}` },
    { host: `localhost.attacker.example:${port}` },
    { host: `127.0.0.1.attacker.example:${port}` },
    { host: `0.0.0.0:${port}` },
    { host: `localhost.:${port}` },
    { host: `localhost@attacker.example:${port}` },
    { origin: 'http://attacker.example' },
    { origin: `https://attacker.example:${port}` },
    { origin: 'http://localhost:1' },
    { origin: 'null' },
    { origin: '' },
    { origin: `http://127.0.0.1:${port}@attacker.example` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'a-site-of-another-kind' },
  ];
  for (const headers of foreign) {
    for (const [method, path, body] of CHANGES) {
      const answer = await ask(method, path, body, headers);
      const shown = `${method} ${path} ${JSON.stringify(headers)}`;
      assert.deepEqual([answer.status, /^foreign-/.test(String(answer.body.code))], [403, true], shown);
    }
    assert.equal((await ask('GET', '/status', undefined, headers)).status, 403);
  }
  await nothingChanged(admin);
  // the log says so, and is not flooded: a line a second for each reason
  const said = lines.filter(({ msg }) => msg === 'admin request refused');
  const reasons = said.map(({ reason }) => String(reason));
  assert.deepEqual([...new Set(reasons)].sort(), ['foreign-host', 'foreign-origin']);
  assert.ok(said.length < foreign.length, `${said.length} lines`);
});

test('forms and beacons, which need no leave of the browser, are refused by their content type', async (t) => {
  const admin = await startAdmin(t);
  const types = [
    'text/plain',
    'text/plain; application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=application/json',
    'application/jsonx',
    'application/json-patch+json',
    '',
  ];
  for (const type of types) {
    for (const [method, path, body] of CHANGES) {
      // a form without fields has no body, and a type all the same
      for (const content of body === undefined ? [undefined] : [body, undefined]) {
        const { status, body: error } = await admin.ask(method, path, content, { 'content-type': type });
        assert.deepEqual([status, error.code], [415, 'content-type'], `${type}: ${method} ${path}`);
      }
    }
  }
  const { port } = admin;
  const untyped = `POST ${NODES} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Length: 17\r\n\r\n{"address":"a:1"}`;
  assert.match(await exchange(port, untyped), /^HTTP\/1\.1 415 .*"code":"bad-request"/s);
  await nothingChanged(admin);
});

test('no preflight is answered with leave', async (t) => {
  const { ask, port } = await startAdmin(t);
  for (const origin of ['http://attacker.example', `http://127.0.0.1:${port}`]) {
    const answer = await ask('OPTIONS', `${NODES}/${FILE_NODE}`, undefined, {
      origin,
      'access-control-request-method': 'DELETE',
      'access-control-request-headers': 'content-type, authorization',
    });
    assert.ok(answer.status === 403 || answer.status === 404, `${answer.status}`);
    assert.deepEqual(
      Object.keys(answer.headers).filter((name) => name.startsWith('access-control')),
      [],
    );
  }
});

test('no GET, HEAD or odd method changes anything', async (t) => {
  const admin = await startAdmin(t);
  for (const [changing, path] of CHANGES) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT']) {
      const headers = { 'x-http-method-override': changing };
      const { status } = await admin.ask(
        method,
        `${path}${path.includes('?') ? '&' : '?'}_method=${changing}`,
        undefined,
        headers,
      );
      assert.ok(status === 404 || (status === 200 && ['GET', 'HEAD'].includes(method)), `${method} ${path}: ${status}`);
    }
  }
  await nothingChanged(admin);
});

test('a link to the dashboard may be followed, and nothing else comes in by it', async (t) => {
  const admin = await startAdmin(t);
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  const page = async (headers: Headers) => {
    const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    return (await exchange(admin.port, `GET / HTTP/1.1\r\n${lines.join('')}\r\n`)).slice(9, 12);
  };
  assert.equal(await page(link), '200');
  assert.equal(await page({ ...link, 'sec-fetch-dest': 'iframe' }), '403');
  assert.equal(await page({ ...link, 'sec-fetch-mode': 'no-cors' }), '403');
  // an opened window would hold one of a few event streams, and a scrape has a side effect
  for (const path of ['/status', '/events', '/metrics', '/pools', '/no-such-path']) {
    assert.equal((await admin.ask('GET', path, undefined, link)).status, 403, path);
  }
  for (const [method, path, body] of CHANGES) assert.equal((await admin.ask(method, path, body, link)).status, 403);
  await nothingChanged(admin);
});

test('a unix socket that is forwarded to a port is not open to a rebound name either', async (t) => {
  const admin = await startAdmin(t, { address: `unix:${join(temporaryFolder(t), 'admin.sock')}` });
  // as ssh -L 9900:admin.sock passes it on: to the browser it is one site, and where it is not https it says no more
  const rebound = { host: 'attacker.example:9900', origin: 'http://attacker.example:9900' };
  for (const [method, path, body] of CHANGES) {
    const answer = await admin.ask(method, path, body, rebound);
    assert.deepEqual([answer.status, answer.body.code], [403, 'foreign-host'], path);
  }
  assert.equal((await admin.ask('GET', '/status', undefined, { host: 'attacker.example:9900' })).status, 403);
  for (const host of ['localhost', '127.0.0.1:9900', '[::1]:9901']) {
    assert.equal((await admin.ask('GET', '/status', undefined, { host })).status, 200, host);
  }
  await nothingChanged(admin);
});

test('programs of this machine and its own pages are let in by any of its names', async (t) => {
  const { ask, port } = await startAdmin(t);
  const own: Headers[] = [
    { host: 'localhost' },
    { host: `LOCALHOST:${port}` },
    { host: '[::1]:9900' },
    { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
  ];
  for (const headers of own) {
    assert.equal((await ask('GET', '/status', undefined, headers)).status, 200, JSON.stringify(headers));
  }
  const typed = await ask('POST', NODES, { address: 'a:1' }, { 'content-type': 'Application/JSON; charset=utf-8' });
  assert.equal(typed.status, 200);
});

test('what is no request is answered in JSON, and the connection ends', async (t) => {
  const { port } = await startAdmin(t);
  const long = 'x'.repeat(20_000);
  const cases: [bytes: string, status: number, code: string][] = [
    ['GARBAGE\r\n\r\n', 400, 'bad-request'],
    ['GET /status HTTP/9.9\r\n\r\n', 400, 'bad-request'],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'bad-request'],
    [
      'GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'bad-request',
    ],
    ['GET /status HTTP/1.1\r\n\r\n', 400, 'bad-request'],
    ['GET /status HTTP/1.0\r\n\r\n', 403, 'foreign-host'],
    ['GET /status HTTP/1.1\r\nHost:\r\n\r\n', 403, 'foreign-host'],
    [`GET /status HTTP/1.1\r\nHost: localhost\r\nX: ${long}\r\n\r\n`, 431, 'bad-request'],
    ['GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'bad-request'],
    [`GET /pools/${long.slice(0, 2000)}/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414, 'bad-request'],
    ['GET /status HTTP/1.1\r\nHost: localhost\r\nExpect: everything\r\nConnection: close\r\n\r\n', 417, 'expectation'],
    ['POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', 400, 'bad-request'],
  ];
  for (const [bytes, status, code] of cases) {
    const answer = await exchange(port, bytes, { halfClose: true });
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(bytes.slice(0, 60)));
    assert.match(head, /^content-type: application\/json; charset=utf-8\r?$/im);
    assert.equal((JSON.parse(body) as { code: string }).code, code);
  }
});

test('with a token, a stranger learns from the probes whether the edge is ready, and nothing else', async (t) => {
  const tokenFile = join(temporaryFolder(t), 'token');
  writeFileSync(tokenFile, 'edge-token');
  const { ask, edge } = await startAdmin(t, { tokenFile });
  const own = { authorization: 'Bearer edge-token' };
  const probe = async (path: string, headers: Headers = {}) => {
    const { status, body } = await ask('GET', path, undefined, { host: 'edge.example', ...headers });
    return [status, body];
  };
  assert.deepEqual(await probe('/healthz'), [200, { isAlive: true }]);
  assert.deepEqual(await probe('/readyz'), [200, { isReady: true }]);
  assert.deepEqual(await probe('/readyz', { authorization: 'Bearer wrong' }), [200, { isReady: true }]);
  assert.deepEqual(await probe('/readyz', own), [200, { isReady: true, reasons: [] }]);
  await edge.drain();
  assert.deepEqual(await probe('/healthz'), [200, { isAlive: true }]);
  assert.deepEqual(await probe('/readyz'), [503, { isReady: false }]);
  assert.deepEqual(await probe('/readyz', own), [503, { isReady: false, reasons: ['draining'] }]);
  for (const path of ['/status', '/metrics', '/keys', '/pools', NODES, '/openapi.yaml', '/no-such-path']) {
    assert.equal((await ask('GET', path)).status, 401, path);
  }
  for (const [method, path, body] of CHANGES) assert.equal((await ask(method, path, body)).status, 401, path);
  assert.equal((await ask('GET', '/readyz', undefined, { origin: 'http://attacker.example' })).status, 403);
});

async function nothingChanged({ ask, cluster }: Admin): Promise<void> {
  assert.deepEqual((await ask('GET', NODES)).body.nodes, [node(FILE_NODE)]);
  assert.deepEqual(
    cluster.proposed.filter((kind) => kind === 'key-rotate' || kind === 'key-revoke'),
    [],
  );
}
