/** Which membership comes next: each step by hand, and what holds for any view at all. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AdmissionView, nextMembership } from '../../src/cluster/admission.ts';
import { serverOf } from '../../src/cluster/identity.ts';
import type { ServerId } from '../../src/cluster/types.ts';
import { isMajority, isSafeChange, membership, quorum } from '../../src/raft/membership.ts';
import type { MemberId, Membership } from '../../src/raft/types.ts';

/** Servers and the incarnations that run: whoever runs answers, and has the log as soon as it is a member. */
interface World {
  readonly membership: Membership;
  readonly listed: readonly ServerId[];
  readonly running: readonly MemberId[];
  /** Those that run and do not have the log yet. */
  readonly behind?: readonly MemberId[];
}

const STEPS_MAX = 60;

function viewOf({ membership: now, listed, running, behind = [] }: World): AdmissionView {
  const members = [...now.voters, ...now.learners];
  // a member has been told, and asks no more
  const asking = running.filter((id) => !members.includes(id));
  return {
    membership: now,
    listed,
    joiners: new Map(asking.map((id) => [serverOf(id), id])),
    isCaughtUp: (id) => running.includes(id) && !behind.includes(id),
    isSilent: (id) => !running.includes(id),
  };
}

/** All that is proposed one after the other, until there is nothing more. */
function walk(world: World): Membership[] {
  const steps: Membership[] = [];
  let now = world.membership;
  for (;;) {
    const next = nextMembership(viewOf({ ...world, membership: now }));
    if (next === null) return steps;
    steps.push(next);
    now = next;
    assert.ok(steps.length < STEPS_MAX, `no end: ${steps.map(show).join(' → ')}`);
  }
}

/** `1.a 2.a` or, with learners, `1.a 2.a + 3.b`. */
function show({ voters, learners }: Membership): string {
  return learners.length === 0 ? voters.join(' ') : `${voters.join(' ')} + ${learners.join(' ')}`;
}

function parse(shown: string): Membership {
  const [voters = '', learners = ''] = shown.split(' + ');
  return membership(words(voters), words(learners));
}

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '');
}

