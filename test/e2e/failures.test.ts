/** Backends that fail in every way, through the running program: who is answered what, and what the log says of it. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import { type TestContext, test } from 'node:test';
import {
  type Backend,
  DEAD_ADDRESSES,
  deafAddress,
  eventually,
  exchange,
  get,
  httpBackend,
  type LogLine,
  namedBackend,
  openClient,
  type Program,
  rawBackend,
  servicesConfig,
  simpleConfig,
  startSound,
} from './harness.ts';

const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');
const request = (method: string, path: string, host = 'a') => {
  const body = method === 'POST' || method === 'PUT' ? 'body' : '';
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n${body}`;
};
const ok = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

interface Answered {
  /** The head and what came with it. */
  readonly request: string;
  /** Requests on this connection so far, this one included. */
  readonly nth: number;
}
type Answer = (socket: net.Socket, answered: Answered) => void;

/** A raw backend that does at each request what `answers` holds for its path. It reads the 4-byte bodies made above. */
async function pathBackend(
  t: TestContext,
  answers: Readonly<Record<string, Answer>>,
): Promise<Backend & { requests: string[] }> {
  const requests: string[] = [];
  const backend = await rawBackend(t, (socket) => {
    let nth = 0;
    let text = '';
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const length = Number(/\r\nContent-Length: (\d+)\r\n/.exec(text)?.[1] ?? 0);
      const end = text.indexOf('\r\n\r\n') + 4;
      if (end < 4 || (length === 4 && text.length < end + length)) return;
      const [method = '', path = ''] = text.split(' ');
      requests.push(`${method} ${path}`);
      const head = text;
      text = '';
      (answers[path] ?? ((s) => s.write(ok(path))))(socket, { request: head, nth: ++nth });
    });
  });
  return Object.assign(backend, { requests });
}

function lines(program: Program, msg: string): LogLine[] {
  return program.log.filter((line) => line.msg === msg);
}

/** The `nth` line that says `msg`, as soon as it is there: lines may come after the answer that they tell of. */
async function nthLine(program: Program, msg: string, nth: number): Promise<LogLine> {
  return await program.logged((line) => line.msg === msg && lines(program, msg).indexOf(line) === nth - 1);
}

const FAILED = 'request failed';
const CUT_SHORT = 'response cut short';
const NODE_FAILED = 'node failed';
const LEFT_OUT = 'node left out';
const BACK = 'node answers again';

test('a node that refuses is passed over, left out, probed, and comes back; sticky clients move with a new cookie', async (t) => {
  const [dead, live] = [await namedBackend(t), await namedBackend(t)];
  const program = await startSound(
    t,
    simpleConfig([dead.address, live.address], {
      service: ['affinity: yes', 'balance: round_robin', 'max_fails: 2', 'fail_timeout: 200ms'],
    }),
  );
  const sticky = () => get(program.port, { headers: { Cookie: `X-SERVERID=${sha1(dead.address)}` } });
  await dead.close();
  for (let i = 0; i < 4; i++) {
    const { body, headers } = await sticky();
    assert.equal(body, live.address);
    assert.equal(headers['set-cookie']?.[0], `X-SERVERID=${sha1(live.address)}; path=/; HttpOnly`);
    assert.equal((await get(program.port)).body, live.address);
  }
  const { node, reason, failures } = await nthLine(program, LEFT_OUT, 1);
  assert.deepEqual([node, reason, failures], [dead.address, 'ECONNREFUSED', 2]);
  assert.equal(lines(program, NODE_FAILED).length, 1);

  // no request finds out that it is back: it is probed
  await dead.reopen();
  await nthLine(program, BACK, 1);
  assert.equal(lines(program, LEFT_OUT).length, 1);
  const { body, headers } = await sticky();
  assert.equal(body, dead.address);
  assert.equal(headers['set-cookie'], undefined);
});

