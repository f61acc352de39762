/**
 * One member, or a few, with everything around them in the test's hands: a network without delay, a storage that holds
 * or fails when told to, a state machine that is a list of words. Each message that makes a promise is checked against
 * what the storage holds at that moment.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverOf } from '../../src/cluster/identity.ts';
import { COMMAND_BYTES_MAX, TERM_LEAP_END, TERM_LEAP_MAX, TERM_STEP_MAX } from '../../src/cluster/limits.ts';
import { Member } from '../../src/cluster/member.ts';
import { memberStatuses } from '../../src/cluster/member-status.ts';
import type {
  Announce,
  ClusterId,
  Done,
  PeerMessage,
  Position,
  ProposalError,
  ServerId,
  StateMachine,
  Storage,
  StoredBatch,
  StoredState,
} from '../../src/cluster/types.ts';
import { membership } from '../../src/raft/membership.ts';
import { type AppendRequest, type Entry, type Message, ROLE, type VoteRequest } from '../../src/raft/types.ts';

const OPTIONS = {
  heartbeatTicks: 1,
  electionTicksMin: 4,
  electionTicksMax: 8,
  proposalTicks: 30,
  storageRetryTicks: 3,
  reservedEntries: 2,
  snapshotDistance: 10,
};
const LOST_TICKS = 80;
const CERTAINTY_TICKS = 40;
/** Enough for an election, or for a server to be taken in. */
const A_WHILE = 40;
/** More messages than this between two ticks are a storm. */
const DELIVERIES_MAX = 2_000;

const FRESH: StoredState = { kind: 'fresh', legacy: null };

/** Holds one state; writes end at once, when told to, or with an error. */
class FakeStorage implements Storage {
  mode: 'ok' | 'held' | 'failing' = 'ok';
  stored: StoredState;
  readonly writes: ('append' | 'replace')[] = [];
  #held: { readonly write: () => void; readonly done: Done } | null = null;

  constructor(stored: StoredState) {
    this.stored = stored;
  }

  append(batch: StoredBatch, done: Done): void {
    this.#begin('append', () => this.#add(batch), done);
  }
  replace(state: StoredState, done: Done): void {
    this.#begin('replace', () => Object.assign(this, { stored: state }), done);
  }

  /** What is held succeeds, and all that follows. */
  release(): void {
    this.mode = 'ok';
    const held = this.#held;
    this.#held = null;
    held?.write();
    held?.done(null);
  }

  #begin(kind: 'append' | 'replace', write: () => void, done: Done): void {
    assert.equal(this.#held, null, 'two writes at once');
    this.writes.push(kind);
    if (this.mode === 'held') this.#held = { write, done };
    else if (this.mode === 'failing') done(new Error('disk full'));
    else {
      write();
      done(null);
    }
  }

  #add({ hardState, entries }: StoredBatch): void {
    assert.ok(this.stored.kind === 'bound', 'entries for a server that belongs to no cluster');
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY;
    const kept = this.stored.entries.filter(({ index }) => index < first);
    this.stored = { ...this.stored, hardState: hardState ?? this.stored.hardState, entries: [...kept, ...entries] };
  }
}

/** The word that erases all words before it. */
const ERASE = 'erase';

class Words implements StateMachine {
  words: string[] = [];
  isReadable(data: Uint8Array): boolean {
    return !Buffer.from(data).includes('unreadable');
  }
  apply(data: Uint8Array): boolean {
    const word = Buffer.from(data).toString();
    if (word === ERASE) this.words = [];
    else this.words.push(word);
    return word === ERASE;
  }
  snapshot(): Uint8Array {
    return Buffer.from(this.words.join(' '));
  }
  restore(data: Uint8Array): void {
    this.words = data.length === 0 ? [] : Buffer.from(data).toString().split(' ');
  }
}

interface OutboxEntry {
  readonly to: ServerId;
  readonly message: PeerMessage;
}

/** One start of one server. Random ids count up from `a`, all over the process: read them, do not expect them. */
class Host {
  readonly serverId: ServerId;
  readonly storage: FakeStorage;
  readonly machine = new Words();
  readonly reports: string[] = [];
  readonly member: Member;
  /** Sent and not taken away yet. */
  readonly outbox: OutboxEntry[] = [];
  /** Nothing goes out to these, and the network says so. */
  readonly unreachable = new Set<ServerId>();

  constructor(serverId: ServerId, servers: readonly ServerId[], stored: StoredState = FRESH) {
    this.serverId = serverId;
    this.storage = new FakeStorage(stored);
    const send = (to: ServerId, message: PeerMessage) => {
      if (this.unreachable.has(to)) return false;
      this.#assertKept(message);
      this.outbox.push({ to, message });
      return true;
    };
    this.member = new Member(
      { ...OPTIONS, serverId, servers },
      {
        network: { send },
        storage: this.storage,
        stateMachine: this.machine,
        // each server draws its own, so that no two do the same at the same time
        random: () => (serverId - 1) / 4,
        randomId: () => (++randomIds).toString(16),
        report: (level, message) => this.reports.push(`${level}: ${message}`),
      },
      stored,
    );
  }

  get raft() {
    const { raft } = this.member;
    assert.ok(raft !== null, `${this.serverId} is fresh`);
    return raft;
  }

  /** What was sent since the last call, in short. */
  sent(): string[] {
    return this.outbox.splice(0).map(({ to, message }) => `${to}: ${kindOf(message)}`);
  }

  ticks(count: number): this {
    for (let i = 0; i < count; i++) this.member.tick();
    return this;
  }

  /** What the proposer has been told by now. */
  propose(word: string): string[] {
    const told: string[] = [];
    this.member.propose(Buffer.from(word), (error: ProposalError | null) => {
      const isApplied = word === ERASE || this.machine.words.includes(word);
      if (error === null) assert.ok(isApplied, `${word} is confirmed and not applied here`);
      told.push(error?.code ?? 'ok');
    });
    return told;
  }

  raftMessage(cluster: ClusterId, message: Message): string | null {
    return this.member.receive(serverOf(message.from), { type: 'raft', cluster, message });
  }

  /** A promise is sent only after the storage holds it. */
  #assertKept(message: PeerMessage): void {
    if (message.type !== 'raft') return;
    const { stored } = this.storage;
    assert.ok(stored.kind === 'bound' && stored.cluster === message.cluster, 'speaks for a cluster it is not bound to');
    assert.equal(stored.member, message.message.from);
    const { hardState, entries, snapshot } = stored;
    const { message: said } = message;
    const isPreVote = (said.type === 'vote-request' || said.type === 'vote-response') && said.isPreVote;
    if (!isPreVote) assert.ok(hardState.term >= said.term, `term ${said.term} is not stored`);
    if (said.type === 'vote-response' && said.isGranted && !isPreVote) assert.equal(hardState.vote, said.to);
    if (said.type === 'append-response' && !said.isRejected) {
      assert.ok((entries.at(-1)?.index ?? snapshot.index) >= said.index, `entry ${said.index} is not stored`);
    }
  }
}

let randomIds = 9;

function kindOf(message: PeerMessage): string {
  if (message.type !== 'raft') return message.type;
  const { message: said } = message;
  if (said.type === 'vote-response')
    return `${said.isGranted ? 'granted' : 'refused'}${said.isPreVote ? ' (pre)' : ''}`;
  if (said.type === 'append-response') return said.isRejected ? 'rejected' : `accepted ${said.index}`;
  return said.type;
}

/** Several hosts; whatever one sends arrives before the next tick, unless it is cut. */
class Group {
  readonly hosts = new Map<ServerId, Host>();
  readonly servers: readonly ServerId[];
  isCut: (from: ServerId, to: ServerId, message: PeerMessage) => boolean = () => false;
  /** How many messages of each type were delivered. */
  readonly delivered = new Map<string, number>();

  constructor(servers: readonly ServerId[], starting: readonly ServerId[] = servers) {
    this.servers = servers;
    for (const server of starting) this.start(server);
  }

  start(server: ServerId, stored: StoredState = FRESH): Host {
    const host = new Host(server, this.servers, stored);
    this.hosts.set(server, host);
    return host;
  }

  stop(server: ServerId): Host {
    const host = this.host(server);
    this.hosts.delete(server);
    return host;
  }

  host(server: ServerId): Host {
    const host = this.hosts.get(server);
    assert.ok(host !== undefined);
    return host;
  }

  ticks(count: number): this {
    for (let i = 0; i < count; i++) {
      for (const host of this.hosts.values()) host.member.tick();
      this.deliver();
    }
    return this;
  }

