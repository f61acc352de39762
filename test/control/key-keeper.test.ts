/**
 * The ticket keys of one edge: a real state and a real board, the cluster and the clocks in the test's hands. Only what
 * waits for the ring sleeps by a real clock, 50 ms at a time.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { halfOf, loadEpoch } from '../../src/boards/epoch.ts';
import { KEY_HALF, KEY_RECORD, NONE, STAGE_ACTIVE, STAGE_RETIRING, STAGE_STAGED } from '../../src/boards/key-board.ts';
import type { MemberStatus } from '../../src/cluster/types.ts';
import { clusterOptions } from '../../src/control/cluster-options.ts';
import { KeyError } from '../../src/control/key-error.ts';
import { KeyKeeper } from '../../src/control/key-keeper.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { encodeCommand } from '../../src/control/state-command.ts';
import type { KeyCommand } from '../../src/stek/key-ring.ts';
import { keyId, nameOf, partsOf, TICKET_KEY_BYTES, type TicketKey } from '../../src/stek/ticket-key.ts';
import { eventually } from '../e2e/harness.ts';
import { keyName, ticketKey } from '../stek/fixtures.ts';
import { FakeCluster } from './fake-cluster.ts';
import { recordingLog } from './new-edge.ts';

const TICK_MS = 100;
const RULES = { intervalMs: 10_000, lifetimeMs: 30_000, silenceMsMax: 500 };
const START_MS = 1_700_000_000_000;
const WARN = 40;
const ERROR = 50;

const NO_LEADER = { role: 'follower', leader: null } as const;
const FOLLOWER = { role: 'follower', leader: { member: '2.b', serverId: 2 } } as const;

interface BenchOptions {
  readonly importKey?: TicketKey;
}

/** A keeper that is not started yet, and what is around it. */
class Bench {
  readonly state = new ReplicatedState();
  readonly cluster = new FakeCluster(
    clusterOptions({ stekShare: null, stateDir: null }, { stateMachine: this.state, report: () => {} }),
  );
  readonly ending = new AbortController();
  readonly recorded = recordingLog();
  readonly keeper: KeyKeeper;
  readonly #t: TestContext;
  #steadyMs = 0;

