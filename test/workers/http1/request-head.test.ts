/** The request head: what is accepted and how it is read, and every way of being refused (RFC 9112, RFC 9110). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT } from '../../../workers/http1/errors.ts';
import { NO_LENGTH } from '../../../workers/http1/framing.ts';
import { RequestHead } from '../../../workers/http1/request-head.ts';
import { parseRequest, requestWith } from '../../fuzz/parse.ts';

/** One test a row: a name that is a sentence, the request, its fault or null. */
function refusals(section: string, rows: readonly (readonly [string, string, unknown])[]): void {
  for (const [name, text, fault] of rows) {
    test(`${name} (${section})`, () => assert.equal(parseRequest(text).verdict, fault));
  }
}

const line = (text: string) => `${text}\r\nHost: a\r\n\r\n`;

refusals('RFC 9112 section 3', [
  ['a request line is a method, a target and a version', line('GET / HTTP/1.1'), null],
  ['any token is a method', line('!#$%&-x / HTTP/1.1'), null],
  ['a method of 32 bytes is read', line(`${'M'.repeat(32)} / HTTP/1.1`), null],
  ['a method of 33 bytes is refused', line(`${'M'.repeat(33)} / HTTP/1.1`), FAULT.requestLine],
  ['a method with a byte that is none of a token is refused', line('GE:T / HTTP/1.1'), FAULT.requestLine],
  ['a line that begins with a space is refused', line(' GET / HTTP/1.1'), FAULT.requestLine],
  ['two spaces before the target are refused', line('GET  / HTTP/1.1'), FAULT.target],
  ['two spaces before the version are refused', line('GET /  HTTP/1.1'), FAULT.requestLine],
  ['a tab between the parts is refused', line('GET\t/ HTTP/1.1'), FAULT.requestLine],
  ['a tab behind the target is refused', line('GET /\tHTTP/1.1'), FAULT.target],
  ['white space at the end of the line is refused', line('GET / HTTP/1.1 '), FAULT.requestLine],
  ['a line without a version, as in HTTP/0.9, is refused', 'GET /\r\n', FAULT.target],
  ['a version in small letters is refused', line('GET / http/1.1'), FAULT.requestLine],
  ['a version with two digits is refused', line('GET / HTTP/1.10'), FAULT.requestLine],
  ['a version with a leading zero is refused', line('GET / HTTP/01.1'), FAULT.requestLine],
  ['a line that ends in LF alone is refused', 'GET / HTTP/1.1\nHost: a\r\n\r\n', FAULT.requestLine],
  ['a line that ends in CR alone is refused', 'GET / HTTP/1.1\rHost: a\r\n\r\n', FAULT.requestLine],
  ['a NUL in the line is refused', line('GET /\0 HTTP/1.1'), FAULT.target],
]);

refusals('RFC 9110 section 9.3.8', [
  ['TRACE is read', line('TRACE / HTTP/1.1'), null],
  ['TRACE with a length of 0 is read', 'TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', null],
  ['TRACE with content is refused', 'TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx', FAULT.traceContent],
  [
    'TRACE with chunked content is refused',
    'TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    FAULT.traceContent,
  ],
]);