  deliver(): void {
    for (let count = 0; ; count++) {
      const from = [...this.hosts.values()].find(({ outbox }) => outbox.length > 0);
      const next = from?.outbox.shift();
      if (from === undefined || next === undefined) return;
      assert.ok(count < DELIVERIES_MAX, `a storm of messages: ${[...this.delivered].join(' ')}`);
      const { to, message } = next;
      const receiver = this.hosts.get(to);
      if (receiver?.member.contacts.includes(from.serverId) !== true || this.isCut(from.serverId, to, message))
        continue;
      this.delivered.set(message.type, (this.delivered.get(message.type) ?? 0) + 1);
      receiver.member.receive(from.serverId, message);
    }
  }

  /** Ticks until `holds`; fails where that takes too long. */
  until(holds: () => boolean, ticksMax = 4 * LOST_TICKS): this {
    for (let i = 0; i < ticksMax; i++) {
      if (holds()) return this;
      this.ticks(1);
    }
    assert.ok(holds(), 'it never came about');
    return this;
  }

  /** Of the latest term: one whose storage fails goes on calling itself the leader. */
  get leader(): Host {
    const leaders = [...this.hosts.values()].filter(({ member }) => member.raft?.role === ROLE.leader);
    const [leader] = leaders.sort((a, b) => b.raft.term - a.raft.term);
    assert.ok(leader !== undefined, 'nobody leads');
    return leader;
  }
  get hasLeader(): boolean {
    return [...this.hosts.values()].some(({ member }) => member.raft?.role === ROLE.leader);
  }
  get followers(): Host[] {
    return [...this.hosts.values()].filter((host) => host !== this.leader);
  }

  /** One cluster, whose voters are what runs, and which all of them know of. */
  isSettled(): boolean {
    if (!this.hasLeader) return false;
    const running = [...this.hosts.values()].map(({ member }) => member.id).sort();
    const { raft } = this.leader;
    return [...this.hosts.values()].every(({ member }) => {
      const { voters, learners } = member.raft?.membership ?? { voters: [], learners: ['none'] };
      const isSame = voters.join() === running.join() && learners.length === 0;
      return isSame && member.raft?.leader === raft.id && member.raft.applied === raft.applied;
    });
  }

  settle(): this {
    return this.until(() => this.isSettled());
  }
}

function group(servers: readonly ServerId[] = [1, 2, 3]): Group {
  return new Group(servers).settle();
}

// ---------------------------------------------------------------- by hand: server 2 of three

const CLUSTER = '1.c';
const VOTERS = membership(['1.x', '2.y', '3.z']);

function boundState(overrides: Partial<StoredState & { kind: 'bound' }> = {}): StoredState & { kind: 'bound' } {
  return {
    kind: 'bound',
    cluster: CLUSTER,
    member: '2.y',
    hardState: { term: 1, vote: null },
    snapshot: { index: 1, term: 1, membership: VOTERS, data: Buffer.from('old state') },
    entries: [],
    ...overrides,
  };
}

function boundHost(overrides: Partial<StoredState & { kind: 'bound' }> = {}): Host {
  return new Host(2, [1, 2, 3], boundState(overrides));
}

function voteRequest(overrides: Partial<VoteRequest> = {}): VoteRequest {
  const base = { type: 'vote-request', from: '1.x', to: '2.y', term: 2, isPreVote: false, isTransfer: false } as const;
  return { ...base, lastIndex: 1, lastTerm: 1, ...overrides };
}

function append(words: readonly string[], overrides: Partial<AppendRequest> = {}): AppendRequest {
  const entries: Entry[] = words.map((word, i) => {
    return { index: 2 + i, term: 2, payload: { kind: 'command', data: Buffer.from(word) } };
  });
  const base = { type: 'append-request', from: '1.x', to: '2.y', term: 2, previousIndex: 1, previousTerm: 1 } as const;
  return { ...base, entries, commit: 1, ...overrides };
}

const NOWHERE: Position = { generation: 0, term: 0, index: 0 };

function announce(member: string, said: Partial<Announce> = {}): Announce {
  const term = said.cluster == null ? 0 : 2;
  return { type: 'announce', member, cluster: null, leader: null, term, excludes: null, position: NOWHERE, ...said };
}

// ---------------------------------------------------------------- founding and joining

test('the only server of a group founds a cluster at its first tick, leads it, and confirms proposals', () => {
  const host = new Host(1, [1]);
  assert.deepEqual([host.member.cluster, host.member.raft], [null, null]);
  host.ticks(1);
  assert.match(host.member.cluster ?? '', /^1\./);
  assert.equal(host.raft.role, ROLE.leader);
  assert.deepEqual([host.propose('x'), host.machine.words, host.sent()], [['ok'], ['x'], []]);
});

test('a proposal made before there is a cluster waits for it', () => {
  const host = new Host(1, [1]);
  const told = host.propose('x');
  assert.deepEqual(told, []);
  host.ticks(1);
  assert.deepEqual(told, ['ok']);
});

test('three fresh servers become one cluster of the three', () => {
  const three = group();
  const clusters = new Set([...three.hosts.values()].map(({ member }) => member.cluster));
  assert.equal(clusters.size, 1);
  assert.match([...clusters][0] ?? '', /^1\./);
});

test('two of three found with a placeholder for the third, which takes its place when it comes', () => {
  const three = new Group([1, 2, 3], [1, 2]);
  three.until(() => three.hasLeader);
  const { cluster } = three.leader.member;
  assert.deepEqual(three.leader.raft.membership.voters.map(serverOf), [1, 2, 3]);
  assert.equal(three.leader.raft.membership.voters[2], '3.none');
  const told = three.leader.propose('x');
  three.ticks(1);
  assert.deepEqual(told, ['ok']);
  three.start(3);
  three.settle();
  assert.deepEqual([three.host(3).member.cluster, three.host(3).machine.words], [cluster, ['x']]);
});

test('one of three does nothing but say that it is there', () => {
  const host = new Host(1, [1, 2, 3]).ticks(500);
  assert.equal(host.member.cluster, null);
  assert.deepEqual([...new Set(host.sent())], ['2: announce', '3: announce']);
  assert.deepEqual(host.storage.writes, []);
});

test('the state of the longest memory lives on in the new cluster, in all servers', () => {
  const legacy = (index: number, state: string): StoredState => {
    return { kind: 'fresh', legacy: { position: { generation: 4, term: 2, index }, data: Buffer.from(state) } };
  };
  const three = new Group([1, 2, 3], []);
  three.start(1, legacy(7, 'x'));
  three.start(2, legacy(9, 'x y'));
  three.start(3);
  assert.deepEqual(three.host(2).machine.words, ['x', 'y']);
  three.settle();
  for (const host of three.hosts.values()) {
    assert.deepEqual(host.machine.words, ['x', 'y']);
    assert.match(host.member.cluster ?? '', /^5\./);
  }
});

test('a server that comes back without its memory is taken in as another incarnation, and the former one goes', () => {
  const three = group();
  const [lost] = three.followers as [Host];
  three.stop(lost.serverId);
  three.leader.propose('x');
  three.ticks(A_WHILE);
  const again = three.start(lost.serverId);
  assert.notEqual(again.member.id, lost.member.id);
  three.settle();
  assert.deepEqual(again.machine.words, ['x']);
});

test('a server that comes back with its memory is the same incarnation, with all that it had confirmed', () => {
  const three = group();
  const [lost] = three.followers as [Host];
  const told = lost.propose('x');
  three.ticks(2);
  assert.deepEqual(told, ['ok']);
  three.stop(lost.serverId);
  const again = three.start(lost.serverId, lost.storage.stored);
  assert.deepEqual([again.member.id, again.member.cluster], [lost.member.id, lost.member.cluster]);
  three.settle();
  assert.deepEqual(again.machine.words, ['x']);
});

test('a bound server begins with the state of its snapshot, and applies what follows only when it is committed', () => {
  const entries = append(['x']).entries;
  const host = boundHost({ entries, hardState: { term: 2, vote: null } });
  assert.deepEqual(host.machine.words, ['old', 'state']);
  host.raftMessage(CLUSTER, append([], { previousIndex: 2, previousTerm: 2, commit: 2 }));
  assert.deepEqual(host.machine.words, ['old', 'state', 'x']);
  assert.deepEqual(host.member.announceTo(1).position, { generation: 1, term: 2, index: 2 });
});