  constructor(t: TestContext, { importKey }: BenchOptions = {}) {
    this.#t = t;
    t.mock.timers.enable({ apis: ['setInterval', 'Date'], now: START_MS });
    t.mock.method(performance, 'now', () => this.#steadyMs);
    this.keeper = new KeyKeeper({
      state: this.state,
      rules: RULES,
      importKey: importKey ?? null,
      clusterStatus: () => this.cluster.status(),
      propose: (data) => this.cluster.propose(data),
      ending: this.ending.signal,
      log: this.recorded.log,
    });
    this.state.onChange = () => this.keeper.stateChanged();
    t.after(() => {
      this.ending.abort();
      this.keeper.stop();
    });
  }

  /** Both clocks run on, a tick at a time, and what is proposed is applied. */
  async pass(elapsedMs: number): Promise<this> {
    for (let ms = 0; ms < elapsedMs; ms += TICK_MS) {
      this.leap(TICK_MS);
      this.#t.mock.timers.tick(TICK_MS);
      await new Promise(setImmediate);
    }
    return this;
  }

  /** The clock that cannot be set runs on, and nobody looks. */
  leap(elapsedMs: number): void {
    this.#steadyMs += elapsedMs;
  }

  /** Started, and with an active and a staged key. */
  async begin(): Promise<this> {
    this.keeper.start();
    await this.pass(500);
    assert.deepEqual(this.cluster.keyProposals, ['key-mint', 'key-activate', 'key-mint']);
    return this;
  }

  /** Comes through the log, from another member. */
  apply(command: KeyCommand): void {
    this.state.apply(encodeCommand(command));
  }

  get active(): Uint8Array {
    return Uint8Array.from(this.state.ring.active?.bytes ?? assert.fail('no key is active'));
  }

  /** As a listener thread reads it. */
  get published(): { keys: [stage: number, name: string][]; encrypting: number } {
    const { board } = this.keeper;
    const half = halfOf(board, loadEpoch(board));
    const keys = Array.from({ length: board.words[half + KEY_HALF.keys] as number }, (_, i): [number, string] => {
      const record = half + KEY_HALF.words + i * KEY_RECORD.words;
      const bytes = new Uint8Array(board.buffer, (record + KEY_RECORD.bytes) * 4, TICKET_KEY_BYTES);
      return [board.words[record + KEY_RECORD.stage] as number, nameOf(Uint8Array.from(bytes))];
    });
    return { keys, encrypting: board.words[half + KEY_HALF.encrypting] as number };
  }

  /** Whether any part of a key stands anywhere on the board. */
  isOnBoard(key: Uint8Array): boolean {
    const bytes = Buffer.from(this.keeper.board.buffer);
    return Object.values(partsOf(key)).some((part) => bytes.includes(part));
  }

  said(level: number, message: RegExp): number {
    return this.recorded.lines.filter((line) => line.level === level && message.test(line.msg)).length;
  }
}

// ---------------------------------------------------------------- rotation

test('a leader gives the cluster its first keys, and shows them to the listener threads', async (t) => {
  const bench = await new Bench(t).begin();
  const [active, staged] = bench.state.ring.keys.map(({ bytes }) => nameOf(bytes));
  assert.deepEqual(bench.published, {
    keys: [
      [STAGE_ACTIVE, active],
      [STAGE_STAGED, staged],
    ],
    encrypting: 0,
  });
  assert.equal(bench.said(30, /^ticket key in use$/), 1);
});

test('the very first key is in use before the clock ticks: a start waits for it', async (t) => {
  const bench = new Bench(t);
  bench.keeper.start();
  await bench.keeper.waitForRing(60_000);
  assert.deepEqual(bench.cluster.keyProposals, ['key-mint', 'key-activate']);
});

test('the first key of a new cluster is the one that was brought along', async (t) => {
  const bench = await new Bench(t, { importKey: ticketKey(1) }).begin();
  assert.deepEqual(bench.active, ticketKey(1));
  await bench.pass(RULES.intervalMs);
  assert.notDeepEqual(bench.active, ticketKey(1));
});

test('a key that was brought along is erased once there is a ring, whoever it came from', async (t) => {
  const imported = ticketKey(1);
  const bench = new Bench(t, { importKey: imported });
  bench.cluster.view = FOLLOWER;
  bench.keeper.start();
  await bench.pass(300);
  assert.deepEqual(imported, ticketKey(1));
  bench.apply({ kind: 'key-revoke', key: ticketKey(2), atMs: Date.now() });
  assert.ok(imported.every((byte) => byte === 0));
  assert.deepEqual(bench.active, ticketKey(2));
});

test('a cluster that has lost its ring is given a random key, not the one that was brought along, and none of zeroes', async (t) => {
  const bench = await new Bench(t, { importKey: ticketKey(1) }).begin();
  assert.deepEqual(bench.active, ticketKey(1));
  bench.state.restore(new Uint8Array());
  await bench.pass(300);
  assert.notDeepEqual(bench.active, ticketKey(1));
  assert.ok(bench.active.some((byte) => byte !== 0));
});

test('who does not lead proposes no change, and shows what it is told', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = FOLLOWER;
  bench.keeper.start();
  await bench.pass(1_000);
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: Date.now() });
  await bench.pass(1_000);
  assert.deepEqual(bench.cluster.keyProposals, []);
  assert.deepEqual(bench.published, { keys: [[STAGE_ACTIVE, keyName(1)]], encrypting: 0 });
});

test('a key is active for the interval, opens tickets for their lifetime, and is nowhere on the board after that', async (t) => {
  const bench = await new Bench(t).begin();
  const first = bench.active;
  await bench.pass(RULES.intervalMs);
  assert.notDeepEqual(bench.active, first);
  assert.deepEqual(bench.published.keys[0], [STAGE_RETIRING, nameOf(first)]);
  assert.equal(bench.published.encrypting, 1);
  await bench.pass(RULES.lifetimeMs - 1_000);
  assert.ok(bench.isOnBoard(first));
  await bench.pass(2_000);
  assert.equal(bench.isOnBoard(first), false);
});

