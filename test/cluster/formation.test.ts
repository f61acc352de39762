/** How fresh servers find to a cluster, and when the members of one give it up: one server, in the test's hands. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  certaintyTicks,
  Formation,
  type FreshStep,
  type FreshView,
  isClusterLost,
  isOutranked,
  lostTicks,
  type OrphanView,
  patienceTicks,
} from '../../src/cluster/formation.ts';
import { memberId, NOWHERE } from '../../src/cluster/identity.ts';
import { GENERATION_MAX } from '../../src/cluster/limits.ts';
import { OrphanWatch } from '../../src/cluster/orphan-watch.ts';
import { Reports } from '../../src/cluster/reports.ts';
import type { Announce, Position, ServerId } from '../../src/cluster/types.ts';
import { membership } from '../../src/raft/membership.ts';

const TIMING = { heartbeatTicks: 2, electionTicksMin: 5, electionTicksMax: 10 };
const LOST_TICKS = 100;
const CERTAINTY_TICKS = 50;
const PATIENCE_TICKS = 1_000;
/** What is near was heard of within the last two of the longest elections. */
const NEAR_TICKS = 20;

const position = (generation: number, term = 1, index = 1): Position => ({ generation, term, index });

function announce(server: ServerId, said: Partial<Announce> = {}): Announce {
  const defaults = { cluster: null, leader: null, term: 0, excludes: null, position: NOWHERE };
  return { type: 'announce', member: memberId(server, 'f'), ...defaults, ...said };
}

interface FreshOptions {
  readonly listed?: readonly ServerId[];
  readonly position?: Position;
  readonly random?: () => number;
  readonly nowTick?: number;
}

/** Server 1, fresh, and what it hears of the others. */
class Fresh {
  readonly reports = new Reports();
  #options: Required<FreshOptions>;
  readonly #formation: Formation;
  /** Said anew before each tick, as the others do while they have no leader. */
  readonly #near: Announce[] = [];
  nowTick: number;

  constructor(options: FreshOptions = {}) {
    this.#options = { listed: [1, 2, 3], position: NOWHERE, random: () => 0, nowTick: 0, ...options };
    this.nowTick = this.#options.nowTick;
    this.#formation = new Formation(TIMING, this.#options.random, this.nowTick);
  }

  get view(): FreshView {
    const { listed, position: own } = this.#options;
    return { self: 1, member: '1.f', listed, position: own, reports: this.reports, nowTick: this.nowTick };
  }

  /** From now on these are near, and nobody else. */
  hears(...near: readonly Announce[]): this {
    this.#near.splice(0, Infinity, ...near);
    return this;
  }

  /** The list of servers changes. */
  list(...listed: readonly ServerId[]): void {
    this.#options = { ...this.#options, listed };
  }