test('a node that accepts and then fails is left out too, and its return is on trial', async (t) => {
  let isIll = true;
  let failures = 0;
  const flaky = await rawBackend(t, (socket) => {
    socket.on('data', () => {
      if (!isIll) socket.write(ok('well'));
      // with the second it closes altogether, so that no probe finds it before the test wants that
      else if (++failures === 2) void flaky.close();
      else socket.destroy();
    });
  });
  const good = await namedBackend(t);
  const service = ['affinity: yes', 'max_fails: 2', 'fail_timeout: 200ms'];
  const program = await startSound(t, simpleConfig([flaky.address, good.address], { service }));
  const sticky = () => get(program.port, { headers: { Cookie: `X-SERVERID=${sha1(flaky.address)}` } });
  assert.equal((await sticky()).status, 502);
  assert.equal((await sticky()).status, 502);
  await nthLine(program, LEFT_OUT, 1);
  assert.equal((await sticky()).body, good.address);
  // the probe finds it open; one more failure puts it out at once
  await flaky.reopen();
  await nthLine(program, BACK, 1);
  assert.equal((await sticky()).status, 502);
  await nthLine(program, LEFT_OUT, 2);
  isIll = false;
  await nthLine(program, BACK, 2);
  assert.equal((await sticky()).body, 'well');
});

test('a node that is left out serves where there is no other, and its answer brings it back', async (t) => {
  const only = await namedBackend(t);
  const service = ['max_fails: 1', 'fail_timeout: 1h'];
  const program = await startSound(t, simpleConfig([only.address], { service }));
  await only.close();
  assert.equal((await get(program.port)).status, 502);
  await nthLine(program, LEFT_OUT, 1);
  await only.reopen();
  assert.equal((await get(program.port)).body, only.address);
  await nthLine(program, BACK, 1);
});

test('no more nodes are tried than `retries` allows', async (t) => {
  const nodes = DEAD_ADDRESSES;
  const program = await startSound(
    t,
    servicesConfig({ two: { nodes }, none: { nodes, lines: ['retries: 0'] }, one: { nodes: nodes.slice(0, 1) } }),
  );
  for (const [i, [host, triedMax]] of [['two', 3] as const, ['none', 1] as const, ['one', 1] as const].entries()) {
    const before = lines(program, NODE_FAILED).length;
    const { status, body } = await get(program.port, { headers: { Host: host } });
    assert.deepEqual([status, body], [502, '502 Bad Gateway\n']);
    const { service, reason } = await nthLine(program, FAILED, i + 1);
    assert.deepEqual([service, reason], [host, 'ECONNREFUSED']);
    assert.equal(lines(program, NODE_FAILED).length - before, triedMax, host);
  }
});

test('a pool without nodes is 503 with Retry-After, and the connection stays', async (t) => {
  const program = await startSound(t, simpleConfig([]));
  const { until } = openClient(t, program.port, request('GET', '/') + request('HEAD', '/') + request('POST', '/'));
  const answers = (await until((r) => r.split('HTTP/1.1 503').length === 4 && r.endsWith('Unavailable\n'))).split(
    /(?=HTTP\/1.1)/,
  );
  for (const answer of answers) assert.match(answer, /\r\nRetry-After: 1\r\n/);
  // the body of the POST came with its head, and still was not read: the connection cannot go on
  assert.deepEqual(
    answers.map((a) => a.includes('Connection: close')),
    [false, false, true],
  );
  for (let i = 1; i <= 3; i++) {
    const { node, reason } = await nthLine(program, FAILED, i);
    assert.deepEqual([node, reason], ['', 'no live node']);
  }
});

test('a node that does not take connections is 504 after connect_timeout', async (t) => {
  const program = await startSound(t, simpleConfig([await deafAddress(t)], { service: ['connect_timeout: 100ms'] }));
  for (const [i, method] of ['GET', 'POST'].entries()) {
    assert.match(await exchange(program.port, request(method, '/'), { isWhole: endsInLine }), /^HTTP\/1.1 504 /);
    assert.equal((await nthLine(program, FAILED, i + 1)).reason, 'connect timed out');
  }
});

const endsInLine = (received: string) => received.endsWith('\n') && !received.endsWith('\r\n');

