import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdleUpstreams, type MayIdle } from '../../workers/idle-upstreams.ts';

/** A list of three, of which the first is idle longest, and what is closed of them in turn. */
function three() {
  const list = new IdleUpstreams();
  const closed: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name): MayIdle => {
    const connection: MayIdle = {
      idlePrevious: null,
      idleNext: null,
      destroy: () => {
        list.remove(connection);
        closed.push(name);
      },
    };
    list.add(connection);
    return connection;
  }) as [MayIdle, MayIdle, MayIdle];
  const closeAll = () => {
    while (list.closeOldest());
    return closed.join('');
  };
  return { list, a, b, c, closed, closeAll };
}

test('the one that is idle longest is closed first', () => {
  const { list, closeAll } = three();
  assert.equal(closeAll(), 'abc');
  assert.equal(list.size, 0);
  assert.equal(list.closeOldest(), false);
});

test('one that was used is idle anew, wherever it stood', () => {
  for (const [which, order] of [
    ['a', 'bca'],
    ['b', 'acb'],
    ['c', 'abc'],
  ] as const) {
    const { list, closeAll, ...all } = three();
    list.remove(all[which]);
    assert.equal(list.size, 2);
    list.add(all[which]);
    assert.equal(closeAll(), order);
  }
});

test('the last one taken leaves an empty list, which takes more', () => {
  const { list, a, b, c, closeAll } = three();
  for (const one of [b, c, a]) list.remove(one);
  assert.deepEqual([list.size, list.closeOldest()], [0, false]);
  list.add(c);
  assert.equal(closeAll(), 'c');
});

test('a part is rounded up, and none of nothing', () => {
  const { list, closed } = three();
  list.closePart(2);
  assert.deepEqual([closed.join(''), list.size], ['ab', 1]);
  list.closePart(8);
  list.closePart(8);
  assert.equal(list.size, 0);
});