refusals('RFC 9112 section 2.3', [
  ['HTTP/2.0 is another version', line('GET / HTTP/2.0'), FAULT.version],
  ['the preface of HTTP/2 is another version', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', FAULT.version],
  ['HTTP/0.9 is another version', line('GET / HTTP/0.9'), FAULT.version],
  ['HTTP/1.2 is another version', line('GET / HTTP/1.2'), FAULT.version],
]);

refusals('RFC 9112 section 2.2', [
  ['an empty line before the request is passed over', `\r\n${line('GET / HTTP/1.1')}`, null],
  ['a second empty line is refused', `\r\n\r\n${line('GET / HTTP/1.1')}`, FAULT.requestLine],
  ['a CR before the request is refused', `\r${line('GET / HTTP/1.1')}`, FAULT.lineEnd],
  ['an LF before the request is refused', `\n${line('GET / HTTP/1.1')}`, FAULT.requestLine],
]);

refusals('RFC 9112 section 3.2', [
  ['a path and a query are origin-form', line('GET /a/b?c=/d HTTP/1.1'), null],
  ['every visible byte but "#" may stand in a target', line(`GET /!"$%&'()*+,-.:;<=>?@[\\]^_\`{|}~ HTTP/1.1`), null],
  ['a fragment is refused', line('GET /a#b HTTP/1.1'), FAULT.target],
  ['a byte above ASCII in a target is refused', line('GET /\xe9 HTTP/1.1'), FAULT.target],
  ['a DEL in a target is refused', line('GET /\x7f HTTP/1.1'), FAULT.target],
  ['"*" is for OPTIONS', line('OPTIONS * HTTP/1.1'), null],
  ['"*" for another method is refused', line('GET * HTTP/1.1'), FAULT.target],
  ['"**" is refused', line('OPTIONS ** HTTP/1.1'), FAULT.target],
  ['a path without its slash is refused', line('GET a HTTP/1.1'), FAULT.target],
  ['another scheme is refused', line('GET ftp://a/ HTTP/1.1'), FAULT.target],
  ['an absolute target without an authority is refused', line('GET http:///a HTTP/1.1'), FAULT.target],
  ['userinfo in an absolute target is refused', line('GET http://u@a/ HTTP/1.1'), FAULT.target],
  ['authority-form is refused but for CONNECT', line('GET a:80 HTTP/1.1'), FAULT.target],
  ['CONNECT is not served', line('CONNECT a:80 HTTP/1.1'), FAULT.connect],
  ['a request of HTTP/1.1 without Host is refused', 'GET / HTTP/1.1\r\n\r\n', FAULT.hostMissing],
  ['a request of HTTP/1.0 needs no Host', 'GET / HTTP/1.0\r\n\r\n', null],
  ['an absolute target needs Host all the same', 'GET http://a/ HTTP/1.1\r\n\r\n', FAULT.hostMissing],
  ['an empty Host is read', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', null],
  ['an IPv6 Host with a port is read', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', null],
  ['two Hosts are refused', requestWith(['Host: b.example']), FAULT.hostRepeated],
  ['two equal Hosts are refused', requestWith(['host: a.example']), FAULT.hostRepeated],
  ['a Host that ends in a dot is read', 'GET / HTTP/1.1\r\nHost: a.example.:80\r\n\r\n', null],
  ['a Host of 255 bytes is read', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(255)}\r\n\r\n`, null],
  ['a longer Host is refused', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(256)}\r\n\r\n`, FAULT.host],
  ['a Host list is refused', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', FAULT.host],
  ['a Host with two ports is refused', 'GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n', FAULT.host],
  ['a Host with a port that is no number is refused', 'GET / HTTP/1.1\r\nHost: a:x\r\n\r\n', FAULT.host],
  ['a Host that is a port alone is refused', 'GET / HTTP/1.1\r\nHost: :80\r\n\r\n', FAULT.host],
  ['a Host with an empty label is refused', 'GET / HTTP/1.1\r\nHost: a..b\r\n\r\n', FAULT.host],
  ['a Host that ends in two dots is refused', 'GET / HTTP/1.1\r\nHost: a..\r\n\r\n', FAULT.host],
  ['a Host with an open bracket is refused', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', FAULT.host],
  ['a Host with bytes behind its bracket is refused', 'GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n', FAULT.host],
  ['a Host with white space within is refused', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', FAULT.host],
  ['a Host with a path is refused', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', FAULT.host],
  ['a Host with userinfo is refused', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', FAULT.host],
  [
    'a second Host beside an absolute target is refused',
    line('GET http://a/ HTTP/1.1').replace('\r\n\r\n', '\r\nHost: b\r\n\r\n'),
    FAULT.hostRepeated,
  ],
]);

const contentLengths: readonly (readonly [string, unknown])[] = [
  ['0', null],
  ['5', null],
  [' \t5 \t', null],
  ['999999999999999', null],
  ['1000000000000000', FAULT.contentLength],
  ['18446744073709551621', FAULT.contentLength],
  ['+5', FAULT.contentLength],
  ['-5', FAULT.contentLength],
  ['-0', FAULT.contentLength],
  ['05', FAULT.contentLength],
  ['00', FAULT.contentLength],
  ['0x5', FAULT.contentLength],
  ['5,5', FAULT.contentLength],
  ['5, 6', FAULT.contentLength],
  ['5 5', FAULT.contentLength],
  ['5.0', FAULT.contentLength],
  ['1e1', FAULT.contentLength],
  ['"5"', FAULT.contentLength],
  ['5;', FAULT.contentLength],
  ['\xb2', FAULT.contentLength],
  ['', FAULT.contentLength],
];
for (const [value, fault] of contentLengths) {
  test(`a Content-Length of ${JSON.stringify(value)} is ${fault === null ? 'read' : 'refused'} (RFC 9112 section 6.3)`, () => {
    const { head, verdict } = parseRequest(requestWith([`Content-Length:${value}`]));
    assert.equal(verdict, fault);
    if (fault === null) assert.equal(head.contentLength, Number(value));
  });
}

const codings: readonly (readonly [string, unknown])[] = [
  ['chunked', null],
  ['CHUNKED', null],
  ['\tchunked\t', null],
  ['', FAULT.coding],
  ['identity', FAULT.coding],
  ['xchunked', FAULT.coding],
  ['chunkedx', FAULT.coding],
  ['chunk', FAULT.coding],
  ['"chunked"', FAULT.coding],
  ["'chunked'", FAULT.coding],
  ['chunked;q=1', FAULT.coding],
  ['chunked,', FAULT.coding],
  [',chunked', FAULT.coding],
  ['chunked, chunked', FAULT.coding],
  ['chunked, identity', FAULT.coding],
  ['chunked, gzip', FAULT.coding],
  ['gzip', FAULT.coding],
  ['gzip chunked', FAULT.coding],
  ['gzip, chunked', FAULT.codingUnknown],
  ['identity, chunked', FAULT.codingUnknown],
  ['\xa0chunked', FAULT.coding],
  ['\x0bchunked', FAULT.fieldValue],
  ['chunked\x0c', FAULT.fieldValue],
];
for (const [value, fault] of codings) {
  test(`a Transfer-Encoding of ${JSON.stringify(value)} is ${fault === null ? 'read' : 'refused'} (RFC 9112 section 6.1)`, () => {
    const { head, verdict } = parseRequest(requestWith([`Transfer-Encoding:${value}`]));
    assert.equal(verdict, fault);
    if (fault === null) assert(head.isChunked && head.hasBody && head.contentLength === NO_LENGTH);
  });
}

const chunked = 'Transfer-Encoding: chunked';
refusals('RFC 9112 section 6', [
  ['a length and then a coding are refused: CL.TE', requestWith(['Content-Length: 5', chunked]), FAULT.lengthAndCoding],
  ['a coding and then a length are refused: TE.CL', requestWith([chunked, 'Content-Length: 5']), FAULT.lengthAndCoding],
  ['a length of 0 with a coding is refused: TE.0', requestWith([chunked, 'Content-Length: 0']), FAULT.lengthAndCoding],
  ['two codings are refused: TE.TE', requestWith([chunked, chunked]), FAULT.coding],
  ['a second, unknown coding is refused', requestWith([chunked, 'Transfer-encoding: cow']), FAULT.coding],
  ['a first, unknown coding is refused', requestWith(['Transfer-Encoding: cow', chunked]), FAULT.coding],
  ['a coding in HTTP/1.0 is refused', requestWith([chunked], 'HTTP/1.0'), FAULT.codingIn10],
  ['two lengths are refused', requestWith(['Content-Length: 5', 'Content-Length: 6']), FAULT.contentLengthRepeated],
  [
    'two equal lengths are refused',
    requestWith(['Content-Length: 5', 'content-length: 5']),
    FAULT.contentLengthRepeated,
  ],
  [
    'two lengths of 0 are refused',
    requestWith(['Content-Length: 0', 'Content-Length: 0']),
    FAULT.contentLengthRepeated,
  ],
]);

refusals('RFC 9110 sections 7.6.1, 7.8 and 10.1.1', [
  ['Connection may name a field', requestWith(['X-A: b', 'Connection: x-a']), null],
  ['Connection may hold empty members', requestWith(['Connection: ,, close ,']), null],
  ['Connection may not name Content-Length', requestWith(['Connection: content-length']), FAULT.connection],
  ['Connection may not name Transfer-Encoding', requestWith(['Connection: x, Transfer-Encoding']), FAULT.connection],
  ['Connection may not name Host', requestWith(['Connection: HOST']), FAULT.connection],
  ['Connection may not name itself', requestWith(['Connection: connection']), FAULT.connection],
  ['Connection holds tokens', requestWith(['Connection: "close"']), FAULT.connection],
  ['a second Connection field counts too', requestWith(['Connection: close', 'Connection: host']), FAULT.connection],
  ['two Upgrade fields are refused', requestWith(['Upgrade: a', 'Upgrade: b']), FAULT.upgrade],
  ['an unknown expectation is refused', requestWith(['Expect: 200-ok']), FAULT.expectation],
  ['a list of expectations is refused', requestWith(['Expect: 100-continue, x']), FAULT.expectation],
]);

test('a body, or none, follows from the framing fields alone, whatever the method (RFC 9112 section 6)', () => {
  const { head } = parseRequest('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
  assert.deepEqual([head.hasBody, head.contentLength], [true, 5]);
  const { head: bare } = parseRequest('POST / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.deepEqual([bare.hasBody, bare.contentLength, bare.isChunked], [false, NO_LENGTH, false]);
});

test('an absolute target replaces Host, whatever that says (RFC 9112 section 3.2.2)', () => {
  const { head, bytes } = parseRequest(line('GET hTTps://B.example:8?x HTTP/1.1'));
  assert.equal(bytes.toString('latin1', head.hostStart, head.hostEnd), 'B.example:8');
  assert.equal(bytes.toString('latin1', head.pathStart, head.targetEnd), '?x');
  assert(head.isAbsolute && head.fields.isDropped(0));
});

test('100-continue is an expectation, in any letter case, but not of an HTTP/1.0 client', () => {
  const lines = ['Content-Length: 1', 'Expect: 100-Continue'];
  assert(!parseRequest(requestWith(lines)).head.fields.isDropped(2));
  const { head } = parseRequest(requestWith(lines, 'HTTP/1.0'));
  assert(head.fields.isDropped(2));
});

const upgrade = ['Upgrade: websocket', 'Connection: Upgrade'];
for (const [name, text, isUpgrade] of [
  ['an Upgrade that Connection names counts', requestWith(upgrade), true],
  ['an Upgrade that Connection does not name is left out', requestWith(['Upgrade: websocket']), false],
  ['an Upgrade in HTTP/1.0 is left out', requestWith(upgrade, 'HTTP/1.0'), false],
  ['an Upgrade with a body by length is left out', requestWith([...upgrade, 'Content-Length: 1']), false],
  ['an Upgrade with a chunked body is left out', requestWith([...upgrade, chunked]), false],
  ['an Upgrade with a length of 0 counts', requestWith([...upgrade, 'Content-Length: 0']), true],
  ['an empty Upgrade is left out', requestWith(['Upgrade:', 'Connection: upgrade']), false],
  ['an Upgrade to h2c is left out', requestWith(['Upgrade: h2c', 'Connection: upgrade']), false],
  ['an Upgrade to h2c with a version is left out', requestWith(['Upgrade: h2c/2', 'Connection: upgrade']), false],
  ['an Upgrade to HTTP is left out', requestWith(['Upgrade: HTTP/2.0', 'Connection: upgrade']), false],
  ['an Upgrade with a version counts', requestWith(['Upgrade: a/1.0, b', 'Connection: upgrade']), true],
  ['an Upgrade that is no token is left out', requestWith(['Upgrade: h2c\xa0', 'Connection: upgrade']), false],
  ['an Upgrade with an empty version is left out', requestWith(['Upgrade: a/', 'Connection: upgrade']), false],
  ['an Upgrade to h2c among others is left out', requestWith(['Upgrade: x, H2C', 'Connection: upgrade']), false],
] as const) {
  test(`${name} (RFC 9110 section 7.8)`, () => {
    const { head, verdict } = parseRequest(text);
    assert.equal(verdict, null);
    assert.equal(head.upgradeStart >= 0, isUpgrade);
    assert(head.fields.isDropped(1));
  });
}

test('hop-by-hop fields and those we write ourselves are dropped, the others are not (RFC 9110 section 7.6.1)', () => {
  const dropped = ['Connection: x-a', 'Keep-Alive: 1', 'Proxy-Connection: close', 'TE: trailers', 'X-A: 1', 'x-a: 2']
    .concat(['HTTP2-Settings: A', 'X-Forwarded-For: 1', 'X-Forwarded-Host: h', 'X-Forwarded-Proto: p', 'Upgrade: x'])
    .concat(['Transfer_Encoding: chunked', 'Content_Length: 5', 'X_Forwarded_For: 1', 'x-forwarded_HOST: h'])
    .concat(['X_Forwarded-Proto: https', 'Forwarded: for=1', chunked]);
  const kept = ['Accept: x', 'X-B: 1', 'Cookie: a=b', 'Trailer: X', 'X_B: 1', 'X-Forwarded: y', 'X_Forwarded_Fox: 1'];
  const { head } = parseRequest(requestWith([...dropped, ...kept]));
  const flags = Array.from({ length: head.fields.count }, (_, i) => head.fields.isDropped(i));
  assert.deepEqual(flags, [false, ...dropped.map(() => true), ...kept.map(() => false)]);
  assert.equal(head.fields.dropped, dropped.length);
});

test('methods are told apart by all their bytes, in capital letters (RFC 9110 section 9.1)', () => {
  const of = (method: string) => {
    const { head } = parseRequest(line(`${method} / HTTP/1.1`));
    return [head.isHead, head.isIdempotent];
  };
  assert.deepEqual(of('HEAD'), [true, true]);
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])
    assert.deepEqual(of(method), [false, true], method);
  for (const method of ['POST', 'PATCH', 'get', 'head', 'HEAR', 'GETS'])
    assert.deepEqual(of(method), [false, false], method);
});

test('the Cookie lines are remembered, the first 32 of them', () => {
  const { head } = parseRequest(requestWith(Array.from({ length: 34 }, () => 'cookie: a=b')));
  assert.equal(head.cookieCount, 32);
  assert.deepEqual([head.cookieLines[0], head.cookieLines[31]], [1, 32]);
});

test('the target may be as long as its limit and no longer', () => {
  const limits = { headBytesMax: 1000, headersMax: 10, targetBytesMax: 64 };
  assert.equal(parseRequest(line(`GET /${'a'.repeat(63)} HTTP/1.1`), limits).verdict, null);
  assert.equal(parseRequest(line(`GET /${'a'.repeat(64)} HTTP/1.1`), limits).verdict, FAULT.targetTooLong);
});

test('there may be as many fields as the limit and no more', () => {
  const limits = { headBytesMax: 1000, headersMax: 4, targetBytesMax: 64 };
  assert.equal(parseRequest(requestWith(['A: 1', 'A: 2', 'A: 3']), limits).verdict, null);
  assert.equal(parseRequest(requestWith(['A: 1', 'A: 2', 'A: 3', 'A: 4']), limits).verdict, FAULT.tooManyFields);
});

test('the head may be as large as its limit and no larger, with a body behind it or not', () => {
  const text = requestWith(['X: y']);
  const limits = { headBytesMax: text.length, headersMax: 10, targetBytesMax: 64 };
  assert.equal(parseRequest(`${text}body`, limits).past, text.length);
  const smaller = { ...limits, headBytesMax: text.length - 1 };
  assert.equal(parseRequest(text, smaller).verdict, FAULT.headTooLarge);
  assert.equal(parseRequest(text.slice(0, -1), smaller).verdict, 'incomplete');
  assert.equal(
    parseRequest(`GET /${'a'.repeat(2000)}`, { ...limits, targetBytesMax: 9000 }).verdict,
    FAULT.headTooLarge,
  );
});

test('nothing of one request is left for the next', () => {
  const head = new RequestHead({ headBytesMax: 1000, headersMax: 10, targetBytesMax: 64 });
  const read = (text: string) => {
    const bytes = Buffer.from(text, 'latin1');
    assert(head.parse(bytes, 0, bytes.length) > 0);
    const { hasBody, isAbsolute, isHead, upgradeStart, forwardedForLines, cookieCount } = head;
    const { close, keepAlive, upgrade: asksUpgrade, malformed } = head.connection;
    return [hasBody, isAbsolute, isHead, upgradeStart, forwardedForLines, cookieCount].concat([
      close,
      keepAlive,
      asksUpgrade,
      malformed,
      head.fields.dropped,
      head.hostEnd - head.hostStart,
    ]);
  };
  const plain = 'GET / HTTP/1.0\r\nX: y\r\n\r\n';
  const before = read(plain);
  read(
    'HEAD http://h/ HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive, x\r\nX-Forwarded-For: 1\r\nCookie: a\r\nX: 1\r\n\r\n',
  );
  read(requestWith([chunked, 'Expect: 100-continue', ...upgrade]));
  assert.deepEqual(read(plain), before);
});
