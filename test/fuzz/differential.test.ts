/**
 * Our parsers against llhttp: whatever we accept, it accepts with the same meaning, and what we pass on it reads with
 * that meaning too. FUZZ_SEED and FUZZ_STREAMS set the seed and how many streams of each kind are compared; the long
 * run is `node test/fuzz/run.ts`.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compareRequests, compareResponses } from './compare.ts';
import { caseOf, compare, type FuzzKind, FuzzTotals, runBatch } from './fuzz.ts';

const seed = Number(process.env.FUZZ_SEED ?? Date.now() >>> 0);
const streams = Number(process.env.FUZZ_STREAMS ?? 24_000);
const regressions = join(import.meta.dirname, 'regressions');

for (const kind of ['request', 'response'] satisfies FuzzKind[]) {
  test(`what we accept of ${kind} streams, llhttp accepts with the same meaning`, async (t) => {
    t.diagnostic(`FUZZ_SEED=${seed}`);
    const totals = new FuzzTotals();
    for (let batch = 0; totals.streams < streams; batch++) {
      assert.deepEqual(await runBatch(kind, seed, batch, totals), [], `FUZZ_SEED=${seed}`);
    }
    assert(totals.accepted > streams / 5, 'the streams are valid often enough to say something');
    for (const line of `${totals}`.split('\n')) t.diagnostic(line);
  });
}

test('what the fuzzer once found is found no more', async () => {
  for (const name of readdirSync(regressions)) {
    const fuzzCase = caseOf(name, readFileSync(join(regressions, name)));
    if (fuzzCase === null) continue;
    const [verdict] = await compare([fuzzCase]);
    assert.equal(verdict?.difference, null, name);
  }
});

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
