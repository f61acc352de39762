/** The simulator on the production core, and on copies of it with a mistake in each. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Raft } from '../../src/raft/raft.ts';
import { firstCaught, PLANTED_BUGS, plant } from './planted-bugs.ts';
import { Simulation } from './simulation.ts';

const SEEDS = Number(process.env.SIM_SEEDS ?? 1_000);
const SEEDS_TO_CATCH_MAX = 3_000;

test(`${SEEDS} seeds of chaos end without a violation, and every member makes progress once all is healed`, (t) => {
  const first = Number(process.env.SIM_SEED ?? 1);
  let elections = 0;
  for (let seed = first; seed < first + SEEDS; seed++) {
    try {
      elections += new Simulation(seed, Raft).run().elections;
    } catch (error) {
      throw new Error(`SIM_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  t.diagnostic(`${elections} elections`);
  assert.ok(elections > SEEDS);
});

for (const bug of PLANTED_BUGS) {
  test(`caught: a member that ${bug.name}`, async (t) => {
    const { Raft: Faulty, remove } = await plant(bug);
    t.after(remove);
    const caught = firstCaught(Faulty, bug, SEEDS_TO_CATCH_MAX);
    assert.ok(caught !== null, `not caught within ${SEEDS_TO_CATCH_MAX} seeds`);
    t.diagnostic(`seed ${caught.seed}: ${caught.how.slice(0, 120)}`);
  });
}
