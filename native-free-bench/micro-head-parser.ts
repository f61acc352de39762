/**
 * What a head costs: parsing it, and rewriting it for the other side.
 *
 *   node native-free-bench/micro-head-parser.ts
 */

import { BODY } from '../workers/http1/framing.ts';
import { RequestHead } from '../workers/http1/request-head.ts';
import { ResponseHead } from '../workers/http1/response-head.ts';
import { type Hop, rewriteRequest, rewriteResponse } from '../workers/http1/rewrite.ts';
import { callsOf, type Effort, FULL, interleaved, nanosecondsEach, printFigures, type Sampled } from './figures.ts';

const CALLS = 100_000;
const LIMITS = { headBytesMax: 16_384, headersMax: 100, targetBytesMax: 8_192 };
const HOP: Hop = {
  clientAddress: '192.0.2.7',
  forwardedLines: 'X-Forwarded-Proto: http\r\n',
  localAuthority: '198.51.100.1:8080',
};

/** As a browser sends it: 12 fields. */
const BROWSER_REQUEST = [
  'GET /assets/main.js?v=123456 HTTP/1.1',
  'Host: www.example.com',
  'Connection: keep-alive',
  'Cache-Control: max-age=0',
  'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"',
  'sec-ch-ua-mobile: ?0',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Sec-Fetch-Site: same-origin',
  'Referer: https://www.example.com/',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9',
  'Cookie: affinity=2c1743a391305fbf367df8e4f069f9f9d8a3b0e1; theme=dark',
];
const RESPONSE = [
  'HTTP/1.1 200 OK',
  'Content-Type: text/html; charset=utf-8',
  'Content-Length: 1024',
  'ETag: W/"400-abcdef"',
  'Date: Thu, 01 Jan 2026 00:00:00 GMT',
  'Cache-Control: private, max-age=60',
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
];

function headOf(lines: readonly string[]): Buffer {
  return Buffer.from([...lines, '', ''].join('\r\n'), 'latin1');
}

/** What the calls return is added up, so that none can be left out. */
let sum = 0;

/** Measures nanoseconds a call. */
function timed(calls: number, call: () => number): () => number {
  return () => {
    const each = nanosecondsEach(calls, () => {
      sum += call();
    });
    if (sum <= 0) throw new Error('the heads are valid');
    return each;
  };
}

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const calls = callsOf(CALLS, effort);
  const [requestBytes, responseBytes] = [headOf(BROWSER_REQUEST), headOf(RESPONSE)];
  const [request, response] = [new RequestHead(LIMITS), new ResponseHead(LIMITS)];
  const cases = {
    'request head, 12 fields: parse': timed(calls, () => request.parse(requestBytes, 0, requestBytes.length)),
    'request head, 12 fields: rewrite': timed(calls, () => rewriteRequest(requestBytes, request, HOP, true).length),
    'response head, 7 fields: parse': timed(calls, () => response.parse(responseBytes, 0, responseBytes.length)),
    'response head, 7 fields: rewrite': timed(
      calls,
      () => rewriteResponse(responseBytes, response, BODY.length).length,
    ),
  };
  return interleaved(cases, 'ns', effort);
}

if (import.meta.main) printFigures(await run());