function servers(count: number): ServerId[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

const CASES: readonly {
  readonly what: string;
  readonly from: string;
  readonly listed: readonly ServerId[];
  readonly running: string;
  readonly behind?: string;
  readonly steps: readonly string[];
}[] = [
  { what: 'all is as it should be', from: '1.a 2.a 3.a', listed: [1, 2, 3], running: '1.a 2.a 3.a', steps: [] },

  // a new server
  { what: 'a 2nd server', from: '1.a', listed: [1, 2], running: '1.a 2.a', steps: ['1.a + 2.a', '1.a 2.a'] },
  {
    what: 'a 3rd server',
    from: '1.a 2.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.a',
    steps: ['1.a 2.a + 3.a', '1.a 2.a 3.a'],
  },
  {
    what: 'a 4th server',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 3, 4],
    running: '1.a 2.a 3.a 4.a',
    steps: ['1.a 2.a 3.a + 4.a', '1.a 2.a 3.a 4.a'],
  },
  {
    what: 'a 5th server',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.a 2.a 3.a 4.a 5.a',
    steps: ['1.a 2.a 3.a 4.a + 5.a', '1.a 2.a 3.a 4.a 5.a'],
  },
  {
    what: 'a new server that lacks the log remains a learner',
    from: '1.a 2.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.a',
    behind: '3.a',
    steps: ['1.a 2.a + 3.a'],
  },
  {
    what: 'a server that is not listed and asks is not taken in',
    from: '1.a 2.a',
    listed: [1, 2],
    running: '1.a 2.a 3.a',
    steps: [],
  },
  {
    what: 'a listed server that is down holds nobody up',
    from: '1.a 2.a',
    listed: [1, 2, 3, 4],
    running: '1.a 2.a 4.a',
    steps: ['1.a 2.a + 4.a', '1.a 2.a 4.a'],
  },

  // a replaced incarnation
  {
    what: 'the only server knows no replacement',
    from: '1.a',
    listed: [1],
    running: '1.b',
    steps: [],
  },
  {
    what: 'one of two came back without its memory: the other is no majority, and a new cluster must be founded',
    from: '1.a 2.a',
    listed: [1, 2],
    running: '1.a 2.b',
    steps: [],
  },
  {
    what: 'one of three came back without its memory',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.b',
    steps: ['1.a 2.a 3.a + 3.b', '1.a 2.a + 3.b', '1.a 2.a 3.b'],
  },
  {
    what: 'one of four came back without its memory',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3, 4],
    running: '1.a 2.b 3.a 4.a',
    steps: ['1.a 2.a 3.a 4.a + 2.b', '1.a 3.a 4.a + 2.b', '1.a 2.b 3.a 4.a'],
  },
  {
    what: 'one of five came back without its memory',
    from: '1.a 2.a 3.a 4.a 5.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.b 2.a 3.a 4.a 5.a',
    steps: ['1.a 2.a 3.a 4.a 5.a + 1.b', '2.a 3.a 4.a 5.a + 1.b', '1.b 2.a 3.a 4.a 5.a'],
  },
  {
    what: 'the former incarnation stays until the new one has the log',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.b',
    behind: '3.b',
    steps: ['1.a 2.a 3.a + 3.b'],
  },
  {
    what: 'a learner that came back without its memory is replaced at once',
    from: '1.a 2.a + 3.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.b',
    steps: ['1.a 2.a + 3.b', '1.a 2.a 3.b'],
  },
  {
    what: 'a founder replaces the placeholder of a server that comes later',
    from: '1.a 2.b 3.none',
    listed: [1, 2, 3],
    running: '1.a 2.b 3.c',
    steps: ['1.a 2.b 3.none + 3.c', '1.a 2.b + 3.c', '1.a 2.b 3.c'],
  },

  // a removed server
  { what: 'one of two left the list', from: '1.a 2.a', listed: [1], running: '1.a 2.a', steps: ['1.a'] },
  {
    what: 'one of three left the list',
    from: '1.a 2.a 3.a',
    listed: [1, 2],
    running: '1.a 2.a 3.a',
    steps: ['1.a 2.a'],
  },
  {
    what: 'one of four left the list, and is down',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.a',
    steps: ['1.a 2.a 3.a'],
  },
  {
    what: 'two of five left the list: one after the other',
    from: '1.a 2.a 3.a 4.a 5.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.a 4.a 5.a',
    steps: ['1.a 2.a 3.a 5.a', '1.a 2.a 3.a'],
  },
  {
    what: 'a learner that left the list is let go',
    from: '1.a 2.a + 3.a',
    listed: [1, 2],
    running: '1.a 2.a 3.a',
    behind: '3.a',
    steps: ['1.a 2.a'],
  },
  {
    what: 'a leader that left the list removes itself as well',
    from: '1.a 2.a 3.a',
    listed: [2, 3],
    running: '1.a 2.a 3.a',
    steps: ['2.a 3.a'],
  },
  {
    what: 'the last one goes only after another has come',
    from: '1.a',
    listed: [2],
    running: '1.a 2.a',
    steps: ['1.a + 2.a', '1.a 2.a', '2.a'],
  },
  { what: 'the last one stays where no other comes', from: '1.a', listed: [2], running: '1.a', steps: [] },

  // several at once
  {
    what: 'two new servers become learners together and voters one by one',
    from: '1.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.a',
    steps: ['1.a + 2.a 3.a', '1.a 2.a + 3.a', '1.a 2.a 3.a'],
  },
  {
    what: 'two of five came back without their memory',
    from: '1.a 2.a 3.a 4.a 5.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.a 2.a 3.a 4.b 5.b',
    steps: [
      '1.a 2.a 3.a 4.a 5.a + 4.b 5.b',
      '1.a 2.a 3.a 5.a + 4.b 5.b',
      '1.a 2.a 3.a 4.b 5.a + 5.b',
      '1.a 2.a 3.a 4.b + 5.b',
      '1.a 2.a 3.a 4.b 5.b',
    ],
  },
  {
    what: 'one server takes the place of another: in first, then out',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 4],
    running: '1.a 2.a 3.a 4.a',
    steps: ['1.a 2.a 3.a + 4.a', '1.a 2.a 3.a 4.a', '1.a 2.a 4.a'],
  },
  {
    what: 'a server that left the list waits where the rest would lack a majority that answers',
    from: '1.a 2.a 3.a',
    listed: [1, 2],
    running: '1.a 3.a',
    steps: [],
  },
  {
    what: 'it goes once the silent one has been replaced',
    from: '1.a 2.a 3.a',
    listed: [1, 2],
    running: '1.a 2.b 3.a',
    steps: ['1.a 2.a 3.a + 2.b', '1.a 3.a + 2.b', '1.a 2.b 3.a', '1.a 2.b'],
  },

  // room for a second cluster
  {
    what: 'no fourth of four voters goes while five are listed: two would be a majority beside a majority of three',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.a 2.a 3.a 4.b',
    steps: ['1.a 2.a 3.a 4.a + 4.b'],
  },
  {
    what: 'it goes once the fifth has come',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.a 2.a 3.a 4.b 5.a',
    steps: ['1.a 2.a 3.a 4.a + 4.b 5.a', '1.a 2.a 3.a 4.a 5.a + 4.b', '1.a 2.a 3.a 5.a + 4.b', '1.a 2.a 3.a 4.b 5.a'],
  },
  {
    what: 'where there is such room already, a step that makes no more of it is taken',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 3, 4, 5],
    running: '1.a 2.a 3.b',
    steps: ['1.a 2.a 3.a + 3.b', '1.a 2.a + 3.b', '1.a 2.a 3.b'],
  },

  {
    what: 'one that left the list goes before one that came back: it counts for the list no more',
    from: '1.a 2.a 3.a 6.a',
    listed: [1, 2, 3],
    running: '1.a 2.a 3.b 6.a',
    steps: ['1.a 2.a 3.a 6.a + 3.b', '1.a 2.a 3.a + 3.b', '1.a 2.a + 3.b', '1.a 2.a 3.b'],
  },
  {
    what: 'no listed voter goes where one of the list and one that left it would then be a majority',
    from: '1.a 2.a 3.a 6.a + 3.b',
    listed: [1, 2, 3],
    running: '1.a 3.b 6.a',
    steps: [],
  },

  // nobody to commit it
  {
    what: 'without a majority that answers nothing is proposed, no learner either',
    from: '1.a 2.a 3.a',
    listed: [1, 2, 3, 4],
    running: '1.a 4.a',
    steps: [],
  },
  {
    what: 'half of the voters are no majority',
    from: '1.a 2.a 3.a 4.a',
    listed: [1, 2, 3, 4],
    running: '1.a 2.a 3.b 4.b',
    steps: [],
  },
];

