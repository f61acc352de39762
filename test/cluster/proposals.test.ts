/** What becomes of a proposal made here: every transition, and that whoever waits is told once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMAND_BYTES_MAX, PENDING_MAX } from '../../src/cluster/limits.ts';
import { type Attempt, Proposals } from '../../src/cluster/proposals.ts';
import type { ProposalError } from '../../src/cluster/types.ts';

const FIRST_ID = 1_000;
const UNTIL = 10;

const NOBODY = (): Attempt => 'no-leader';
const NOT_APPLIED = () => 'not-applied' as const;

/** Proposals by name, and what their proposers were told. */
class Desk {
  readonly proposals = new Proposals(FIRST_ID);
  nowTick = 0;
  readonly #told = new Map<string, string[]>();
  /** Every id that was ever handed out, with whose it was. */
  readonly ids: [id: number, name: string][] = [];

  add(name: string, untilTick = UNTIL): () => void {
    const told: string[] = [];
    this.#told.set(name, told);
    return this.proposals.add(Buffer.from(name), untilTick, (error) => told.push(error === null ? 'ok' : error.code));
  }

  /** Tries those that wait; returns which were tried, under which id. */
  send(result: Attempt | ((name: string) => Attempt)): Map<string, number> {
    const tried = new Map<string, number>();
    this.proposals.send(this.nowTick, (id, data) => {
      const name = Buffer.from(data).toString();
      tried.set(name, id);
      this.ids.push([id, name]);
      return typeof result === 'function' ? result(name) : result;
    });
    return tried;
  }

  refuse(id: number): void {
    this.proposals.refused(id, this.nowTick);
  }

  /** Adds one and sends it to a leader elsewhere; returns the id. */
  sent(name: string): number {
    this.add(name);
    return this.send('sent').get(name) as number;
  }

  told(name: string): string[] {
    return this.#told.get(name) ?? [];
  }

  /** Nothing more is told, whatever happens. */
  assertOver(name: string): void {
    const before = [...this.told(name)];
    assert.equal(before.length, 1);
    for (const [id] of this.ids) {
      this.proposals.placed(id, 5, 2, () => 2);
      this.refuse(id);
    }
    this.proposals.applied(5, 2);
    this.proposals.restored(Number.POSITIVE_INFINITY);
    assert.ok(!this.send({ index: 5, term: 2 }).has(name));
    this.proposals.abandon();
    this.proposals.expire(Number.POSITIVE_INFINITY);
    assert.deepEqual(this.told(name), before);
  }
}

// ---------------------------------------------------------------- waiting

test('without a leader a proposal waits until its time is over, and nothing was changed then', () => {
  const desk = new Desk();
  desk.add('x');
  desk.send(NOBODY);
  desk.proposals.expire(UNTIL - 1);
  assert.deepEqual(desk.told('x'), []);
  desk.proposals.expire(UNTIL);
  assert.deepEqual(desk.told('x'), ['no-leader']);
  desk.assertOver('x');
});

test('where there is no leader for the first none of the others is tried', () => {
  const desk = new Desk();
  for (const name of ['x', 'y', 'z']) desk.add(name);
  assert.deepEqual([...desk.send(NOBODY).keys()], ['x']);
});

test('one that waits is not told of anything that happens to others', () => {
  const desk = new Desk();
  desk.add('x');
  const [id] = desk.send(NOBODY).values();
  desk.proposals.placed(id as number, 5, 2, () => 2);
  desk.refuse(id as number);
  desk.proposals.applied(5, 2);
  desk.proposals.restored(99);
  desk.proposals.abandon();
  assert.deepEqual(desk.told('x'), []);
  // and is still there
  assert.deepEqual([...desk.send('sent').keys()], ['x']);
});

test('proposals are tried in the order in which they were made', () => {
  const desk = new Desk();
  for (const name of ['x', 'y', 'z']) desk.add(name);
  assert.deepEqual([...desk.send('sent').keys()], ['x', 'y', 'z']);
});

// ---------------------------------------------------------------- here: straight into the log

test('one that this server puts into its own log is confirmed when it is applied, and not before', () => {
  const desk = new Desk();
  desk.add('x');
  desk.send({ index: 5, term: 2 });
  desk.proposals.applied(4, 2);
  assert.deepEqual(desk.told('x'), []);
  desk.proposals.applied(5, 2);
  assert.deepEqual(desk.told('x'), ['ok']);
  desk.assertOver('x');
});

