/** Answers of every framing, cut anywhere, to clients some of whom leave: what is left of a backend's stream is whose it was. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAnswer } from '../e2e/conformance-responses/answer.ts';
import { eventually } from '../e2e/harness.ts';
import { type Asked, servePipelined } from './pipeline-harness.ts';

const RUNS = Number(process.env.STEKBAL_PIPELINE_RUNS ?? 40);

/** Each client's answer is made of a letter that is in no other, and in nothing that frames one. */
const LETTERS = 'GIJKLMNO';

const answers = fc.array(
  fc.record({
    framing: fc.constantFrom('length', 'chunked', 'trailers', 'empty', '204', '304'),
    bytes: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })),
    hints: fc.integer({ min: 0, max: 2 }),
    leaves: fc.boolean(),
  }),
  { minLength: 1, maxLength: LETTERS.length },
);
/** Parts of the stream, per mille: where it is cut into writes, and where it ends, with how; above 1000: it does not. */
const cuts = fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 6 });
const end = fc.record({ at: fc.integer({ min: 0, max: 3_000 }), isReset: fc.boolean() });

type Shape = typeof answers extends fc.Arbitrary<readonly (infer One)[]> ? One : never;

function textOf({ framing, bytes, hints }: Shape, letter: string): { text: string; content: string } {
  const content = framing === 'length' || framing === 'chunked' || framing === 'trailers' ? letter.repeat(bytes) : '';
  const interims = `HTTP/1.1 103 ${letter}\r\n\r\n`.repeat(hints);
  const chunks = `${content.length.toString(16)}\r\n${content}\r\n0\r\n${framing === 'trailers' ? 'x-t: 1\r\n' : ''}\r\n`;
  const status = framing === '204' || framing === '304' ? framing : '200';
  const isChunked = framing === 'chunked' || framing === 'trailers';
  const length = framing === 'length' || framing === 'empty' ? `content-length: ${content.length}\r\n` : '';
  const fields = isChunked ? 'transfer-encoding: chunked\r\n' : length;
  return { text: `${interims}HTTP/1.1 ${status} ${letter}\r\n${fields}\r\n${isChunked ? chunks : content}`, content };
}

test('each client gets its own answer, whole or visibly not, wherever the stream is cut or ends, and whoever leaves', async (t) => {
  const site = await servePipelined(t);
  await fc.assert(
    fc.asyncProperty(answers, cuts, end, async (shapes, cutAt, { at, isReset }) => {
      const { idleUpstreams } = site.context.limits;
      await eventually(() => idleUpstreams.size === site.count('upstreamsOpen'), 'the run before is not over');
      // what broke in it is forgotten
      site.context.wheel.advance(site.context.wheel.now + 6_000);
      const texts = shapes.map((shape, i) => textOf(shape, LETTERS[i] as string));
      const { clients, line } = await site.inLine(...shapes.map((_, i) => `/${i}`));
      // asked again on connections of their own, all are answered
      site.backend.onAsked = ({ socket, path }) => socket.write(texts[Number(path.slice(1))]?.text as string, 'latin1');
      const leaving = clients.filter((_, i) => shapes[i]?.leaves);
      const left = site.count('clientAborts') + leaving.length;
      for (const client of leaving) client.socket.resetAndDestroy();
      await eventually(() => site.count('clientAborts') === left, 'they have not left');
      const all = texts.map(({ text }) => text).join('');
      const sent = at > 1_000 ? all.length : Math.floor((all.length * at) / 1_000);
      await sendCut(line[0] as Asked, all.slice(0, sent), cutAt);
      if (at <= 1_000) line[0]?.socket[isReset ? 'resetAndDestroy' : 'end']();
      for (const [i, client] of clients.entries()) {
        if (shapes[i]?.leaves) continue;
        let how: string | null = null;
        void client.ended.then((reason) => {
          how = reason;
        });
        await eventually(() => how !== null || readAnswer(client.received, 'GET', null).isWhole, `no answer for ${i}`);
        const { content, past, isWhole } = readAnswer(client.received, 'GET', how);
        const letter = LETTERS[i] as string;
        const isRefused = /HTTP\/1.1 502 /.test(client.received);
        if (isWhole && !isRefused) assert.equal(content, texts[i]?.content);
        else assert.ok(at <= 1_000, 'only where the stream ended');
        assert.ok(![...LETTERS].some((other) => other !== letter && isAnswerOf(client.received, other)), `of ${i}`);
        if (isWhole) assert.equal(past, client.received.length);
        client.socket.destroy();
      }
    }),
    { numRuns: RUNS },
  );
});

function isAnswerOf(received: string, letter: string): boolean {
  return new RegExp(`^HTTP/1.1 \\d{3} ${letter}\r$|${letter}{2}`, 'm').test(received);
}

/** Each part goes out in a packet of its own, more or less. */
async function sendCut({ socket }: Asked, text: string, cutAt: readonly number[]): Promise<void> {
  const offsets = cutAt.map((part) => Math.floor((text.length * part) / 1_000)).sort((a, b) => a - b);
  let from = 0;
  for (const to of [...offsets, text.length]) {
    if (to > from) {
      await new Promise((resolve) => socket.write(text.slice(from, to), 'latin1', () => setImmediate(resolve)));
    }
    from = to;
  }
}
