/** What a machine with a valid certificate may say: of the right shape and absurd, or of a wrong one. Test support. */

import { encode } from '@msgpack/msgpack';
import type { MemberId } from '../../src/raft/types.ts';
import type { Random } from './random.ts';

/** What the sender knows of the one it talks to. */
export interface Victim {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly cluster: string;
  readonly term: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly commit: number;
  /** Of all, in their order. */
  readonly members: readonly MemberId[];
}

const HUGE = Number.MAX_SAFE_INTEGER;
const ODD = [0, 1, 2, 63, 64, 65, 1_000, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40, HUGE - 1, HUGE];
/** No count at all. */
const WRONG: readonly unknown[] = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, null, '1', [], {}, true];

/** A number near the true one, an odd one, and now and then none. */
function number(random: Random, near: number): unknown {
  const kind = random.below(100);
  if (kind === 0) return random.pick(WRONG);
  if (kind < 20) return random.pick(ODD);
  return Math.max(0, near + random.pick([0, 0, 0, 1, 1, 2, -1, -2, 3, 100]));
}

function member(random: Random, { members, from, to }: Victim): unknown {
  return random.pick([...members, from, to, '4.evil', '1.a', '', 7, `1.${'x'.repeat(40)}`]);
}

function membership(random: Random, victim: Victim): unknown {
  const some = () => victim.members.filter(() => random.below(3) > 0).toSorted();
  return random.pick([
    { voters: victim.members, learners: [] },
    { voters: some(), learners: [] },
    { voters: [victim.from], learners: some() },
    { voters: [], learners: [] },
    { voters: ['2.a', '1.a'], learners: ['1.a'] },
    ...(random.below(10) === 0 ? [null] : []),
  ]);
}

function data(random: Random): Uint8Array {
  const commands: unknown[] = [
    [1, 'salt', 'evil'],
    [1, 'node', 'web', '10.0.0.1:80', random.below(400) - 20, random.pick([true, false, null, 1])],
    [1, 'node', 'x'.repeat(random.below(200)), 'y'.repeat(random.below(400)), null],
    [1, 'key-mint', new Uint8Array(random.pick([0, 47, 48, 49])), random.pick([0, HUGE, -1, 1e300])],
    [1, 'key-activate', '0'.repeat(32), HUGE],
    [1, 'key-revoke', new Uint8Array(48).fill(random.below(256)), 0],
    [1, 'key-rotate'],
    [2, 'from the future', { a: 1 }],
    [random.below(300), random.below(300)],
    random.below(1_000),
  ];
  const encoded = encode(random.pick(commands));
  return random.below(4) === 0 ? encoded.subarray(0, random.below(encoded.length + 1)) : encoded;
}

function snapshotData(random: Random): Uint8Array {
  return random.pick([
    new Uint8Array(),
    new Uint8Array([1, 2, 3]),
    encode({ version: 1, salt: null, pools: [] }),
    encode([1, 'salt', [], []]),
    data(random),
    new Uint8Array(1 + random.below(100_000)),
  ]);
}

function entries(random: Random, victim: Victim, previousIndex: unknown, term: unknown): unknown[] {
  const first = typeof previousIndex === 'number' ? previousIndex + 1 : 1;
  return Array.from({ length: random.pick([0, 0, 1, 1, 2, 10, 100]) }, (_, i) => ({
    index: random.below(30) === 0 ? number(random, first) : first + i,
    term: random.below(10) === 0 ? number(random, victim.term) : term,
    payload: random.pick<unknown>([
      { kind: 'noop' },
      { kind: 'command', data: data(random) },
      { kind: 'command', data: data(random) },
      { kind: 'membership', membership: membership(random, victim) },
      ...(random.below(20) === 0 ? [{ kind: 'command' }] : []),
    ]),
  }));
}

const KINDS: readonly ((random: Random, victim: Victim) => object)[] = [
  (random, { lastIndex, lastTerm }) => ({
    ...{ type: 'vote-request', isPreVote: random.below(2) === 0, isTransfer: random.below(2) === 0 },
    ...{ lastIndex: number(random, lastIndex), lastTerm: number(random, lastTerm) },
  }),
  (random) => ({ type: 'vote-response', isPreVote: random.below(2) === 0, isGranted: random.below(3) > 0 }),
  (random, victim) => {
    const previousIndex = number(random, victim.lastIndex);
    const commit = number(random, random.pick([victim.commit, victim.lastIndex]));
    const list = entries(random, victim, previousIndex, number(random, victim.term));
    return {
      type: 'append-request',
      previousIndex,
      previousTerm: number(random, victim.lastTerm),
      entries: list,
      commit,
    };
  },
  (random, { lastIndex, term }) => ({
    ...{ type: 'append-response', isRejected: random.below(2) === 0, index: number(random, lastIndex) },
    ...{ hintIndex: number(random, lastIndex), hintTerm: number(random, term), applied: number(random, lastIndex) },
  }),
  (random, victim) => ({
    type: 'snapshot-request',
    snapshot: {
      ...{ index: number(random, victim.commit + random.below(50)), term: number(random, victim.term) },
      ...{ membership: membership(random, victim), data: snapshotData(random) },
    },
  }),
  () => ({ type: 'timeout-now' }),
];

/** A message of the consensus core. */
function raftMessage(random: Random, victim: Victim): object {
  const envelope = { from: victim.from, to: victim.to, term: number(random, victim.term) };
  return { ...envelope, ...random.pick(KINDS)(random, victim) };
}

/** Any frame. */
export function hostileFrame(random: Random, victim: Victim): object {
  const cluster = random.below(12) === 0 ? random.pick(['9.abcdef', '', 3, null]) : victim.cluster;
  const position = { generation: number(random, 1), term: number(random, victim.term), index: number(random, 5) };
  const id = random.below(8) === 0 ? member(random, victim) : victim.from;
  const leader = random.pick([null, member(random, victim)]);
  const excludes = random.pick([null, member(random, victim)]);
  return random.pick<() => object>([
    ...Array(30).fill(() => ({ type: 'raft', cluster, message: raftMessage(random, victim) })),
    () => ({ type: 'announce', member: id, cluster, leader, term: number(random, victim.term), excludes, position }),
    () => ({ type: 'join', cluster, member: id }),
    () => ({ type: 'join-refused', member: member(random, victim), reason: 'x'.repeat(random.below(400)) }),
    () => ({ type: 'found-request', member: id, position }),
    () => ({ type: 'found-grant', founder: member(random, victim), member: id }),
    () => ({ type: 'propose', cluster, id: number(random, 1), data: new Uint8Array(random.pick([0, 9, 70_000])) }),
    () => ({ type: 'propose', cluster, id: number(random, 1), data: data(random) }),
    () => ({ type: 'proposed', id: number(random, 1), index: number(random, 5), term: number(random, victim.term) }),
    () => ({ type: 'propose-refused', id: number(random, 1) }),
    () => ({ type: 'hello', version: 1, serverId: number(random, 3), to: number(random, 1), announce: {} }),
    () => ({ type: random.pick(['ping', 'pong', 'nonsense']) }),
  ])();
}