for (const { what, from, listed, running, behind = '', steps } of CASES) {
  test(`admission: ${what}`, () => {
    const world = { membership: parse(from), listed, running: words(running), behind: words(behind) };
    assert.deepEqual(walk(world).map(show), steps);
  });
}

test('a second machine under the server_id of a voter that answers is not taken in', () => {
  const view = viewOf({ membership: parse('1.a 2.a'), listed: [1, 2], running: ['1.a', '2.a'] });
  assert.equal(nextMembership({ ...view, joiners: new Map([[2, '2.x']]) }), null);
});

test('a second machine under the server_id of a voter that is silent is: it may be the same one, restarted', () => {
  const view = viewOf({ membership: parse('1.a 2.a 3.a'), listed: [1, 2, 3], running: ['1.a', '3.a'] });
  const next = nextMembership({ ...view, joiners: new Map([[2, '2.x']]) });
  assert.equal(next && show(next), '1.a 2.a 3.a + 2.x');
});

test('a former incarnation that is heard of again is not removed, and its successor is let go', () => {
  const view = viewOf({
    membership: parse('1.a 2.a 3.a + 3.b'),
    listed: [1, 2, 3],
    running: ['1.a', '2.a', '3.a', '3.b'],
  });
  assert.deepEqual(nextMembership(view), parse('1.a 2.a 3.a'));
});