test('a lifetime from a reload is in force at once', async (t) => {
  const bench = await new Bench(t).begin();
  const first = bench.active;
  await bench.pass(2 * RULES.intervalMs);
  assert.ok(bench.isOnBoard(first));
  bench.keeper.setLifetime(1_000);
  assert.equal(bench.keeper.status().lifetimeMs, 1_000);
  await bench.pass(200);
  assert.equal(bench.isOnBoard(first), false);
});

test('a live member that is behind holds the next key up', async (t) => {
  const bench = await new Bench(t).begin();
  const first = bench.active;
  bench.cluster.view = { members: [member(1, { isSelf: true }), member(2, { applied: 0 })] };
  await bench.pass(RULES.intervalMs + 1_000);
  assert.deepEqual(bench.active, first);
  bench.cluster.view = { members: [member(1, { isSelf: true }), member(2, { applied: 1 })] };
  await bench.pass(TICK_MS);
  assert.notDeepEqual(bench.active, first);
});

test('a proposal that is refused is made again with the next tick, without a word', async (t) => {
  const bench = new Bench(t);
  bench.cluster.refusal = 'no-leader';
  bench.keeper.start();
  await bench.pass(300);
  assert.deepEqual(bench.cluster.keyProposals, ['key-mint', 'key-mint', 'key-mint']);
  bench.cluster.refusal = null;
  await bench.pass(300);
  assert.notEqual(bench.state.ring.active, null);
  assert.equal(bench.recorded.lines.filter(({ level }) => level >= WARN).length, 0);
});

test('a proposal that fails for another reason is reported by its kind', async (t) => {
  const bench = new Bench(t);
  t.mock.method(bench.cluster, 'propose', async () => {
    throw new Error('broken');
  });
  bench.keeper.start();
  await bench.pass(TICK_MS);
  assert.ok(bench.said(ERROR, /^could not be proposed to the cluster: key-mint$/) > 0);
});

// ---------------------------------------------------------------- publishing

test('a change of the ring is on the board at once, not with the next tick', async (t) => {
  const bench = await new Bench(t).begin();
  const gone = bench.state.ring.keys.map(({ bytes }) => Uint8Array.from(bytes));
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: Date.now() });
  assert.deepEqual(bench.published, { keys: [[STAGE_ACTIVE, keyName(1)]], encrypting: 0 });
  for (const key of gone) assert.equal(bench.isOnBoard(key), false);
});

test('a restored ring is on the board at once, and nothing of the one before', async (t) => {
  const bench = await new Bench(t).begin();
  const before = bench.active;
  const other = new ReplicatedState();
  other.apply(encodeCommand({ kind: 'key-revoke', key: ticketKey(2), atMs: START_MS }));
  bench.state.restore(other.snapshot());
  assert.deepEqual([bench.published.keys, bench.isOnBoard(before)], [[[STAGE_ACTIVE, keyName(2)]], false]);
  bench.state.restore(new Uint8Array());
  assert.deepEqual(bench.published, { keys: [], encrypting: NONE });
  assert.equal(bench.isOnBoard(ticketKey(2)), false);
});

test('a ring from its own log is not shown before the cluster has confirmed it: it may be revoked by now', async (t) => {
  const bench = new Bench(t);
  bench.cluster.refusal = 'no-leader';
  bench.cluster.view = NO_LEADER;
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: START_MS });
  bench.keeper.start();
  await bench.pass(1_000);
  assert.deepEqual(bench.published, { keys: [], encrypting: NONE });
  bench.cluster.refusal = null;
  await eventually(() => bench.keeper.isHeld, 'the next attempt to go through');
  assert.deepEqual(bench.published, { keys: [[STAGE_ACTIVE, keyName(1)]], encrypting: 0 });
});

test('keys that a log tells of at the start are as old as it says, and not as if they had just come', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = FOLLOWER;
  bench.keeper.start();
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: START_MS - 5_000 });
  assert.equal(bench.keeper.status().activeAgeMs, 5_000);
  await bench.pass(1_000);
  bench.apply({ kind: 'key-revoke', key: ticketKey(2), atMs: START_MS - 5_000 });
  assert.equal(bench.keeper.status().activeAgeMs, 0);
});

