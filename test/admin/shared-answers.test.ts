/** Answers that cost much: fresh for whoever asks, and rare for all together. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { SharedAnswers } from '../../src/admin/shared-answers.ts';
import { exchange, openClient } from '../e2e/harness.ts';
import { startAdmin } from './admin-harness.ts';

/** Makes that keep the thread busy for `ms`. */
function busy(ms: number) {
  let made = 0;
  return {
    make: () => {
      const end = performance.now() + ms;
      while (performance.now() < end);
      made += 1;
      return String(made);
    },
    made: () => made,
  };
}

function newRequest(socket = new Socket()) {
  return { raw: { socket } as IncomingMessage };
}

const text = async (answer: Promise<Buffer>) => (await answer).toString();

test('those who ask before it is made share an answer, and those who ask afterwards get a new one', async () => {
  const answers = new SharedAnswers();
  const { make, made } = busy(0);
  const first = Array.from({ length: 100 }, () => answers.get(newRequest(), 'x', make));
  assert.deepEqual(new Set(await Promise.all(first.map(text))), new Set(['1']));
  assert.equal(await first[0], await first[99], 'one copy');
  assert.equal(await text(answers.get(newRequest(), 'x', make)), '2');
  assert.equal(made(), 2);
});

test('whoever asks again and again gets a twentieth of the time, whatever they ask for', async () => {
  const answers = new SharedAnswers();
  const { make, made } = busy(5);
  const beganMs = performance.now();
  const asking = async (key: string) => {
    while (performance.now() - beganMs < 1_000) await answers.get(newRequest(), key, make);
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => asking(`key ${i % 4}`)));
  const tookMs = performance.now() - beganMs;
  // the last round ends after the second is over
  assert.ok(made() * 5 * 20 <= tookMs + 4 * 5 * 20, `${made()} in ${tookMs} ms`);
});

test('an answer that fails is the failure of those who shared it, and of nobody else', async () => {
  const answers = new SharedAnswers();
  const fail = () => {
    throw new Error('no');
  };
  const [one, two, other] = [
    answers.get(newRequest(), 'x', fail),
    answers.get(newRequest(), 'x', fail),
    answers.get(newRequest(), 'y', () => 'well'),
  ];
  await assert.rejects(one, /no/);
  await assert.rejects(two, /no/);
  assert.equal(await text(other), 'well');
  assert.equal(await text(answers.get(newRequest(), 'x', () => 'again')), 'again');
});

test('kinds take turns: who asks for many things of one kind holds up no other', async () => {
  const answers = new SharedAnswers();
  const made: string[] = [];
  const ask = (kind: string, key: string) => answers.get(newRequest(), kind, () => String(made.push(key)), key);
  const all = [1, 2, 3].map((i) => ask('many', `many ${i}`));
  await Promise.all([...all, ask('one', 'one'), ask('other', 'other')]);
  assert.deepEqual(made, ['many 1', 'one', 'other', 'many 2', 'many 3']);
});

test('nothing is made for those who have left', async () => {
  const answers = new SharedAnswers();
  const { make, made } = busy(0);
  const sockets = Array.from({ length: 50 }, () => new Socket());
  const left = sockets.map((socket, i) => answers.get(newRequest(socket), 'x', make, String(i)));
  for (const socket of sockets) socket.destroy();
  await Promise.all(left);
  assert.equal(made(), 0);
});

test('a thousand who ask for a page each, and leave, hold up neither the pages nor the status', async (t) => {
  const { ask, edge, port } = await startAdmin(t);
  const costly = busy(5);
  const page = edge.pools.page.bind(edge.pools);
  edge.pools.page = (...asked) => {
    costly.make();
    return page(...asked);
  };
  for (let i = 0; i < 1_000; i += 50) {
    const clients = Array.from({ length: 50 }, (_, k) =>
      openClient(t, port, `GET /pools/demo/nodes?offset=${i + k} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    );
    await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
    for (const { socket } of clients) socket.resetAndDestroy();
  }
  assert.equal((await ask('GET', '/status')).status, 200);
  assert.equal((await ask('GET', '/pools/demo/nodes')).status, 200);
  // each takes 100 ms of rest
  assert.ok(costly.made() < 100, `${costly.made()} pages made`);
});

for (const [path, method] of [
  ['/metrics', 'metrics'],
  ['/status', 'status'],
] as const) {
  test(`GET ${path} is made a few times for a hundred who ask at once`, async (t) => {
    const { edge, port } = await startAdmin(t);
    const costly = busy(5);
    const make = edge[method].bind(edge) as () => never;
    edge[method] = () => {
      costly.make();
      return make();
    };
    const bytes = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const beganMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 100 }, () => exchange(port, bytes)));
    const tookMs = performance.now() - beganMs;
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.ok(costly.made() * 5 * 20 <= tookMs + 2 * 5 * 20, `${costly.made()} in ${tookMs} ms`);
  });
}