test('a founder that has founded is not moved to found again by an agreement that comes late', () => {
  const requests: { readonly from: ServerId; readonly message: PeerMessage }[] = [];
  const host = new Host(1, [1, 2, 3]);
  const founder = host.member.id;
  for (let i = 0; i < 20; i++) {
    host.member.receive(2, announce('2.x'));
    host.member.receive(3, announce('3.x'));
    host.ticks(1);
    for (const { to, message } of host.outbox.splice(0)) {
      if (message.type === 'found-request') requests.push({ from: to, message });
    }
    if (requests.length > 0) break;
  }
  assert.deepEqual(
    requests.map(({ from }) => from),
    [2, 3],
  );
  host.storage.mode = 'held';
  host.member.receive(2, { type: 'found-grant', founder, member: '2.x' });
  host.ticks(1);
  assert.deepEqual([host.storage.writes, host.member.cluster], [['replace'], null]);
  // while it is being stored, and after that
  host.member.receive(3, { type: 'found-grant', founder, member: '3.x' });
  host.storage.release();
  const { cluster } = host.member;
  assert.ok(cluster !== null);
  host.member.receive(3, { type: 'found-grant', founder, member: '3.x' });
  assert.deepEqual([host.member.cluster, host.raft.membership.voters], [cluster, [founder, '2.x', '3.none']]);
});

test('a server that was taken in and has no log yet says so after a restart', () => {
  const snapshot = { index: 0, term: 0, membership: membership([]), data: new Uint8Array() };
  const host = boundHost({ snapshot, hardState: { term: 0, vote: null } });
  assert.deepEqual([host.member.announceTo(1).position, host.machine.words], [NOWHERE, []]);
});

// ---------------------------------------------------------------- binding

test('a fresh server is bound by an election, a log or a snapshot that names its incarnation, and by nothing else', () => {
  const heartbeat = append([], { previousIndex: 0, previousTerm: 0, commit: 0 });
  const snapshot = { index: 5, term: 1, membership: VOTERS, data: new Uint8Array() };
  const envelope = { from: '1.x', term: 2 };
  const reply = { isRejected: false, index: 1, hintIndex: 0, hintTerm: 0, applied: 0 };
  for (const [make, binds] of [
    [(to: string): Message => voteRequest({ to }), true],
    [(to: string): Message => voteRequest({ to, isPreVote: true }), true],
    [(to: string): Message => ({ ...heartbeat, to }), true],
    [(to: string): Message => ({ ...envelope, to, type: 'snapshot-request', snapshot }), true],
    [(to: string): Message => ({ ...envelope, to, type: 'vote-response', isPreVote: false, isGranted: true }), false],
    [(to: string): Message => ({ ...envelope, to, type: 'append-response', ...reply }), false],
    [(to: string): Message => ({ ...envelope, to, type: 'timeout-now' }), false],
  ] as const) {
    const host = new Host(2, [1, 2, 3]);
    const { type } = make('');
    assert.equal(host.raftMessage(CLUSTER, make('2.other')), null);
    assert.deepEqual([host.member.cluster, host.storage.writes, host.sent()], [null, [], []], `${type} to another`);
    assert.equal(host.raftMessage(CLUSTER, make(host.member.id)), null);
    assert.equal(host.member.cluster, binds ? CLUSTER : null, type);
    assert.equal(host.sent().length, binds ? 1 : 0, type);
    assert.equal(host.storage.stored.kind === 'bound' && host.storage.stored.member === host.member.id, binds, type);
  }
});

test('whoever speaks in the name of another server is not believed', () => {
  const host = new Host(2, [1, 2, 3]);
  const message = voteRequest({ to: host.member.id, from: '3.z' });
  assert.equal(host.member.receive(1, { type: 'raft', cluster: CLUSTER, message }), 'bad-frame');
  assert.equal(host.member.receive(1, announce('3.z')), 'bad-frame');
  assert.deepEqual([host.member.cluster, host.sent()], [null, []]);
});

test('a server that is being bound says nothing, agrees to nothing and belongs to none yet, until that is stored', () => {
  const host = new Host(2, [1, 2, 3]);
  host.storage.mode = 'held';
  const { id } = host.member;
  host.raftMessage(CLUSTER, voteRequest({ to: id }));
  assert.equal(host.member.cluster, null);
  host.raftMessage('2.other', voteRequest({ to: id, from: '3.z' }));
  host.member.receive(3, { type: 'found-request', member: '3.z', position: NOWHERE });
  host.ticks(20);
  assert.deepEqual([host.sent(), host.storage.writes], [[], ['replace']]);
  host.storage.release();
  assert.deepEqual([host.member.cluster, host.sent()], [CLUSTER, ['1: granted']]);
});

test('a bound server has nothing to do with any other cluster', () => {
  const host = boundHost();
  assert.equal(host.raftMessage('2.other', append(['x'], { term: 9 })), 'other-cluster');
  assert.equal(host.member.receive(1, announce('1.x', { cluster: '2.other' })), 'other-cluster');
  assert.equal(host.member.receive(1, { type: 'found-request', member: '1.x', position: NOWHERE }), null);
  assert.deepEqual([host.raft.term, host.sent()], [1, []]);
});

test('a server does not answer for another incarnation of itself', () => {
  const host = boundHost();
  for (const message of [voteRequest({ to: '2.former', term: 9 }), append(['x'], { to: '2.former', term: 9 })]) {
    assert.equal(host.raftMessage(CLUSTER, message), null);
  }
  assert.deepEqual([host.sent(), host.raft.term, host.raft.log.lastIndex, host.storage.writes], [[], 1, 1, []]);
});

test('entries out of order are refused as what they are, and do no harm', () => {
  const host = boundHost();
  const [first, second] = append(['x', 'y']).entries as [Entry, Entry];
  for (const entries of [[second], [second, first], [first, first], [first, { ...second, index: 4 }]]) {
    assert.equal(host.raftMessage(CLUSTER, append([], { entries })), 'bad-frame');
  }
  assert.deepEqual([host.raft.log.lastIndex, host.sent()], [1, []]);
  assert.equal(host.raftMessage(CLUSTER, append(['x', 'y'])), null);
  assert.deepEqual(host.sent(), ['1: accepted 3']);
});

test('what no sound member of the cluster can have sent is refused, and does no harm', () => {
  const follows3 = (host: Host) => host.raftMessage(CLUSTER, append([], { from: '3.z' }));
  const snapshot = { index: 9, term: 2, membership: VOTERS, data: Buffer.from('new state') };
  const sent: Message = { type: 'snapshot-request', from: '1.x', to: '2.y', term: 2, snapshot };
  const [entry] = append(['x']).entries as [Entry];
  const noVoters: Entry = { ...entry, payload: { kind: 'membership', membership: membership([]) } };
  for (const [what, message, prepare] of [
    ['a second leader in one term', append(['x']), follows3],
    ["a second leader's snapshot", sent, follows3],
    ['a snapshot that cannot be read', { ...sent, snapshot: { ...snapshot, data: Buffer.from('unreadable') } }, null],
    ['a snapshot of a later term', { ...sent, snapshot: { ...snapshot, term: 3 } }, null],
    ['a snapshot without voters', { ...sent, snapshot: { ...snapshot, membership: membership([]) } }, null],
    ['an entry of a later term', append([], { entries: [{ ...entry, term: 3 }] }), null],
    ['an entry of an earlier term than the one before', append([], { entries: [{ ...entry, term: 0 }] }), null],
    ['a membership without voters', append([], { entries: [noVoters] }), null],
  ] as const) {
    const host = boundHost();
    prepare?.(host);
    const { term } = host.raft;
    host.sent();
    assert.equal(host.raftMessage(CLUSTER, message), 'bad-frame', what);
    assert.deepEqual([host.raft.term, host.raft.log.lastIndex, host.sent()], [term, 1, []], what);
  }
  const host = boundHost();
  assert.equal(host.raftMessage(CLUSTER, sent), null);
  assert.deepEqual(host.machine.words, ['new', 'state']);
});

test('the leader of a term refuses another leader of it', () => {
  const host = boundHost();
  for (let i = 0; i < 2 * OPTIONS.electionTicksMax && host.raft.role === ROLE.follower; i++) host.ticks(1);
  const vote = { type: 'vote-response', from: '1.x', to: '2.y', isGranted: true } as const;
  host.raftMessage(CLUSTER, { ...vote, term: 2, isPreVote: true });
  host.raftMessage(CLUSTER, { ...vote, term: 2, isPreVote: false });
  assert.equal(host.raft.role, ROLE.leader);
  assert.equal(host.raftMessage(CLUSTER, append([])), 'bad-frame');
  assert.equal(host.raft.role, ROLE.leader);
});

