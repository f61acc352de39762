/** Each response of the suite in two pieces, cut at every offset: nothing comes of it but what comes of the whole. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '../../../workers/byte-stream.ts';
import { ResponseHead } from '../../../workers/http1/response-head.ts';
import { RELAY, type RelayOutcome, ResponseRelay } from '../../../workers/response-relay.ts';
import type { ThreadContext } from '../../../workers/thread-context.ts';
import { LIMITS } from '../../fuzz/own-reading.ts';
import { GROUPS } from './groups.ts';
import { type Client, FIN, type ResponseCase, type Seen, UPGRADE } from './response-case.ts';
import { isSameMeaning } from './same-meaning.ts';

/** Longer ones are cut here and there. */
const EVERY_OFFSET_MAX = 400;

test('a response means the same at every split, and byte by byte', () => {
  let splits = 0;
  for (const { name, cases } of GROUPS) {
    for (const one of cases) {
      const text = sentAtOnce(one);
      for (const client of ['1.1', '1.0'] as const) {
        const whole = relay(one, client, [text]);
        const step = text.length <= EVERY_OFFSET_MAX ? 1 : Math.ceil(text.length / 50);
        for (let at = 1; at < text.length; at += step, splits++) {
          assertSame(relay(one, client, [text.slice(0, at), text.slice(at)]), whole, `${name}: ${one.name}, at ${at}`);
        }
        if (step === 1) assertSame(relay(one, client, [...text]), whole, `${name}: ${one.name}, byte by byte`);
      }
    }
  }
  assert.ok(splits > 10_000, `${splits} splits`);
});

interface Relaying extends Seen {
  readonly method: string;
  readonly outcome: RelayOutcome;
  readonly status: number;
  /** The backend's connection may serve another request. */
  readonly isReusable: boolean;
}

function assertSame(split: Relaying, whole: Relaying, where: string): void {
  const { bytes, ...rest } = split;
  const { bytes: wholeBytes, ...wholeRest } = whole;
  assert.deepEqual(rest, wholeRest, where);
  assert.ok(isSameMeaning(split, whole, split.method), `${where}: ${JSON.stringify([bytes, wholeBytes])}`);
}

/** What the backend sends without waiting for anything. */
function sentAtOnce({ script }: ResponseCase): string {
  const waits = script.findIndex((step) => typeof step === 'symbol');
  return script.slice(0, waits < 0 ? script.length : waits).join('');
}

function relay(one: ResponseCase, client: Client, pieces: readonly string[]): Relaying {
  let bytes = '';
  const stream = {
    writableLength: 0,
    destroyed: false,
    write(data: string | Uint8Array): boolean {
      bytes += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
      return true;
    },
    pause() {},
    resume() {},
  } as unknown as ByteStream;
  const context = { responseHead: new ResponseHead(LIMITS), isEnding: false } as unknown as ThreadContext;
  const host = { requestIsWhole: true, onAnswered() {}, cookieLine: () => '', onResponseProgress() {} };
  const response = new ResponseRelay(stream, context, host);
  const method = one.request?.method ?? 'GET';
  response.begin({
    isHead: method === 'HEAD',
    clientMinor: client === '1.1' ? 1 : 0,
    clientKeepsAlive: client === '1.1',
    offeredProtocols: one.request === UPGRADE ? 'echo, chat/2' : '',
  });
  let outcome: RelayOutcome = RELAY.pending;
  let hasMore = false;
  for (const piece of pieces) {
    if (outcome === RELAY.switching) bytes += piece;
    else if (outcome !== RELAY.pending) hasMore = true;
    else {
      outcome = response.onBytes(stream, Buffer.from(piece, 'latin1'), 0, piece.length);
      if (outcome === RELAY.switching) bytes += response.rest.toString('latin1', response.restStart, response.restEnd);
    }
  }
  if (outcome === RELAY.pending && one.script.at(-1) === FIN) outcome = response.onEnd();
  // an idle connection ends with the first byte on it
  const isReusable = outcome === RELAY.whole && response.keepsUpstream && !hasMore;
  const end = outcome === RELAY.faulty ? 'FIN' : 'open';
  return { bytes, end, method, outcome, status: response.status, isReusable };
}
