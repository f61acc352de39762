/** The rotation driven: clocks, members and the log in the test's hands. Proposals are applied when the test says so. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeyCommand, KeyRing } from '../../src/stek/key-ring.ts';
import type { MemberView } from '../../src/stek/rotation.ts';
import { type Leadership, Rotator } from '../../src/stek/rotator.ts';
import { keyName, ringOf, ticketKey } from './fixtures.ts';

const RULES = { intervalMs: 1_000, lifetimeMs: 5_000, silenceMsMax: 200 };
const START_MS = 1_000_000;
const IMPORTED = 99;

/** One member, its ring, and what it has proposed. */
class Desk {
  ring = new KeyRing();
  /** Null: it does not lead. */
  leadership: Leadership | null = { term: 1, applied: 10, members: [] };
  nowMs = START_MS;
  steadyMs = 0;
  /** Proposed and not confirmed yet. */
  readonly pending: { readonly command: KeyCommand; readonly done: () => void }[] = [];
  readonly firsts: boolean[] = [];
  #minted = 10;
  readonly rotator = new Rotator(RULES, {
    ring: () => this.ring,
    leadership: () => this.leadership,
    newKey: (isFirst) => {
      this.firsts.push(isFirst);
      return ticketKey(isFirst ? IMPORTED : ++this.#minted);
    },
    propose: (command, done) => this.pending.push({ command, done }),
  });

  /** Both clocks run on, and the rotation is looked at. */
  pass(elapsedMs: number): this {
    this.nowMs += elapsedMs;
    this.steadyMs += elapsedMs;
    this.rotator.tick(this.nowMs, this.steadyMs);
    return this;
  }

  /** What is proposed and not confirmed yet, in short. */
  get proposed(): string[] {
    return this.pending.map(({ command }) => command.kind);
  }

  /** The proposal under way is applied, and confirmed. */
  commit(): KeyCommand {
    const { command, done } = this.pending.shift() ?? assert.fail('nothing is proposed');
    this.ring.apply(command);
    this.rotator.observe(this.nowMs, this.steadyMs);
    if (this.leadership !== null) this.leadership = { ...this.leadership, applied: this.leadership.applied + 1 };
    done();
    return command;
  }

  /** Passes by in steps of 100 ms, confirming whatever is proposed; returns what was. */
  run(elapsedMs: number): string[] {
    const kinds: string[] = [];
    for (let i = 0; i < elapsedMs / 100; i++) {
      this.pass(100);
      while (this.pending.length > 0) kinds.push(this.commit().kind);
    }
    return kinds;
  }

  lead(leadership: Partial<Leadership>): this {
    this.leadership = { term: 1, applied: 10, members: [], ...leadership };
    return this;
  }
}

test('a leader gives an empty ring a key, activates it, and stages the next', () => {
  const desk = new Desk();
  assert.deepEqual(desk.run(300), ['key-mint', 'key-activate', 'key-mint']);
  assert.deepEqual(
    desk.ring.keys.map(({ stage }) => stage),
    ['active', 'staged'],
  );
  assert.deepEqual(desk.run(700), []);
});

test('who does not lead proposes nothing, and knows the ages all the same', () => {
  const desk = new Desk();
  desk.ring = ringOf(1, START_MS);
  desk.leadership = null;
  desk.pass(0).pass(5_000);
  assert.deepEqual(desk.proposed, []);
  assert.equal(desk.rotator.ageMs(desk.ring.keys[0] ?? assert.fail()), 5_000);
});

test('commands carry the time of the clock that can be set', () => {
  const desk = new Desk();
  desk.pass(70);
  const command = desk.commit();
  assert.ok(command.kind === 'key-mint' && command.atMs === START_MS + 70);
  desk.pass(30);
  assert.deepEqual(desk.commit(), { kind: 'key-activate', name: keyName(IMPORTED), atMs: START_MS + 100 });
});

test('activations fall on the interval, and a key goes when its tickets are over', () => {
  const desk = new Desk();
  desk.run(300);
  const first = desk.ring.active?.bytes ?? assert.fail();
  const activeMs: number[] = [];
  for (let i = 0; i < 100; i++) if (desk.run(100).includes('key-activate')) activeMs.push(desk.nowMs);
  assert.equal(activeMs.length, 10);
  for (const [i, atMs] of activeMs.entries()) if (i > 0) assert.equal(atMs - (activeMs[i - 1] as number), 1_000);
  // the active one, the next, and the five that tickets of the last 5 s are made with
  assert.ok(desk.ring.keys.length <= 8, `${desk.ring.keys.length} keys`);
  assert.ok(first.every((byte) => byte === 0));
});

// ---------------------------------------------------------------- one proposal at a time

test('nothing is proposed while something is under way, nor after a change of leader and back', () => {
  const desk = new Desk();
  desk.pass(100).pass(10_000);
  assert.deepEqual(desk.proposed, ['key-mint']);
  desk.leadership = null;
  desk.pass(100).lead({ term: 3 }).pass(100);
  assert.deepEqual(desk.proposed, ['key-mint']);
  desk.commit();
  desk.pass(0);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('a proposal that came to nothing is made again, of a mint with another key', () => {
  const desk = new Desk();
  desk.ring.apply({ kind: 'key-revoke', key: ticketKey(50), atMs: START_MS });
  const keys = [1, 2].map(() => {
    desk.pass(100);
    const { command, done } = desk.pending.shift() ?? assert.fail();
    done();
    return command.kind === 'key-mint' ? command.key : assert.fail(command.kind);
  });
  assert.notDeepEqual(keys[0], keys[1]);
});

test('a proposal that is confirmed before propose returns stops nothing', () => {
  const ring = new KeyRing();
  const kinds: string[] = [];
  const rotator = new Rotator(RULES, {
    ring: () => ring,
    leadership: () => ({ term: 1, applied: 1, members: [] }),
    newKey: () => ticketKey(ring.keys.length + 1),
    propose: (command, done) => {
      kinds.push(command.kind);
      ring.apply(command);
      done();
    },
  });
  for (let i = 0; i < 3; i++) rotator.tick(START_MS, i);
  assert.deepEqual(kinds, ['key-mint', 'key-activate', 'key-mint']);
});

// ---------------------------------------------------------------- the key that was brought along

test('a key that was brought along is for an empty ring alone', () => {
  const desk = new Desk();
  desk.run(5_000);
  assert.deepEqual([desk.firsts[0], desk.firsts.slice(1).includes(true)], [true, false]);
  assert.ok(desk.firsts.length > 3);
});

test('a ring that was revoked is not empty: its next key is a new one', () => {
  const desk = new Desk();
  desk.ring.apply({ kind: 'key-revoke', key: ticketKey(50), atMs: START_MS });
  desk.run(300);
  assert.deepEqual(desk.firsts, [false]);
});

// ---------------------------------------------------------------- from which index on the staged key is held

test('whoever has applied the mint lets its key be activated, before others of later entries', () => {
  const desk = staging();
  desk.lead({ applied: 40, members: [holding(10)] }).pass(1_000);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('a member that has not applied the mint holds the activation up, until it has', () => {
  const desk = staging();
  desk.lead({ applied: 40, members: [holding(9)] }).pass(5_000);
  assert.deepEqual(desk.proposed, []);
  desk.lead({ applied: 41, members: [holding(10)] }).pass(100);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('under a new term the index is taken anew: what this leader knew before may be of another log', () => {
  const desk = staging();
  desk.lead({ term: 2, applied: 40, members: [holding(39)] }).pass(2_000);
  assert.deepEqual(desk.proposed, []);
  desk.lead({ term: 2, applied: 45, members: [holding(40)] }).pass(100);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('in a new cluster, whose indexes are smaller, nobody waits for an index of the former one', () => {
  for (const term of [1, 2]) {
    const desk = staging();
    desk.leadership = null;
    desk.pass(100);
    desk.lead({ term, applied: 2, members: [holding(2)] }).pass(2_000);
    assert.deepEqual(desk.proposed, ['key-activate'], `term ${term}`);
  }
});

test('the next key has an index of its own', () => {
  const desk = staging();
  desk.lead({ applied: 20, members: [holding(20)] }).pass(1_000);
  desk.commit();
  desk.pass(100);
  // the mint stands at 22, and is seen there
  desk.commit();
  desk.lead({ applied: 22, members: [holding(21)] }).pass(2_000);
  assert.deepEqual(desk.proposed, []);
  desk.lead({ applied: 22, members: [holding(22)] }).pass(100);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('a member not heard of since the election holds the activation up anew in each term', () => {
  const desk = staging();
  const unmet: MemberView = { applied: null, silentMs: null };
  desk
    .lead({ term: 2, members: [unmet] })
    .pass(5_000)
    .pass(199);
  assert.deepEqual(desk.proposed, []);
  desk
    .lead({ term: 3, members: [unmet] })
    .pass(10)
    .pass(199);
  assert.deepEqual(desk.proposed, []);
  desk.pass(1);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

test('a leader that was none for a while counts from when it leads again, in the same term, too', () => {
  const desk = staging();
  const members: MemberView[] = [{ applied: null, silentMs: null }];
  desk.lead({ members }).pass(100);
  desk.leadership = null;
  desk.pass(5_000);
  desk.lead({ members }).pass(100);
  assert.deepEqual(desk.proposed, []);
});

// ---------------------------------------------------------------- the key that new tickets are made with

test('tickets are made with the active key until it is twice as old as the interval, whoever leads', () => {
  const desk = new Desk();
  desk.ring = ringOf(1, START_MS);
  desk.leadership = null;
  desk.pass(0);
  assert.equal(desk.rotator.issuing, desk.ring.active);
  desk.pass(1_999);
  assert.equal(desk.rotator.issuing, desk.ring.active);
  desk.pass(1);
  assert.equal(desk.rotator.issuing, null);
});

test('tickets are made again once another key is active', () => {
  const desk = new Desk();
  desk.ring = ringOf(1, START_MS);
  desk.leadership = null;
  desk.pass(2_000);
  desk.ring.apply({ kind: 'key-activate', name: keyName(2), atMs: desk.nowMs });
  desk.rotator.observe(desk.nowMs, desk.steadyMs);
  assert.equal(desk.rotator.issuing, desk.ring.active);
  assert.deepEqual(desk.rotator.issuing?.bytes, ticketKey(2));
});

test('a clock that is set back does not stretch a key', () => {
  const desk = new Desk();
  desk.ring = ringOf(1, START_MS);
  desk.leadership = null;
  desk.pass(0);
  desk.nowMs -= 1_000_000;
  desk.pass(1_999);
  assert.notEqual(desk.rotator.issuing, null);
  desk.pass(1);
  assert.equal(desk.rotator.issuing, null);
});

test('an empty ring has no key to make tickets with, nor one whose only key is staged', () => {
  const desk = new Desk();
  assert.equal(desk.rotator.issuing, null);
  desk.pass(100).commit();
  assert.equal(desk.rotator.issuing, null);
});

test('other rules are in force at the next look', () => {
  const desk = new Desk();
  desk.ring = ringOf(2, START_MS);
  desk.nowMs += 2 * START_MS;
  desk.rotator.rules = { ...RULES, intervalMs: 10 * START_MS, lifetimeMs: 10 * START_MS };
  desk.pass(0);
  assert.deepEqual(desk.proposed, []);
  desk.rotator.rules = { ...desk.rotator.rules, intervalMs: 1_000, lifetimeMs: 10 * START_MS };
  desk.pass(0);
  assert.deepEqual(desk.proposed, ['key-activate']);
});

/** Key 1 is active, key 2 staged; the leader of term 1 has seen that at index 10. */
function staging(): Desk {
  const desk = new Desk();
  desk.ring = ringOf(1, START_MS);
  desk.lead({ applied: 10, members: [holding(0)] }).pass(0);
  assert.deepEqual(desk.proposed, []);
  return desk;
}

function holding(applied: number): MemberView {
  return { applied, silentMs: 0 };
}
