/**
 * A short run of every fuzz target, always the same one: FUZZ_SEED sets another seed, FUZZ_TIMES makes it longer. What a
 * run ever found is tried again. The long runs are `npm run fuzz` (docs/fuzzing.md).
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { caseOf, describeTotals, type FuzzTarget, fileNameOf, newTotals, runBatch, type TargetName } from './target.ts';
import { openTarget } from './targets.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const TIMES = Number(process.env.FUZZ_TIMES ?? 1);
const FOLDER = join(import.meta.dirname, 'regressions');

interface ShortRun {
  readonly what: string;
  readonly batches: number;
  /** Classes that must have been met, and how often at least, in a hundred messages: a run that meets none says nothing. */
  readonly classes: Readonly<Record<string, number>>;
}

const RUNS: Readonly<Record<TargetName, ShortRun>> = {
  http: {
    what: 'what we accept of HTTP/1.1, llhttp accepts with the same meaning, and what we pass on too, however it is split',
    batches: 24,
    classes: { 'request accepted by both': 15, 'response accepted by both': 15 },
  },
  config: {
    what: 'the configuration loader returns, with places that are in a file, and what it accepts resolves',
    batches: 4,
    classes: { accepted: 5, refused: 20 },
  },
  perlbal: {
    what: "what is made of Perlbal's files can be loaded, or it is said why not",
    batches: 8,
    classes: { 'converted, and loaded': 10 },
  },
  trafficserver: {
    what: "what is made of Traffic Server's files can be loaded, or it is said why not",
    batches: 3,
    classes: { refused: 10 },
  },
  hello: {
    what: 'a ClientHello is decided on once and for all, however it comes',
    batches: 6,
    classes: { whole: 10, incomplete: 5, 'not TLS': 3, 'whole, names a host': 5 },
  },
  cookie: { what: 'cookies are read as CGI::Cookie reads them', batches: 1, classes: {} },
  wal: {
    what: 'of a write-ahead log nothing is read that was not written, and nothing is lost in silence',
    batches: 10,
    classes: { 'said to be damaged': 20, 'torn end cut off, and said': 5 },
  },
  codec: {
    what: 'frames of peers are read whole and sound, or not at all',
    batches: 6,
    classes: { raft: 3, 'no message': 10 },
  },
  member: {
    what: 'a member of a group, in virtual time, stands all that another one says',
    batches: 6,
    classes: { 'append-request': 1, 'vote-request': 3, 'found together': 1 },
  },
  peer: {
    what: 'a running group stands a machine with a valid certificate',
    batches: 1,
    classes: { once: 20, 'agreed on an edit, and forgot nothing': 1 },
  },
  admin: {
    what: 'the admin API answers as documented, and changes nothing for strangers',
    batches: 6,
    classes: { 200: 1, 400: 5, 401: 2, 403: 2 },
  },
};

for (const [name, { what, batches, classes }] of Object.entries(RUNS)) {
  test(`${name}: ${what}`, async (t) => {
    t.diagnostic(`FUZZ_SEED=${SEED}`);
    const totals = newTotals();
    await withTarget(name as TargetName, async (target) => {
      for (let batch = 0; batch < batches * TIMES; batch++) {
        const findings = await runBatch(target, { seed: SEED, batch, totals });
        const said = findings.map(({ fuzzCase, difference }) => `${fileNameOf(fuzzCase)}: ${difference}`);
        assert.deepEqual(said, [], `FUZZ_SEED=${SEED}`);
      }
    });
    for (const line of describeTotals(totals).split('\n')) t.diagnostic(line);
    for (const [met, least] of Object.entries(classes)) {
      assert.ok((totals.classes[met] ?? 0) >= (totals.messages * least) / 100, `too few of "${met}"`);
    }
  });
}

test('what the fuzzers once found is found no more', async () => {
  const cases = readdirSync(FOLDER).flatMap((file) => caseOf(file, readFileSync(join(FOLDER, file))) ?? []);
  assert.ok(cases.length > 0);
  for (const name of new Set(cases.map(({ target }) => target))) {
    await withTarget(name, async (target) => {
      const its = cases.filter(({ target: of }) => of === name);
      for (const [i, { difference }] of (await target.check(its, () => {})).entries()) {
        assert.equal(difference, null, fileNameOf(its[i] as (typeof its)[number]));
      }
    });
  }
});

async function withTarget(name: TargetName, use: (target: FuzzTarget) => Promise<void>): Promise<void> {
  const target = await openTarget(name);
  try {
    await use(target);
  } finally {
    await target.close();
  }
}