test('while nothing changes nothing is published', async (t) => {
  const bench = await new Bench(t).begin();
  const epoch = loadEpoch(bench.keeper.board);
  await bench.pass(1_000);
  bench.keeper.status();
  assert.equal(loadEpoch(bench.keeper.board), epoch);
});

// ---------------------------------------------------------------- the bound on issuing

test('one that is cut off opens tickets on and on, and makes none past twice the interval', async (t) => {
  const bench = await new Bench(t).begin();
  const { keys } = bench.published;
  bench.cluster.view = NO_LEADER;
  await bench.pass(2 * RULES.intervalMs - 1_000);
  assert.deepEqual([bench.published, bench.keeper.status().isIssuing], [{ keys, encrypting: 0 }, true]);
  await bench.pass(1_000);
  assert.deepEqual([bench.published, bench.keeper.status().isIssuing], [{ keys, encrypting: NONE }, false]);
  assert.equal(bench.said(WARN, /^no ticket is issued for want of a key: the active one is too old/), 1);
  await bench.pass(10 * RULES.intervalMs);
  assert.deepEqual(bench.published, { keys, encrypting: NONE });
  assert.equal(bench.said(WARN, /no ticket is issued/), 1);
});

test('once it is told of the next key it makes tickets again', async (t) => {
  const bench = await new Bench(t).begin();
  bench.cluster.view = NO_LEADER;
  await bench.pass(3 * RULES.intervalMs);
  const { staged } = bench.state.ring;
  bench.apply({ kind: 'key-activate', name: nameOf(staged?.bytes ?? assert.fail()), atMs: Date.now() });
  assert.equal(bench.published.encrypting, 1);
  assert.equal(bench.keeper.status().isIssuing, true);
});

// ---------------------------------------------------------------- waiting for the ring

test('the ring is held once a key is active and what was committed before the start is applied', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = FOLLOWER;
  bench.cluster.refusal = 'no-leader';
  bench.keeper.start();
  bench.apply({ kind: 'key-mint', key: ticketKey(1), atMs: START_MS });
  bench.apply({ kind: 'key-activate', name: keyName(1), atMs: START_MS });
  await bench.pass(1_000);
  assert.deepEqual([bench.keeper.isHeld, bench.keeper.status().isIssuing], [false, false], 'from its own log alone');
  bench.cluster.refusal = null;
  await eventually(() => bench.keeper.isHeld, 'the next attempt to go through');
  assert.ok(bench.keeper.status().isIssuing);
});

test('a ring is not held while its first key is only staged', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = FOLLOWER;
  bench.keeper.start();
  bench.apply({ kind: 'key-mint', key: ticketKey(1), atMs: START_MS });
  await bench.pass(1_000);
  assert.equal(bench.keeper.isHeld, false);
  bench.apply({ kind: 'key-activate', name: keyName(1), atMs: START_MS });
  assert.ok(bench.keeper.isHeld);
});

test('who waits for the ring goes on when it is held, without a word', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = NO_LEADER;
  bench.keeper.start();
  const waited = bench.keeper.waitForRing(60_000);
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: START_MS });
  assert.equal(await Promise.race([waited, 'waits']), 'waits');
  bench.cluster.view = FOLLOWER;
  await waited;
  assert.equal(bench.said(WARN, /./), 0);
});

test('who has waited in vain goes on with a warning', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = NO_LEADER;
  bench.keeper.start();
  const waited = bench.keeper.waitForRing(60_000);
  bench.leap(59_999);
  assert.equal(await Promise.race([waited, 'waits']), 'waits');
  bench.leap(1);
  await waited;
  assert.equal(
    bench.said(WARN, /^no ticket keys from the cluster yet: until then full handshakes, and no tickets$/),
    1,
  );
  assert.equal(bench.published.encrypting, NONE);
});

