/** The timer wheel, its time moved by hand. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Timed, TimerWheel } from '../../workers/timer-wheel.ts';

const TICK_MS = 100;
const HORIZON_MS = 512 * TICK_MS;

class Entry implements Timed {
  wheelPrevious: Timed | null = null;
  wheelNext: Timed | null = null;
  wheelBucket = -1;
  wheelTick = 0;
  deadline = Number.POSITIVE_INFINITY;
  /** Wheel times at which it was called. */
  readonly calls: number[] = [];
  readonly #wheel: TimerWheel;
  readonly #then: () => void;

  constructor(wheel: TimerWheel, then: () => void = () => {}) {
    this.#wheel = wheel;
    this.#then = then;
  }

  onDeadline(): void {
    this.calls.push(this.#wheel.now);
    this.#then();
  }
}

test('time in which the thread stood still does not count: nothing is early by it, and nothing ends for it', () => {
  const wheel = newWheel();
  const beganMs = performance.now();
  wheel.tickAt(beganMs + 200);
  const before = new Entry(wheel);
  wheel.arm(before, 5_000);
  // an hour of sleep; and before the tick that tells of it, bytes are read
  const woke = beganMs + 3_600_000;
  const after = new Entry(wheel);
  wheel.arm(after, 1_000);
  for (let ms = 0; ms <= 4_500; ms += TICK_MS) wheel.tickAt(woke + ms);
  assert.deepEqual([before.calls.length, after.calls.length], [0, 1]);
  assert.ok((after.calls[0] as number) >= wheel.now - 4_500 + 800);
  for (let ms = 4_600; ms <= 5_500; ms += TICK_MS) wheel.tickAt(woke + ms);
  assert.equal(before.calls.length, 1);
});

test('a deadline is never early and at most two ticks late, however the time passes', () => {
  const steps = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 5, maxLength: 60 });
  const waits = fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(steps, waits, (moves, waitMs) => {
      const wheel = newWheel();
      const armed: { entry: Entry; at: number; ms: number }[] = [];
      let time = 0;
      const moveTo = (to: number) => {
        // the thread's interval: a call at every tick, none of them early
        for (let tick = Math.floor(time / TICK_MS) + 1; tick * TICK_MS <= to; tick++) wheel.advance(tick * TICK_MS);
        time = to;
      };
      waitMs.forEach((ms, i) => {
        const entry = new Entry(wheel);
        wheel.arm(entry, ms);
        armed.push({ entry, at: time, ms });
        moveTo(time + (moves[i % moves.length] as number));
      });
      moveTo(time + 6_000);
      for (const { entry, at, ms } of armed) {
        assert.equal(entry.calls.length, 1);
        const late = (entry.calls[0] as number) - (at + ms);
        assert.ok(late >= 0 && late <= 2 * TICK_MS, `${late} ms late`);
      }
    }),
  );
});

test('a deadline moved later is called at the later time alone, one moved earlier at the earlier', () => {
  const wheel = newWheel();
  const later = armed(wheel, 300);
  const earlier = armed(wheel, 30_000);
  wheel.advance(200);
  wheel.arm(later, 10_000);
  wheel.arm(earlier, 500);
  advanceTo(wheel, 200, 20_000);
  assert.deepEqual(later.calls, [10_300]);
  assert.deepEqual(earlier.calls, [800]);
});

test('a deadline that is moved at every tick is not called until it is left alone', () => {
  const wheel = newWheel();
  const entry = armed(wheel, 1_000);
  for (let ms = 100; ms <= 120_000; ms += 100) {
    wheel.advance(ms);
    wheel.arm(entry, 1_000);
  }
  assert.deepEqual(entry.calls, []);
  advanceTo(wheel, 120_000, 125_000);
  assert.deepEqual(entry.calls, [121_100]);
});

test('a disarmed entry is not called, and can be armed again wherever its place in the wheel is', () => {
  for (const pause of [0, 300, 3_000]) {
    const wheel = newWheel();
    const entry = armed(wheel, 1_000);
    wheel.disarm(entry);
    advanceTo(wheel, 0, pause);
    wheel.arm(entry, 700);
    advanceTo(wheel, pause, pause + 5_000);
    assert.deepEqual(entry.calls, [pause + 800]);
  }
});

test('an entry may remove another that is due in the same tick', () => {
  for (const order of [0, 1]) {
    const wheel = newWheel();
    const entries: Entry[] = [];
    const removeOther = (other: number) => () => wheel.remove(entries[other] as Entry);
    entries.push(new Entry(wheel, removeOther(1)), new Entry(wheel, removeOther(0)));
    wheel.arm(entries[order] as Entry, 500);
    wheel.arm(entries[1 - order] as Entry, 500);
    const bystander = armed(wheel, 500);
    advanceTo(wheel, 0, 2_000);
    assert.equal(entries.flatMap((e) => e.calls).length, 1, 'the first called removes the other');
    assert.equal(bystander.calls.length, 1);
  }
});