test('one whose place another term has taken is lost', () => {
  const desk = new Desk();
  desk.add('x');
  desk.send({ index: 5, term: 2 });
  desk.proposals.applied(5, 3);
  assert.deepEqual(desk.told('x'), ['lost']);
  desk.assertOver('x');
});

test('of several each is told of its own place', () => {
  const desk = new Desk();
  for (const name of ['x', 'y', 'z']) desk.add(name);
  let index = 4;
  desk.send(() => ({ index: ++index, term: 2 }));
  desk.proposals.applied(5, 2);
  desk.proposals.applied(6, 3);
  assert.deepEqual(
    ['x', 'y', 'z'].map((name) => desk.told(name)),
    [['ok'], ['lost'], []],
  );
});

test('one that is in the log and not applied in time may be applied yet', () => {
  const desk = new Desk();
  desk.add('x');
  desk.send({ index: 5, term: 2 });
  desk.proposals.expire(UNTIL);
  assert.deepEqual(desk.told('x'), ['unconfirmed']);
  desk.assertOver('x');
});

test('a snapshot does not tell what it stands for: what it covers is unconfirmed, the rest goes on', () => {
  const desk = new Desk();
  for (const name of ['x', 'y', 'z']) desk.add(name);
  let index = 4;
  desk.send(() => ({ index: ++index, term: 2 }));
  desk.proposals.restored(6);
  assert.deepEqual(
    ['x', 'y', 'z'].map((name) => desk.told(name)),
    [['unconfirmed'], ['unconfirmed'], []],
  );
  desk.proposals.applied(7, 2);
  assert.deepEqual(desk.told('z'), ['ok']);
});

// ---------------------------------------------------------------- elsewhere: sent to the leader

test('one that was sent is not sent again', () => {
  const desk = new Desk();
  desk.sent('x');
  assert.deepEqual([...desk.send('sent').keys()], []);
});

test('one that the leader has put into its log is confirmed when it is applied here', () => {
  const desk = new Desk();
  desk.proposals.placed(desk.sent('x'), 5, 2, NOT_APPLIED);
  assert.deepEqual(desk.told('x'), []);
  desk.proposals.applied(5, 2);
  assert.deepEqual(desk.told('x'), ['ok']);
  desk.assertOver('x');
});

for (const [what, termAt, told] of [
  ['is there by now', () => 2, 'ok'],
  ['has been taken by another term', () => 3, 'lost'],
  ['is compacted away', () => null, 'unconfirmed'],
] as const) {
  test(`where the leader's answer comes after its place was applied, and ${what}, the proposer is told ${told} at once`, () => {
    const desk = new Desk();
    const asked: number[] = [];
    desk.proposals.placed(desk.sent('x'), 5, 2, (index) => {
      asked.push(index);
      return termAt();
    });
    assert.deepEqual([desk.told('x'), asked], [[told], [5]]);
    desk.assertOver('x');
  });
}

test("the leader's second answer for the same proposal counts for nothing", () => {
  const desk = new Desk();
  const id = desk.sent('x');
  desk.proposals.placed(id, 5, 2, NOT_APPLIED);
  desk.proposals.placed(id, 7, 3, () => 3);
  desk.refuse(id);
  assert.deepEqual([...desk.send('sent').keys()], []);
  desk.proposals.applied(5, 2);
  assert.deepEqual(desk.told('x'), ['ok']);
});

test('one that was sent and not answered in time may be in the log', () => {
  const desk = new Desk();
  desk.sent('x');
  desk.proposals.applied(5, 2);
  desk.proposals.restored(99);
  assert.deepEqual(desk.told('x'), []);
  desk.proposals.expire(UNTIL);
  assert.deepEqual(desk.told('x'), ['unconfirmed']);
  desk.assertOver('x');
});

test('one that the leader refused waits for the next, with the same data and the same time left', () => {
  const desk = new Desk();
  const id = desk.sent('x');
  desk.refuse(id);
  assert.deepEqual(desk.told('x'), []);
  desk.nowTick++;
  assert.deepEqual([...desk.send(NOBODY).keys()], ['x']);
  desk.proposals.expire(UNTIL - 1);
  assert.deepEqual(desk.told('x'), []);
  desk.proposals.expire(UNTIL);
  assert.deepEqual(desk.told('x'), ['no-leader']);
  desk.assertOver('x');
});

