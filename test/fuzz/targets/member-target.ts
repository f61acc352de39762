/**
 * A group of three, one of which is taken over: it says whatever it likes, and no member throws, grows without bound or loses
 * what it knows; when the machine is itself again the group finds together, unless it had made itself leader and changed
 * who is a member: Raft trusts its leaders. Test support.
 */

import { encode } from '@msgpack/msgpack';
import { decodeFrame } from '../../../src/cluster/peer-codec.ts';
import type { PeerMessage, ServerId } from '../../../src/cluster/types.ts';
import { encodeCommand } from '../../../src/control/state-command.ts';
import { hostileFrame, type Victim } from '../hostile-messages.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';
import { VirtualGroup } from '../virtual-group.ts';

const BATCH = 16;
const STEPS_MAX = 60;
const STEP_BYTES = 4;
const TAKEN: ServerId = 3;
const SALT = 'the salt of before';
const FORMATION_TICKS = 400;
/** To find together. A member that was cut off is taken in anew within lostTicks. */
const RECOVERY_TICKS = 1_200;
const LOG_ENTRIES_MAX = 10_000;

export class MemberTarget implements FuzzTarget {
  /** A case is a list of seeds, one a step: any part of it is a case too. */
  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      const bytes = Buffer.alloc(STEP_BYTES * (1 + random.below(STEPS_MAX)));
      for (let at = 0; at < bytes.length; at += STEP_BYTES) bytes.writeUInt32LE(random.next(), at);
      return { target: 'member', tag: 'steps', bytes };
    });
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, ({ bytes }) => checkOne(bytes));
  }

  async close(): Promise<void> {}
}

function checkOne(bytes: Buffer): CaseVerdict {
  const group = new VirtualGroup();
  if (!group.tickUntil(() => group.leader?.member.raft?.commit !== undefined, FORMATION_TICKS))
    return fault('no leader at all');
  group.leader?.member.propose(encodeCommand({ kind: 'salt', salt: SALT }), () => {});
  const isReady = () => group.running.every(({ state }) => state.salt === SALT);
  if (!group.tickUntil(isReady, FORMATION_TICKS)) return fault('not formed');
  const membersBefore = membersOf(group);
  const from = group.machine(TAKEN)?.member.id ?? '';
  group.stop(TAKEN);
  const classes: Record<string, number> = {};
  const count = (name: string) => {
    classes[name] = (classes[name] ?? 0) + 1;
  };
  let canLead = false;
  for (let at = 0; at + STEP_BYTES <= bytes.length; at += STEP_BYTES) {
    const random = new Random(bytes.readUInt32LE(at));
    if (random.below(6) === 0) group.tick(1 + random.below(12));
    const to: ServerId = 1 + random.below(2);
    const victim = victimOf(group, to, from);
    if (victim === null) continue;
    const message = decodeFrame(encode(hostileFrame(random, victim)));
    if (message === null || !isPeerMessage(message)) {
      count('no message');
      continue;
    }
    canLead ||= message.type === 'raft' && /^(append|snapshot)-request$/.test(message.message.type);
    count(
      `${message.type === 'raft' ? message.message.type : message.type}${group.receive(to, TAKEN, message) === null ? '' : ', refused'}`,
    );
    const grown = group.running.find(({ member }) => entriesOf(member) > LOG_ENTRIES_MAX);
    if (grown !== undefined) return { ...fault('a log without bound'), classes };
  }
  const isKept = group.running.every(({ state }) => state.salt === SALT);
  if (!isKept && !canLead) return { ...fault('forgotten: the state of before'), classes };
  count(isKept ? 'the state was kept' : 'the state was changed by the one that led');
  group.start(TAKEN);
  const isWhole = group.agreesOnEdit('10.9.9.9:80', RECOVERY_TICKS);
  const isSameMembers = membersOf(group) === membersBefore;
  if (!isWhole && isSameMembers && !canLead) return { ...fault('apart: no edit is agreed on'), classes };
  count(isWhole ? 'found together' : 'apart: the one that led had changed who is a member, or what is committed');
  return { messages: bytes.length / STEP_BYTES, classes, difference: null };
}

function fault(difference: string): CaseVerdict {
  return { messages: 1, classes: {}, difference };
}

function isPeerMessage(message: { type: string }): message is PeerMessage {
  return !['hello', 'other-hello', 'ping', 'pong'].includes(message.type);
}

function entriesOf({
  raft,
}: {
  readonly raft: { log: { lastIndex: number; snapshot: { index: number } } } | null;
}): number {
  return raft === null ? 0 : raft.log.lastIndex - raft.log.snapshot.index;
}

function membersOf(group: VirtualGroup): string {
  return (
    group.running
      .map(({ member }) => JSON.stringify(member.raft?.membership ?? null))
      .find((text) => text !== 'null') ?? ''
  );
}

function victimOf(group: VirtualGroup, to: ServerId, from: string): Victim | null {
  const member = group.machine(to)?.member;
  if (member === undefined) return null;
  const { raft, id } = member;
  const members = group.running.map((each) => each.member.id);
  const { term = 1, commit = 0 } = raft ?? {};
  const lastIndex = raft?.log.lastIndex ?? 0;
  return {
    from,
    to: id,
    cluster: member.cluster ?? '1.ab',
    term,
    lastIndex,
    lastTerm: term,
    commit,
    members: [...members, from],
  };
}
