/** When checks begin: mocked timers, real turns of the event loop. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CheckSchedule, type Job } from '../../../src/control/health/check-schedule.ts';

/** A job that tells when it begins, and ends when told to. */
class TestJob implements Job {
  runs = 0;
  cancelled = 0;
  done: (() => void) | null = null;
  readonly #periodMs: number;

  constructor(periodMs = 1_000) {
    this.#periodMs = periodMs;
  }
  periodMs(): number {
    return this.#periodMs;
  }
  run(onDone: () => void) {
    this.runs++;
    this.done = onDone;
    return { cancel: () => void this.cancelled++ };
  }
}

function newSchedule(t: TestContext, onLate: () => void = () => {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const schedule = new CheckSchedule(onLate);
  const pass = async (ms: number) => {
    t.mock.timers.tick(ms);
    await turn();
    await turn();
  };
  return { schedule, pass };
}

test('a job runs after its first delay, and a period after each beginning', async (t) => {
  const { schedule, pass } = newSchedule(t);
  const job = new TestJob();
  schedule.add(job, 300);
  await pass(299);
  assert.equal(job.runs, 0);
  await pass(1);
  assert.equal(job.runs, 1);
  await pass(600);
  job.done?.();
  await pass(399);
  assert.equal(job.runs, 1);
  await pass(1);
  assert.equal(job.runs, 2);
});

test('a job that runs for longer than its period runs again when it is done, never twice at once', async (t) => {
  const { schedule, pass } = newSchedule(t);
  const job = new TestJob();
  schedule.add(job, 0);
  await pass(0);
  await pass(5_000);
  assert.deepEqual([job.runs, schedule.running], [1, 1]);
  job.done?.();
  await pass(0);
  assert.deepEqual([job.runs, schedule.running], [2, 1]);
});

test('a job that is removed is cancelled where it runs, and runs no more', async (t) => {
  const { schedule, pass } = newSchedule(t);
  const [waiting, running, due] = [new TestJob(), new TestJob(), new TestJob()];
  schedule.add(running, 0);
  schedule.add(waiting, 500);
  await pass(0);
  schedule.add(due, 0);
  t.mock.timers.tick(0);
  for (const job of [waiting, running, due]) schedule.remove(job);
  schedule.remove(running);
  await pass(10_000);
  assert.deepEqual([waiting.runs, running.runs, due.runs], [0, 1, 0]);
  assert.deepEqual([running.cancelled, schedule.running], [1, 0]);
});

test('of very many that are due at once, few begin in a turn of the event loop, and all within a few', async (t) => {
  const { schedule } = newSchedule(t);
  const jobs = Array.from({ length: 500 }, () => new TestJob());
  for (const job of jobs) schedule.add(job, 0);
  t.mock.timers.tick(0);
  const begun = () => jobs.filter(({ runs }) => runs > 0).length;
  let last = 0;
  for (let turns = 0; turns < 20 && last < 500; turns++) {
    await turn();
    assert.ok(begun() - last <= 64, `${begun() - last} began in a turn`);
    last = begun();
  }
  assert.equal(last, 500);
});

test('a bounded number runs at once; the others follow in their order as those end, also by removal', async (t) => {
  const { schedule, pass } = newSchedule(t);
  const jobs = Array.from({ length: 1_500 }, () => new TestJob(3_600_000));
  for (const job of jobs) schedule.add(job, 0);
  t.mock.timers.tick(0);
  while (schedule.running < 1_024) await turn();
  await pass(0);
  assert.deepEqual([schedule.running, jobs.filter(({ runs }) => runs === 1).length], [1_024, 1_024]);
  assert.ok(jobs.slice(0, 1_024).every(({ runs }) => runs === 1));
  for (const job of jobs.slice(0, 300)) job.done?.();
  for (const job of jobs.slice(300, 600)) schedule.remove(job);
  while (jobs.at(-1)?.runs === 0) await turn();
  assert.equal(schedule.running, 900);
});

test('checks fall behind where the limits have them wait for more than a period, not where the thread stands still', async (t) => {
  let [nowMs, late] = [0, 0];
  t.mock.method(performance, 'now', () => nowMs);
  const { schedule } = newSchedule(t, () => late++);
  const dueAndLate = async (count: number, beforeMs: number, betweenMs: number) => {
    late = 0;
    for (let i = 0; i < count; i++) schedule.add(new TestJob(5), 0);
    t.mock.timers.tick(0);
    nowMs += beforeMs;
    await turn();
    nowMs += betweenMs;
    await turn();
    return late;
  };
  assert.equal(await dueAndLate(32, 10, 10), 0);
  assert.equal(await dueAndLate(40, 10, 0), 0, 'the limit had some wait for a turn alone');
  assert.equal(await dueAndLate(40, 0, 10), 8);
  assert.equal(await dueAndLate(32, 10, 10), 0, 'none waits any more');
});