test('a backend that takes the request and says nothing is 504 after response_timeout', async (t) => {
  const backend = await pathBackend(t, { '/': () => {} });
  const program = await startSound(t, simpleConfig([backend.address], { service: ['response_timeout: 100ms'] }));
  for (const [i, method] of ['GET', 'POST'].entries()) {
    assert.match(await exchange(program.port, request(method, '/'), { isWhole: endsInLine }), /^HTTP\/1.1 504 /);
    assert.equal((await nthLine(program, FAILED, i + 1)).reason, 'no response in time');
  }
  await eventually(() => backend.requests.length >= 2, 'both have come to the backend');
  // not sent again: the backend may be working on it
  assert.deepEqual(backend.requests, ['GET /', 'POST /']);
});

test('a malformed, excessive or missing response is 502, once, and its connection is not used again', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\n';
  const texts: Record<string, string> = {
    lengths: `${head}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
    list: `${head}Content-Length: 2, 2\r\n\r\nok`,
    negative: `${head}Content-Length: -2\r\n\r\nok`,
    both: `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    coding: `${head}Transfer-Encoding: gzip\r\n\r\nok`,
    version: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n',
    status: 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n',
    icy: 'ICY 200 OK\r\n\r\n',
    garbage: '\x00\x01\x02\xff\xfe',
    banner: 'SSH-2.0-OpenSSH_9.2p1\r\n',
    bare: 'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    folded: `${head}X: a\r\n b\r\nContent-Length: 0\r\n\r\n`,
    colon: `${head}X\r\nContent-Length: 0\r\n\r\n`,
    nul: `${head}X: \0\r\nContent-Length: 0\r\n\r\n`,
    large: `${head}X: ${'y'.repeat(40_000)}\r\n\r\n`,
    lines: `${head}${'X: y\r\n'.repeat(200)}\r\n`,
    flood: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(17) + ok('late'),
    switched: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  };
  const endings: Record<string, Answer> = {
    fin: (socket) => socket.end(),
    reset: (socket) => socket.resetAndDestroy(),
    partial: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'),
    hinted: (socket) => socket.end('HTTP/1.1 103 Early Hints\r\n\r\n'),
  };
  const answers = Object.fromEntries([
    ...Object.entries(texts).map(([name, text]) => [`/${name}`, (s: net.Socket) => s.write(text, 'latin1')] as const),
    ...Object.entries(endings).map(([name, answer]) => [`/${name}`, answer] as const),
  ]);
  const backend = await pathBackend(t, answers);
  const program = await startSound(t, simpleConfig([backend.address]));
  for (const path of Object.keys(answers)) {
    for (const method of ['GET', 'POST']) {
      const answer = await exchange(program.port, request(method, path), { isWhole: endsInLine });
      assert.match(answer, /^(HTTP\/1.1 103 Early Hints\r\n\r\n)*HTTP\/1.1 502 Bad Gateway\r\n/, path);
      assert.doesNotMatch(answer, /\r\nConnection: close\r\n/);
    }
  }
  assert.deepEqual(
    backend.requests,
    Object.keys(answers).flatMap((path) => [`GET ${path}`, `POST ${path}`]),
  );
  assert.equal(backend.connections.length, backend.requests.length);
  const { reason } = await nthLine(program, FAILED, backend.requests.length);
  assert.equal(reason, 'backend closed the connection');
});

