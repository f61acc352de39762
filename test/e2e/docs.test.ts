/** docs/: what they tell their reader to type works, and what the runbook is to hold is there. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Machines } from './docs-machines.ts';
import { type Run, stepsOf } from './docs-page.ts';
import { eventually, namedBackend, requirePeer } from './harness.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('docs/deploying.md: three edges come up by what it says, a fourth joins and leaves', async (t) => {
  for (const program of ['bash', 'openssl', 'curl']) {
    const isThere = spawnSync(program, ['--version']).error === undefined;
    if (!requirePeer(t, isThere, `${program} is not installed`)) return;
  }
  const backends = await Promise.all([namedBackend(t), namedBackend(t)]);
  const machines = await Machines.create(
    t,
    backends.map(({ address }) => address),
  );
  const done: Run[] = [];
  for (const step of stepsOf(read('docs/deploying.md'))) {
    if (step.kind === 'file') assert.equal(step.text, read(step.path), step.path);
    else if (step.kind === 'run') await follow(machines, step);
    else {
      const again = done.filter(({ machines, section }) => machines.length > 1 && step.sections.includes(section));
      for (const run of again) await follow(machines, { ...run, machines: [step.machine] });
    }
    if (step.kind === 'run') done.push(step);
  }
});

async function follow(machines: Machines, run: Run): Promise<void> {
  const began = performance.now();
  const type = async (machine: string) => {
    let printed = '';
    const attempt = async () => {
      printed = await machines.type(machine, run.script);
      return run.until?.test(printed) !== false;
    };
    try {
      await eventually(attempt, () => `line ${run.line}, on ${machine}: ${run.until}; ${printed}`);
      assert.match(printed, run.prints ?? /^/, `line ${run.line}, on ${machine}`);
    } catch (error) {
      throw new Error(`line ${run.line}, on ${machine}; its log: ${machines.log(machine)}`, { cause: error });
    }
    if (process.env.STEKBAL_TELL !== undefined) process.stdout.write(`--- line ${run.line} on ${machine}\n${printed}`);
  };
  await Promise.all(run.machines.map(type));
  if (process.env.STEKBAL_TELL !== undefined) process.stdout.write(`    ${Math.round(performance.now() - began)} ms\n`);
}