test('one that was refused is tried again with the next tick, not as fast as it is refused; others need not wait for it', () => {
  const desk = new Desk();
  desk.nowTick = 3;
  desk.refuse(desk.sent('x'));
  desk.add('y');
  assert.deepEqual([...desk.send('sent').keys()], ['y']);
  desk.nowTick++;
  assert.deepEqual([...desk.send('sent').keys()], ['x']);
});

test('each attempt has an id of its own: no late answer to one passes for an answer to another', () => {
  const desk = new Desk();
  const first = desk.sent('x');
  desk.refuse(first);
  desk.nowTick++;
  const second = desk.send('sent').get('x') as number;
  assert.notEqual(second, first);
  desk.refuse(first);
  desk.proposals.placed(first, 5, 2, () => 2);
  assert.deepEqual([desk.told('x'), [...desk.send('sent').keys()]], [[], []]);
  desk.proposals.placed(second, 6, 3, () => 3);
  assert.deepEqual(desk.told('x'), ['ok']);
});

test('no id is ever used twice, whatever is refused, confirmed or given up', () => {
  const desk = new Desk();
  const seen = new Set<number>();
  for (let round = 0; round < 20; round++) {
    desk.nowTick = round;
    desk.add(`x${round}`, round + 5);
    for (const [, id] of desk.send('sent')) {
      assert.ok(!seen.has(id), `${id} again`);
      seen.add(id);
      if (id % 3 === 0) desk.refuse(id);
      else if (id % 3 === 1) desk.proposals.placed(id, round, 1, () => 1);
    }
    desk.proposals.expire(round);
  }
  assert.ok(Math.min(...seen) > FIRST_ID);
});

test('two starts of a server do not answer to the same ids', () => {
  const attempts = [7_000, 8_000].map((firstId) => {
    const proposals = new Proposals(firstId);
    proposals.add(Buffer.from('x'), UNTIL, () => {});
    let used = 0;
    proposals.send(0, (id) => {
      used = id;
      return 'sent';
    });
    return used;
  });
  assert.deepEqual(attempts, [7_001, 8_001]);
});

// ---------------------------------------------------------------- the end

test('a member that leaves its cluster cannot tell what becomes of what was sent; what waits may go to the next cluster', () => {
  const desk = new Desk();
  desk.sent('sent');
  desk.add('placed');
  desk.send({ index: 5, term: 2 });
  desk.add('waiting');
  desk.proposals.abandon();
  assert.deepEqual(
    [desk.told('sent'), desk.told('placed'), desk.told('waiting')],
    [['unconfirmed'], ['unconfirmed'], []],
  );
  assert.deepEqual([...desk.send('sent').keys()], ['waiting']);
  desk.assertOver('sent');
});

test('each has its own time', () => {
  const desk = new Desk();
  desk.add('early', 5);
  desk.add('late', 9);
  desk.proposals.expire(5);
  assert.deepEqual([desk.told('early'), desk.told('late')], [['no-leader'], []]);
});

test('a thousand may wait; whoever comes then is told at once, and there is room again when one is done', () => {
  const desk = new Desk();
  for (let i = 0; i < PENDING_MAX; i++) desk.add(`${i}`, i === 0 ? 5 : UNTIL);
  desk.add('refused');
  assert.deepEqual(desk.told('refused'), ['no-leader']);
  desk.proposals.expire(5);
  desk.add('taken');
  assert.deepEqual(desk.told('taken'), []);
  assert.equal(desk.send('sent').size, PENDING_MAX);
  // those that were sent count as well
  desk.add('refused again');
  assert.deepEqual(desk.told('refused again'), ['no-leader']);
});

test('a proposer may give up: it is told what is known by then, once', () => {
  for (const [stage, told] of [
    ['waiting', 'no-leader'],
    ['sent', 'unconfirmed'],
    ['placed', 'unconfirmed'],
    ['refused', 'no-leader'],
  ] as const) {
    const desk = new Desk();
    const giveUp = desk.add('x');
    if (stage === 'placed') desk.send({ index: 5, term: 2 });
    else if (stage !== 'waiting') desk.send('sent');
    if (stage === 'refused') desk.refuse(FIRST_ID + 1);
    giveUp();
    assert.deepEqual(desk.told('x'), [told], stage);
    giveUp();
    desk.assertOver('x');
  }
});