test('a reused connection that closes under a request: GET is sent again on a fresh one, what may not be is 502', async (t) => {
  const closeSecond =
    (close: (socket: net.Socket) => void): Answer =>
    (socket, { nth }) =>
      nth === 1 ? socket.write(ok('ok')) : close(socket);
  const backend = await pathBackend(t, {
    '/fin': closeSecond((socket) => socket.end()),
    '/reset': closeSecond((socket) => socket.resetAndDestroy()),
    '/partial': closeSecond((socket) => socket.end('HTTP/1.1 200')),
  });
  const nodes = [backend.address];
  const program = await startSound(t, servicesConfig({ a: { nodes }, none: { nodes, lines: ['retries: 0'] } }));
  const attempt = async (method: string, path: string, host = 'a') => {
    const before = backend.requests.length;
    const { until } = openClient(t, program.port, request('GET', '/first', host));
    await until((r) => r.endsWith('/first'));
    const client = openClient(t, program.port, request(method, path, host));
    const answer = await client.until((r) => r.endsWith('ok') || endsInLine(r));
    return [answer.slice(9, 12), ...backend.requests.slice(before)];
  };
  for (const path of ['/fin', '/reset']) {
    for (const method of ['GET', 'DELETE']) {
      const sent = `${method} ${path}`;
      assert.deepEqual(await attempt(method, path), ['200', 'GET /first', sent, sent]);
      // the fresh connection has served one request, and is now the idle one: the next test wants none
      assert.deepEqual(await attempt('GET', '/partial'), ['502', 'GET /first', 'GET /partial']);
    }
    for (const method of ['POST', 'PUT', 'PATCH']) {
      assert.deepEqual(await attempt(method, path), ['502', 'GET /first', `${method} ${path}`]);
    }
    assert.deepEqual(await attempt('GET', path, 'none'), ['502', 'GET /first', `GET ${path}`]);
  }
});

test('a response that breaks off shows: in chunks, at a length, and until close', async (t) => {
  const first: Record<string, string> = {
    '/length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde',
    '/chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n',
    '/within': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabcde',
    '/close': 'HTTP/1.0 200 OK\r\n\r\nabcde',
  };
  let serving: net.Socket | null = null;
  const answer: Answer = (socket, { request: [, ...rest] }) => {
    serving = socket;
    socket.write(first[rest.join('').split(' ')[1] as string] as string);
  };
  const backend = await pathBackend(t, Object.fromEntries(Object.keys(first).map((path) => [path, answer])));
  const program = await startSound(t, simpleConfig([backend.address]));
  for (const path of Object.keys(first)) {
    for (const version of ['1.1', '1.0']) {
      for (const how of ['reset', 'FIN']) {
        const where = `${path} to HTTP/${version}, ${how}`;
        const before = lines(program, CUT_SHORT).length;
        const client = openClient(t, program.port, `GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`);
        await client.until((r) => r.includes('abcde'));
        if (how === 'reset') (serving as net.Socket | null)?.resetAndDestroy();
        else (serving as net.Socket | null)?.end();
        const isWhole = path === '/close' && how === 'FIN';
        if (isWhole && version === '1.1') {
          await client.until((r) => r.endsWith('\r\n5\r\nabcde\r\n0\r\n\r\n'));
          continue;
        }
        const ended = await client.ended;
        const body = client.received.slice(client.received.indexOf('\r\n\r\n') + 4);
        // nothing but the end of the connection tells an HTTP/1.0 client where there is no length
        const isReset = version === '1.0' && path !== '/length' && !isWhole;
        assert.equal(ended, isReset ? 'ECONNRESET' : 'FIN', where);
        if (version === '1.1') assert.doesNotMatch(body, /0\r\n\r\n$/, where);
        else assert.equal(body, 'abcde', where);
        if (!isWhole) await nthLine(program, CUT_SHORT, before + 1);
      }
    }
  }
});

