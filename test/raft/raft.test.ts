/** The core by hand: the paper's sentences, as messages in and data out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSafeChange, majorityIndex, membership, quorum } from '../../src/raft/membership.ts';
import { Raft } from '../../src/raft/raft.ts';
import { type Entry, type Message, type RaftOptions, ROLE, type Snapshot } from '../../src/raft/types.ts';

const ABC = membership(['a', 'b', 'c']);
const FOUNDING: Snapshot = { index: 1, term: 1, membership: ABC, data: new Uint8Array() };
const text = (s: string) => Buffer.from(s);
const command = (index: number, term: number, s: string): Entry => ({
  index,
  term,
  payload: { kind: 'command', data: text(s) },
});

function newRaft(id: string, entries: readonly Entry[] = [], options: Partial<RaftOptions> = {}): Raft {
  const defaults = { heartbeatTicks: 1, electionTicksMin: 3, electionTicksMax: 4, inFlightMax: 8, batchMax: 16 };
  const hardState = { term: entries.at(-1)?.term ?? 1, vote: null };
  return new Raft({ id, random: () => 0, ...defaults, ...options }, { hardState, snapshot: FOUNDING, entries });
}

/** Does what the driver does, and returns what would be sent. */
function drive(raft: Raft): Message[] {
  const sent: Message[] = [];
  while (raft.hasReady()) {
    const ready = raft.ready();
    sent.push(...ready.messages);
    raft.advance(ready);
  }
  return sent;
}

/** Delivers messages among the members until none is left; `lost` are not delivered. */
function deliver(rafts: readonly Raft[], messages: Message[], lost: (m: Message) => boolean = () => false): void {
  const queue = [...messages];
  for (let message = queue.shift(); message !== undefined; message = queue.shift()) {
    const to = rafts.find(({ id }) => id === message?.to);
    if (to === undefined || lost(message)) continue;
    to.step(message);
    queue.push(...drive(to));
  }
}

function elect(raft: Raft, rafts: readonly Raft[]): void {
  while (raft.role === ROLE.follower) raft.tick();
  deliver(rafts, drive(raft));
  assert.equal(raft.role, ROLE.leader);
}

test('a follower that hears of no leader for an election timeout asks whether it could win, before it raises its term', () => {
  const a = newRaft('a');
  for (let i = 0; i < 3; i++) a.tick();
  const asked = drive(a);
  assert.equal(a.role, ROLE.preCandidate);
  assert.equal(a.term, 1);
  assert.deepEqual(
    asked.map((m) => m.type === 'vote-request' && [m.to, m.term, m.isPreVote]),
    [
      ['b', 2, true],
      ['c', 2, true],
    ],
  );
});

test('a candidate that has the votes of a majority becomes leader and sends its first entry (paper, 5.2)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, b, c] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  assert.deepEqual([a.term, b.leader, c.leader, a.commit], [2, 'a', 'a', 2]);
});

test('a member votes once a term, first come, first served (paper, 5.2)', () => {
  const c = newRaft('c');
  const ask = (from: string): Message => ({
    type: 'vote-request',
    from,
    to: 'c',
    term: 2,
    isPreVote: false,
    isTransfer: false,
    lastIndex: 1,
    lastTerm: 1,
  });
  const answers = ['a', 'b', 'a'].map((from) => {
    c.step(ask(from));
    const [answer] = drive(c);
    return answer?.type === 'vote-response' && answer.isGranted;
  });
  assert.deepEqual(answers, [true, false, true]);
});

test('a member votes only for a log at least as up-to-date as its own (paper, 5.4.1)', () => {
  for (const [lastIndex, lastTerm, isGranted] of [
    [3, 2, true],
    [2, 3, true],
    [4, 2, true],
    [2, 2, false],
    [9, 1, false],
  ] as const) {
    const c = newRaft('c', [command(2, 2, 'x'), command(3, 2, 'y')]);
    c.step({
      type: 'vote-request',
      from: 'a',
      to: 'c',
      term: 5,
      isPreVote: false,
      isTransfer: false,
      lastIndex,
      lastTerm,
    });
    const [answer] = drive(c);
    assert.equal(answer?.type === 'vote-response' && answer.isGranted, isGranted, `${lastIndex}/${lastTerm}`);
  }
});

test('within an election timeout of a heartbeat no vote is given against the leader (thesis, 4.2.3)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, b] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  b.step({
    type: 'vote-request',
    from: 'c',
    to: 'b',
    term: 9,
    isPreVote: false,
    isTransfer: false,
    lastIndex: 99,
    lastTerm: 9,
  });
  assert.deepEqual([drive(b), b.term], [[], 2]);
});

