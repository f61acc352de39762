import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  NotifiedServiceManager,
  openServiceManager,
  type ServiceView,
} from '../../../src/control/systemd/service-manager.ts';
import { recordingLog } from '../new-edge.ts';

const GRACE_MS = 45_000;
const RESULT = { isOk: true, isServed: true, errors: [], warnings: [], waiting: [] };

/** A manager on a clock and with a program that the test moves; `sent` is what went out since it was last read. */
function managed(t: TestContext, watchdogMs: number | null = 30_000) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const out: string[] = [];
  const { log, lines } = recordingLog();
  const socket = { send: (assignments: readonly string[]) => void out.push(assignments.join(' ')), close: () => {} };
  const manager = new NotifiedServiceManager(socket, watchdogMs, log);
  t.after(() => manager.close());
  const program = { status: 'serving', areAllAlive: true };
  const view: ServiceView = {
    status: () => program.status,
    threads: () => ({ areAllAlive: program.areAllAlive, replacementMsMax: GRACE_MS }),
  };
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i += 500) {
      nowMs += 500;
      t.mock.timers.tick(500);
    }
  };
  return { manager, program, view, lines, pass, sent: () => out.splice(0) };
}

test('READY=1 comes with the first status, and never before the listeners serve', (t) => {
  const { manager, view, pass, sent } = managed(t);
  manager.starting();
  manager.reloading();
  manager.reloaded(RESULT);
  pass(60_000);
  assert.deepEqual(sent(), ['STATUS=starting']);
  manager.ready(view);
  assert.deepEqual(sent(), ['READY=1 STATUS=serving']);
});

test('a watchdog of months is no timer of a millisecond', (t) => {
  const { manager, view, pass, sent } = managed(t, 90 * 86_400_000);
  manager.ready(view);
  sent();
  pass(5_000);
  assert.deepEqual(sent(), []);
});

test('the status is sent when it changes, at most once a second', (t) => {
  const { manager, view, program, pass, sent } = managed(t, null);
  manager.ready(view);
  sent();
  pass(10_000);
  assert.deepEqual(sent(), []);
  for (let i = 0; i < 6; i++) {
    program.status = `serving ${i}`;
    pass(500);
  }
  assert.deepEqual(sent(), ['STATUS=serving 1', 'STATUS=serving 3', 'STATUS=serving 5']);
});

test('a reload begins with RELOADING=1 and the monotonic clock, and ends with READY=1', (t) => {
  const { manager, view, sent } = managed(t);
  manager.ready(view);
  sent();
  const before = process.hrtime.bigint() / 1_000n;
  manager.reloading();
  const after = process.hrtime.bigint() / 1_000n;
  const [message = ''] = sent();
  const micros = BigInt(/^RELOADING=1 MONOTONIC_USEC=(\d+) STATUS=reloading$/.exec(message)?.[1] ?? -1);
  assert.ok(before <= micros && micros <= after, message);
  manager.reloaded(RESULT);
  assert.deepEqual(sent(), ['READY=1 STATUS=serving']);
});

test('a failed reload ends with READY=1 too, and its error stays in the status until a reload is well', (t) => {
  const { manager, view, program, pass, sent } = managed(t, null);
  manager.ready(view);
  manager.reloading();
  sent();
  manager.reloaded({ ...RESULT, isOk: false, isServed: false, errors: ['a.yaml:1:1: no\nsuch thing'] });
  const note = 'reload failed, nothing was changed: a.yaml:1:1: no such thing';
  assert.deepEqual(sent(), [`READY=1 STATUS=serving; ${note}`]);
  program.status = 'serving on';
  pass(1_000);
  assert.deepEqual(sent(), [`STATUS=serving on; ${note}`]);
  manager.reloading();
  manager.reloaded(RESULT);
  assert.equal(sent().at(-1), 'READY=1 STATUS=serving on');
});

test('signs of life come at half of the time in which they are due', (t) => {
  const { manager, view, pass, sent } = managed(t, 30_000);
  pass(60_000);
  manager.ready(view);
  sent();
  pass(60_000);
  assert.deepEqual(sent(), Array(4).fill('WATCHDOG=1'));
});

test('without a watchdog there are none', (t) => {
  const { manager, view, pass, sent } = managed(t, null);
  manager.ready(view);
  sent();
  pass(60_000);
  assert.deepEqual(sent(), []);
});

test('they go on while a thread is replaced, and end where it cannot be', (t) => {
  const { manager, view, program, lines, pass, sent } = managed(t, 10_000);
  manager.ready(view);
  sent();
  program.areAllAlive = false;
  pass(40_000);
  program.areAllAlive = true;
  pass(20_000);
  assert.deepEqual([sent(), lines], [Array(12).fill('WATCHDOG=1'), []]);
  program.areAllAlive = false;
  pass(GRACE_MS);
  assert.deepEqual(sent(), Array(9).fill('WATCHDOG=1'));
  pass(60_000);
  assert.deepEqual(sent(), []);
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [[50, 'a listener thread cannot be replaced: no more signs of life for the watchdog']],
  );
});

test('they begin again when all threads live again', (t) => {
  const { manager, view, program, lines, pass, sent } = managed(t, 10_000);
  manager.ready(view);
  program.areAllAlive = false;
  pass(2 * GRACE_MS);
  sent();
  program.areAllAlive = true;
  pass(10_000);
  assert.deepEqual([sent(), lines.length], [['WATCHDOG=1', 'WATCHDOG=1'], 2]);
});

test('a drain is told with the time that it may take; its threads end without alarm', (t) => {
  const { manager, view, program, lines, pass, sent } = managed(t, 30_000);
  manager.ready(view);
  sent();
  Object.assign(program, { status: 'draining', areAllAlive: false });
  manager.stopping(600_000);
  assert.deepEqual(sent(), ['STOPPING=1 EXTEND_TIMEOUT_USEC=615000000 STATUS=draining']);
  pass(600_000);
  assert.deepEqual([sent(), lines], [Array(40).fill('WATCHDOG=1'), []]);
});

test('what stops says neither RELOADING nor READY any more', (t) => {
  const { manager, view, sent } = managed(t);
  manager.ready(view);
  manager.stopping(0);
  sent();
  manager.reloading();
  manager.reloaded(RESULT);
  manager.ready(view);
  assert.deepEqual(sent(), []);
});

test('a start that is broken off says STOPPING=1 as well', (t) => {
  const { manager, sent } = managed(t);
  manager.starting();
  manager.stopping(0);
  assert.equal(sent().at(-1), 'STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=stopping');
});

test('without a NOTIFY_SOCKET nothing is asked of the program', () => {
  const { log } = recordingLog();
  const environment = { notifySocket: null, watchdogMs: 1_000, sockets: new Map(), problems: [] };
  const manager = openServiceManager(environment, log);
  const view = { status: () => assert.fail(), threads: () => assert.fail() };
  manager.starting();
  manager.ready(view);
  manager.reloading();
  manager.reloaded(RESULT);
  manager.stopping(0);
  manager.close();
});