test('a member that has yet to hear of it and goes on asking changes nothing', () => {
  const voter = viewOf({ membership: parse('1.a 2.a'), listed: [1, 2], running: ['1.a', '2.a'] });
  assert.equal(nextMembership({ ...voter, joiners: new Map([[2, '2.a']]) }), null);
  const learner = viewOf({ membership: parse('1.a + 2.a'), listed: [1, 2], running: ['1.a', '2.a'], behind: ['2.a'] });
  assert.equal(nextMembership({ ...learner, joiners: new Map([[2, '2.a']]) }), null);
});

test('a step that cannot be committed does not keep back one that can', () => {
  // removing 3 would leave 1 and the silent 2; replacing 2 need not wait for that
  const view = viewOf({ membership: parse('1.a 2.a 3.a + 2.b'), listed: [1, 2], running: ['1.a', '2.b', '3.a'] });
  const next = nextMembership(view);
  assert.equal(next && show(next), '1.a 3.a + 2.b');
});

test('a learner beside a voter of its server that answers again is let go', () => {
  // 3.a was silent for a moment (as all are to a new leader) when 3.x asked, be it another machine or one that is gone
  const now = parse('1.a 2.a 3.a + 3.x');
  assert.deepEqual(walk({ membership: now, listed: [1, 2, 3], running: ['1.a', '2.a', '3.a'] }).map(show), [
    '1.a 2.a 3.a',
  ]);
});

test('a learner that left the list does not become a voter', () => {
  // to let it go needs 2.a, which is silent; with it as a voter 1.a and 3.a are two of three
  assert.deepEqual(walk({ membership: parse('1.a 2.a + 3.a'), listed: [1, 2], running: ['1.a', '3.a'] }).map(show), []);
});

// ---------------------------------------------------------------- any view

const INCARNATIONS = ['a', 'b', 'c'] as const;
const SERVERS = servers(7);

/** One incarnation or none for each server. */
const someMembers = (incarnations: readonly string[]): fc.Arbitrary<MemberId[]> =>
  fc
    .tuple(...SERVERS.map(() => fc.option(fc.constantFrom(...incarnations), { freq: 2 })))
    .map((all) => all.flatMap((incarnation, i) => (incarnation === null ? [] : [`${i + 1}.${incarnation}`])));

const someIds: fc.Arbitrary<MemberId[]> = fc.subarray(SERVERS.flatMap((s) => INCARNATIONS.map((i) => `${s}.${i}`)));

const anyView: fc.Arbitrary<AdmissionView> = fc
  .record({
    voters: someMembers(INCARNATIONS),
    learners: someMembers(INCARNATIONS),
    joiners: someMembers(INCARNATIONS),
    listed: fc.subarray(servers(5), { minLength: 1 }),
    caughtUp: someIds,
    silent: someIds,
  })
  .filter(({ voters }) => voters.length > 0)
  .map(({ voters, learners, joiners, listed, caughtUp, silent }) => ({
    membership: membership(
      voters,
      learners.filter((id) => !voters.includes(id)),
    ),
    listed,
    joiners: new Map(joiners.map((id) => [serverOf(id), id])),
    isCaughtUp: (id) => caughtUp.includes(id) && !silent.includes(id),
    isSilent: (id) => silent.includes(id),
  }));

/** The fewest servers of the list that are in a majority of the voters. */
function fewestListed({ voters }: Membership, listed: readonly ServerId[]): number {
  const isListed = (id: MemberId) => listed.includes(serverOf(id));
  const worst = voters.toSorted((a, b) => Number(isListed(a)) - Number(isListed(b))).slice(0, quorum(voters.length));
  return worst.filter(isListed).length;
}

