import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { AddressBoard } from '../../src/boards/address-board.ts';
import type { FromListener } from '../../src/boards/listener-task.ts';
import { STAT, type Stat, StatsBoard } from '../../src/boards/stats-board.ts';
import {
  ADMISSION,
  type ConnectionLimitSettings,
  ConnectionLimits,
  type Evictable,
} from '../../workers/connection-limits.ts';
import type { ThreadLog } from '../../workers/thread-log.ts';

const NONE: ConnectionLimitSettings = {
  ...{ connectionsMax: 1_000, connectionsShare: 1_000, upstreamsMax: 10, upstreamsShare: 5 },
  ...{ connectionsPerThreadMax: 0, connectionsPerAddressMax: 0, handshakesMax: 1_000 },
};
const BUSY = Number.POSITIVE_INFINITY;
const CLIENT = '192.0.2.1';

/** Threads over the same boards. Time is told by calling their onTick. */
function threads(count: number, settings: Partial<ConnectionLimitSettings>) {
  const stats = StatsBoard.create(count);
  const addresses = AddressBoard.create(count);
  const lines: (FromListener & { fields?: unknown })[] = [];
  const log = { warn: (event: string, fields: unknown) => lines.push({ event, fields } as never) };
  const all = Array.from({ length: count }, (_, thread) => {
    addresses.clear(thread);
    return new ConnectionLimits(thread, stats, addresses, log as unknown as ThreadLog, { ...NONE, ...settings });
  });
  return {
    all,
    stats,
    first: all[0] as ConnectionLimits,
    lines,
    count: (stat: Stat, thread = 0) => stats.read(thread, stat),
  };
}

/** A connection on a thread that goes when it is told to. */
function open(limits: ConnectionLimits, idleUntilMs: number, address = CLIENT): Evictable & { isGone: boolean } {
  const connection = {
    idleUntilMs,
    openOrder: 0,
    isGone: false,
    evict: () => {
      connection.isGone = true;
      limits.closed(connection, address);
    },
  };
  limits.opened(connection, address);
  return connection;
}

function handshake(limits: ConnectionLimits): Evictable & { isGone: boolean } {
  const one = {
    idleUntilMs: BUSY,
    openOrder: 0,
    isGone: false,
    evict: () => {
      one.isGone = true;
      limits.handshakeEnded(one, CLIENT);
    },
  };
  limits.handshakeBegan(one, CLIENT);
  return one;
}

/** A backend connection that is idle on a thread. */
function idleUpstream(limits: ConnectionLimits, onClosed: () => void): void {
  const connection = {
    idlePrevious: null,
    idleNext: null,
    destroy: () => {
      limits.idleUpstreams.remove(connection);
      onClosed();
    },
  };
  limits.idleUpstreams.add(connection);
}

test('up to the limit everybody is let in', () => {
  const { first, count } = threads(1, { connectionsMax: 3 });
  for (let i = 0; i < 3; i++) {
    assert.equal(first.admit(CLIENT), ADMISSION.admitted);
    open(first, BUSY);
  }
  assert.equal(first.admit(CLIENT), ADMISSION.full);
  assert.deepEqual([count('connectionsOpen'), count('connectionsRefusedAll')], [3, 1]);
});

test('when all is full, the idle connection that would be closed first makes room', () => {
  const { first, count } = threads(1, { connectionsMax: 4 });
  const [busy, late, early, later] = [BUSY, 500, 100, 900].map((until) => open(first, until));
  assert.equal(first.admit(CLIENT), ADMISSION.admitted);
  assert.deepEqual(
    [busy, late, early, later].map((one) => one?.isGone),
    [false, false, true, false],
  );
  assert.equal(count('connectionsEvicted'), 1);
});

test('of those that would be closed at the same tick, the one that was opened first makes room', () => {
  const { first } = threads(1, { connectionsMax: 10 });
  const all = Array.from({ length: 10 }, () => open(first, 100));
  for (const gone of all.slice(0, 4)) {
    assert.equal(first.admit(CLIENT), ADMISSION.admitted);
    assert.ok(gone.isGone);
    open(first, 100);
  }
  assert.ok(all.slice(4).every(({ isGone }) => !isGone));
});