test('a fresh server is not bound by what no sound member can have sent', () => {
  const previous = { previousIndex: 0, previousTerm: 0 };
  const gap = append(['x'], previous);
  const host = new Host(2, [1, 2, 3]);
  assert.equal(host.raftMessage(CLUSTER, { ...gap, to: host.member.id }), 'bad-frame');
  assert.deepEqual([host.member.cluster, host.storage.writes, host.sent()], [null, [], []]);
});

test('a term far ahead is come to step by step, by a member and by a fresh server, and its messages count from there on', () => {
  const term = 2 + 2 * TERM_LEAP_MAX;
  const heartbeat = (host: Host) =>
    append([], { to: host.member.id, term, previousIndex: 0, previousTerm: 0, commit: 0 });
  for (const host of [boundHost(), new Host(2, [1, 2, 3])]) {
    const terms = Array.from({ length: 4 }, () => {
      assert.equal(host.raftMessage(CLUSTER, heartbeat(host)), null);
      return [host.raft.term, host.raft.leader];
    });
    assert.deepEqual(terms.at(-1), [term, '1.x']);
    assert.ok(terms.every(([now], i) => (now as number) - ((terms[i - 1]?.[0] ?? 2) as number) <= TERM_LEAP_MAX));
    assert.equal(host.raft.log.membership.index <= 1, true);
  }
});

test('near the end of all terms one message brings a member a few further, and no more', () => {
  const host = boundHost({ hardState: { term: TERM_LEAP_END, vote: null } });
  host.raftMessage(CLUSTER, append([], { term: Number.MAX_SAFE_INTEGER }));
  assert.equal(host.raft.term, TERM_LEAP_END + TERM_STEP_MAX);
});

test('who stands for election in a term far ahead is not listened to while there is a leader', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append([]));
  host.raftMessage(CLUSTER, { ...voteRequest(), from: '3.z', term: 2 + 2 * TERM_LEAP_MAX });
  assert.deepEqual([host.raft.term, host.raft.leader], [2, '1.x']);
  for (let i = 0; i < OPTIONS.electionTicksMax; i++) host.ticks(1);
  host.raftMessage(CLUSTER, { ...voteRequest(), from: '3.z', term: 2 + 2 * TERM_LEAP_MAX });
  assert.equal(host.raft.term, 2 + TERM_LEAP_MAX);
});

// ---------------------------------------------------------------- persist, send, apply

test('a vote is sent once it is stored', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, voteRequest());
  assert.deepEqual(host.sent(), []);
  host.storage.release();
  assert.deepEqual(host.sent(), ['1: granted']);
  assert.deepEqual((host.storage.stored as ReturnType<typeof boundState>).hardState, { term: 2, vote: '1.x' });
});

test('entries are acknowledged, and applied, once they are stored', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, append(['x', 'y'], { commit: 2 }));
  host.ticks(2);
  assert.deepEqual([host.sent(), host.machine.words], [[], ['old', 'state']]);
  host.storage.release();
  assert.deepEqual([host.sent(), host.machine.words], [['1: accepted 3'], ['old', 'state', 'x']]);
});

test('what comes while something is being stored is answered after it, each in its turn', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, append(['x']));
  host.raftMessage(CLUSTER, append(['x', 'y']));
  host.raftMessage(CLUSTER, append(['x', 'y', 'z'], { commit: 4 }));
  assert.deepEqual([host.sent(), host.storage.writes], [[], ['append']]);
  host.storage.release();
  assert.deepEqual(host.sent(), ['1: accepted 2', '1: accepted 3', '1: accepted 4']);
  assert.deepEqual(host.machine.words, ['old', 'state', 'x', 'y', 'z']);
  assert.deepEqual(host.storage.writes, ['append', 'append']);
});

test('a leader sends its entries once it has stored them itself', () => {
  const three = group();
  const { leader } = three;
  leader.storage.mode = 'held';
  const told = leader.propose('x');
  three.ticks(1);
  assert.deepEqual(
    three.followers.map(({ machine }) => machine.words),
    [[], []],
  );
  leader.storage.release();
  three.deliver();
  assert.deepEqual([told, three.followers.map(({ machine }) => machine.words)], [['ok'], [['x'], ['x']]]);
});

test("a leader's snapshot replaces what is stored before it is acknowledged", () => {
  const host = boundHost();
  host.storage.mode = 'held';
  const snapshot = { index: 9, term: 2, membership: VOTERS, data: Buffer.from('new state') };
  host.raftMessage(CLUSTER, { type: 'snapshot-request', from: '1.x', to: '2.y', term: 2, snapshot });
  assert.deepEqual([host.sent(), host.machine.words, host.raft.applied], [[], ['old', 'state'], 1]);
  host.storage.release();
  assert.deepEqual([host.sent(), host.machine.words, host.raft.applied], [['1: accepted 9'], ['new', 'state'], 9]);
  assert.deepEqual((host.storage.stored as ReturnType<typeof boundState>).snapshot, snapshot);
});

test('the log is compacted from one snapshot to the next, and what is stored with it', () => {
  const host = new Host(1, [1]).ticks(1);
  const held = () => host.storage.stored as ReturnType<typeof boundState>;
  for (let i = 0; i < 35; i++) {
    host.propose(`${i}`);
    assert.ok(host.raft.applied - held().snapshot.index < OPTIONS.snapshotDistance);
    assert.ok(held().entries.length < OPTIONS.snapshotDistance);
  }
  const stored = held();
  const again = new Host(1, [1], stored).ticks(OPTIONS.electionTicksMax);
  assert.deepEqual(again.machine.words, host.machine.words);
  assert.equal(again.machine.words.length, 35);
});

test('what changes nothing that must be found again is answered without a write', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, voteRequest({ isPreVote: true }));
  host.raftMessage(CLUSTER, voteRequest({ term: 1, lastIndex: 0 }));
  assert.deepEqual([host.sent(), host.storage.writes], [['1: granted (pre)', '1: refused'], []]);
});

// ---------------------------------------------------------------- what must be forgotten

/** What a member keeps of its log, in memory and in the storage. */
function keptBy({ raft, storage }: Host) {
  const { firstIndex, lastIndex, snapshot } = raft.log;
  const stored = storage.stored as ReturnType<typeof boundState>;
  const entries = raft.log.slice(firstIndex, lastIndex, Number.POSITIVE_INFINITY);
  return { snapshot: snapshot.index, entries, stored };
}

/** Whether a word stands anywhere in what a member keeps. */
function keeps(host: Host, word: string): boolean {
  const { entries, stored } = keptBy(host);
  const commands = [...entries, ...stored.entries].flatMap(({ payload }) => {
    return payload.kind === 'command' ? Buffer.from(payload.data).toString() : [];
  });
  const snapshots = [host.raft.log.snapshot.data, stored.snapshot.data].map((data) => Buffer.from(data).toString());
  return [...commands, ...snapshots].some((text) => text.includes(word));
}

test('where an entry erased something, all that is applied is compacted at once and the storage is replaced', () => {
  const host = new Host(1, [1]).ticks(1);
  host.propose('secret');
  assert.ok(keeps(host, 'secret'));
  host.storage.writes.length = 0;
  assert.deepEqual([host.propose(ERASE), host.machine.words], [['ok'], []]);
  const { snapshot, entries, stored } = keptBy(host);
  assert.deepEqual([snapshot, entries], [host.raft.applied, []]);
  assert.deepEqual([stored.snapshot.index, stored.entries], [host.raft.applied, []]);
  assert.deepEqual(host.storage.writes, ['append', 'replace']);
  assert.equal(keeps(host, 'secret'), false);
});

test('an entry that erased nothing is reserved as before', () => {
  const host = new Host(1, [1]).ticks(1);
  for (const word of ['x', 'y']) host.propose(word);
  assert.ok(host.raft.log.snapshot.index < host.raft.applied - 1);
  assert.deepEqual(host.machine.words, ['x', 'y']);
});

test('an erasure in the midst of a batch takes what stands before and after it into the snapshot', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append(['secret', ERASE, 'x'], { commit: 4 }));
  const { snapshot, entries, stored } = keptBy(host);
  assert.deepEqual([snapshot, entries, stored.entries], [4, [], []]);
  assert.deepEqual([host.machine.words, Buffer.from(stored.snapshot.data).toString()], [['x'], 'x']);
});

test('an erasure whose write was slow gives way to a snapshot that has come meanwhile', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, append([ERASE, 'x'], { commit: 3 }));
  const { membership } = host.raft;
  const snapshot = { index: 9, term: 2, membership, data: Buffer.from('y z') };
  host.raftMessage(CLUSTER, { ...append([]), type: 'snapshot-request', snapshot } as Message);
  host.storage.release();
  assert.deepEqual([host.raft.applied, host.machine.words], [9, ['y', 'z']]);
  assert.equal(keptBy(host).stored.snapshot.index, 9);
});

