/** Who asks to be taken in, and what a leader makes of it: a real core leads, its peers answer as the test says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverOf } from '../../src/cluster/identity.ts';
import { Joiners } from '../../src/cluster/joiners.ts';
import type { ServerId } from '../../src/cluster/types.ts';
import { membership } from '../../src/raft/membership.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { MemberId, Message } from '../../src/raft/types.ts';

const LIMITS = { electionTicksMin: 4, electionTicksMax: 8, snapshotDistance: 10 };

/** A cluster whose first voter leads; time goes by in ticks, in which those that are not silent answer. */
class Leading {
  readonly joiners = new Joiners(LIMITS);
  readonly rafts: Raft[];
  readonly silent: Set<MemberId>;
  readonly listed: readonly ServerId[];
  nowTick = 0;

  constructor(
    voters: readonly MemberId[],
    learners: readonly MemberId[],
    listed: readonly ServerId[],
    silent: readonly MemberId[] = [],
  ) {
    this.listed = listed;
    this.silent = new Set(silent);
    const window = { inFlightMax: 8, batchMax: 64 };
    const timing = { heartbeatTicks: 1, electionTicksMin: 4, electionTicksMax: 8 };
    const snapshot = { index: 1, term: 1, membership: membership(voters, learners), data: new Uint8Array() };
    const hardState = { term: 1, vote: null };
    this.rafts = [...voters, ...learners].map((id) => {
      return new Raft({ id, random: () => 0, ...timing, ...window }, { hardState, snapshot, entries: [] });
    });
    this.leader.campaign();
    this.deliver();
  }

  get leader(): Raft {
    return this.rafts[0] as Raft;
  }

  deliver(): void {
    const queue: Message[] = [];
    const drain = (raft: Raft) => {
      while (raft.hasReady()) {
        const ready = raft.ready();
        queue.push(...ready.messages);
        raft.advance(ready);
      }
    };
    drain(this.leader);
    for (let message = queue.shift(); message !== undefined; message = queue.shift()) {
      const to = this.rafts.find(({ id }) => id === message?.to);
      if (to === undefined || this.silent.has(message.to) || this.silent.has(message.from)) continue;
      to.step(message);
      drain(to);
    }
  }

  ticks(count: number): this {
    for (let i = 0; i < count; i++) {
      this.nowTick++;
      this.leader.tick();
      this.deliver();
    }
    return this;
  }

  silence(...ids: MemberId[]): this {
    for (const id of ids) this.silent.add(id);
    return this;
  }

  propose(count: number): this {
    for (let i = 0; i < count; i++) this.leader.propose(Buffer.from(`${i}`));
    this.deliver();
    return this;
  }

  ask(member: MemberId): string | null {
    return this.joiners.ask(member, this.leader, this.listed, this.nowTick);
  }

  next(): string | null {
    const next = this.joiners.nextMembership(this.leader, this.listed, this.nowTick);
    return next && `${next.voters.join(' ')} + ${next.learners.join(' ')}`;
  }
}

test('a listed server that asks is to become a learner', () => {
  const leading = new Leading(['1.a', '2.a'], [], [1, 2, 3]).ticks(1);
  assert.equal(leading.next(), null);
  assert.equal(leading.ask('3.a'), null);
  assert.equal(leading.next(), '1.a 2.a + 3.a');
});