test('who has waited in vain makes no tickets with a ring from its own log either: the cluster may have revoked it', async (t) => {
  const bench = new Bench(t);
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: START_MS });
  bench.cluster.view = NO_LEADER;
  bench.keeper.start();
  const waited = bench.keeper.waitForRing(60_000);
  bench.leap(60_000);
  await waited;
  assert.deepEqual(bench.published, { keys: [[STAGE_ACTIVE, keyName(1)]], encrypting: NONE });
});

test('who waits when the edge ends goes on, without a warning', async (t) => {
  const bench = new Bench(t);
  bench.cluster.view = NO_LEADER;
  bench.keeper.start();
  const waited = bench.keeper.waitForRing(60_000);
  bench.ending.abort();
  await waited;
  assert.equal(bench.said(WARN, /./), 0);
});

// ---------------------------------------------------------------- commands

test('a rotation is done when the next key is active', async (t) => {
  const bench = await new Bench(t).begin();
  const { keys } = bench.keeper.status();
  const rotated = bench.keeper.rotate();
  await bench.pass(300);
  const status = await rotated;
  assert.deepEqual(
    status.keys.slice(0, 2).map(({ id, stage }) => [id, stage]),
    [
      [keys[0]?.id, 'retiring'],
      [keys[1]?.id, 'active'],
    ],
  );
  assert.equal(bench.published.encrypting, 1);
});

test('a rotation that a live member holds up is agreed on, and said not to be done', async (t) => {
  const bench = await new Bench(t).begin();
  const first = bench.active;
  bench.cluster.view = { members: [member(1, { isSelf: true }), member(2, { applied: 0 })] };
  const rotated = assert.rejects(bench.keeper.rotate(), isKeyError('not-activated', /agreed on/));
  await bench.pass(4 * RULES.silenceMsMax);
  await rotated;
  assert.deepEqual(bench.active, first);
  bench.cluster.view = {};
  await bench.pass(TICK_MS);
  assert.notDeepEqual(bench.active, first);
});

test('who waits for a rotation when the edge ends is told', async (t) => {
  const bench = await new Bench(t).begin();
  bench.cluster.view = { ...FOLLOWER };
  const rotated = assert.rejects(bench.keeper.rotate(), isKeyError('not-activated', /see status/));
  await bench.pass(TICK_MS);
  bench.ending.abort();
  await rotated;
});

test('a revocation leaves one new key, at once, and nothing of the others', async (t) => {
  const bench = await new Bench(t).begin();
  await bench.pass(RULES.intervalMs + 500);
  const gone = bench.state.ring.keys.map(({ bytes }) => Uint8Array.from(bytes));
  assert.equal(gone.length, 3);
  const { keys, isIssuing, activeAgeMs } = await bench.keeper.revoke();
  assert.deepEqual([keys.length, keys[0]?.stage, isIssuing, activeAgeMs], [1, 'active', true, 0]);
  assert.deepEqual([bench.published.keys.length, bench.published.encrypting], [1, 0]);
  for (const key of gone) assert.equal(bench.isOnBoard(key), false);
});

test('a key that was revoked to is random, and not the same twice', async (t) => {
  const bench = await new Bench(t).begin();
  const names = new Set<string>();
  for (let i = 0; i < 3; i++) {
    await bench.keeper.revoke();
    names.add(nameOf(bench.active));
    assert.ok(Object.values(partsOf(bench.active)).every((part) => new Set(part).size > 4));
  }
  assert.equal(names.size, 3);
});

test('a command that the cluster does not take fails with its code, and changes nothing', async (t) => {
  const bench = await new Bench(t).begin();
  const before = bench.state.snapshot();
  for (const code of ['no-leader', 'lost', 'unconfirmed'] as const) {
    bench.cluster.refusal = code;
    for (const command of [() => bench.keeper.rotate(), () => bench.keeper.revoke()]) {
      await assert.rejects(command(), isKeyError(code, new RegExp(code)));
    }
  }
  assert.deepEqual(bench.state.snapshot(), before);
});

// ---------------------------------------------------------------- status, secrets, the end