test('entries that are not applied yet stay behind the snapshot of an erasure', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append([ERASE, 'x', 'y'], { commit: 2 }));
  const { snapshot, stored } = keptBy(host);
  assert.deepEqual([snapshot, stored.entries.map(({ index }) => index)], [2, [3, 4]]);
  host.raftMessage(CLUSTER, append([], { previousIndex: 4, previousTerm: 2, commit: 4 }));
  assert.deepEqual(host.machine.words, ['x', 'y']);
});

test('all members forget what was erased, and go on', () => {
  const three = group();
  const told = three.leader.propose('secret');
  three.ticks(3);
  for (const host of three.hosts.values()) assert.ok(keeps(host, 'secret'));
  told.push(...three.leader.propose(ERASE));
  three.ticks(3);
  for (const host of three.hosts.values()) {
    assert.equal(keeps(host, 'secret'), false, `server ${host.serverId}`);
    assert.equal(keptBy(host).snapshot, host.raft.applied);
  }
  three.leader.propose('x');
  three.ticks(3);
  assert.deepEqual(
    [...three.hosts.values()].map(({ machine }) => machine.words),
    [['x'], ['x'], ['x']],
  );
});

test('a follower that was away gets the snapshot of an erasure, and none of what was erased', () => {
  const three = group();
  const { leader } = three;
  const [away] = three.followers as [Host];
  leader.propose('before');
  three.ticks(3);
  three.isCut = (from, to) => from === away.serverId || to === away.serverId;
  for (const word of ['secret', ERASE, 'after']) leader.propose(word);
  three.ticks(3);
  assert.deepEqual(away.machine.words, ['before']);
  const got: string[] = [];
  three.isCut = (_from, to, message) => {
    if (to === away.serverId) got.push(JSON.stringify(message), kindOf(message));
    return false;
  };
  three.settle();
  assert.deepEqual(away.machine.words, ['after']);
  assert.ok(got.includes('snapshot-request'));
  const secret = JSON.stringify({ data: Buffer.from('secret') }).slice(1, -1);
  assert.ok(!got.some((text) => text.includes(secret)));
  for (const word of ['before', 'secret']) assert.equal(keeps(away, word), false);
});

test('an erasure that cannot be stored is repeated until it can, and nothing is said meanwhile', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append(['secret', ERASE]));
  host.sent();
  host.storage.mode = 'failing';
  host.raftMessage(CLUSTER, append([], { previousIndex: 3, previousTerm: 2, commit: 3 }));
  assert.deepEqual([host.member.isStorageFailed, host.machine.words], [true, []]);
  host.storage.mode = 'ok';
  host.ticks(OPTIONS.storageRetryTicks);
  assert.deepEqual([host.member.isStorageFailed, keeps(host, 'secret')], [false, false]);
});

test('a member that ends before it could forget does so when it has applied the erasure again', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append(['secret', ERASE]));
  const again = new Host(2, [1, 2, 3], host.storage.stored);
  assert.ok(keeps(again, 'secret'));
  again.raftMessage(CLUSTER, append([], { previousIndex: 3, previousTerm: 2, commit: 3 }));
  assert.deepEqual([again.machine.words, keeps(again, 'secret')], [[], false]);
});

// ---------------------------------------------------------------- a storage that fails

test('a member whose storage fails hears nothing, so that it need not forget it', () => {
  const host = boundHost();
  host.storage.mode = 'failing';
  host.raftMessage(CLUSTER, append(['x']));
  assert.equal(host.member.isStorageFailed, true);
  assert.equal(host.raftMessage(CLUSTER, voteRequest({ term: 9, from: '3.z' })), null);
  assert.equal(host.member.receive(3, announce('3.z', { cluster: CLUSTER })), null);
  assert.deepEqual([host.raft.term, host.sent()], [2, []]);
});

test('a follower whose storage fails falls silent, hears nothing, and comes back with everything when it can write again', () => {
  const three = group();
  const [failing] = three.followers as [Host];
  failing.storage.mode = 'failing';
  const before = failing.storage.stored;
  const told = three.leader.propose('x');
  three.deliver();
  assert.deepEqual([told, failing.member.isStorageFailed], [['ok'], true]);
  const term = failing.raft.term;
  three.isCut = (from) => {
    assert.notEqual(from, failing.serverId, 'it speaks');
    return false;
  };
  three.ticks(A_WHILE);
  assert.deepEqual([failing.raft.term, failing.machine.words, failing.storage.stored], [term, [], before]);
  assert.equal(failing.reports.filter((line) => line.startsWith('error')).length, 1);
  three.isCut = () => false;
  failing.storage.mode = 'ok';
  three.until(() => !failing.member.isStorageFailed, OPTIONS.storageRetryTicks).ticks(2);
  assert.deepEqual(failing.machine.words, ['x']);
  assert.ok(three.isSettled());
});

test('a leader whose storage fails is followed by another, and follows that one when it comes back', () => {
  const three = group();
  const failing = three.leader;
  failing.storage.mode = 'failing';
  const told = failing.propose('x');
  three.until(() => three.leader !== failing);
  assert.equal(failing.member.isStorageFailed, true);
  failing.storage.mode = 'ok';
  three.settle();
  assert.notEqual(three.leader, failing);
  three.until(() => told.length > 0);
  // it was in the log of the failing one alone
  assert.deepEqual(told, ['lost']);
  for (const host of three.hosts.values()) assert.deepEqual(host.machine.words, []);
});

test('a member whose storage fails tells whoever proposes there that nothing was changed', () => {
  const host = boundHost();
  host.storage.mode = 'failing';
  host.raftMessage(CLUSTER, append(['x']));
  const told = host.propose('y');
  host.ticks(OPTIONS.proposalTicks);
  assert.deepEqual([told, host.sent()], [['no-leader'], []]);
});

test('a founding that cannot be stored is repeated until it can, and nothing is said meanwhile', () => {
  const three = new Group([1, 2, 3]);
  const founder = three.host(1);
  founder.storage.mode = 'failing';
  three.until(() => founder.member.isStorageFailed);
  three.isCut = (from) => {
    assert.notEqual(from, 1, 'it speaks');
    return false;
  };
  three.ticks(2 * OPTIONS.storageRetryTicks);
  assert.equal(founder.member.cluster, null);
  three.isCut = () => false;
  founder.storage.mode = 'ok';
  three.settle();
});

// ---------------------------------------------------------------- rewrite

test('the whole state is written anew at the next tick where that is asked for, once', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append(['x', 'y'], { commit: 3 }));
  const { stored } = host.storage;
  host.member.rewrite();
  assert.deepEqual(host.storage.writes, ['append']);
  host.ticks(3);
  assert.deepEqual(host.storage.writes, ['append', 'replace']);
  assert.deepEqual(host.storage.stored, stored);
});

test('a rewrite waits for the write that is under way', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, append(['x']));
  host.member.rewrite();
  host.ticks(2);
  assert.deepEqual(host.storage.writes, ['append']);
  host.storage.release();
  host.ticks(1);
  assert.deepEqual(host.storage.writes, ['append', 'replace']);
});

test('a fresh server can be told to write its state anew, too', () => {
  const position = { generation: 3, term: 2, index: 9 };
  const legacy: StoredState = { kind: 'fresh', legacy: { position, data: Buffer.from('x') } };
  for (const state of [FRESH, legacy]) {
    const host = new Host(2, [1, 2, 3], state);
    host.member.rewrite();
    host.ticks(1);
    assert.deepEqual([host.storage.writes, host.storage.stored], [['replace'], state]);
  }
});

test('a fresh server founds nothing and says nothing while its state is being written anew', () => {
  for (const servers of [[1], [1, 2, 3]]) {
    const host = new Host(1, servers);
    host.storage.mode = 'held';
    host.member.rewrite();
    host.ticks(5);
    assert.deepEqual([host.sent(), host.storage.writes, host.member.cluster], [[], ['replace'], null]);
    host.storage.release();
    host.ticks(1);
    assert.equal(host.member.cluster !== null, servers.length === 1);
  }
});

// ---------------------------------------------------------------- handing over

test('leadership goes to the voter that is furthest', () => {
  const five = group([1, 2, 3, 4, 5]);
  const { leader } = five;
  const heir = five.followers[2] as Host;
  five.isCut = (from, to, { type }) => type === 'raft' && from === leader.serverId && to !== heir.serverId;
  leader.propose('x');
  five.deliver();
  five.isCut = () => false;
  assert.ok(leader.member.handOver());
  five.deliver();
  assert.deepEqual([five.leader.serverId, leader.raft.role], [heir.serverId, ROLE.follower]);
});