test("a server that is not in the leader's list is told so", () => {
  const leading = new Leading(['1.a', '2.a'], [], [1, 2]).ticks(1);
  assert.match(leading.ask('3.a') ?? '', /server 3 is not in the leader's server list/);
  assert.equal(leading.next(), null);
});

test('whoever has not asked again for the longest election is not taken in', () => {
  const leading = new Leading(['1.a', '2.a'], [], [1, 2, 3]).ticks(1);
  leading.ask('3.a');
  assert.equal(leading.ticks(8).next(), '1.a 2.a + 3.a');
  assert.equal(leading.ticks(1).next(), null);
  leading.ask('3.a');
  assert.equal(leading.next(), '1.a 2.a + 3.a');
});

test('of two incarnations of one server the one that asked last is taken in', () => {
  const leading = new Leading(['1.a', '2.a'], [], [1, 2, 3]).ticks(1);
  leading.ask('3.a');
  leading.ask('3.b');
  assert.equal(leading.next(), '1.a 2.a + 3.b');
});

test('a leader that leads no more forgets who has asked', () => {
  const leading = new Leading(['1.a', '2.a'], [], [1, 2, 3]).ticks(1);
  leading.ask('3.a');
  leading.joiners.clear();
  assert.equal(leading.next(), null);
});

test('one whose server_id another machine answers under is told so, and not taken in', () => {
  const leading = new Leading(['1.a', '2.a', '3.a'], [], [1, 2, 3]).ticks(1);
  assert.match(leading.ask('3.b') ?? '', /server_id 3 still answers as 3\.a/);
  assert.equal(leading.next(), null);
});

test('one whose former incarnation has just died is neither refused nor taken in before that has been silent for long enough', () => {
  const leading = new Leading(['1.a', '2.a', '3.a'], [], [1, 2, 3]).ticks(1).silence('3.a');
  for (let silentTicks = 1; silentTicks < LIMITS.electionTicksMin; silentTicks++) {
    leading.ticks(1);
    assert.equal(leading.ask('3.b'), null);
    assert.equal(leading.next(), null, `silent for ${silentTicks}`);
  }
  leading.ticks(1);
  assert.equal(leading.ask('3.b'), null);
  assert.equal(leading.next(), '1.a 2.a 3.a + 3.b');
});

test('a voter that has never been heard of in this term is silent: nobody is refused for it', () => {
  const leading = new Leading(['1.a', '2.a', '3.none'], [], [1, 2, 3], ['3.none']).ticks(1);
  assert.equal(leading.ask('3.a'), null);
  assert.equal(leading.next(), '1.a 2.a 3.none + 3.a');
});

test('a member that asks again, because it has not heard of it yet, is not refused', () => {
  const leading = new Leading(['1.a', '2.a'], ['3.a'], [1, 2, 3], ['3.a']).ticks(2);
  assert.equal(leading.ask('3.a'), null);
  assert.equal(leading.ask('2.a'), null);
  assert.equal(leading.next(), null);
});

test('a learner that has the log becomes a voter', () => {
  assert.equal(new Leading(['1.a', '2.a'], ['3.a'], [1, 2, 3]).ticks(1).next(), '1.a 2.a 3.a + ');
});

test('a learner that answers, and is not known to have any of the log, does not become a voter', () => {
  const leading = new Leading(['1.a', '2.a'], ['3.a'], [1, 2, 3], ['3.a']).ticks(1);
  const refusal = { isRejected: true, index: 1, hintIndex: 0, hintTerm: 0, applied: 0 };
  leading.leader.step({ type: 'append-response', from: '3.a', to: '1.a', term: leading.leader.term, ...refusal });
  const { match, silentTicks } = leading.leader.progress.get('3.a') ?? {};
  assert.deepEqual([match, silentTicks, leading.next()], [0, 0, null]);
});

test('a learner that falls silent does not become a voter', () => {
  const leading = new Leading(['1.a', '2.a'], ['3.a'], [1, 2, 3]).ticks(1).silence('3.a');
  assert.equal(leading.ticks(3).next(), '1.a 2.a 3.a + ');
  assert.equal(leading.ticks(1).next(), null);
});

test('a learner is caught up where it lacks no more than the entries from one snapshot to the next', () => {
  const leading = new Leading(['1.a', '2.a'], ['3.a'], [1, 2, 3]).ticks(1).silence('3.a');
  assert.equal(leading.propose(LIMITS.snapshotDistance).next(), '1.a 2.a 3.a + ');
  assert.equal(leading.propose(1).next(), null);
});

test('a leader for whom no majority answers proposes nothing', () => {
  const leading = new Leading(['1.a', '2.a', '3.a'], [], [1, 2, 3, 4]).ticks(1).silence('2.a', '3.a');
  leading.ask('4.a');
  assert.equal(leading.next(), '1.a 2.a 3.a + 4.a');
  leading.ticks(LIMITS.electionTicksMin);
  leading.ask('4.a');
  assert.equal(leading.next(), null);
});

test('a server that comes back without its memory is taken in again: learner, the former one goes, voter', () => {
  const leading = new Leading(['1.a', '2.a', '3.a'], [], [1, 2, 3]).ticks(1).silence('3.a').ticks(4);
  const follower = newcomer('3.b');
  leading.rafts.push(follower);
  const seen: string[] = [];
  for (let i = 0; i < 10; i++) {
    if (!leading.leader.progress.has('3.b')) leading.ask('3.b');
    const next = leading.joiners.nextMembership(leading.leader, leading.listed, leading.nowTick);
    if (next !== null && typeof leading.leader.proposeMembership(next) === 'number') seen.push(`${leading.next()}`);
    leading.ticks(1);
  }
  assert.deepEqual(leading.leader.membership, membership(['1.a', '2.a', '3.b']));
  assert.equal(follower.commit, leading.leader.commit);
  assert.equal(seen.length, 3);
  assert.ok(leading.leader.membership.voters.every((id) => leading.listed.includes(serverOf(id))));
});

function newcomer(id: MemberId): Raft {
  const timing = { heartbeatTicks: 1, electionTicksMin: 4, electionTicksMax: 8 };
  const snapshot = { index: 0, term: 0, membership: membership([]), data: new Uint8Array() };
  const options = { id, random: () => 0, ...timing, inFlightMax: 8, batchMax: 64 };
  return new Raft(options, { hardState: { term: 0, vote: null }, snapshot, entries: [] });
}
