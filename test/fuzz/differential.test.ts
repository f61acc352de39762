/** What the differential fuzzer of HTTP/1.1 leaves unsaid: the list of known differences. The runs are in fuzz.test.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareRequests, compareResponses } from './compare.ts';

test('each known difference is still one: the list holds no explanation that explains nothing', async () => {
  const chunked = 'Transfer-Encoding: chunked\r\n';
  const host = 'Host: a\r\n';
  const requests = [
    `GET / HTTP/1.1\r\n${host}Proxy-Connection: close\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}${chunked}\r\n0\r\nContent-Length: 1\r\n\r\n`,
  ].map((text) => compareRequests(text));
  const responses = await compareResponses([
    { text: 'HTTP/1.1 103 E\r\nConnection: close\r\n\r\nHTTP/1.1 204 N\r\n\r\n', method: 'GET' },
  ]);
  assert.deepEqual(
    [...requests, ...responses].map(({ explained }) => explained),
    ['Proxy-Connection', 'field that may not stand in a trailer section', 'interim response that closes'],
  );
});
