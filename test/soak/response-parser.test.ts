/** The soak's own reader of responses: framing, at every split. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseParser, type WireResponse } from './response-parser.ts';

const STREAM = Buffer.from(
  'HTTP/1.1 200 OK\r\nX-Id: a\r\nContent-Length: 5\r\n\r\nhello' +
    'HTTP/1.1 200 OK\r\nX-Id: b\r\nContent-Length: 9\r\n\r\n' +
    'HTTP/1.1 200 OK\r\nX-Id: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n' +
    'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n',
);
const IS_HEAD = [false, true, false, false];
const EXPECTED = [
  [200, 'a', 'hello'],
  [200, 'b', ''],
  [200, 'c', 'abcde'],
  [503, undefined, ''],
];

function read(pieces: readonly Buffer[]): unknown[] {
  const parser = new ResponseParser();
  const found: WireResponse[] = [];
  for (const piece of pieces) {
    parser.push(piece);
    for (;;) {
      const response = parser.next(IS_HEAD[found.length] === true);
      if (response === null) break;
      found.push(response);
    }
  }
  assert.equal(parser.hasBegun, false);
  return found.map(({ status, headers, body }) => [status, headers.get('x-id'), body.toString()]);
}

test('responses by length, in chunks, to HEAD and without a body are told apart, split anywhere', () => {
  for (let at = 0; at <= STREAM.length; at++) {
    assert.deepEqual(read([STREAM.subarray(0, at), STREAM.subarray(at)]), EXPECTED, `split at ${at}`);
  }
  assert.deepEqual(read([...STREAM].map((byte) => Buffer.of(byte))), EXPECTED);
});

test('a body without a length ends with the connection; one with a length that is missing bytes does not', () => {
  const open = new ResponseParser();
  open.push(Buffer.from('HTTP/1.1 200 OK\r\n\r\nall'));
  assert.equal(open.next(false), null);
  assert.equal(open.end()?.body.toString(), 'all');
  const cut = new ResponseParser();
  cut.push(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'));
  assert.equal(cut.next(false), null);
  assert.equal(cut.end(), null);
  assert.equal(cut.hasBegun, true);
});

test('what is no response has status 0', () => {
  const parser = new ResponseParser();
  parser.push(Buffer.from('ICY 200 OK\r\nContent-Length: 0\r\n\r\n'));
  assert.equal(parser.next(false)?.status, 0);
});
