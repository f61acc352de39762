/**
 * Hostile and broken backends, through the real program: what each client gets, byte by byte, that no byte of it reaches
 * another, and that a connection which cannot be trusted serves no other request.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { PLAIN_LISTENER, simpleConfig, startSound } from '../harness.ts';
import { newSite } from '../site.ts';
import { beforeHead, earlyResponses, truncations } from './broken.ts';
import { type CaseBackend, caseBackend } from './case-backend.ts';
import { behindResponses, onIdle } from './extra-bytes.ts';
import { GROUPS } from './groups.ts';
import { type Observation, observe, seenOf, type Target } from './observe.ts';
import { CLIENTS, type Client, type ResponseCase } from './response-case.ts';
import { isSameMeaning } from './same-meaning.ts';

const WAIT_MS = 20_000;
/** A connection that is to end and does not is told from one that is slow to. */
const CLOSE_MS = 20_000;
const BYTE_BY_BYTE_MAX = 300;

/** A plain and a TLS listener before one backend. */
async function start(
  t: TestContext,
  pool: readonly string[] = [],
): Promise<{ backend: CaseBackend; plain: Target; secure: Target }> {
  const backend = await caseBackend(t);
  const listeners = [PLAIN_LISTENER, newSite(t).listener()];
  const program = await startSound(t, simpleConfig([backend.address], { listeners, pool, service: ['max_fails: 0'] }));
  const [plain = 0, secure = 0] = program.ports;
  const traits = { waitMs: WAIT_MS, closeMs: CLOSE_MS, isExact: true };
  return { backend, plain: { port: plain, ...traits }, secure: { port: secure, isTls: true, ...traits } };
}

async function check(
  target: Target,
  backend: CaseBackend,
  one: ResponseCase,
  client: Client,
  { isByteByByte = false, isPipelined = false } = {},
): Promise<Observation | null> {
  const expected = one.seen(client);
  if (expected === null) return null;
  const observation = await observe(target, backend, one, client, isByteByByte);
  const where = `${one.name}, to HTTP/${client}`;
  const seen = seenOf(observation);
  // where the bytes come one by one, a body may reach the client in other pieces
  const isSame = isByteByByte && isSameMeaning(seen, expected, one.request?.method ?? 'GET');
  if (!isSame) assert.deepEqual(seen, expected, where);
  assert.equal(observation.leaked, '', where);
  // what others may share is trusted less
  const isReused = one.isReused && (observation.isReused || !isPipelined);
  assert.equal(observation.isReused, isReused, `${where}: the connection is used again`);
  return observation;
}

for (const client of CLIENTS) {
  test(`a client of HTTP/${client} gets what it should of each response, and no other client does`, async (t) => {
    const { backend, plain } = await start(t);
    for (const { name, cases } of GROUPS) {
      await t.test(name, async () => {
        for (const one of cases) await check(plain, backend, one, client);
      });
    }
  });
}

test('the same on a pipelined connection', async (t) => {
  const { backend, plain } = await start(t, ['pipelining: 8']);
  let stricter = 0;
  for (const { cases } of GROUPS) {
    for (const one of cases) {
      const observation = await check(plain, backend, one, '1.1', { isPipelined: true });
      if (observation?.isReused === false && one.isReused) stricter++;
    }
  }
  assert.ok(stricter > 0, 'nothing was pipelined');
});

test('a response that comes byte by byte means the same', async (t) => {
  const { backend, plain } = await start(t);
  for (const { cases } of GROUPS) {
    for (const one of cases) {
      if (bytesOf(one) <= BYTE_BY_BYTE_MAX) await check(plain, backend, one, '1.1', { isByteByByte: true });
    }
  }
});

test('over TLS a client sees that a response breaks off, and gets no byte of another', async (t) => {
  const { backend, secure } = await start(t);
  for (const { cases } of [beforeHead, truncations, earlyResponses, behindResponses, onIdle]) {
    for (const one of cases) for (const client of CLIENTS) await check(secure, backend, one, client);
  }
});

function bytesOf({ script }: ResponseCase): number {
  return script.reduce<number>((sum, step) => sum + (typeof step === 'string' ? step.length : 0), 0);
}
