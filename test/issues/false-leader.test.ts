/** What a member that was taken over does to the others lasts no longer than it must. Found by the fuzzers; failed before. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { TERM_LEAP_MAX } from '../../src/cluster/limits.ts';
import type { Message } from '../../src/raft/types.ts';
import { VirtualGroup } from '../fuzz/virtual-group.ts';

const TAKEN = 3;
const A_WHILE = 1_200;

/** A group that has a leader, and does without server 3. */
function newGroup() {
  const group = new VirtualGroup();
  assert.ok(group.agreesOnEdit('10.0.0.1:80', A_WHILE));
  const from = group.machine(TAKEN)?.member.id ?? '';
  group.stop(TAKEN);
  const send = (to: 1 | 2, message: object) => {
    const { member } = group.machine(to) ?? assert.fail();
    const { raft } = member;
    assert.ok(raft !== null && member.cluster !== null);
    const sent = { from, to: member.id, term: raft.term, ...message } as Message;
    return group.receive(to, TAKEN, { type: 'raft', cluster: member.cluster, message: sent });
  };
  return { group, send };
}

test('a member that a false leader has misled for good is asked once a heartbeat, not as fast as it answers', () => {
  const { group, send } = newGroup();
  const { raft } = group.machine(2)?.member ?? assert.fail();
  assert.ok(raft !== null);
  const term = raft.term + 1;
  assert.ok(raft.log.lastTerm > 1);
  // of an old term: nobody elects the misled member
  const snapshot = { index: raft.commit + 30, term: 1, membership: raft.membership, data: new Uint8Array() };
  assert.equal(send(2, { type: 'snapshot-request', term, snapshot }), null);
  group.start(TAKEN);
  assert.ok(group.tickUntil(() => group.leader !== null, A_WHILE));
  // the true log grows just past the false one: the misled member refuses what follows, and has more than any snapshot
  const commit = () => group.leader?.member.raft?.commit ?? 0;
  while (commit() < snapshot.index + 2) {
    group.leader?.member.propose(encode([1, 'sync']), () => {});
    // it throws where messages beget messages without end
    group.tick();
  }
  group.tick(100);
  assert.equal(commit(), snapshot.index + 2);
});

for (const [what, isWiped] of [
  ['a server that was down', false],
  ['a server that was wiped', true],
] as const) {
  test(`${what} comes back, however far a faulty peer has driven the term`, () => {
    const { group, send } = newGroup();
    const answer = { type: 'append-response', isRejected: true, index: 0, hintIndex: 0, hintTerm: 0, applied: 0 };
    for (let i = 0; i < 5; i++) {
      const { raft } = group.machine(1)?.member ?? assert.fail();
      assert.equal(send(1, { ...answer, term: (raft?.term ?? 0) + TERM_LEAP_MAX }), null);
    }
    if (isWiped) group.wipe(TAKEN);
    group.start(TAKEN);
    assert.ok(group.agreesOnEdit('10.0.0.2:80', A_WHILE));
    assert.ok((group.leader?.member.raft?.term ?? 0) > 5 * TERM_LEAP_MAX);
  });
}

test('a snapshot of an index that nothing can follow on is refused', () => {
  const { group, send } = newGroup();
  const { raft } = group.machine(2)?.member ?? assert.fail();
  assert.ok(raft !== null);
  const term = raft.term + 1;
  const snapshot = { index: Number.MAX_SAFE_INTEGER, term, membership: raft.membership, data: new Uint8Array() };
  assert.equal(send(2, { type: 'snapshot-request', term, snapshot }), 'bad-frame');
  assert.ok(raft.log.lastIndex < 1_000);
  group.start(TAKEN);
  assert.ok(group.agreesOnEdit('10.0.0.4:80', A_WHILE));
});

test('commands of no kind, in entries of a false leader, end nobody', () => {
  const { group, send } = newGroup();
  const { raft } = group.machine(2)?.member ?? assert.fail();
  assert.ok(raft !== null);
  const term = raft.term + 1;
  const previous = { previousIndex: raft.log.lastIndex, previousTerm: raft.log.lastTerm };
  const entries = [new Uint8Array([0xc1]), encode([2, 'from the future']), encode([1, 'key-mint', 7, -1])].map(
    (data, i) => ({ index: previous.previousIndex + 1 + i, term, payload: { kind: 'command', data } }),
  );
  const commit = previous.previousIndex + entries.length;
  assert.equal(send(2, { type: 'append-request', term, ...previous, entries, commit }), null);
  assert.equal(raft.commit, commit);
  group.start(TAKEN);
  assert.ok(group.agreesOnEdit('10.0.0.3:80', A_WHILE));
});
