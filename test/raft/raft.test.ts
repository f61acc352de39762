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

// ---------------------------------------------------------------- what the driver does late, and what a leader knows late

function appendFrom(
  from: string,
  term: number,
  previous: readonly [index: number, term: number],
  entries: Entry[],
): Message {
  const [previousIndex, previousTerm] = previous;
  return { type: 'append-request', from, to: 'a', term, previousIndex, previousTerm, entries, commit: 1 };
}

const termsOf = (entries: readonly Entry[]) => entries.map(({ index, term }) => [index, term]);

test('entries that a leader replaced while their predecessors were written are handed out to be written, too', () => {
  for (const [what, from, replacing, unwritten] of [
    ['all', [1, 1], [command(2, 3, 'new')], [[2, 3]]],
    ['the last', [2, 2], [command(3, 3, 'new')], [[3, 3]]],
    [
      'the last, and more follow',
      [2, 2],
      [command(3, 3, 'new'), command(4, 3, 'newer')],
      [
        [3, 3],
        [4, 3],
      ],
    ],
    ['none, but more follow', [3, 2], [command(4, 3, 'newer')], [[4, 3]]],
  ] as const) {
    const a = newRaft('a');
    a.step(appendFrom('b', 2, [1, 1], [command(2, 2, 'old'), command(3, 2, 'older')]));
    const ready = a.ready();
    assert.equal(ready.entries.length, 2);
    a.step(appendFrom('c', 3, from, [...replacing]));
    a.advance(ready);
    assert.deepEqual(termsOf(a.ready().entries), unwritten, what);
  }
});

test('what was written and cut off meanwhile is neither handed out nor counted as there', () => {
  const a = newRaft('a');
  a.step(appendFrom('b', 2, [1, 1], [command(2, 2, 'x'), command(3, 2, 'y'), command(4, 2, 'z')]));
  const ready = a.ready();
  a.step(appendFrom('c', 3, [1, 1], [command(2, 3, 'new')]));
  a.advance(ready);
  const next = a.ready();
  assert.deepEqual([termsOf(next.entries), a.log.lastIndex], [[[2, 3]], 2]);
  a.advance(next);
  assert.ok(!a.hasReady());
});

test('an entry counts towards the majority of its leader only once that leader has written it', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, rafts);
  a.propose(text('x'));
  const ready = a.ready();
  const answers = ready.messages.flatMap((message) => {
    const to = rafts.find(({ id }) => id === message.to) as Raft;
    to.step(message);
    return drive(to);
  });
  for (const answer of answers.filter(({ from }) => from === 'b')) a.step(answer);
  assert.equal(a.commit, 2);
  a.advance(ready);
  assert.equal(a.commit, 3);
});

test('a snapshot is applied, and told to be, when the driver has applied it, not when it comes', () => {
  const a = newRaft('a');
  const snapshot: Snapshot = { index: 9, term: 2, membership: ABC, data: text('state') };
  a.step({ type: 'snapshot-request', from: 'b', to: 'a', term: 2, snapshot });
  assert.deepEqual([a.commit, a.applied, a.log.lastIndex], [9, 1, 9]);
  const ready = a.ready();
  const [answer] = ready.messages;
  assert.deepEqual(answer?.type === 'append-response' && [answer.index, answer.applied], [9, 1]);
  assert.deepEqual([ready.snapshot, ready.committed, a.applied], [snapshot, [], 1]);
  a.advance(ready);
  assert.deepEqual([a.applied, a.hasReady()], [9, false]);
});

test('entries that come while a snapshot is being applied are handed out after it', () => {
  const a = newRaft('a');
  const snapshot: Snapshot = { index: 9, term: 2, membership: ABC, data: text('state') };
  a.step({ type: 'snapshot-request', from: 'b', to: 'a', term: 2, snapshot });
  const first = a.ready();
  a.step({ ...appendFrom('b', 2, [9, 2], [command(10, 2, 'x')]), commit: 10 } as Message);
  a.advance(first);
  const second = a.ready();
  assert.deepEqual([second.snapshot, termsOf(second.entries), termsOf(second.committed)], [null, [[10, 2]], [[10, 2]]]);
});

test('a snapshot that comes while an earlier one is being applied is handed out, too', () => {
  const a = newRaft('a');
  const snapshots = [9, 12].map((index): Snapshot => ({ index, term: 2, membership: ABC, data: text(`${index}`) }));
  const [early, late] = snapshots as [Snapshot, Snapshot];
  a.step({ type: 'snapshot-request', from: 'b', to: 'a', term: 2, snapshot: early });
  const first = a.ready();
  a.step({ type: 'snapshot-request', from: 'b', to: 'a', term: 2, snapshot: late });
  a.advance(first);
  assert.deepEqual([a.applied, a.commit], [9, 12]);
  const second = a.ready();
  assert.deepEqual([second.snapshot, second.committed], [late, []]);
  a.advance(second);
  assert.deepEqual([a.applied, a.hasReady()], [12, false]);
});

