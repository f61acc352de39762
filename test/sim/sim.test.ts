/** The simulator on the production code, and on copies of it with a mistake in each. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstCaught, PLANTED_BUGS, plant } from './planted-bugs.ts';
import { PRODUCTION } from './production.ts';
import { Simulation } from './simulation.ts';

const SEEDS = Number(process.env.SIM_SEEDS ?? 500);
const SEEDS_TO_CATCH_MAX = 3_000;

test(`${SEEDS} seeds of chaos end without a violation, and in one cluster once all is healed`, (t) => {
  const first = Number(process.env.SIM_SEED ?? 1);
  let elections = 0;
  for (let seed = first; seed < first + SEEDS; seed++) {
    try {
      elections += new Simulation(seed).run().elections;
    } catch (error) {
      throw new Error(`SIM_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  t.diagnostic(`${elections} elections`);
  assert.ok(elections > SEEDS);
});

for (const bug of PLANTED_BUGS) {
  test(`caught: a member that ${bug.name}`, async (t) => {
    const { code, remove } = await plant(bug);
    t.after(remove);
    const caught = firstCaught(code, SEEDS_TO_CATCH_MAX, bug.focus);
    assert.ok(caught !== null, `not caught within ${SEEDS_TO_CATCH_MAX} seeds`);
    // it is the mistake that shows, and nothing else
    new Simulation(caught.seed, PRODUCTION, null, bug.focus).run();
    t.diagnostic(`seed ${caught.seed}: ${caught.how.slice(0, 120)}`);
  });
}
