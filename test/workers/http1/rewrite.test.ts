/** Heads as they are passed on (RFC 9110 section 7.6, RFC 9112 section 3.2). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT } from '../../../workers/http1/errors.ts';
import { BODY } from '../../../workers/http1/framing.ts';
import {
  closeRanks,
  faultResponse,
  type Hop,
  localResponse,
  rewriteRequest,
  rewriteResponse,
} from '../../../workers/http1/rewrite.ts';
import { HOP } from '../../fuzz/own-reading.ts';
import { parseRequest, parseResponse } from '../../fuzz/parse.ts';

const FORWARDED = 'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n';

function rewritten(text: string, hop: Hop = HOP, keepUpstream = true): string {
  const { head, bytes, verdict } = parseRequest(text);
  assert.equal(verdict, null);
  return rewriteRequest(bytes, head, hop, keepUpstream);
}

function responded(text: string, kind: number = BODY.length): string {
  const { head, bytes, verdict } = parseResponse(text);
  assert.equal(verdict, null);
  return rewriteResponse(bytes, head, kind as 0);
}

test('a request with nothing to leave out passes byte for byte, with what we add behind it', () => {
  const text = 'GET /a?b HTTP/1.1\r\nHost: a\r\nX:\t\xe9 \r\ncookie: c\r\n';
  assert.equal(rewritten(`${text}\r\n`), `${text}${FORWARDED}\r\n`);
});

test('lines that are dropped leave the others as they came, in their order', () => {
  assert.equal(
    rewritten('GET / HTTP/1.1\r\nTE: x\r\nHost: a\r\nKeep-Alive: 1\r\nX: y\r\nConnection: z\r\nZ: 1\r\nB:c\r\n\r\n'),
    `GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nB:c\r\n${FORWARDED}\r\n`,
  );
});

test('an empty line before the request does not go on', () => {
  assert.equal(rewritten('\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'), `GET / HTTP/1.1\r\nHost: a\r\n${FORWARDED}\r\n`);
  assert.match(rewritten('\r\nGET / HTTP/1.0\r\nHost: a\r\nTE: x\r\n\r\n'), /^GET \/ HTTP\/1\.1\r\nHost: a\r\nX-F/);
});

test('an HTTP/1.0 request goes on as HTTP/1.1, with the address it came to for a missing Host', () => {
  const out = rewritten('GET / HTTP/1.0\r\nX: y\r\n\r\n');
  assert.match(out, /^GET \/ HTTP\/1\.1\r\nHost: 198\.51\.100\.1:8080\r\nX: y\r\nX-Forwarded-For: /);
  assert.doesNotMatch(out, /X-Forwarded-Host/);
  assert.match(
    rewritten('GET / HTTP/1.0\r\n\r\n'),
    /^GET \/ HTTP\/1\.1\r\nHost: 198\.51\.100\.1:8080\r\nX-Forwarded-For/,
  );
});

for (const [target, path, method = 'GET'] of [
  ['http://a', '/'],
  ['http://a/', '/'],
  ['HTTPS://a/b?c', '/b?c'],
  ['http://a?c', '/?c'],
  ['http://a', '*', 'OPTIONS'],
  ['http://a/', '/', 'OPTIONS'],
  ['http://a?c', '/?c', 'OPTIONS'],
] as const) {
  test(`${method} ${target} goes on in origin-form, and its authority as Host (RFC 9112 section 3.2)`, () => {
    assert.equal(
      rewritten(`${method} ${target} HTTP/1.1\r\nX: y\r\nHost: other\r\n\r\n`),
      `${method} ${path} HTTP/1.1\r\nHost: a\r\nX: y\r\n${FORWARDED}\r\n`,
    );
  });
}

test('the client’s X-Forwarded-For lines become one with its address at the end; what else it claims is dropped', () => {
  const out = rewritten(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nx-forwarded-for:\r\n' +
      'X-Forwarded-Proto: https\r\nX-Forwarded-For: 3.3.3.3\r\nX-Forwarded-Host: evil\r\n\r\n',
  );
  assert.equal(
    out,
    `GET / HTTP/1.1\r\nHost: a\r\n${FORWARDED.replace(': 192', ': 1.1.1.1, 2.2.2.2, 3.3.3.3, 192')}\r\n`,
  );
});

test('a client without an address adds no X-Forwarded-For, and claims none', () => {
  const out = rewritten('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n', { ...HOP, clientAddress: '' });
  assert.doesNotMatch(out, /X-Forwarded-For/);
});

test('a chunked request says so in one form only', () => {
  assert.equal(
    rewritten('POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:  CHUNKED\t\r\n\r\n'),
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${FORWARDED}\r\n`,
  );
});

test('an Upgrade goes on with a Connection of our own, and asks for no close besides', () => {
  const text = 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: x, Upgrade\r\n\r\n';
  for (const keepUpstream of [true, false]) {
    assert.equal(
      rewritten(text, HOP, keepUpstream),
      `GET / HTTP/1.1\r\nHost: a\r\n${FORWARDED}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
  }
});

test('a backend whose connection is not kept is asked to close', () => {
  const out = rewritten('GET / HTTP/1.1\r\nHost: a\r\n\r\n', HOP, false);
  assert.equal(out, `GET / HTTP/1.1\r\nHost: a\r\n${FORWARDED}Connection: close\r\n\r\n`);
});

test('a head within a larger buffer is rewritten alone', () => {
  const before = 'POST /x HTTP/1.1\r\nHost: b\r\n\r\n';
  const text = 'GET http://a/y HTTP/1.1\r\nHost: c\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n';
  const { head } = parseRequest(text);
  const bytes = Buffer.from(`${before}${text}Evil: 1\r\n\r\n`);
  assert.equal(head.parse(bytes, before.length, bytes.length), before.length + text.length);
  assert.equal(
    rewriteRequest(bytes, head, HOP, true),
    `GET /y HTTP/1.1\r\nHost: a\r\n${FORWARDED.replace(': 192', ': 1.1.1.1, 192')}\r\n`,
  );
});

test('a response with nothing to leave out passes byte for byte', () => {
  const text = 'HTTP/1.1 200 \xd6K\r\nContent-Length: 5\r\nSet-Cookie: a\r\nset-cookie: b\r\n';
  assert.equal(responded(`${text}\r\n`), text);
});

test('lines that are dropped are closed up to within the buffer: what is around them stays, and so does the body', () => {
  const kept = ['Server: x', 'Content-Length: 4', 'X-Kept:\t\xe9 '];
  const dropped = ['Connection: keep-alive, x-nominated', 'Keep-Alive: timeout=5', 'X-Nominated: 1'];
  const [server, length, other] = kept;
  const [connection, keepAlive, nominated] = dropped;
  for (const lines of [
    kept,
    [connection, ...kept],
    [...kept, connection],
    [server, connection, length, keepAlive, other, nominated],
    [...dropped, ...kept],
    [...kept, ...dropped],
    [server, ...dropped, length, other],
    [keepAlive, server, length, nominated, other, connection],
  ]) {
    const text = `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\nbody`;
    const bytes = Buffer.from(`before${text}behind`, 'latin1');
    const { head } = parseResponse('');
    assert.equal(head.parse(bytes, 6, bytes.length), 6 + text.length - 4);
    const first = closeRanks(bytes, head);
    assert.equal(bytes.toString('latin1', 0, 6), 'before');
    assert.equal(
      bytes.toString('latin1', first),
      `HTTP/1.1 200 OK\r\n${lines.filter((line) => kept.includes(line as string)).join('\r\n')}\r\n\r\nbodybehind`,
    );
  }
});

test('a response that has to say more, or something else, is not closed up', () => {
  for (const text of ['HTTP/1.0 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n']) {
    const { head, bytes } = parseResponse(text);
    assert.ok(closeRanks(bytes, head) < 0);
    assert.equal(bytes.toString('latin1'), text);
  }
});

test('a response of HTTP/1.0 goes on as HTTP/1.1 with its own status and reason', () => {
  assert.equal(responded('HTTP/1.0 404 Nope\r\nX: y\r\nConnection: close\r\n\r\n'), 'HTTP/1.1 404 Nope\r\nX: y\r\n');
  assert.equal(responded('HTTP/1.0 404\r\n\r\n'), 'HTTP/1.1 404\r\n');
});

test('the framing of a response is what the client is to see of it', () => {
  const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nX: y\r\n\r\n';
  assert.equal(responded(text, BODY.chunked), 'HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n');
  assert.equal(responded(text, BODY.untilClose), 'HTTP/1.1 200 OK\r\nX: y\r\n');
});

test('a response of our own is framed by the length of its body, and HEAD gets the head alone', () => {
  const whole = localResponse(503, { close: true, withoutBody: false });
  const [head, body] = whole.split('\r\n\r\n');
  assert.match(head as string, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
  assert.match(head as string, new RegExp(`\r\nContent-Length: ${body?.length}\r\n`));
  assert.match(whole, /\r\nConnection: close\r\n/);
  assert.match(whole, /\r\nRetry-After: 1\r\n/);
  assert.equal(localResponse(503, { close: true, withoutBody: true }), `${head}\r\n\r\n`);
  assert.doesNotMatch(localResponse(404, { close: false, withoutBody: false }), /Connection|Retry-After/);
});

test('every fault has an answer that closes and names its status, and a reason of its own for the log', () => {
  const faults = Object.values(FAULT);
  assert.equal(new Set(faults.map(({ reason }) => reason)).size, faults.length);
  for (const fault of faults) {
    const { verdict, head } = parseResponse(faultResponse(fault));
    assert.deepEqual([verdict, head.status, head.connection.close], [null, fault.status, true]);
    assert.doesNotMatch(faultResponse(fault), / Error\r\n/, 'the status has its reason phrase');
  }
});