  tick(): string[] {
    this.nowTick++;
    for (const said of this.#near) this.reports.note(Number.parseInt(said.member, 10), said, this.nowTick);
    return this.#formation.tick(this.view).map(show);
  }

  /** Ticks until something comes of it; returns how many it took, and what came. */
  wait(ticksMax = 2_000): [ticks: number, ...steps: string[]] {
    for (let ticks = 1; ticks <= ticksMax; ticks++) {
      const steps = this.tick();
      if (steps.length > 0) return [ticks, ...steps];
    }
    return [ticksMax];
  }

  requested(from: ServerId, by: Position = NOWHERE, founder = memberId(from, 'f')): string[] {
    return this.#formation.requested(from, founder, by, this.view).map(show);
  }

  granted(from: ServerId, founder = '1.f', member = memberId(from, 'f')): string[] {
    return this.#formation.granted(from, founder, member, this.view).map(show);
  }
}

function show(step: FreshStep): string {
  if (step.kind === 'found') return `found ${step.generation}: ${step.members.toSorted().join(' ')}`;
  const { to, message } = step;
  switch (message.type) {
    case 'found-request':
      return `ask ${to}`;
    case 'found-grant':
      return `grant ${message.founder} as ${message.member}`;
    case 'join':
      return `join ${message.cluster} at ${to}`;
    default:
      return `${message.type} to ${to}`;
  }
}

test('the durations are those that the comments promise', () => {
  assert.deepEqual(
    [lostTicks(TIMING), certaintyTicks(TIMING), patienceTicks(TIMING)],
    [LOST_TICKS, CERTAINTY_TICKS, PATIENCE_TICKS],
  );
});

// ---------------------------------------------------------------- who asks whom, and when

test('the only server of a group founds at once', () => {
  assert.deepEqual(new Fresh({ listed: [1], random: () => 0.99 }).tick(), ['found 1: 1.f']);
});

test('a server that hears of nobody neither asks nor founds', () => {
  assert.deepEqual(new Fresh().wait(), [2_000]);
});

test('where all others are fresh a server asks them all, after a moment drawn from the shortest election', () => {
  for (const [random, ticks] of [
    [0, 1],
    [0.5, 3],
    [0.99, 5],
  ] as const) {
    const fresh = new Fresh({ random: () => random }).hears(announce(2), announce(3));
    assert.deepEqual(fresh.wait(), [ticks, 'ask 2', 'ask 3']);
  }
});

test('where only a majority is near a server gives the others the time of one election before it asks', () => {
  const fresh = new Fresh({ random: () => 0.5 }).hears(announce(2));
  assert.deepEqual(fresh.wait(), [1 + 10 + 2, 'ask 2']);
});

test('where no majority is near a server does not ask, and begins to count only when there is one', () => {
  const fresh = new Fresh({ listed: [1, 2, 3, 4] }).hears(announce(2));
  assert.deepEqual(fresh.wait(300), [300]);
  assert.deepEqual(fresh.hears(announce(2), announce(3)).wait(), [11, 'ask 2', 'ask 3']);
});

test('a majority that falls silent before the drawn moment is asked nothing', () => {
  const fresh = new Fresh().hears(announce(2));
  fresh.tick();
  fresh.hears();
  assert.deepEqual(fresh.wait(9), [9]);
  // what it said still counts for a while, and then no more
  const heard = new Fresh({ listed: [1, 2], random: () => 0.99 }).hears(announce(2));
  heard.tick();
  assert.deepEqual(heard.hears().wait(), [4, 'ask 2']);
  const silent = new Fresh({ listed: [1, 2] });
  silent.reports.note(2, announce(2), 0);
  silent.nowTick = NEAR_TICKS;
  assert.deepEqual(silent.wait(), [2_000]);
});

test('one that is not in the list counts for nothing, and is not asked', () => {
  const fresh = new Fresh().hears(announce(4), announce(5));
  assert.deepEqual(fresh.wait(300), [300]);
  assert.deepEqual(fresh.hears(announce(2), announce(4)).wait(), [11, 'ask 2']);
});

// ---------------------------------------------------------------- orphans, later states, leaders

test('members of a cluster without a leader get the time to find one or to give up; then the fresh ones are asked without them', () => {
  const fresh = new Fresh().hears(announce(2), announce(3, { cluster: '4.c' }));
  assert.deepEqual(fresh.wait(), [1 + 2 * LOST_TICKS, 'ask 2']);
});

test('the time of those without a leader begins anew where they were gone meanwhile', () => {
  const orphan = announce(3, { cluster: '4.c' });
  const fresh = new Fresh({ random: () => 0.99 }).hears(announce(2), orphan);
  fresh.wait(100);
  fresh.hears(announce(2)).wait(NEAR_TICKS + 1);
  assert.deepEqual(fresh.hears(announce(2), orphan).wait(2 * LOST_TICKS), [2 * LOST_TICKS]);
});

test('one that gives its cluster up makes the servers complete, and all are asked at once', () => {
  const fresh = new Fresh().hears(announce(2), announce(3, { cluster: '4.c' }));
  fresh.wait(50);
  assert.deepEqual(fresh.hears(announce(2), announce(3)).wait(), [1, 'ask 2', 'ask 3']);
});

test('a later state that is near is waited for, but not for ever', () => {
  const fresh = new Fresh({ position: position(2, 5, 9) }).hears(
    announce(2),
    announce(3, { position: position(2, 5, 10) }),
  );
  assert.deepEqual(fresh.wait(), [4 * LOST_TICKS, 'ask 2', 'ask 3']);
});

test('the moment to ask is drawn anew where asking was out of the question meanwhile', () => {
  const fresh = new Fresh({ random: () => 0.99 }).hears(announce(2), announce(3));
  fresh.tick();
  fresh.hears(announce(2), announce(3, { position: position(1) })).wait(10);
  assert.deepEqual(fresh.hears(announce(2), announce(3)).wait(), [5, 'ask 2', 'ask 3']);
});

test('patience with a later state is counted from when this incarnation began', () => {
  const later = announce(3, { position: position(1) });
  assert.deepEqual(new Fresh({ nowTick: 5_000 }).hears(announce(2), later).wait(), [4 * LOST_TICKS, 'ask 2', 'ask 3']);
});

test('one with the same state or an earlier one is not waited for', () => {
  const own = position(2, 5, 9);
  for (const near of [own, position(2, 5, 8), position(2, 4, 99), position(1, 99, 99), NOWHERE]) {
    const fresh = new Fresh({ position: own }).hears(announce(2), announce(3, { position: near }));
    assert.deepEqual(fresh.wait(), [1, 'ask 2', 'ask 3']);
  }
});

test('a member of a cluster that holds a later state gets all the time that it takes to give that up', () => {
  const orphan = announce(3, { cluster: '9.c', position: position(9) });
  assert.deepEqual(new Fresh().hears(announce(2), orphan).wait(), [1 + PATIENCE_TICKS + 2 * LOST_TICKS, 'ask 2']);
  const five = new Fresh({ listed: [1, 2, 3, 4, 5] });
  five.hears(announce(2), announce(5), orphan, announce(4, { cluster: '9.c' }));
  assert.deepEqual(five.wait(), [1 + PATIENCE_TICKS + 2 * LOST_TICKS, 'ask 2', 'ask 5']);
  const own = position(9);
  assert.deepEqual(new Fresh({ position: own }).hears(announce(2), orphan).wait(), [1 + 2 * LOST_TICKS, 'ask 2']);
});

test('where a leader is near it is asked to take this server in, again at each heartbeat', () => {
  const fresh = new Fresh().hears(announce(2, { cluster: '1.c', leader: '2.f' }), announce(3));
  const steps = Array.from({ length: 6 }, () => fresh.tick().join());
  assert.deepEqual(steps, ['', 'join 1.c at 2', '', 'join 1.c at 2', '', 'join 1.c at 2']);
});

test('a follower tells where its leader is: that one is asked', () => {
  const fresh = new Fresh().hears(announce(2, { cluster: '1.c', leader: '3.f' }));
  assert.deepEqual(fresh.wait(), [2, 'join 1.c at 3']);
});

test('of several clusters with a leader the latest is joined', () => {
  const near = [
    announce(2, { cluster: '9.c', leader: '2.f' }),
    announce(3, { cluster: '10.a', leader: '3.f' }),
    announce(4, { cluster: '8.d', leader: '4.f' }),
  ];
  assert.deepEqual(new Fresh({ listed: [1, 2, 3, 4] }).hears(...near).wait(), [2, 'join 10.a at 3']);
});

test('a leader that comes up ends the attempt to found', () => {
  const fresh = new Fresh().hears(announce(2), announce(3));
  fresh.tick();
  fresh.hears(announce(2), announce(3, { cluster: '1.c', leader: '3.f' })).tick();
  assert.deepEqual([fresh.granted(2), fresh.granted(3)], [[], []]);
});

test('a leader that was not heard of for five elections is asked no more', () => {
  const fresh = new Fresh().hears(announce(2, { cluster: '1.c', leader: '2.f' }));
  fresh.tick();
  fresh.hears();
  const joins = Array.from({ length: 2 * CERTAINTY_TICKS }, () => fresh.tick()).flat();
  assert.equal(joins.length, CERTAINTY_TICKS / 2);
});

// ---------------------------------------------------------------- grants

test('a fresh server agrees to a founding, by name', () => {
  assert.deepEqual(new Fresh().requested(2, NOWHERE, '2.x'), ['grant 2.x as 1.f']);
});

test('it agrees to one at a time, to the same one again and again, and to another after one election', () => {
  const fresh = new Fresh();
  assert.deepEqual(fresh.requested(2), ['grant 2.f as 1.f']);
  assert.deepEqual(fresh.requested(3), []);
  fresh.nowTick += 5;
  assert.deepEqual(fresh.requested(2, NOWHERE, '2.g'), ['grant 2.g as 1.f']);
  fresh.nowTick += 9;
  assert.deepEqual(fresh.requested(3), []);
  fresh.nowTick += 1;
  assert.deepEqual(fresh.requested(3), ['grant 3.f as 1.f']);
});

test('one that has agreed does not ask itself until its promise is over', () => {
  const fresh = new Fresh().hears(announce(2), announce(3));
  fresh.requested(2);
  assert.deepEqual(fresh.wait(), [10, 'ask 2', 'ask 3']);
});

test('agreeing gives up the moment that was drawn for asking', () => {
  const fresh = new Fresh({ random: () => 0.99 }).hears(announce(2), announce(3));
  fresh.tick();
  fresh.requested(2);
  assert.deepEqual(fresh.wait(), [10 + 4, 'ask 2', 'ask 3']);
});

test('one that asks itself agrees to no other', () => {
  const fresh = new Fresh().hears(announce(2), announce(3));
  fresh.tick();
  assert.deepEqual(fresh.requested(2), []);
});

test('one that asks itself agrees to no other, even to one that it agreed to before', () => {
  const fresh = new Fresh().hears(announce(2), announce(3));
  assert.deepEqual(fresh.requested(2), ['grant 2.f as 1.f']);
  assert.deepEqual(fresh.wait(), [10, 'ask 2', 'ask 3']);
  assert.deepEqual(fresh.requested(2), []);
});

test('one with an older state is refused, for a while', () => {
  const fresh = new Fresh({ position: position(3, 2, 7) });
  for (const older of [position(3, 2, 6), position(3, 1, 9), position(2, 9, 9), NOWHERE]) {
    assert.deepEqual(fresh.requested(2, older), []);
  }
  assert.deepEqual(fresh.requested(2, position(3, 2, 7)), ['grant 2.f as 1.f']);
  const patient = new Fresh({ position: position(3), nowTick: 70 });
  patient.nowTick += 4 * LOST_TICKS - 1;
  assert.deepEqual(patient.requested(2), []);
  patient.nowTick++;
  assert.deepEqual(patient.requested(2), ['grant 2.f as 1.f']);
});

test('a refusal for an older state binds nobody: another is agreed to at once', () => {
  const fresh = new Fresh({ position: position(3) });
  assert.deepEqual(fresh.requested(2), []);
  assert.deepEqual(fresh.requested(3, position(3)), ['grant 3.f as 1.f']);
});

test('one that is not in the list is refused', () => {
  assert.deepEqual(new Fresh().requested(4), []);
});

// ---------------------------------------------------------------- rounds

function asking(options: FreshOptions = {}, near: readonly Announce[] = [announce(2), announce(3)]): Fresh {
  const fresh = new Fresh(options).hears(...near);
  assert.match(fresh.wait().join(), /ask/);
  return fresh;
}

test('once all have agreed the cluster is founded, with the incarnations that did', () => {
  const fresh = asking();
  assert.deepEqual(fresh.granted(2, '1.f', '2.x'), []);
  assert.deepEqual(fresh.granted(3, '1.f', '3.y'), ['found 1: 1.f 2.x 3.y']);
});

test('where a majority has agreed the others have one heartbeat to do so', () => {
  const fresh = asking();
  assert.deepEqual(fresh.granted(3), []);
  assert.deepEqual(fresh.wait(), [2, 'found 1: 1.f 3.f']);
});

test('an agreement that makes the majority after that heartbeat founds at once', () => {
  const fresh = asking();
  fresh.wait(3);
  assert.deepEqual(fresh.granted(2), ['found 1: 1.f 2.f']);
});

test('half of the servers are not enough', () => {
  const fresh = asking({ listed: [1, 2, 3, 4] }, [announce(2), announce(3), announce(4)]);
  assert.deepEqual(fresh.granted(2), []);
  assert.deepEqual(fresh.wait(4), [4]);
  assert.deepEqual(fresh.granted(3), ['found 1: 1.f 2.f 3.f']);
});

test('an agreement said twice counts once', () => {
  const fresh = asking({ listed: [1, 2, 3, 4] }, [announce(2), announce(3), announce(4)]);
  fresh.granted(2);
  fresh.granted(2);
  assert.deepEqual(fresh.wait(4), [4]);
});

test('of a server that restarted meanwhile the later incarnation takes part', () => {
  const fresh = asking({ listed: [1, 2, 3] });
  fresh.granted(2, '1.f', '2.x');
  fresh.granted(2, '1.f', '2.y');
  assert.deepEqual(fresh.wait(), [2, 'found 1: 1.f 2.y']);
});

test('agreements for another incarnation, in the name of another server, or without being asked count for nothing', () => {
  const idle = new Fresh();
  assert.deepEqual(idle.granted(2), []);
  const fresh = asking();
  assert.deepEqual(fresh.granted(2, '1.e'), []);
  assert.deepEqual(fresh.granted(2, '1.f', '3.f'), []);
  assert.deepEqual(fresh.wait(4), [4]);
});

test('an attempt that no majority agrees to ends after the shortest election, and is made again after a moment drawn anew', () => {
  const draws = [0, 0.6];
  const fresh = asking({ random: () => draws.shift() ?? 0 });
  assert.deepEqual(fresh.wait(), [5 + 1 + 3, 'ask 2', 'ask 3']);
  assert.deepEqual(draws, []);
  fresh.granted(2);
  assert.deepEqual(fresh.granted(3), ['found 1: 1.f 2.f 3.f']);
});

test('agreements to an attempt that failed do not count for the next', () => {
  const near = [announce(2), announce(3), announce(4)];
  const fresh = asking({ listed: [1, 2, 3, 4] }, near);
  fresh.granted(2);
  assert.deepEqual(fresh.wait(), [6, 'ask 2', 'ask 3', 'ask 4']);
  assert.deepEqual(fresh.granted(3), []);
  assert.deepEqual(fresh.wait(4), [4]);
});

test('after an attempt that failed a server agrees to that of another', () => {
  const fresh = asking({ random: () => 0.99 });
  fresh.wait(5);
  assert.deepEqual(fresh.requested(2), ['grant 2.f as 1.f']);
});

test('a cluster is of a later generation than all that its founder ever heard of or held', () => {
  for (const [what, own, near, long, generation] of [
    ['nothing', NOWHERE, [], [], 1],
    ['its own state', position(4), [], [], 5],
    ['the state of another', NOWHERE, [announce(3, { position: position(6) })], [], 7],
    ['a cluster', position(2), [], [announce(3, { cluster: '9.c' })], 10],
    ['a cluster that was led long ago', position(2), [], [announce(3, { cluster: '11.c', leader: '3.f' })], 12],
  ] as const) {
    const fresh = new Fresh({ position: own });
    for (const said of long) fresh.reports.note(3, said, 0);
    fresh.nowTick = 10_000;
    fresh.hears(announce(2), ...near).wait();
    fresh.granted(2);
    assert.deepEqual(fresh.wait().slice(1), [`found ${generation}: 1.f 2.f`], what);
  }
});

test('a generation that no cluster can have come to is not counted on', () => {
  for (const [cluster, generation] of [
    [`${GENERATION_MAX}.c`, 3],
    [`${GENERATION_MAX - 1}.c`, GENERATION_MAX],
  ] as const) {
    const fresh = new Fresh({ position: position(2) });
    fresh.reports.note(3, announce(3, { cluster }), 0);
    fresh.nowTick = 10_000;
    fresh.hears(announce(2)).wait();
    fresh.granted(2);
    assert.deepEqual(fresh.wait().slice(1), [`found ${generation}: 1.f 2.f`]);
  }
});

test('agreements of servers that left the list meanwhile do not count', () => {
  const fresh = asking();
  fresh.granted(3);
  fresh.list(1, 2);
  assert.deepEqual(fresh.wait(4), [4]);
  assert.deepEqual(fresh.granted(2), ['found 1: 1.f 2.f 3.f']);
});

// ---------------------------------------------------------------- members without a leader

const OWN = '3.own';
const OTHER = '4.other';

function bound(server: ServerId, said: Partial<Announce> = {}): Announce {
  return announce(server, { member: memberId(server, 'm'), cluster: OWN, position: position(3), ...said });
}

/** Server 1 as a member of a cluster of three, as its log says. */
function orphan(said: readonly Announce[], view: Partial<OrphanView> = {}): boolean {
  return isClusterLost({
    cluster: OWN,
    member: '1.m',
    membership: membership(['1.m', '2.m', '3.m']),
    listed: [1, 2, 3],
    reports: new Map(said.map((report) => [Number.parseInt(report.member, 10), report])),
    isPatienceOver: false,
    ...view,
  });
}

for (const [what, said, isLost] of [
  ['nobody is heard: they may be out of reach', [], false],
  ['one has forgotten, the other is out of reach', [announce(2)], false],
  ['both others have forgotten', [announce(2), announce(3)], true],
  ['both others are in it', [bound(2), bound(3)], false],
  ['one is in it, the other has forgotten', [bound(2), announce(3)], false],
  [
    'both others are in it as incarnations that are no voters',
    [bound(2, { member: '2.x' }), bound(3, { member: '3.x' })],
    true,
  ],
  [
    'both others belong to another cluster that has no leader',
    [bound(2, { cluster: OTHER }), bound(3, { cluster: OTHER })],
    true,
  ],
  ['one belongs to another cluster that has no leader', [bound(2, { cluster: OTHER })], false],
  ['the leader of another cluster speaks', [bound(2, { cluster: OTHER, leader: '2.m' })], true],
  ['a follower of another leader speaks', [bound(2, { cluster: OTHER, leader: '3.m' })], false],
  [
    'one follows a leader of it, which may have changed its membership',
    [bound(2, { leader: '2.m' }), announce(3)],
    false,
  ],
  [
    'one follows a leader of it, and no voter that this one knows is left',
    [bound(2, { member: '2.x', leader: '2.x' }), bound(3, { member: '3.x', leader: '2.x' })],
    false,
  ],
  [
    'both a leader of it and one of another speak',
    [bound(2, { leader: '2.m' }), bound(3, { cluster: OTHER, leader: '3.m' })],
    false,
  ],
] as const) {
  test(`a member without a leader ${isLost ? 'gives its cluster up' : 'waits'} where ${what}`, () => {
    assert.equal(orphan(said), isLost);
  });
}

test('a member without a leader counts itself only where its own incarnation votes', () => {
  const said = [bound(2), announce(3)];
  assert.equal(orphan(said, { member: '1.m' }), false);
  assert.equal(orphan(said, { membership: membership(['1.old', '2.m', '3.m'], ['1.m']) }), true);
});

test('silent voters that left the list are hoped for until patience is over, those in the list for ever', () => {
  const voters = membership(['1.m', '2.m', '3.m', '4.m', '5.m']);
  const five = { membership: voters, listed: [1, 2, 3] };
  for (const [said, listed, isPatienceOver, isLost] of [
    [[bound(2)], [1, 2, 3], false, false],
    [[bound(2)], [1, 2, 3], true, false],
    [[announce(2)], [1, 2, 3], false, false],
    [[announce(2)], [1, 2, 3], true, true],
    [[announce(2)], [1, 2, 3, 4, 5], true, false],
    [[announce(2), bound(4)], [1, 2, 3], true, false],
  ] as const) {
    assert.equal(
      orphan(said, { ...five, listed, isPatienceOver }),
      isLost,
      `${said.length} ${listed} ${isPatienceOver}`,
    );
  }
});

test('a placeholder that the founder never met is no vote once its server is heard of', () => {
  const founded = { membership: membership(['1.m', '2.m', '3.none']) };
  assert.equal(orphan([], founded), false);
  assert.equal(orphan([announce(3), bound(2)], founded), false);
  assert.equal(orphan([announce(3), announce(2)], founded), true);
});

for (const [what, said, listed, isLost] of [
  ['nobody is heard', [], [1, 2, 3], false],
  ['a member that has the log is heard', [bound(2)], [1, 2, 3], false],
  ['those heard have no log either, and one is out of reach', [bound(2, { position: NOWHERE })], [1, 2, 3], false],
  [
    'none of the others has the log: theirs is the state of an earlier cluster',
    [bound(2, { position: NOWHERE }), bound(3, { position: position(2) })],
    [1, 2, 3],
    true,
  ],
  ['no majority is bound to it', [announce(2), announce(3)], [1, 2, 3], true],
  ['exactly a majority is bound to it', [bound(2), announce(3)], [1, 2, 3], false],
  ['exactly half is bound to it', [bound(2), announce(3), bound(4, { cluster: OTHER })], [1, 2, 3, 4], true],
  ['it is the only server of the list', [], [1], true],
] as const) {
  test(`one that was taken in and has no log yet ${isLost ? 'gives the cluster up' : 'waits'} where ${what}`, () => {
    assert.equal(orphan(said, { membership: membership([]), listed }), isLost);
  });
}

test('one that was taken in and has no log yet does not wait for ever, unless a leader of its cluster is known', () => {
  const newcomer = { membership: membership([]), isPatienceOver: true };
  assert.equal(orphan([bound(2), bound(3)], newcomer), true);
  assert.equal(orphan([bound(2, { leader: '3.m' })], newcomer), false);
});

// ---------------------------------------------------------------- the watch

const VOTERS = membership(['1.m', '2.m', '3.m']);

/** Server 1 without a leader, tick by tick. */
class Orphan {
  readonly reports = new Reports();
  readonly watch = new OrphanWatch(TIMING);
  nowTick = 0;

