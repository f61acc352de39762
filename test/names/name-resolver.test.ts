/** Looking names up: what connections get while look-ups succeed, fail and hang, and how many of those there are. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Lookup, type LookupError, NameResolver } from '../../src/names/name-resolver.ts';

type Answer = (error: LookupError | null, addresses: string[]) => void;

/** A resolver whose time and look-ups are the test's. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  const asked: string[] = [];
  const open = new Map<string, Answer>();
  const changes: [name: string, reason: string | null, addresses: number][] = [];
  const lookup: Lookup = (name, onDone) => {
    asked.push(name);
    assert(!open.has(name), `${name} is looked up twice at a time`);
    open.set(name, (error, list) => {
      open.delete(name);
      onDone(
        error,
        list.map((address) => ({ address, family: 4 })),
      );
    });
  };
  const resolver = new NameResolver({ lookup, now: () => nowMs, onChange: (...change) => changes.push(change) });
  return {
    asked,
    changes,
    pass: (ms: number) => {
      nowMs += ms;
      t.mock.timers.tick(ms);
    },
    answer: (name: string, ...list: string[]) => open.get(name)?.(null, list),
    fail: (name: string, code: string) => open.get(name)?.(Object.assign(new Error(code), { code }), []),
    /** What a connection gets: its addresses or the error's code, '' as long as it waits. */
    resolve: (name: string) => {
      const got = { text: '' };
      resolver.lookup(name, { all: true }, (error, list) => {
        got.text =
          error === null ? (list as { address: string }[]).map(({ address }) => address).join() : `${error.code}`;
      });
      return got;
    },
  };
}

test('a name is looked up once for all that ask at a time, and not again while the answer is fresh', (t) => {
  const { asked, answer, resolve, pass } = setUp(t);
  const all = [resolve('a'), resolve('a'), resolve('a')];
  answer('a', '1.1.1.1', '1.1.1.2');
  assert.deepEqual(
    all.map(({ text }) => text),
    ['1.1.1.1,1.1.1.2', '1.1.1.1,1.1.1.2', '1.1.1.1,1.1.1.2'],
  );
  pass(9_999);
  assert.equal(resolve('a').text, '1.1.1.1,1.1.1.2');
  assert.deepEqual(asked, ['a']);
});

test('an old answer is waited for anew, and a change of address is taken over', (t) => {
  const { asked, answer, resolve, pass } = setUp(t);
  resolve('a');
  answer('a', '1.1.1.1');
  pass(10_000);
  const later = resolve('a');
  assert.equal(later.text, '');
  answer('a', '2.2.2.2');
  assert.equal(later.text, '2.2.2.2');
  assert.deepEqual(asked, ['a', 'a']);
});

test('a name that vanishes keeps its last addresses, is tried again each second, said once, and comes back', (t) => {
  const { asked, changes, answer, fail, resolve, pass } = setUp(t);
  resolve('a');
  answer('a', '1.1.1.1');
  for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
    pass(10_000);
    resolve('a');
    fail('a', code);
    assert.equal(resolve('a').text, '1.1.1.1');
  }
  assert.equal(asked.length, 3);
  pass(999);
  assert.equal(resolve('a').text, '1.1.1.1');
  assert.equal(asked.length, 3);
  pass(1);
  // nobody waits for a name in trouble
  assert.equal(resolve('a').text, '1.1.1.1');
  answer('a', '2.2.2.2');
  assert.equal(resolve('a').text, '2.2.2.2');
  assert.deepEqual(changes, [
    ['a', 'ENOTFOUND', 1],
    ['a', null, 1],
  ]);
});

test('a name that never had an address fails with its error, at once for a second', (t) => {
  const { asked, fail, resolve, pass } = setUp(t);
  const first = resolve('a');
  fail('a', 'ENOTFOUND');
  assert.deepEqual([first.text, resolve('a').text, asked.length], ['ENOTFOUND', 'ENOTFOUND', 1]);
  pass(1_000);
  assert.equal(resolve('a').text, '');
  assert.equal(asked.length, 2);
});

test('a look-up that hangs is waited for half a second where an address is known, five seconds where none is', (t) => {
  const { asked, changes, answer, resolve, pass } = setUp(t);
  resolve('known');
  answer('known', '1.1.1.1');
  pass(10_000);
  const [known, unknown] = [resolve('known'), resolve('unknown')];
  pass(499);
  assert.equal(known.text, '');
  pass(1);
  assert.equal(known.text, '1.1.1.1');
  // and nobody after it waits at all
  assert.equal(resolve('known').text, '1.1.1.1');
  pass(4_500);
  assert.equal(unknown.text, 'ETIMEOUT');
  assert.deepEqual(changes, [
    ['known', 'ETIMEOUT', 1],
    ['unknown', 'ETIMEOUT', 0],
  ]);
  // however long they hang, they are the only ones
  for (let i = 0; i < 100; i++, pass(1_000)) resolve(i % 2 === 0 ? 'known' : 'unknown');
  assert.deepEqual(asked, ['known', 'known', 'unknown']);
});

test('two look-ups run at a time, the others wait their turn', (t) => {
  const { asked, fail, answer, resolve } = setUp(t);
  const all = ['a', 'b', 'c', 'd'].map((name) => resolve(name));
  assert.deepEqual(asked, ['a', 'b']);
  fail('b', 'ENOTFOUND');
  assert.deepEqual(asked, ['a', 'b', 'c']);
  answer('c', '1.1.1.1');
  answer('d', '2.2.2.2');
  assert.deepEqual(
    all.map(({ text }) => text),
    ['', 'ENOTFOUND', '1.1.1.1', '2.2.2.2'],
  );
});