test('bytes after a response belong to nobody: the connection is not used again', async (t) => {
  let serving: net.Socket | null = null;
  const backend = await pathBackend(t, {
    '/extra': (socket) => socket.write(`${ok('ok')}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`),
    '/chunks': (socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\npoison'),
    '/head': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'),
    '/later': (socket) => {
      serving = socket;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n');
    },
    '/204': (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\npoison'),
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const cases = ['GET /extra', 'GET /chunks', 'HEAD /head', 'HEAD /later', 'GET /204'];
  for (const [i, line] of cases.entries()) {
    const [method = '', path = ''] = line.split(' ');
    const client = openClient(t, program.port, request(method, path));
    await client.until((r) => (path === '/extra' ? r.endsWith('ok') : /\r\n\r\n(0\r\n\r\n)?$/.test(r)));
    if (path === '/later') {
      const closed = once(serving as unknown as net.Socket, 'end');
      (serving as unknown as net.Socket).write('poison');
      await closed;
    }
    client.socket.write(request('GET', '/next'));
    await client.until((r) => r.endsWith('/next'));
    assert.doesNotMatch(client.received, /poison/, line);
    // one connection for the case, one for the request after it, which the next case takes over
    assert.equal(backend.connections.length, i + 2, line);
  }
});

test('a final response before the end of the request body reaches the client whole', async (t) => {
  const backend = await pathBackend(t, {
    '/': (socket) => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nhello'),
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 40}\r\n\r\n`;
  const client = openClient(t, program.port, head);
  assert.equal(await client.ended, 'FIN');
  assert.match(client.received, /^HTTP\/1.1 413 .*\r\nConnection: close\r\n\r\nhello$/s);
  assert.deepEqual(lines(program, FAILED), []);
});

test('verify_backend asks once on each fresh connection, and another node serves where the answer is no', async (t) => {
  const log: string[] = [];
  const answering = (answer: string | null) =>
    rawBackend(t, (socket) => {
      const connection = log.length;
      socket.on('end', () => socket.end());
      socket.on('data', (chunk) => {
        const [method = '', path = ''] = chunk.toString('latin1').split(' ');
        log.push(`${method} ${path}`);
        if (method !== 'OPTIONS') socket.write(ok(`${connection}`));
        else if (answer !== null) socket.write(answer);
      });
    });
  const good = await answering('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno');
  const bad: Record<string, string | null> = {
    closing: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    old: 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n',
    endless: 'HTTP/1.1 200 OK\r\n\r\n',
    garbage: 'nonsense\r\n\r\n',
    twice: ok('') + ok(''),
    switching: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    long: `HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`,
    silent: null,
  };
  const services: Record<string, { nodes: string[]; lines: string[] }> = {};
  // nobody probes a node that is left out while the test counts what comes to it
  const settings = ['verify_backend: yes', 'affinity: yes', 'max_fails: 1', 'fail_timeout: 1h'];
  for (const [name, answer] of Object.entries(bad)) {
    const lines = name === 'silent' ? [...settings, 'connect_timeout: 1s'] : settings;
    services[name] = { nodes: [(await answering(answer)).address, good.address], lines };
  }
  services.path = { nodes: [good.address], lines: [...settings, 'verify_backend_path: /up'] };
  services.none = { nodes: services.silent?.nodes.slice(0, 1) ?? [], lines: [...settings, 'connect_timeout: 100ms'] };
  const program = await startSound(t, servicesConfig(services));
  const ask = (host: string, headers: Record<string, string> = {}) =>
    get(program.port, { headers: { Host: host, ...headers }, path: '/page' });

  for (const [i, name] of Object.keys(bad).entries()) {
    log.length = 0;
    const [node = ''] = services[name]?.nodes ?? [];
    const { status, headers } = await ask(name, { Cookie: `X-SERVERID=${sha1(node)}` });
    assert.deepEqual([status, log], [200, ['OPTIONS *', 'OPTIONS *', 'GET /page']], name);
    assert.match(headers['set-cookie']?.[0] ?? '', new RegExp(`=${sha1(good.address)};`), name);
    const { reason } = await nthLine(program, LEFT_OUT, i + 1);
    assert.match(reason as string, name === 'silent' ? /^verification timed out$/ : /^verification failed: /, name);
    // the verified connection is used again as it is; the other node is left out
    await ask(name);
    assert.deepEqual(log.slice(3), ['GET /page'], name);
  }
  log.length = 0;
  await ask('path');
  assert.deepEqual(log, ['OPTIONS /up', 'GET /page']);
  assert.equal((await ask('none')).status, 504);
});

test('a backend that fails within the exchange is no reason to leave a node alone, and its client is told at once', async (t) => {
  const backend = await httpBackend(t, (incoming, response) => {
    incoming.resume();
    response.writeHead(500).end('oops');
  });
  const program = await startSound(t, simpleConfig([backend.address]));
  const { status, body } = await get(program.port);
  assert.deepEqual([status, body], [500, 'oops']);
  assert.deepEqual(
    program.log.filter((line) => line.level >= 40),
    [],
  );
});
