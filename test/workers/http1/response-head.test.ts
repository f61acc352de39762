/** The response head: what is accepted and how it is read, and every way of being refused (RFC 9112, RFC 9110). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT } from '../../../workers/http1/errors.ts';
import { BODY } from '../../../workers/http1/framing.ts';
import { parseRequest, parseResponse, requestWith, responseWith } from '../../fuzz/parse.ts';

const statusLines: readonly (readonly [string, string, unknown])[] = [
  ['a status line with a reason is read', 'HTTP/1.1 200 OK', null],
  ['an empty reason is read', 'HTTP/1.1 200 ', null],
  ['a status without the space behind it is read', 'HTTP/1.1 200', null],
  ['a reason may hold white space and bytes above ASCII', 'HTTP/1.0 404 N\xf6t\t here ', null],
  ['a status of 999 is read', 'HTTP/1.1 999 X', null],
  ['a status below 100 is refused', 'HTTP/1.1 099 X', FAULT.statusLine],
  ['a status of two digits is refused', 'HTTP/1.1 20 OK', FAULT.statusLine],
  ['a status of four digits is refused', 'HTTP/1.1 2000 OK', FAULT.statusLine],
  ['a status with a sign is refused', 'HTTP/1.1 +20 OK', FAULT.statusLine],
  ['two spaces before the status are refused', 'HTTP/1.1  200 OK', FAULT.statusLine],
  ['a tab before the status is refused', 'HTTP/1.1\t200 OK', FAULT.statusLine],
  ['a tab behind the status is refused', 'HTTP/1.1 200\tOK', FAULT.statusLine],
  ['a NUL in the reason is refused', 'HTTP/1.1 200 O\0K', FAULT.statusLine],
  ['a bare CR in the reason is refused', 'HTTP/1.1 200 O\rK', FAULT.statusLine],
  ['a bare LF in the reason is refused', 'HTTP/1.1 200 O\nK', FAULT.statusLine],
  ['HTTP/1.2 is refused', 'HTTP/1.2 200 OK', FAULT.statusLine],
  ['HTTP/2.0 is refused', 'HTTP/2.0 200 OK', FAULT.statusLine],
  ['a version in small letters is refused', 'http/1.1 200 OK', FAULT.statusLine],
  ['another protocol is refused', 'ICY 200 OK', FAULT.statusLine],
  ['an empty line before it is refused', '\r\nHTTP/1.1 200 OK', FAULT.statusLine],
];
for (const [name, statusLine, fault] of statusLines) {
  test(`${name} (RFC 9112 section 4)`, () => assert.equal(parseResponse(responseWith([], statusLine)).verdict, fault));
}

const chunked = 'Transfer-Encoding: chunked';
const fields: readonly (readonly [string, readonly string[], unknown])[] = [
  ['a length with a coding is refused', ['Content-Length: 5', chunked], FAULT.lengthAndCoding],
  ['two lengths are refused', ['Content-Length: 5', 'Content-Length: 5'], FAULT.contentLengthRepeated],
  ['a list of lengths is refused', ['Content-Length: 5, 5'], FAULT.contentLength],
  ['a length with a sign is refused', ['Content-Length: +5'], FAULT.contentLength],
  ['two codings are refused', [chunked, chunked], FAULT.coding],
  ['a coding that is not chunked at the end is refused', ['Transfer-Encoding: gzip'], FAULT.coding],
  ['a coding under chunked is refused', ['Transfer-Encoding: gzip, chunked'], FAULT.codingUnknown],
  ['Connection may not name Content-Length', ['Connection: content-length'], FAULT.connection],
  ['white space before a colon is refused', ['Content-Length : 5'], FAULT.fieldName],
  ['obs-fold is refused', ['X: a', ' b'], FAULT.fieldName],
  ['a NUL in a value is refused', ['X: a\0'], FAULT.fieldValue],
  ['a line that ends in LF is refused', ['X: a\nY: b'], FAULT.lineEnd],
];
for (const [name, lines, fault] of fields) {
  test(`a response: ${name} (RFC 9112 sections 5 and 6)`, () =>
    assert.equal(parseResponse(responseWith(lines)).verdict, fault));
}

test('a coding in an HTTP/1.0 response is refused (RFC 9112 section 6.1)', () => {
  assert.equal(parseResponse(responseWith([chunked], 'HTTP/1.0 200 OK')).verdict, FAULT.codingIn10);
});

test('how the body ends follows from method, status and fields, in that order (RFC 9112 section 6.3)', () => {
  const kindOf = (status: number, lines: string[], isHead = false) =>
    parseResponse(responseWith(lines, `HTTP/1.1 ${status} X`)).head.bodyKind(isHead);
  const length = ['Content-Length: 5'];
  for (const lines of [length, [chunked], []]) {
    assert.equal(kindOf(200, lines, true), BODY.none, 'HEAD');
    for (const status of [100, 101, 103, 204, 304]) assert.equal(kindOf(status, lines), BODY.none, `${status}`);
  }
  assert.equal(kindOf(200, [chunked]), BODY.chunked);
  assert.equal(kindOf(205, length), BODY.length);
  assert.equal(kindOf(200, ['Content-Length: 0']), BODY.none);
  assert.equal(kindOf(200, []), BODY.untilClose);
});

test('1xx are interim responses, 101 is not (RFC 9110 section 15.2)', () => {
  const isInterim = (status: number) => parseResponse(responseWith([], `HTTP/1.1 ${status} X`)).head.isInterim;
  assert.deepEqual([100, 101, 102, 103, 199, 200].map(isInterim), [true, false, true, true, true, false]);
});

test('the backend keeps the connection as its version and Connection say (RFC 9112 section 9.3)', () => {
  const keeps = (version: string, lines: string[]) =>
    parseResponse(responseWith(lines, `HTTP/${version} 200 OK`)).head.keepsConnection;
  assert(keeps('1.1', []));
  assert(!keeps('1.1', ['Connection: close']));
  assert(!keeps('1.1', ['Connection: keep-alive, CLOSE']));
  assert(!keeps('1.0', []));
  assert(keeps('1.0', ['Connection: Keep-Alive']));
  assert(!keeps('1.0', ['Connection: keep-alive', 'Connection: close']));
});

test('Content-Length is left out of 1xx and 204, and stays in 304 and answers to HEAD (RFC 9110 section 8.6)', () => {
  const isDropped = (status: number) =>
    parseResponse(responseWith(['Content-Length: 5'], `HTTP/1.1 ${status} X`)).head.fields.isDropped(0);
  assert.deepEqual([100, 103, 204, 304, 200].map(isDropped), [true, true, true, false, false]);
});

test('hop-by-hop fields of a response are dropped, and those that Connection names, TE too (RFC 9110 section 7.6.1)', () => {
  const dropped = ['Connection: x-a, te, http2-settings', 'Keep-Alive: 1', 'Proxy-Connection: close', 'X-A: 1'].concat([
    'TE: x',
    'HTTP2-Settings: x',
    'Upgrade: x',
    chunked,
  ]);
  const kept = ['Server: x', 'Set-Cookie: a', 'X-Forwarded-For: y', 'Trailer: X'];
  const { head } = parseResponse(responseWith([...dropped, ...kept]));
  const flags = Array.from({ length: head.fields.count }, (_, i) => head.fields.isDropped(i));
  assert.deepEqual(flags, [...dropped.map(() => true), ...kept.map(() => false)]);
});

test('TE is a field of requests: in a response it passes where Connection does not name it', () => {
  assert(!parseResponse(responseWith(['TE: x'])).head.fields.isDropped(0));
  assert(parseRequest(requestWith(['TE: x'])).head.fields.isDropped(1));
});

test('the head of a response may be as large as its limit and no larger', () => {
  const text = responseWith(['X: y']);
  const limits = { headBytesMax: text.length, headersMax: 2, targetBytesMax: 64 };
  assert.equal(parseResponse(`${text}body`, limits).past, text.length);
  const smaller = { ...limits, headBytesMax: text.length - 1 };
  assert.equal(parseResponse(text, smaller).verdict, FAULT.headTooLarge);
  assert.equal(parseResponse(text.slice(0, -1), smaller).verdict, 'incomplete');
});

test('a response may have as many fields as the limit and no more', () => {
  const limits = { headBytesMax: 1000, headersMax: 2, targetBytesMax: 64 };
  assert.equal(parseResponse(responseWith(['A: 1', 'A: 2']), limits).verdict, null);
  assert.equal(parseResponse(responseWith(['A: 1', 'A: 2', 'A: 3']), limits).verdict, FAULT.tooManyFields);
});