  hears(...said: readonly Announce[]): void {
    for (const report of said) this.reports.note(Number.parseInt(report.member, 10), report, this.nowTick);
  }

  /** A tick, as member.ts does it; before it `said` has come. */
  tick(said: readonly Announce[] = [], view: Partial<OrphanView> = {}): boolean {
    this.hears(...said);
    this.nowTick++;
    const reports = this.reports.allRecent([2, 3], this.nowTick, CERTAINTY_TICKS);
    return this.watch.tick({ cluster: OWN, member: '1.m', membership: VOTERS, listed: [1, 2, 3], reports, ...view });
  }

  /** After how many ticks of hearing `said` the cluster is given up. */
  ticksToLose(said: readonly Announce[], view: Partial<OrphanView> = {}, ticksMax = 3_000): number {
    for (let ticks = 1; ticks <= ticksMax; ticks++) if (this.tick(said, view)) return ticks;
    return Number.POSITIVE_INFINITY;
  }
}

const GONE = [announce(2), announce(3)];

test('a cluster is given up after ten of the longest elections without a leader, not before', () => {
  assert.equal(new Orphan().ticksToLose(GONE), LOST_TICKS);
});

test('a tick with a leader begins the count anew', () => {
  const orphaned = new Orphan();
  for (let i = 1; i < LOST_TICKS; i++) assert.ok(!orphaned.tick(GONE));
  orphaned.watch.reset();
  assert.equal(orphaned.ticksToLose(GONE), LOST_TICKS);
});

test('a member that has waited for long gives its cluster up once the loss has been certain for five elections', () => {
  const orphaned = new Orphan();
  for (let i = 0; i < 2 * LOST_TICKS; i++) assert.ok(!orphaned.tick());
  assert.equal(orphaned.ticksToLose(GONE), CERTAINTY_TICKS + 1);
});

test('one word that speaks for the cluster begins the certainty anew', () => {
  const orphaned = new Orphan();
  for (let i = 0; i < 2 * LOST_TICKS; i++) orphaned.tick();
  for (let i = 0; i < CERTAINTY_TICKS; i++) assert.ok(!orphaned.tick(GONE));
  assert.ok(!orphaned.tick([bound(2)]));
  assert.equal(orphaned.ticksToLose(GONE), CERTAINTY_TICKS + 1);
});

test('what is read once after a pause, true before it, does not make a member give its cluster up', () => {
  const orphaned = new Orphan();
  for (let i = 0; i < 2 * LOST_TICKS; i++) orphaned.tick();
  orphaned.hears(...GONE);
  assert.equal(orphaned.ticksToLose([]), Number.POSITIVE_INFINITY);
});

test('the leader of another cluster that spoke once before a pause does not either', () => {
  const orphaned = new Orphan();
  for (let i = 0; i < 2 * LOST_TICKS; i++) orphaned.tick();
  orphaned.hears(bound(2, { cluster: OTHER, leader: '2.m' }));
  assert.equal(orphaned.ticksToLose([]), Number.POSITIVE_INFINITY);
});

test('patience with servers that left the list is over after a hundred of the longest elections', () => {
  const view = { membership: membership(['1.m', '4.m']), listed: [1] };
  assert.equal(new Orphan().ticksToLose([], view), PATIENCE_TICKS + CERTAINTY_TICKS);
});

// ---------------------------------------------------------------- two clusters side by side

for (const [what, said, gives] of [
  ['nobody is heard', [], false],
  [
    'the leader of another cluster has a later state',
    [bound(2, { cluster: OTHER, leader: '2.m', position: position(4) })],
    true,
  ],
  [
    'the leader of another cluster has an earlier state',
    [bound(2, { cluster: '9.c', leader: '2.m', position: position(2) })],
    false,
  ],
  [
    'only a follower of another cluster is heard',
    [bound(2, { cluster: OTHER, leader: '3.m', position: position(4) })],
    false,
  ],
  ['the other cluster has no leader', [bound(2, { cluster: OTHER, position: position(4) })], false],
  ['the other is a member of its own cluster', [bound(2, { leader: '2.m', position: position(4) })], false],
  ['the other is fresh, whatever it holds', [announce(2, { position: position(9) })], false],
  [
    'the states are the same, and the other cluster has the higher name',
    [bound(2, { cluster: OTHER, leader: '2.m' })],
    true,
  ],
  [
    'the states are the same, and the other cluster has the lower name',
    [bound(2, { cluster: '1.c', leader: '2.m' })],
    false,
  ],
] as const) {
  test(`a leader ${gives ? 'has to give way' : 'goes on'} where ${what}`, () => {
    const reports = new Map(said.map((report) => [Number.parseInt(report.member, 10), report]));
    assert.equal(isOutranked(OWN, position(3), reports), gives);
  });
}

test('of two leaders with different clusters exactly one has to give way', () => {
  const states = [position(3), position(3, 1, 2), position(3, 2), position(4), NOWHERE];
  const leading = ['3.a', '3.b', '4.a'].flatMap((cluster) => states.map((held) => ({ cluster, held })));
  for (const one of leading) {
    for (const other of leading.filter(({ cluster }) => cluster !== one.cluster)) {
      const gives = (a: typeof one, b: typeof one) => {
        const said = bound(2, { cluster: b.cluster, leader: '2.m', position: b.held });
        return isOutranked(a.cluster, a.held, new Map([[2, said]]));
      };
      assert.notEqual(gives(one, other), gives(other, one), `${one.cluster} ${other.cluster}`);
    }
  }
});

test('a leader gives way once it has been certain for five elections that it has to', () => {
  const watch = new OrphanWatch(TIMING);
  const higher = new Map([[2, bound(2, { cluster: OTHER, leader: '2.m', position: position(4) })]]);
  for (let i = 0; i < CERTAINTY_TICKS; i++) assert.ok(!watch.tickLeader(OWN, position(3), higher));
  assert.ok(!watch.tickLeader(OWN, position(3), new Map()));
  for (let i = 0; i < CERTAINTY_TICKS; i++) assert.ok(!watch.tickLeader(OWN, position(3), higher));
  assert.ok(watch.tickLeader(OWN, position(3), higher));
});