test('the status names the keys by their ids, with their stages and the age of the active one', async (t) => {
  const bench = new Bench(t);
  assert.deepEqual(bench.keeper.status(), {
    keys: [],
    isIssuing: false,
    activeAgeMs: null,
    lifetimeMs: RULES.lifetimeMs,
    intervalMs: RULES.intervalMs,
  });
  bench.cluster.view = FOLLOWER;
  bench.keeper.start();
  bench.apply({ kind: 'key-revoke', key: ticketKey(1), atMs: START_MS });
  bench.apply({ kind: 'key-mint', key: ticketKey(2), atMs: START_MS + 5 });
  await bench.pass(1_200);
  assert.deepEqual(bench.keeper.status(), {
    keys: [
      { id: keyId(ticketKey(1)), stage: 'active', sinceMs: START_MS },
      { id: keyId(ticketKey(2)), stage: 'staged', sinceMs: START_MS + 5 },
    ],
    isIssuing: true,
    activeAgeMs: 1_200,
    lifetimeMs: RULES.lifetimeMs,
    intervalMs: RULES.intervalMs,
  });
});

test('no byte of a key is in the log, in a status or in an error, whatever happens', async (t) => {
  const bench = new Bench(t, { importKey: ticketKey(1) });
  const seen = new Map<string, Uint8Array>();
  const texts: string[] = [];
  bench.state.onChange = () => {
    bench.keeper.stateChanged();
    for (const { bytes } of bench.state.ring.keys) seen.set(nameOf(bytes), Uint8Array.from(bytes));
    texts.push(JSON.stringify(bench.keeper.status()));
  };
  await bench.begin();
  await bench.pass(5 * RULES.intervalMs);
  for (const refusal of [null, 'unconfirmed'] as const) {
    bench.cluster.refusal = refusal;
    await bench.keeper.revoke().catch((error: unknown) => texts.push(String(error), JSON.stringify(error)));
    await bench.pass(300);
  }
  bench.cluster.refusal = null;
  t.mock.method(bench.cluster, 'propose', async () => {
    throw new Error('broken');
  });
  await bench.pass(3 * RULES.intervalMs);
  assert.ok(bench.said(ERROR, /could not be proposed/) > 0 && bench.said(WARN, /no ticket is issued/) > 0);
  texts.push(...bench.recorded.lines.map((line) => JSON.stringify(line)));
  assert.ok(seen.size > 5 && texts.length > 10);
  const all = texts.join('\n');
  for (const key of seen.values()) assertSecret(all, key);
});

test('an edge that drains rotates on for as long as it leads, until it leaves the cluster', async (t) => {
  const bench = await new Bench(t).begin();
  bench.ending.abort();
  await bench.pass(RULES.intervalMs);
  const { length } = bench.cluster.keyProposals;
  assert.ok(length > 3);
  bench.keeper.stop();
  await bench.pass(3 * RULES.intervalMs);
  assert.equal(bench.cluster.keyProposals.length, length);
});

test('a keeper that is started when the edge ends already has no clock', async (t) => {
  const bench = new Bench(t);
  bench.cluster.refusal = 'no-leader';
  bench.ending.abort();
  bench.keeper.start();
  await new Promise(setImmediate);
  const count = bench.cluster.keyProposals.length;
  await bench.pass(1_000);
  assert.equal(bench.cluster.keyProposals.length, count);
});

/** In no encoding, whole or in parts; of the name no more than the id. */
function assertSecret(text: string, key: Uint8Array): void {
  const { name, hmac, aes } = partsOf(key);
  for (const part of [key, name, hmac, aes]) {
    const bytes = Buffer.from(part);
    for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
      assert.ok(!text.includes(bytes.toString(encoding).replace(/=+$/, '')), `${keyId(key)} in ${encoding}`);
    }
    assert.ok(!text.includes([...part].join()), `${keyId(key)} as numbers`);
  }
}

function isKeyError(code: KeyError['code'], message: RegExp) {
  return (error: unknown) => error instanceof KeyError && error.code === code && message.test(error.message);
}

function member(serverId: number, fields: Partial<MemberStatus>): MemberStatus {
  const known = { match: 1, applied: 1, lastContactMs: 0 };
  return { member: `${serverId}.a`, serverId, isSelf: false, isLeader: false, isVoter: true, ...known, ...fields };
}
