/** The readings that the conformance suite judges by: each lenient one reads something else than the others somewhere. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LENIENT, readConnection, STRICT } from './reading.ts';

const NEXT = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (lines: string, body: string) => `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}${NEXT}`;
const CHUNKS = '0\r\n\r\n';

/** For each lenient reading, bytes that it reads otherwise than the first of them, or where it is that, by the letter. */
const EXAMPLES: readonly string[] = [
  post('Transfer-Encoding: chunked\r\nContent-Length: 6', CHUNKS),
  post('Transfer-Encoding: chunked\r\nContent-Length: 6', CHUNKS),
  post('Content-Length: 0\r\nContent-Length: 5', CHUNKS),
  post('Transfer-Encoding: xchunked', CHUNKS),
  post('Transfer_Encoding : chunked', CHUNKS),
  post('Content_Length: 5', CHUNKS),
  post('X: y\nContent-Length: 5', CHUNKS),
  post('X: y\rContent-Length: 5', CHUNKS),
  post('Transfer-Encoding: chunked', `3\nabc\r\n${CHUNKS}`),
  post('Transfer-Encoding:\r\n chunked', CHUNKS),
  post('X: y\r\n Content-Length: 5', CHUNKS),
  post('Content-Length: 010', '12345678'),
  post('Content-Length: 0\r\nContent-Length: +5', CHUNKS),
  post('Transfer-Encoding: chunked', `100000003\r\nabc\r\n${CHUNKS}`),
  post('Transfer-Encoding: chunked', `3\r\nabcXX5\r\nhello\r\n${CHUNKS}`),
  post('Content-Length: 5\0', CHUNKS),
];

test('a strict reading refuses all that lenient ones disagree on', () => {
  for (const bytes of EXAMPLES) {
    const { requests, malformed } = readConnection(bytes, STRICT);
    if (!/^Content_Length/m.test(bytes) && !bytes.includes('100000003')) assert.notEqual(malformed, '', bytes);
    assert.ok(requests.length < 3, bytes);
  }
});

for (const [i, reading] of LENIENT.entries()) {
  test(`a reading of its own: ${reading.name}`, () => {
    const bytes = EXAMPLES[i] as string;
    const base = i === 0 ? STRICT : LENIENT[0];
    const shown = (r: typeof STRICT) =>
      readConnection(bytes, r).requests.map(({ method, body, end }) => [method, body, end]);
    assert.notDeepEqual(shown(reading), shown(base as typeof STRICT));
  });
}