test('the hard state is that of now, also before it is handed out to be written', () => {
  const a = newRaft('a');
  a.step({
    type: 'vote-request',
    from: 'b',
    to: 'a',
    term: 7,
    isPreVote: false,
    isTransfer: false,
    lastIndex: 1,
    lastTerm: 1,
  });
  assert.deepEqual(a.hardState, { term: 7, vote: 'b' });
  const ready = a.ready();
  a.step(appendFrom('c', 8, [1, 1], []));
  assert.deepEqual(
    [ready.hardState, a.hardState],
    [
      { term: 7, vote: 'b' },
      { term: 8, vote: null },
    ],
  );
  a.advance(ready);
  assert.deepEqual(a.ready().hardState, { term: 8, vote: null });
});

test('a founder stands for election at once, and asks before it raises its term like any other', () => {
  const a = newRaft('a');
  a.campaign();
  assert.deepEqual([a.role, a.term], [ROLE.preCandidate, 1]);
  const isPreVote = (m: Message) => m.type === 'vote-request' && m.isPreVote;
  assert.deepEqual(
    drive(a).map((m) => [m.to, isPreVote(m)]),
    [
      ['b', true],
      ['c', true],
    ],
  );
});

test('whoever leads already does not stand for election, nor does one that has no vote', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, rafts);
  a.campaign();
  assert.deepEqual([a.role, a.term, drive(a)], [ROLE.leader, 2, []]);
  const learner = newRaft('d');
  learner.campaign();
  assert.deepEqual([learner.role, drive(learner)], [ROLE.follower, []]);
});

test('a leader knows of nobody since when it has been silent, until it has been heard of', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, [a, rafts[1] as Raft]);
  const silentTicks = () => ['b', 'c'].map((id) => a.progress.get(id)?.silentTicks);
  assert.deepEqual(silentTicks(), [0, Number.POSITIVE_INFINITY]);
  a.tick();
  assert.deepEqual(silentTicks(), [1, Number.POSITIVE_INFINITY]);
  deliver(rafts, drive(a));
  assert.deepEqual(silentTicks(), [0, 0]);
});

test('a member that is taken in has not been heard of, and is not counted among those that are silent to the quorum yet', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, rafts);
  a.proposeMembership(membership(['a', 'b', 'c', 'd']));
  const { silentTicks, isActive } = a.progress.get('d') ?? {};
  assert.deepEqual([silentTicks, isActive], [Number.POSITIVE_INFINITY, true]);
});

/** a leads, has compacted its log, and has sent c a snapshot that is lost. */
function withLostSnapshot(): { rafts: Raft[]; a: Raft; c: Raft } {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, , c] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  const toC = (m: Message) => m.to === 'c';
  for (let i = 0; i < 9; i++) {
    a.propose(text(`${i}`));
    deliver(rafts, drive(a), toC);
  }
  a.compact(text('state'), 0);
  a.reportUnreachable('c');
  for (let i = 0; i < 9 && a.progress.get('c')?.state !== 'snapshot'; i++) {
    a.tick();
    // all but the snapshot itself
    deliver(rafts, drive(a), (m) => m.to === 'c' && m.type === 'snapshot-request');
  }
  assert.equal(a.progress.get('c')?.state, 'snapshot');
  return { rafts, a, c };
}

for (const isReported of [true, false]) {
  const how = isReported ? 'the network reports it' : 'it has not arrived for two periods';
  test(`a snapshot that is lost is sent again where nothing new is proposed, once ${how}`, () => {
    const { rafts, a, c } = withLostSnapshot();
    if (isReported) {
      a.reportUnreachable('c');
      const { state, next } = a.progress.get('c') ?? {};
      // next is beyond the log: a heartbeat there would be answered by nothing that tells where the logs agree
      assert.deepEqual([state, next], ['probe', a.log.lastIndex + 1]);
    }
    for (let i = 0; i < 12 && c.log.lastIndex < a.log.lastIndex; i++) {
      a.tick();
      deliver(rafts, drive(a));
    }
    assert.deepEqual([c.log.lastIndex, Buffer.from(c.log.snapshot.data).toString()], [a.log.lastIndex, 'state']);
    a.tick();
    deliver(rafts, drive(a));
    assert.deepEqual([a.progress.get('c')?.state, c.commit], ['replicate', a.commit]);
  });
}