test('there is nobody to hand over to where a server does not lead, is alone, or has heard of no voter', () => {
  assert.equal(new Host(1, [1, 2, 3]).member.handOver(), false);
  assert.equal(new Host(1, [1]).ticks(1).member.handOver(), false);
  const three = group();
  assert.equal((three.followers[0] as Host).member.handOver(), false);
  three.isCut = () => true;
  three.ticks(OPTIONS.electionTicksMin);
  assert.equal(three.leader.member.handOver(), false);
});

test('leadership does not go to a learner, nor to a voter that has been silent', () => {
  const three = new Group([1, 2, 3], [1, 2]);
  three.until(() => three.hasLeader).ticks(2);
  const { leader } = three;
  const other = three.followers[0] as Host;
  // 3 becomes a learner, and the furthest of all; its placeholder is a voter that nobody has ever heard of
  const learner = three.start(3);
  three.until(() => leader.raft.membership.learners.includes(learner.member.id));
  assert.ok(leader.raft.membership.voters.includes('3.none'));
  assert.ok(leader.member.handOver());
  three.deliver();
  assert.equal(three.leader.serverId, other.serverId);
});

// ---------------------------------------------------------------- leaving a cluster

test('a member that its leader says is none any more becomes another incarnation, and keeps the state', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append(['x'], { commit: 2 }));
  const told = host.propose('y');
  host.sent();
  host.storage.mode = 'held';
  host.member.receive(1, announce('1.x', { cluster: CLUSTER, leader: '1.x', excludes: '2.y' }));
  assert.notEqual(host.member.id, '2.y');
  assert.deepEqual([host.member.cluster, host.member.raft, told], [null, null, ['unconfirmed']]);
  host.ticks(5);
  assert.deepEqual(host.sent(), []);
  host.storage.release();
  const data = Buffer.from('old state x');
  assert.deepEqual(host.storage.stored, {
    kind: 'fresh',
    legacy: { position: { generation: 1, term: 2, index: 2 }, data },
  });
  assert.deepEqual(host.machine.words, ['old', 'state', 'x']);
  host.ticks(1);
  assert.ok(host.outbox.some(({ message }) => message.type === 'announce' && message.member === host.member.id));
});

test('it stays where another incarnation is meant, or one speaks that does not lead, or another cluster', () => {
  for (const said of [
    announce('1.x', { cluster: CLUSTER, leader: '1.x', excludes: '2.former' }),
    announce('1.x', { cluster: CLUSTER, leader: '1.x', excludes: null }),
    announce('1.x', { cluster: CLUSTER, leader: '3.z', excludes: '2.y' }),
    announce('1.x', { cluster: '2.other', leader: '1.x', excludes: '2.y' }),
    announce('3.z', { cluster: CLUSTER, leader: '1.x', excludes: '2.y' }),
  ]) {
    const host = boundHost();
    host.member.receive(serverOf(said.member), said);
    assert.deepEqual([host.member.id, host.member.cluster], ['2.y', CLUSTER]);
  }
});

test('it stays while something is being stored: the leader will say so again', () => {
  const host = boundHost();
  host.storage.mode = 'held';
  host.raftMessage(CLUSTER, append(['x']));
  const said = announce('1.x', { cluster: CLUSTER, leader: '1.x', excludes: '2.y' });
  host.member.receive(1, said);
  assert.equal(host.member.id, '2.y');
  host.storage.release();
  host.member.receive(1, said);
  assert.notEqual(host.member.id, '2.y');
});

test('it stays where a leader of an earlier term says so, which was cut off until now and knows nothing of it', () => {
  const host = boundHost();
  // 3 leads term 5, in which 2.y was taken in; 1 has led term 4
  host.raftMessage(CLUSTER, append([], { from: '3.z', term: 5 }));
  const said = announce('1.x', { cluster: CLUSTER, leader: '1.x', excludes: '2.y' });
  host.member.receive(1, { ...said, term: 4 });
  assert.deepEqual([host.member.id, host.raft.leader], ['2.y', '3.z']);
  host.member.receive(1, { ...said, term: 5 });
  assert.notEqual(host.member.id, '2.y');
});

test('a leader tells a member that was removed so, once that is committed, and nobody else', () => {
  const three = group();
  const { leader } = three;
  const [other] = three.followers as [Host];
  const { cluster } = leader.member;
  const said = (member: string, of: ClusterId | null = cluster) => {
    const server = serverOf(member);
    leader.member.receive(server, announce(member, { cluster: of }));
    return leader.member.announceTo(server).excludes;
  };
  const former = `${other.serverId}.former`;
  assert.equal(said(former), former);
  assert.equal(said(other.member.id), null);
  assert.equal(said(former, '9.other'), null);
  assert.equal(said(former, null), null);
  // a follower does not know, nor does one who has not heard of the former one
  other.member.receive(leader.serverId, announce(`${leader.serverId}.former`, { cluster }));
  assert.equal(other.member.announceTo(leader.serverId).excludes, null);
  assert.equal(leader.member.announceTo(99).excludes, null);
  // while a change of the membership is under way nothing is certain
  assert.equal(said(former), former);
  leader.storage.mode = 'held';
  const voters = leader.raft.membership.voters.filter((id) => id !== other.member.id);
  leader.raft.proposeMembership(membership(voters));
  assert.equal(said(other.member.id), null);
  leader.storage.release();
  leader.ticks(1);
  three.ticks(1);
  assert.equal(said(other.member.id), other.member.id);
});

test('what a server said of itself long ago excludes it no more', () => {
  const three = group();
  const { leader } = three;
  const other = three.stop((three.followers[0] as Host).serverId);
  const former = `${other.serverId}.former`;
  leader.member.receive(other.serverId, announce(former, { cluster: leader.member.cluster }));
  three.ticks(LOST_TICKS);
  assert.equal(leader.member.announceTo(other.serverId).excludes, former);
  three.ticks(1);
  assert.equal(leader.member.announceTo(other.serverId).excludes, null);
});

test('a server that comes back with the memory of an incarnation that was replaced is taken in as a third', () => {
  const three = group();
  const lost = three.stop((three.followers[0] as Host).serverId);
  three.ticks(OPTIONS.electionTicksMin);
  three.start(lost.serverId);
  three.settle();
  three.stop(lost.serverId);
  const again = three.start(lost.serverId, lost.storage.stored);
  assert.equal(again.member.id, lost.member.id);
  three.settle();
  assert.notEqual(again.member.id, lost.member.id);
});

test('where two of three lose their memory at once, the third gives the cluster up, and its state lives on', () => {
  const three = group();
  three.leader.propose('x');
  three.ticks(2);
  const survivor = three.leader;
  const { id } = survivor.member;
  for (const { serverId } of three.followers) {
    three.stop(serverId);
    three.start(serverId);
  }
  three.ticks(LOST_TICKS - 2);
  assert.equal(survivor.member.id, id);
  three.settle();
  assert.notEqual(survivor.member.id, id);
  for (const host of three.hosts.values()) {
    assert.deepEqual(host.machine.words, ['x']);
    assert.match(host.member.cluster ?? '', /^2\./);
  }
});

test('of two clusters side by side the one with less to keep gives way: its leader first, then the others', () => {
  const three = group();
  three.leader.propose('x');
  three.ticks(2);
  const { leader } = three;
  const { id } = leader.member;
  const hear = () => {
    const position = { generation: 9, term: 1, index: 1 };
    const said = announce('4.m', { cluster: '9.other', leader: '4.m', position });
    for (const { member } of three.hosts.values()) member.setServers([1, 2, 3, 4]);
    leader.member.receive(4, said);
    three.ticks(1);
  };
  for (let i = 0; i < CERTAINTY_TICKS; i++) hear();
  assert.equal(leader.member.id, id);
  hear();
  assert.notEqual(leader.member.id, id);
  assert.deepEqual([leader.member.cluster, leader.machine.words], [null, ['x']]);
  assert.match(leader.reports.at(-1) ?? '', /^warn: leaves its cluster/);
});

test('one that gave its cluster up and is taken into another has all the time there, too', () => {
  const host = boundHost();
  const hear = () => {
    host.member.receive(1, announce('1.new'));
    host.member.receive(3, announce('3.new'));
    host.ticks(1);
  };
  for (let i = 0; i < LOST_TICKS; i++) hear();
  const { id } = host.member;
  assert.notEqual(id, '2.y');
  host.raftMessage('2.other', voteRequest({ to: id, from: '1.new' }));
  assert.equal(host.member.cluster, '2.other');
  for (let i = 0; i < LOST_TICKS - 1; i++) hear();
  assert.equal(host.member.id, id);
  hear();
  assert.notEqual(host.member.id, id);
});