/** Whether the listed servers outside of a majority of the voters may be a majority of the list (formation.ts). */
function leavesRoom(now: Membership, listed: readonly ServerId[]): boolean {
  return fewestListed(now, listed) + quorum(listed.length) <= listed.length;
}

function assertSafe(now: Membership, next: Membership, listed: readonly ServerId[]): void {
  const change = `${show(now)} → ${show(next)}`;
  assert.ok(isSafeChange(now, next), `unsafe: ${change}`);
  assert.notDeepEqual(next, now, `nothing changes: ${change}`);
  assert.equal(new Set(next.voters.map(serverOf)).size, next.voters.length, `two voters of one server: ${change}`);
  const isNoWorse = fewestListed(next, listed) >= fewestListed(now, listed);
  assert.ok(!leavesRoom(next, listed) || isNoWorse, `leaves room for a second cluster: ${change} of ${listed}`);
}

test('whatever the view, what comes next is a safe change, can be committed, and makes no room for a second cluster', () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const next = nextMembership(view);
      if (next === null) return;
      assertSafe(view.membership, next, view.listed);
      assert.ok(isMajority(next, (id) => !view.isSilent(id)));
    }),
    { numRuns: 3_000 },
  );
});

test('whatever the view, only a learner that has the log becomes a voter, and only a silent or unlisted voter goes', () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const { membership: now, listed, isCaughtUp, isSilent } = view;
      const next = nextMembership(view);
      if (next === null) return;
      for (const id of next.voters.filter((voter) => !now.voters.includes(voter))) {
        assert.ok(now.learners.includes(id) && isCaughtUp(id), `${id} becomes a voter`);
      }
      for (const id of now.voters.filter((voter) => !next.voters.includes(voter))) {
        const isReplaced = now.learners.some((other) => serverOf(other) === serverOf(id) && isCaughtUp(other));
        assert.ok(!listed.includes(serverOf(id)) || (isSilent(id) && isReplaced), `${id} goes`);
      }
    }),
    { numRuns: 3_000 },
  );
});

/** `SERVER.a` runs on each listed server; of the others, which the list has lost, some do. A majority of voters answers. */
const healthyWorld: fc.Arbitrary<World> = fc
  .record({
    voters: someMembers(['a', 'a', 'old', 'none']),
    learners: someMembers(['a', 'old']),
    listed: fc.subarray(servers(5), { minLength: 1 }),
    unlistedRunning: someIds,
  })
  .map(({ voters, learners, listed, unlistedRunning }) => ({
    membership: membership(
      voters,
      learners.filter((id) => !voters.includes(id)),
    ),
    listed,
    running: [
      ...listed.map((server) => `${server}.a`),
      ...unlistedRunning.filter((id) => id.endsWith('.a') && !listed.includes(serverOf(id)) && voters.includes(id)),
    ],
  }))
  .filter(({ membership: now, running }) => isMajority(now, (id) => running.includes(id)));

test('where all listed servers answer, step by step they and nobody else become the voters', () => {
  fc.assert(
    fc.property(healthyWorld, (world) => {
      const steps = walk(world);
      const all = [world.membership, ...steps];
      for (const [i, next] of steps.entries()) assertSafe(all[i] as Membership, next, world.listed);
      assert.equal(show(all.at(-1) as Membership), world.listed.map((server) => `${server}.a`).join(' '));
    }),
    { numRuns: 3_000 },
  );
});

test('where some listed servers never answer, the steps still come to an end, and all of them are safe', () => {
  fc.assert(
    fc.property(healthyWorld, someIds, (world, down) => {
      const running = world.running.filter((id) => !down.includes(id));
      const steps = walk({ ...world, running });
      const all = [world.membership, ...steps];
      for (const [i, next] of steps.entries()) assertSafe(all[i] as Membership, next, world.listed);
    }),
    { numRuns: 3_000 },
  );
});