test('whoever is told already gives up in vain, and nothing of another is given up', () => {
  const desk = new Desk();
  const giveUp = desk.add('x');
  desk.send({ index: 5, term: 2 });
  desk.proposals.applied(5, 2);
  desk.add('y');
  giveUp();
  assert.deepEqual([desk.told('x'), desk.told('y')], [['ok'], []]);
});

test('a command that is too long is a mistake of the caller', () => {
  const proposals = new Proposals(FIRST_ID);
  assert.throws(() => proposals.add(new Uint8Array(COMMAND_BYTES_MAX + 1), UNTIL, () => {}), /too long/);
  const sizes: number[] = [];
  proposals.add(new Uint8Array(COMMAND_BYTES_MAX), UNTIL, () => {});
  proposals.send(0, (_, { length }) => {
    sizes.push(length);
    return 'sent';
  });
  assert.deepEqual(sizes, [COMMAND_BYTES_MAX]);
});

test('a proposer that is told may propose again from there', () => {
  const proposals = new Proposals(FIRST_ID);
  const told: string[] = [];
  const again = (error: ProposalError | null) => {
    told.push(error === null ? 'ok' : error.code);
    proposals.add(Buffer.from('y'), 20, (second) => told.push(`second ${second === null ? 'ok' : second.code}`));
  };
  proposals.add(Buffer.from('x'), UNTIL, again);
  proposals.expire(UNTIL);
  assert.deepEqual(told, ['no-leader']);
  proposals.send(UNTIL, () => ({ index: 5, term: 1 }));
  proposals.applied(5, 1);
  assert.deepEqual(told, ['no-leader', 'second ok']);
});

test('whatever happens in whatever order, each proposer is told exactly once in the end, and ok only for what was applied', () => {
  const outcomes = new Set<string | null>();
  for (let seed = 1; seed <= 200; seed++) {
    const random = chance(seed);
    const proposals = new Proposals(seed * 1_000);
    const told = new Map<number, (string | null)[]>();
    /** What stands at each index: the term, as applied. */
    const log = new Map<number, { term: number; name: number }>();
    const sent = new Map<number, { index: number; term: number; name: number }>();
    let [index, names, nowTick] = [0, 0, 0];
    const termAt = (at: number) => log.get(at)?.term ?? ('not-applied' as const);
    const place = (name: number) => ({ index: ++index, term: random(3), name });
    const events: (() => void)[] = [
      () => {
        const name = names++;
        told.set(name, []);
        proposals.add(Buffer.of(name), 10 + random(90), (error) => told.get(name)?.push(error?.code ?? null));
      },
      () =>
        proposals.send(nowTick, (id, data) => {
          const name = data[0] as number;
          if (random(3) === 0) return 'no-leader';
          const placed = place(name);
          sent.set(id, placed);
          return random(2) === 0 ? 'sent' : placed;
        }),
      () => proposals.refused(seed * 1_000 + random(60), nowTick),
      () => {
        const id = seed * 1_000 + random(60);
        const placed = sent.get(id);
        if (placed !== undefined) proposals.placed(id, placed.index, placed.term, termAt);
      },
      () => {
        const at = 1 + random(Math.max(1, index));
        if (log.has(at)) return;
        const [own] = [...sent.values()].filter((placed) => placed.index === at);
        const entry = own !== undefined && random(3) > 0 ? own : { term: 9, name: -1 };
        log.set(at, entry);
        proposals.applied(at, entry.term);
      },
    ];
    for (; nowTick < 120; nowTick++) {
      for (let i = 0; i < 3; i++) events[random(events.length)]?.();
      if (random(40) === 0) proposals.abandon();
      proposals.expire(nowTick);
    }
    proposals.expire(Number.POSITIVE_INFINITY);
    for (const [name, results] of told) {
      assert.equal(results.length, 1, `seed ${seed}, proposal ${name}: ${results}`);
      outcomes.add(results[0] ?? null);
      if (results[0] !== null) continue;
      assert.ok(
        [...log.values()].some((entry) => entry.name === name),
        `seed ${seed}, proposal ${name} was not applied`,
      );
    }
  }
  assert.deepEqual(outcomes, new Set([null, 'lost', 'unconfirmed', 'no-leader']));
});

/** Whole numbers in [0, below), the same for the same seed. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}