test('where none is idle, the handshake that is under way longest makes room', () => {
  const { first } = threads(1, { connectionsMax: 3 });
  open(first, BUSY);
  const [oldest, newest] = [handshake(first), handshake(first)];
  assert.equal(first.admit(CLIENT), ADMISSION.admitted);
  assert.deepEqual([oldest.isGone, newest.isGone], [true, false]);
});

test('idle connections are found among many that are busy', () => {
  const { first } = threads(1, { connectionsMax: 1_000 });
  for (let i = 0; i < 999; i++) open(first, BUSY);
  const idle = open(first, 5);
  // each admission looks at a few, and the next one goes on from there
  const admissions = Array.from({ length: 40 }, () => first.admit(CLIENT));
  assert.ok(idle.isGone);
  assert.ok(admissions.includes(ADMISSION.admitted));
});

test('what the other threads have open counts', () => {
  const { all } = threads(2, { connectionsMax: 4, connectionsShare: 4 });
  const [one, other] = all as [ConnectionLimits, ConnectionLimits];
  for (let i = 0; i < 4; i++) open(one, BUSY);
  assert.equal(other.admit(CLIENT), ADMISSION.full);
});

test('a thread with more than its share leaves the last eighth to the others', () => {
  const { all } = threads(2, { connectionsMax: 80, connectionsShare: 40 });
  const [one, other] = all as [ConnectionLimits, ConnectionLimits];
  while (one.admit(CLIENT) === ADMISSION.admitted) open(one, BUSY);
  let opened = 0;
  while (other.admit(CLIENT) === ADMISSION.admitted) opened += Number(open(other, BUSY) !== null);
  assert.equal(opened, 10);
});

test('when all is full, a thread with more than its share closes idle connections for the others', () => {
  const { all, count } = threads(2, { connectionsMax: 80, connectionsShare: 40 });
  const [one, other] = all as [ConnectionLimits, ConnectionLimits];
  for (let i = 0; i < 70; i++) open(one, 1_000);
  for (let i = 0; i < 10; i++) open(other, BUSY);
  assert.equal(other.admit(CLIENT), ADMISSION.full);
  one.onTick();
  other.onTick();
  assert.equal(count('connectionsEvicted', 0), 10);
  assert.equal(other.admit(CLIENT), ADMISSION.admitted);
  one.onTick();
  assert.equal(count('connectionsEvicted', 0), 10);
});

test('a thread has a limit of its own', () => {
  const { all, count } = threads(2, { connectionsPerThreadMax: 2 });
  const [one, other] = all as [ConnectionLimits, ConnectionLimits];
  for (let i = 0; i < 2; i++) open(one, BUSY);
  assert.equal(one.admit(CLIENT), ADMISSION.threadFull);
  assert.equal(other.admit(CLIENT), ADMISSION.admitted);
  assert.equal(count('connectionsRefusedThread'), 1);
});

test('an address has a limit over all threads, and nobody makes room for it', () => {
  const { all, count } = threads(2, { connectionsPerAddressMax: 3 });
  const [one, other] = all as [ConnectionLimits, ConnectionLimits];
  const idle = open(one, 1);
  open(other, BUSY);
  handshake(other);
  assert.equal(one.admit(CLIENT), ADMISSION.addressFull);
  assert.equal(one.admit('192.0.2.2'), ADMISSION.admitted);
  assert.equal(one.admit(''), ADMISSION.admitted);
  assert.deepEqual([idle.isGone, count('connectionsRefusedAddress')], [false, 1]);
  idle.evict();
  assert.equal(one.admit(CLIENT), ADMISSION.admitted);
});