test('a leader never commits an entry of an older term by counting (paper, figure 8)', () => {
  // e holds an entry of term 2 that a majority may have, and leads term 4
  const rafts = [newRaft('a', [command(2, 2, 'x')]), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  for (let i = 0; i < 3; i++) a.tick();
  // everything but its own first entry reaches the others
  const isOwn = (m: Message) => m.type === 'append-request' && m.entries.some(({ term }) => term === a.term);
  deliver(rafts, drive(a), isOwn);
  const previous: Message = {
    type: 'append-response',
    from: 'b',
    to: 'a',
    term: a.term,
    isRejected: false,
    index: 2,
    hintIndex: 0,
    hintTerm: 0,
    applied: 1,
  };
  a.step(previous);
  drive(a);
  assert.deepEqual([a.role, a.progress.get('b')?.match, a.commit], [ROLE.leader, 2, 1]);
  a.step({ ...previous, index: 3 });
  drive(a);
  assert.equal(a.commit, 3);
});

test('a follower deletes what conflicts with the leader, and all that follows it (paper, 5.3)', () => {
  const rafts = [
    newRaft('a', [command(2, 3, 'new')]),
    newRaft('b', [command(2, 2, 'old'), command(3, 2, 'older')]),
    newRaft('c'),
  ];
  const [a, b] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  assert.deepEqual([b.log.lastIndex, b.log.termAt(2), b.log.termAt(3)], [3, 3, 4]);
});

test('a leader that hears of no majority for an election timeout steps down (thesis, 6.2)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, rafts);
  for (let i = 0; i < 6; i++) a.tick();
  assert.deepEqual([a.role, a.leader], [ROLE.follower, null]);
});

test('a follower that lags behind the compacted log gets a snapshot, and the entries after it (paper, section 7)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, , c] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  const toC = (m: Message) => m.to === 'c';
  for (let i = 0; i < 9; i++) {
    a.propose(text(`${i}`));
    deliver(rafts, drive(a), toC);
  }
  a.compact(text('state'), 2);
  a.propose(text('after'));
  deliver(rafts, drive(a), toC);
  for (let i = 0; i < 6 && c.log.lastIndex < a.log.lastIndex; i++) {
    a.tick();
    deliver(rafts, drive(a));
  }
  assert.equal(Buffer.from(c.log.snapshot.data).toString(), 'state');
  assert.deepEqual([c.log.lastIndex, c.membership], [a.log.lastIndex, ABC]);
});

test('leadership goes over to a member that has the whole log, at once (thesis, 3.10)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, b] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  a.transfer('b');
  assert.equal(a.propose(text('x')), 'transferring');
  deliver(rafts, drive(a));
  assert.deepEqual([a.role, b.role, b.term], [ROLE.follower, ROLE.leader, 3]);
});

test('membership changes come one at a time, and not before an entry of the own term is committed (thesis, 4.1)', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  assert.equal(a.proposeMembership(membership(['a', 'b'])), 'not-leader');
  for (let i = 0; i < 3; i++) a.tick();
  deliver(rafts, drive(a), (m) => m.type === 'append-request' && m.entries.length > 0);
  assert.equal(a.proposeMembership(membership(['a', 'b'])), 'change-pending');
  for (let i = 0; i < 3; i++) {
    a.tick();
    deliver(rafts, drive(a));
  }
  assert.equal(a.proposeMembership(membership(['a'])), 'bad-change');
  assert.equal(typeof a.proposeMembership(membership(['a', 'b'], ['c'])), 'number');
  assert.equal(a.proposeMembership(membership(['a'], ['c'])), 'change-pending');
});

test('a cluster of one leads and commits by itself', () => {
  const alone = membership(['a']);
  const options = {
    id: 'a',
    random: () => 0,
    heartbeatTicks: 1,
    electionTicksMin: 3,
    electionTicksMax: 4,
    inFlightMax: 1,
    batchMax: 1,
  };
  const snapshot = { index: 1, term: 1, membership: alone, data: new Uint8Array() };
  const a = new Raft(options, { hardState: { term: 1, vote: null }, snapshot, entries: [] });
  for (let i = 0; i < 3; i++) a.tick();
  drive(a);
  const index = a.propose(text('x'));
  drive(a);
  assert.deepEqual([a.role, index, a.applied], [ROLE.leader, 3, 3]);
});

test('majorities are more than half', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(quorum), [1, 2, 2, 3, 3, 4, 4]);
  const indexes: Record<string, number> = { a: 5, b: 3, c: 9 };
  assert.equal(
    majorityIndex(ABC, (id) => indexes[id] ?? 0),
    5,
  );
  assert.ok(isSafeChange(ABC, membership(['a', 'b'])) && !isSafeChange(ABC, membership(['a', 'b', 'd'])));
});