test('an entry may arm itself again in its callback, even at once, and removing twice does no harm', () => {
  const wheel = newWheel();
  const entry: Entry = new Entry(wheel, () => {
    if (entry.calls.length < 3) wheel.arm(entry, 0);
    else wheel.remove(entry);
  });
  wheel.arm(entry, 0);
  advanceTo(wheel, 0, 1_000);
  assert.deepEqual(entry.calls, [100, 200, 300]);
  wheel.remove(entry);
  assert.equal(entry.wheelBucket, -1);
});

test('after a stall all that is due is called at once, and nothing else', () => {
  for (const stallMs of [700, HORIZON_MS - TICK_MS, HORIZON_MS, HORIZON_MS + TICK_MS, 20 * HORIZON_MS]) {
    const wheel = newWheel();
    wheel.advance(1_000);
    const waits = Array.from({ length: 600 }, (_, i) => i * 150);
    const entries = waits.map((ms) => armed(wheel, ms));
    wheel.advance(1_000 + stallMs);
    entries.forEach((entry, i) => {
      const isDue = 1_000 + (waits[i] as number) + TICK_MS <= 1_000 + stallMs;
      assert.equal(entry.calls.length, isDue ? 1 : 0, `${waits[i]} ms, stall of ${stallMs}`);
    });
    advanceTo(wheel, 1_000 + stallMs, 1_000 + stallMs + 95_000);
    entries.forEach((entry, i) => {
      assert.equal(entry.calls.length, 1);
      const due = 1_000 + (waits[i] as number);
      assert.ok((entry.calls[0] as number) <= Math.max(1_000 + stallMs, due + 2 * TICK_MS));
    });
  }
});

test('an entry armed in a callback after a stall waits its whole time from then', () => {
  const wheel = newWheel();
  const entry: Entry = new Entry(wheel, () => {
    if (entry.calls.length === 1) wheel.arm(entry, 1_000);
  });
  wheel.arm(entry, 500);
  wheel.advance(200_000);
  advanceTo(wheel, 200_000, 205_000);
  assert.deepEqual(entry.calls, [200_000, 201_100]);
});

test('a deadline beyond the horizon is called when it comes, not when its bucket first comes round', () => {
  for (const ms of [HORIZON_MS - TICK_MS, HORIZON_MS, 2 * HORIZON_MS + 50, 7 * HORIZON_MS]) {
    const wheel = newWheel();
    const entry = armed(wheel, ms);
    advanceTo(wheel, 0, ms + 1_000);
    assert.deepEqual(entry.calls, [Math.ceil((ms + TICK_MS) / TICK_MS) * TICK_MS]);
  }
});

test('time that stands still or goes back calls nothing', () => {
  const wheel = newWheel();
  const entry = armed(wheel, 0);
  for (const ms of [0, 50, 99, 0]) wheel.advance(ms);
  assert.deepEqual(entry.calls, []);
  wheel.advance(1_000);
  wheel.advance(300);
  assert.equal(wheel.now, 1_000);
  assert.deepEqual(entry.calls, [1_000]);
});

test('the same as a plain list of deadlines, over random arms, moves, disarms and removals', () => {
  const operation = fc.record({
    kind: fc.constantFrom('arm', 'arm', 'arm', 'disarm', 'remove', 'advance', 'advance'),
    entry: fc.nat(9),
    ms: fc.oneof(fc.nat(2_000), fc.nat(120_000)),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const wheel = newWheel();
      const entries = Array.from({ length: 10 }, () => new Entry(wheel));
      const model = entries.map(() => ({ due: Number.POSITIVE_INFINITY, calls: 0 }));
      let now = 0;
      for (const { kind, entry, ms } of operations) {
        const one = entries[entry] as Entry;
        const expected = model[entry] as (typeof model)[number];
        if (kind === 'advance') {
          const from = now;
          now += Math.ceil(ms / TICK_MS) * TICK_MS;
          advanceTo(wheel, from, now);
          for (const m of model)
            if (m.due <= now) Object.assign(m, { due: Number.POSITIVE_INFINITY, calls: m.calls + 1 });
        } else if (kind === 'arm') {
          wheel.arm(one, ms);
          expected.due = now + ms + TICK_MS;
        } else {
          wheel[kind](one);
          expected.due = Number.POSITIVE_INFINITY;
        }
        assert.deepEqual(
          entries.map((e) => e.calls.length),
          model.map((m) => m.calls),
        );
      }
    }),
    { numRuns: 60 },
  );
});

/** A wheel whose own timer is stopped. */
function newWheel(): TimerWheel {
  const wheel = new TimerWheel(() => {});
  wheel.stop();
  return wheel;
}

function armed(wheel: TimerWheel, ms: number): Entry {
  const entry = new Entry(wheel);
  wheel.arm(entry, ms);
  return entry;
}

/** Every tick from `from` to `to`, as the interval makes them. */
function advanceTo(wheel: TimerWheel, from: number, to: number): void {
  for (let ms = from + TICK_MS; ms <= to; ms += TICK_MS) wheel.advance(ms);
}