test('one handshake too many ends the oldest', () => {
  const { first, count } = threads(1, { handshakesMax: 2 });
  const [oldest, , newest] = [handshake(first), handshake(first), handshake(first)];
  assert.deepEqual([oldest?.isGone, newest?.isGone], [true, false]);
  assert.deepEqual([count('handshakesOpen'), count('handshakesEvicted')], [2, 1]);
});

test('a backend connection beyond the share closes the one that is idle longest, and beyond the limit is refused', () => {
  const { all, first, stats, count } = threads(2, {});
  const other = all[1] as ConnectionLimits;
  const rows = [stats.row(0), stats.row(1)] as const;
  const closed: number[] = [];
  for (const name of [1, 2]) idleUpstream(first, () => closed.push(name));
  rows[0][STAT.upstreamsOpen] = 4;
  assert.deepEqual([first.admitUpstream(), closed], [true, []]);
  rows[0][STAT.upstreamsOpen] = 9;
  assert.deepEqual([first.admitUpstream(), closed], [true, [1]]);
  rows[1][STAT.upstreamsOpen] = 1;
  assert.deepEqual([first.admitUpstream(), closed], [true, [1, 2]]);
  assert.deepEqual([first.admitUpstream(), count('upstreamsRefused')], [false, 1]);
  // one with less than its share is not held to what the others have
  assert.equal(other.admitUpstream(), true);
});

test('when all backend connections are taken, idle ones make room for the requests of other threads', () => {
  const { all, first, stats } = threads(2, {});
  const other = all[1] as ConnectionLimits;
  const rows = [stats.row(0), stats.row(1)] as const;
  const closed: number[] = [];
  // no more than its share, and none of it in use
  rows[0][STAT.upstreamsOpen] = 5;
  for (const name of [1, 2, 3, 4, 5]) {
    idleUpstream(first, () => {
      closed.push(name);
      rows[0][STAT.upstreamsOpen] = (rows[0][STAT.upstreamsOpen] as number) - 1;
    });
  }
  rows[1][STAT.upstreamsOpen] = 4;
  first.onTick();
  assert.deepEqual(closed, []);
  rows[1][STAT.upstreamsOpen] = 5;
  assert.equal(other.admitUpstream(), false);
  first.onTick();
  assert.deepEqual(closed, [1]);
  assert.equal(other.admitUpstream(), true);
});

test('where the system has no descriptor left, half of the idle backend connections are closed', () => {
  const { first } = threads(1, {});
  const closed: number[] = [];
  for (const name of [1, 2, 3, 4, 5]) idleUpstream(first, () => closed.push(name));
  first.onShortage();
  assert.deepEqual([closed, first.idleUpstreams.size], [[1, 2, 3], 2]);
});

test('a flood is a line a second and limit', () => {
  const { first, lines } = threads(1, { connectionsMax: 1, connectionsPerAddressMax: 5 });
  const idle = open(first, 5);
  first.admit(CLIENT);
  assert.ok(idle.isGone);
  open(first, BUSY);
  for (let i = 0; i < 1_000; i++) first.admit(CLIENT);
  for (let tick = 0; tick < 30; tick++) first.onTick();
  assert.deepEqual(lines, [
    { event: 'connections refused', fields: { limit: 'max_connections', connections: 1_000 } },
    { event: 'connections ended to make room', fields: { connections: 1 } },
  ]);
});

test('connections that are gone are not held on to after one had to make room', async () => {
  const { first } = threads(1, { connectionsMax: 3 });
  const there = [open(first, 5), open(first, BUSY), open(first, BUSY)];
  assert.equal(first.admit(CLIENT), ADMISSION.admitted);
  const gone: WeakRef<Evictable>[] = [];
  for (let i = 0; i < 3_000; i++) {
    there.push(open(first, 5));
    if (there.length < 50) continue;
    const oldest = there.shift() as Evictable;
    oldest.evict();
    gone.push(new WeakRef(oldest));
  }
  first.onTick();
  await nextTurn();
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const held = gone.filter((one) => one.deref() !== undefined).length;
  assert.ok(held < 100, `${held} of ${gone.length}`);
});