test('a probe is repeated with the next heartbeat, and not before', () => {
  const { a } = withLostSnapshot();
  a.reportUnreachable('c');
  const probes = () => {
    const toC = drive(a).filter(({ to }) => to === 'c');
    return toC.map((m) => m.type === 'append-request' && m.previousIndex);
  };
  const { lastIndex } = a.log;
  a.tick();
  assert.deepEqual(probes(), [lastIndex]);
  a.propose(text('x'));
  assert.deepEqual(probes(), []);
  a.tick();
  assert.deepEqual(probes(), [lastIndex]);
});

test('of a commit all are told at once, those too whose answer is still on its way', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, b, c] = rafts as [Raft, Raft, Raft];
  elect(a, rafts);
  a.propose(text('x'));
  // everything is delivered, the answers of b before those of c, and no time goes by
  deliver(rafts, drive(a));
  assert.deepEqual([a.commit, b.commit, c.commit], [3, 3, 3]);
});

test('a second snapshot under way to the same follower has as much time to arrive as the first', () => {
  const { a, c } = withLostSnapshot();
  const snapshots = () => {
    const sent = drive(a).filter(({ type, to }) => to === 'c' && type === 'snapshot-request').length;
    // b and c answer heartbeats, so that a goes on leading; the snapshot gets lost
    for (const from of ['b', 'c']) {
      const answer = { isRejected: false, index: from === 'b' ? a.log.lastIndex : 0, hintIndex: 0, hintTerm: 0 };
      a.step({ type: 'append-response', from, to: 'a', term: a.term, applied: 0, ...answer });
    }
    return sent;
  };
  const lost: number[] = [];
  for (let tick = 1; lost.length < 4 && tick < 100; tick++) {
    a.tick();
    const progress = a.progress.get('c');
    if (progress?.state === 'probe') {
      lost.push(tick);
      // the probe says that c lacks what the log begins with
      const refusal = { isRejected: true, index: progress.next - 1, hintIndex: c.log.lastIndex, hintTerm: 0 };
      a.step({ type: 'append-response', from: 'c', to: 'a', term: a.term, applied: 0, ...refusal });
      a.tick();
      tick++;
    }
    snapshots();
  }
  const periods = lost.slice(1).map((tick, i) => tick - (lost[i] as number));
  assert.ok(lost.length === 4 && periods.every((ticks) => ticks > 3), `lost at ${lost}`);
});

test('a follower that has lost what it had confirmed gets it again', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a, b] = rafts as [Raft, Raft];
  elect(a, rafts);
  for (const word of ['x', 'y', 'z']) a.propose(text(word));
  deliver(rafts, drive(a));
  assert.equal(a.progress.get('c')?.match, 5);
  // its disk gives back an old state, and the promises of this term
  const c = new Raft(
    {
      id: 'c',
      random: () => 0,
      heartbeatTicks: 1,
      electionTicksMin: 3,
      electionTicksMax: 4,
      inFlightMax: 8,
      batchMax: 16,
    },
    { hardState: a.hardState, snapshot: FOUNDING, entries: [] },
  );
  for (let i = 0; i < 3; i++) {
    a.tick();
    deliver([a, b, c], drive(a));
  }
  assert.deepEqual([c.log.lastIndex, c.commit, a.progress.get('c')?.match], [5, 5, 5]);
});

test('an answer about entries that the leader does not have is not counted, and says nothing of who it is from', () => {
  const rafts = [newRaft('a'), newRaft('b'), newRaft('c')];
  const [a] = rafts as [Raft];
  elect(a, [a, rafts[1] as Raft]);
  for (const isRejected of [false, true]) {
    const answer = { isRejected, index: 99, hintIndex: 99, hintTerm: 2, applied: 99 };
    a.step({ type: 'append-response', from: 'c', to: 'a', term: a.term, ...answer });
  }
  const { match, applied, silentTicks } = a.progress.get('c') ?? {};
  assert.deepEqual([a.commit, match, applied, silentTicks], [2, 0, 0, Number.POSITIVE_INFINITY]);
});

test('entries that were written and are replaced by a leader are handed out to be written again', () => {
  const a = newRaft('a', [command(2, 2, 'old'), command(3, 2, 'older'), command(4, 2, 'oldest')]);
  a.step(appendFrom('c', 3, [2, 2], [command(3, 3, 'new')]));
  const ready = a.ready();
  assert.deepEqual(termsOf(ready.entries), [[3, 3]]);
  a.advance(ready);
  assert.ok(!a.hasReady());
});