test('a member that reads once, after a pause, that the others are fresh does not give its cluster up', () => {
  const host = boundHost().ticks(3 * LOST_TICKS);
  host.member.receive(1, announce('1.new'));
  host.member.receive(3, announce('3.new'));
  host.ticks(3 * LOST_TICKS);
  assert.equal(host.member.id, '2.y');
  for (let i = 0; i <= CERTAINTY_TICKS; i++) {
    assert.equal(host.member.id, '2.y');
    host.member.receive(1, announce('1.new'));
    host.member.receive(3, announce('3.new'));
    host.ticks(1);
  }
  assert.notEqual(host.member.id, '2.y');
});

test('a proposal that waits when the cluster is given up goes to the next one', () => {
  const host = new Host(1, [1], {
    ...boundState({ member: '1.x', snapshot: { ...boundState().snapshot, membership: membership(['1.x', '2.y']) } }),
  });
  const lostAfter = 10 * LOST_TICKS + CERTAINTY_TICKS;
  host.ticks(lostAfter - 1);
  const told = host.propose('x');
  assert.equal(host.member.id, '1.x');
  host.ticks(3);
  assert.match(host.member.cluster ?? '', /^2\./);
  assert.deepEqual([told, host.machine.words], [['ok'], ['old', 'state', 'x']]);
});

// ---------------------------------------------------------------- announcements

test('a server without a leader says so to all others at each heartbeat, one with a leader does not', () => {
  const host = boundHost().ticks(1);
  assert.deepEqual(host.sent(), ['1: announce', '3: announce']);
  host.raftMessage(CLUSTER, append([]));
  host.sent();
  host.ticks(2);
  assert.deepEqual(host.sent(), []);
});

test('a server that knows a leader answers one that looks for one, and nobody else', () => {
  const follower = boundHost();
  follower.raftMessage(CLUSTER, append([]));
  follower.sent();
  follower.member.receive(3, announce('3.z', { cluster: CLUSTER, leader: '1.x' }));
  assert.deepEqual(follower.sent(), []);
  follower.member.receive(3, announce('3.z', { cluster: CLUSTER }));
  assert.equal(follower.member.receive(1, announce('1.new')), null);
  const leaders = follower.outbox.map(({ message }) => message.type === 'announce' && message.leader);
  assert.deepEqual(
    [follower.sent(), leaders],
    [
      ['3: announce', '1: announce'],
      ['1.x', '1.x'],
    ],
  );
});

test('a server that looks for a leader itself does not answer', () => {
  for (const host of [boundHost(), new Host(2, [1, 2, 3])]) {
    host.member.receive(1, announce('1.x'));
    host.member.receive(3, announce('3.z', { cluster: CLUSTER }));
    assert.deepEqual(host.sent(), []);
  }
});

test('in a cluster that is settled nobody announces anything', () => {
  const three = group();
  const before = three.delivered.get('announce');
  three.ticks(100);
  assert.equal(three.delivered.get('announce'), before);
});

test('a fresh server that is not taken in reports why, once in a while, and only where it is meant', () => {
  const host = new Host(2, [1, 2, 3]);
  const refuse = (member: string) => host.member.receive(1, { type: 'join-refused', member, reason: 'no' });
  refuse('2.former');
  assert.deepEqual(host.reports, []);
  for (let i = 0; i < LOST_TICKS; i++) {
    refuse(host.member.id);
    host.ticks(1);
  }
  assert.deepEqual(host.reports, ['warn: not taken into the cluster']);
  refuse(host.member.id);
  assert.equal(host.reports.length, 2);
});

test('a leader refuses one that asks in vain, in its own name; others do not answer', () => {
  const three = group();
  const { leader } = three;
  const [other] = three.followers as [Host];
  const join = (host: Host, from: ServerId, member: string, cluster = leader.member.cluster) => {
    host.member.receive(from, { type: 'join', cluster: cluster ?? '', member });
    return host.sent();
  };
  const second = `${other.serverId}.second`;
  assert.deepEqual(join(leader, other.serverId, second), [`${other.serverId}: join-refused`]);
  assert.deepEqual(join(leader, 9, '9.x'), ['9: join-refused']);
  assert.deepEqual(join(leader, 9, second), []);
  assert.deepEqual(join(leader, other.serverId, second, '9.other'), []);
  assert.deepEqual(join(other, leader.serverId, `${leader.serverId}.second`), []);
});

test('a server is in touch with those listed and with those that are members still, not with itself', () => {
  const host = boundHost();
  assert.deepEqual(host.member.contacts.toSorted(), [1, 3]);
  host.member.setServers([2, 3, 4]);
  assert.deepEqual(host.member.contacts.toSorted(), [1, 3, 4]);
  assert.equal(host.member.contacts, host.member.contacts);
  const fresh = new Host(2, [1, 2, 3]);
  fresh.member.setServers([2, 4]);
  assert.deepEqual(fresh.member.contacts, [4]);
});

test('a server that left the list is removed by the leader, and is in touch with nobody then', () => {
  const three = group();
  const { leader } = three;
  const [gone, other] = three.followers as [Host, Host];
  for (const host of [leader, other]) host.member.setServers([leader.serverId, other.serverId]);
  three.until(() => !leader.raft.membership.voters.includes(gone.member.id)).ticks(2);
  assert.deepEqual(leader.member.contacts, [other.serverId]);
  assert.equal(leader.raft.membership.voters.length, 2);
});

test('a connection that is lost makes a leader begin carefully with that server, and with no other', () => {
  const three = group();
  const { leader } = three;
  const [one, other] = three.followers as [Host, Host];
  const stateOf = ({ member }: Host) => leader.raft.progress.get(member.id)?.state;
  assert.deepEqual([stateOf(one), stateOf(other)], ['replicate', 'replicate']);
  leader.member.reportUnreachable(one.serverId);
  assert.deepEqual([stateOf(one), stateOf(other)], ['probe', 'replicate']);
  new Host(1, [1, 2]).member.reportUnreachable(2);
});

// ---------------------------------------------------------------- proposals

test('a proposal at a follower is confirmed once it is applied there, not when the leader has it', () => {
  const three = group();
  const [follower, other] = three.followers as [Host, Host];
  three.isCut = (_, to, { type }) => type === 'raft' && to === follower.serverId;
  const told = follower.propose('x');
  three.deliver();
  assert.deepEqual([three.leader.machine.words, other.machine.words, told], [['x'], ['x'], []]);
  three.isCut = () => false;
  three.ticks(2);
  assert.deepEqual([follower.machine.words, told], [['x'], ['ok']]);
});

test('a proposal whose answer comes after it was applied is confirmed then', () => {
  const three = group();
  const [follower] = three.followers as [Host];
  const late: PeerMessage[] = [];
  three.isCut = (_, to, message) => to === follower.serverId && message.type === 'proposed' && late.push(message) > 0;
  const told = follower.propose('x');
  three.ticks(2);
  assert.deepEqual([follower.machine.words, told, late.length], [['x'], [], 1]);
  follower.member.receive(three.leader.serverId, late[0] as PeerMessage);
  follower.member.receive(three.leader.serverId, late[0] as PeerMessage);
  assert.deepEqual(told, ['ok']);
});

test('a proposal that came to be covered by a snapshot is unconfirmed', () => {
  const three = group();
  const [follower] = three.followers as [Host];
  three.isCut = (_, to, message) => to === follower.serverId && message.type === 'raft';
  const told = follower.propose('x');
  three.deliver();
  for (let i = 0; i < 2 * OPTIONS.snapshotDistance; i++) three.leader.propose(`${i}`);
  three.deliver();
  three.isCut = () => false;
  three.until(() => told.length > 0, OPTIONS.proposalTicks);
  assert.deepEqual([told, follower.machine.words[0]], [['unconfirmed'], 'x']);
});

test('a proposal that was sent and never answered is unconfirmed when its time is over', () => {
  const three = group();
  const [follower] = three.followers as [Host];
  three.isCut = (_, __, { type }) => type === 'propose';
  const told = follower.propose('x');
  three.ticks(OPTIONS.proposalTicks - 1);
  assert.deepEqual(told, []);
  three.ticks(1);
  assert.deepEqual(told, ['unconfirmed']);
});

test('a proposal that a server which leads no more refused goes to the next leader', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append([]));
  host.sent();
  const told = host.propose('x');
  const sent = host.outbox.splice(0);
  const [first] = sent.map(({ message }) => message);
  assert.deepEqual([sent.length, sent[0]?.to, first?.type], [1, 1, 'propose']);
  host.raftMessage(CLUSTER, append([], { from: '3.z', term: 3 }));
  host.outbox.splice(0);
  host.member.receive(1, { type: 'propose-refused', id: first?.type === 'propose' ? first.id : 0 });
  assert.deepEqual(host.sent(), []);
  host.ticks(1);
  assert.deepEqual([host.sent(), told], [['3: propose'], []]);
});

test('a proposal that the leader refuses is not sent to it again and again without a pause', () => {
  const three = group();
  const { leader } = three;
  const [heir, other] = three.followers as [Host, Host];
  // the heir hears nothing, so that the handing over takes its time
  three.isCut = (_, to, { type }) => type === 'raft' && to === heir.serverId;
  leader.raft.transfer(heir.member.id);
  const told = other.propose('x');
  three.deliver();
  assert.equal(three.delivered.get('propose'), 1);
  three.ticks(1);
  assert.equal(three.delivered.get('propose'), 2);
  three.isCut = () => false;
  three.ticks(A_WHILE);
  assert.deepEqual(told, ['ok']);
});

test('a leader says where a proposal stands once it has stored it: a term that it alone knows of may be led twice', () => {
  const three = group();
  const { leader } = three;
  const [other] = three.followers as [Host];
  leader.storage.mode = 'held';
  const told = other.propose('x');
  three.deliver();
  assert.equal(three.delivered.get('proposed'), undefined);
  leader.storage.release();
  three.deliver();
  assert.equal(three.delivered.get('proposed'), 1);
  three.ticks(1);
  assert.deepEqual(told, ['ok']);
});

test('a proposal that the network does not take waits, and was not made', () => {
  const host = boundHost();
  host.raftMessage(CLUSTER, append([]));
  host.unreachable.add(1);
  host.sent();
  const told = host.propose('x');
  host.ticks(1);
  assert.deepEqual([host.sent(), told], [[], []]);
  host.unreachable.delete(1);
  host.ticks(1);
  assert.deepEqual([host.sent(), told], [['1: propose'], []]);
  const waiting = boundHost();
  waiting.raftMessage(CLUSTER, append([]));
  waiting.unreachable.add(1);
  const refused = waiting.propose('x');
  waiting.ticks(OPTIONS.proposalTicks);
  assert.deepEqual(refused, ['no-leader']);
});

test('a proposer may give up, and is told what is known', () => {
  const host = boundHost();
  const told: string[] = [];
  const giveUp = host.member.propose(Buffer.from('x'), (error) => told.push(error?.code ?? 'ok'));
  giveUp();
  giveUp();
  assert.deepEqual(told, ['no-leader']);
});

test('a proposal that is too long is a fault of whoever sent it', () => {
  const { leader, followers } = group();
  const [{ serverId: from }] = followers as [Host];
  const before = leader.raft.log.lastIndex;
  const propose = (length: number) => {
    const cluster = leader.member.cluster ?? '';
    return leader.member.receive(from, { type: 'propose', cluster, id: 1, data: new Uint8Array(length) });
  };
  assert.equal(propose(COMMAND_BYTES_MAX + 1), 'bad-frame');
  assert.equal(leader.raft.log.lastIndex, before);
  assert.equal(propose(COMMAND_BYTES_MAX), null);
  assert.equal(leader.raft.log.lastIndex, before + 1);
});

test('whoever does not lead, or leads another cluster, refuses a proposal; a leader says where it stands', () => {
  const three = group();
  const { leader } = three;
  const [other] = three.followers as [Host];
  const propose = (host: Host, from: ServerId, cluster: ClusterId | null) => {
    host.member.receive(from, { type: 'propose', cluster: cluster ?? '', id: 7, data: Buffer.from('x') });
    return host.outbox
      .splice(0)
      .flatMap(({ to, message }) => (to === from && message.type !== 'raft' ? [message] : []));
  };
  const { cluster } = leader.member;
  assert.deepEqual(propose(other, leader.serverId, cluster), [{ type: 'propose-refused', id: 7 }]);
  assert.deepEqual(propose(leader, other.serverId, '9.other'), [{ type: 'propose-refused', id: 7 }]);
  assert.deepEqual(propose(new Host(2, [1, 2, 3]), 1, cluster), [{ type: 'propose-refused', id: 7 }]);
  const index = leader.raft.log.lastIndex + 1;
  const { term } = leader.raft;
  assert.deepEqual(propose(leader, other.serverId, cluster), [{ type: 'proposed', id: 7, index, term }]);
});

test('a member that ends tells whoever waits', () => {
  const three = group();
  const [follower] = three.followers as [Host];
  three.isCut = () => true;
  const sent = follower.propose('x');
  const fresh = new Host(2, [1, 2, 3]);
  const waiting = fresh.propose('y');
  follower.member.stop();
  fresh.member.stop();
  assert.deepEqual([sent, waiting], [['unconfirmed'], ['no-leader']]);
});

// ---------------------------------------------------------------- reports and status

test('an operator can read who founded, who led when, who was taken in, and who left', () => {
  const three = new Group([1, 2, 3], [1, 2]);
  three.until(() => three.hasLeader).ticks(2);
  const { leader } = three;
  const [other] = three.followers as [Host];
  assert.deepEqual(leader.reports, ['info: founding a cluster', 'info: leads the cluster']);
  assert.deepEqual(other.reports, ['info: belongs to a cluster', 'info: follows a leader']);
  const third = three.start(3);
  three.settle();
  assert.deepEqual(leader.reports.splice(0).slice(2), Array(3).fill('info: membership changes'));
  assert.deepEqual(third.reports, ['info: belongs to a cluster', 'info: follows a leader']);
  other.reports.splice(0);
  leader.member.handOver();
  three.ticks(2);
  const [heir] = [other, third].filter(({ raft }) => raft.role === ROLE.leader) as [Host];
  assert.deepEqual(heir.reports.slice(-1), ['info: leads the cluster']);
  assert.deepEqual(leader.reports, ['info: leads no more', 'info: follows a leader']);
  three.ticks(A_WHILE);
  assert.deepEqual(leader.reports, ['info: leads no more', 'info: follows a leader']);
  const excludes = leader.member.id;
  const { id, cluster } = heir.member;
  leader.member.receive(heir.serverId, announce(id, { cluster, leader: id, term: heir.raft.term, excludes }));
  assert.deepEqual(leader.reports.slice(2), ['warn: leaves its cluster, to join or found another']);
});

test('a leader tells how far each member is, a follower only of itself', () => {
  const three = new Group([1, 2, 3], [1, 2]);
  three.until(() => three.hasLeader).ticks(2);
  const { leader } = three;
  const [other] = three.followers as [Host];
  const { lastIndex } = leader.raft.log;
  const known = { match: lastIndex, applied: lastIndex };
  const unmet = { isSelf: false, isLeader: false, isVoter: true, lastContactMs: null };
  const statuses = memberStatuses(leader.raft, 50);
  assert.deepEqual(
    statuses.map(({ serverId }) => serverId),
    [1, 2, 3],
  );
  assert.deepEqual(
    [leader, other].map(({ serverId }) => statuses[serverId - 1]),
    [
      {
        member: leader.member.id,
        serverId: leader.serverId,
        isSelf: true,
        isLeader: true,
        isVoter: true,
        ...known,
        lastContactMs: 0,
      },
      {
        member: other.member.id,
        serverId: other.serverId,
        isSelf: false,
        isLeader: false,
        isVoter: true,
        ...known,
        lastContactMs: 0,
      },
    ],
  );
  assert.deepEqual(statuses[2], { member: '3.none', serverId: 3, ...unmet, match: 0, applied: 0 });
  const own = memberStatuses(other.raft, 50);
  assert.deepEqual(own[2], { member: '3.none', serverId: 3, ...unmet, match: null, applied: null });
  assert.deepEqual([own[leader.serverId - 1]?.isLeader, own[other.serverId - 1]?.isSelf], [true, true]);
});

test('members are sorted by server, and of two incarnations of one the voter comes first', () => {
  const members = membership(['10.a', '2.y', '3.z'], ['1.b', '3.b']);
  const host = boundHost({ snapshot: { ...boundState().snapshot, membership: members } });
  const sorted = memberStatuses(host.raft, 50).map(({ member, isVoter }) => `${member} ${isVoter}`);
  assert.deepEqual(sorted, ['1.b false', '2.y true', '3.z true', '3.b false', '10.a true']);
});
