/**
 * One server's part in the consensus, without clock, sockets and files: those are ports. Main thread, and the simulator.
 *
 * It performs what the core (src/raft) asks for: persist, then send, then apply; and what formation.ts and admission.ts
 * decide. While the storage works, messages and ticks go on, and nothing is sent that it has not confirmed.
 *
 *   fresh ── bind: persist cluster and incarnation ──► bound (a core runs) ── abandon: persist "fresh" ──► fresh
 *
 * One file, longer than most: each of these reads and writes the same state, and what may happen between a write and its
 * confirmation is seen best in one place.
 *
 * Where the storage fails, no promise can be kept: the member falls silent, as one cut off would be, until its whole state
 * is written (keeper.ts).
 */

import { Raft } from '../raft/raft.ts';
import {
  type Entry,
  type MemberId,
  type Membership,
  type Message,
  type Ready,
  ROLE,
  type Role,
  type Snapshot,
} from '../raft/types.ts';
import { certaintyTicks, Formation, type FreshStep, type FreshView, lostTicks } from './formation.ts';
import { clusterId, EMPTY_SNAPSHOT, generationOf, memberId, NOWHERE, placeholder, serverOf } from './identity.ts';
import { Joiners } from './joiners.ts';
import { Keeper } from './keeper.ts';
import {
  BATCH_MAX,
  COMMAND_BYTES_MAX,
  IN_FLIGHT_MAX,
  SNAPSHOT_BYTES_MAX,
  TERM_LEAP_END,
  TERM_LEAP_MAX,
  TERM_STEP_MAX,
} from './limits.ts';
import { OrphanWatch } from './orphan-watch.ts';
import { isSound } from './peer-checks.ts';
import { type Attempt, Proposals } from './proposals.ts';
import { Reports } from './reports.ts';
import type {
  Announce,
  ClusterId,
  Network,
  PeerMessage,
  Position,
  ProposalError,
  Report,
  ServerId,
  StateMachine,
  Storage,
  StoredState,
} from './types.ts';

export interface MemberOptions {
  readonly serverId: ServerId;
  /** All servers of the group, this one included. */
  readonly servers: readonly ServerId[];
  /** Invariant: heartbeatTicks < electionTicksMin < electionTicksMax. */
  readonly heartbeatTicks: number;
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly proposalTicks: number;
  /** Ticks from one attempt of a storage that failed to the next. */
  readonly storageRetryTicks: number;
  /** Entries kept in front of a snapshot, and from one snapshot to the next. */
  readonly reservedEntries: number;
  readonly snapshotDistance: number;
}

export interface MemberPorts {
  readonly network: Network;
  readonly storage: Storage;
  readonly stateMachine: StateMachine;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Never gives the same twice, anywhere: [0-9a-f]+. */
  readonly randomId: () => string;
  readonly report: Report;
}

/** To a proposal. */
interface Answer {
  readonly to: ServerId;
  readonly message: PeerMessage;
}

/** A core and the cluster it works for. */
interface Bond {
  readonly cluster: ClusterId;
  readonly raft: Raft;
}

export class Member {
  readonly #options: MemberOptions;
  readonly #ports: MemberPorts;
  readonly #reports = new Reports();
  readonly #proposals: Proposals;
  #servers: readonly ServerId[];
  /** What `contacts` gave last, and for what. */
  #contacts: { servers: readonly ServerId[] | null; membership: Membership | null; others: readonly ServerId[] } = {
    servers: null,
    membership: null,
    others: [],
  };
  #nowTick = 0;
  #id: MemberId;
  #bond: Bond | null = null;
  /** Of a fresh server. */
  #formation: Formation;
  /** Of what the state machine holds. */
  #position: Position = NOWHERE;

  readonly #keeper: Keeper;
  #isPumping = false;
  /** Wait for the next Ready to be carried out: a term that only this server knows of may be led twice. */
  readonly #answers: Answer[] = [];
  #mustRewrite = false;

  /** Of this incarnation. */
  #watch: OrphanWatch;
  /** Until then no further refusal to take this server in is reported. */
  #quietUntilTick = 0;
  #seen: { role: Role; leader: MemberId | null; term: number } = { role: ROLE.follower, leader: null, term: 0 };
  /** A leader's. */
  readonly #joiners: Joiners;

  constructor(options: MemberOptions, ports: MemberPorts, restored: StoredState) {
    this.#options = options;
    this.#ports = ports;
    this.#servers = options.servers;
    this.#proposals = new Proposals(Math.floor(ports.random() * 2 ** 48));
    this.#keeper = new Keeper(ports.storage, ports.report, options.storageRetryTicks);
    this.#formation = new Formation(options, ports.random, 0);
    this.#watch = new OrphanWatch(options);
    this.#joiners = new Joiners(options);
    if (restored.kind === 'bound') {
      const { member, cluster, snapshot } = restored;
      this.#id = member;
      this.#bond = { cluster, raft: this.#newRaft(restored) };
      this.#restore(cluster, snapshot);
      return;
    }
    this.#id = memberId(options.serverId, ports.randomId());
    if (restored.legacy === null) return;
    this.#position = restored.legacy.position;
    ports.stateMachine.restore(restored.legacy.data);
  }

  get id(): MemberId {
    return this.#id;
  }
  get cluster(): ClusterId | null {
    return this.#bond?.cluster ?? null;
  }
  /** The core, to look at. Null: a fresh server. */
  get raft(): Raft | null {
    return this.#bond?.raft ?? null;
  }
  get isStorageFailed(): boolean {
    return this.#keeper.isFailed;
  }
  /** A write is under way. */
  get isStoring(): boolean {
    return this.#keeper.isBusy;
  }
  get #isLeader(): boolean {
    return this.#bond?.raft.role === ROLE.leader;
  }
  /** Neither fresh nor bound for the moment: the change from one to the other is being written. */
  get #isBetween(): boolean {
    return this.#bond === null && this.#keeper.isBusy;
  }

  /** Servers to be in touch with: those listed, and those that are members still. Does not hold this one. */
  get contacts(): readonly ServerId[] {
    const membership = this.#bond?.raft.membership ?? null;
    if (this.#contacts.servers !== this.#servers || this.#contacts.membership !== membership) {
      const members = membership === null ? [] : [...membership.voters, ...membership.learners].map(serverOf);
      const others = new Set([...this.#servers, ...members]);
      others.delete(this.#options.serverId);
      this.#contacts = { servers: this.#servers, membership, others: [...others] };
    }
    return this.#contacts.others;
  }

  // ---------------------------------------------------------------- input

  tick(): void {
    this.#nowTick++;
    this.#proposals.expire(this.#nowTick);
    this.#keeper.tick();
    if (this.#keeper.isFailed || this.#isBetween) return;
    if (this.#mustRewrite && !this.#keeper.isBusy) this.#rewrite();
    if (this.#isBetween) return;
    if (this.#bond === null) this.#takeSteps(this.#formation.tick(this.#freshView()));
    else this.#tickBound(this.#bond);
    if (this.#nowTick % this.#options.heartbeatTicks === 0) this.#announceIfUnsettled();
    this.#pump();
  }

  /**
   * A message from another server. Returns a reason to have nothing to do with the sender for now, or null.
   * Messages of no use are ignored.
   */
  receive(from: ServerId, message: PeerMessage): string | null {
    if (this.#keeper.isFailed) return null;
    const reason = this.#receive(from, message);
    this.#pump();
    return reason;
  }

  /**
   * `done` is called once: with null after `data` has been applied here, otherwise with what is known. Returns a function
   * that gives it up.
   */
  propose(data: Uint8Array, done: (error: ProposalError | null) => void): () => void {
    const giveUp = this.#proposals.add(data, this.#nowTick + this.#options.proposalTicks, done);
    this.#pump();
    return giveUp;
  }

  /** The list of servers has changed; this one is in it. */
  setServers(servers: readonly ServerId[]): void {
    this.#servers = servers;
  }

  /** Writes the whole state anew: the storage seals it under another key from now on. */
  rewrite(): void {
    this.#mustRewrite = true;
  }

  /** The connection to `server` is lost: what was under way to it may be, too. */
  reportUnreachable(server: ServerId): void {
    if (this.#bond === null) return;
    for (const id of this.#bond.raft.progress.keys()) {
      if (serverOf(id) === server) this.#bond.raft.reportUnreachable(id);
    }
  }

  /** Hands leadership to the voter that is furthest. Returns whether there is one to hand it to. */
  handOver(): boolean {
    if (this.#bond === null || !this.#isLeader) return false;
    const { raft } = this.#bond;
    const heirs = [...raft.progress]
      .filter(
        ([id, { silentTicks }]) => raft.membership.voters.includes(id) && silentTicks < this.#options.electionTicksMin,
      )
      .sort(([, a], [, b]) => b.match - a.match);
    const heir = heirs[0];
    if (heir === undefined) return false;
    raft.transfer(heir[0]);
    this.#pump();
    return true;
  }

  /** The member ends: whoever waits for a proposal is told. */
  stop(): void {
    this.#proposals.expire(Number.POSITIVE_INFINITY);
  }

  // ---------------------------------------------------------------- output

  /** What this server says of itself to `to`. */
  announceTo(to: ServerId): Announce {
    const { cluster } = this;
    const raft = this.#isBetween ? null : this.raft;
    return {
      type: 'announce',
      member: this.#id,
      cluster: raft === null ? null : cluster,
      leader: raft?.leader ?? null,
      term: raft?.term ?? 0,
      excludes: raft === null ? null : this.#excluded(raft, to),
      position: this.#position,
    };
  }

  // ---------------------------------------------------------------- messages

  #receive(from: ServerId, message: PeerMessage): string | null {
    switch (message.type) {
      case 'announce':
        return this.#onAnnounce(from, message);
      case 'raft':
        return serverOf(message.message.from) === from ? this.#onRaft(message.cluster, message.message) : 'bad-frame';
      case 'join':
        this.#onJoin(from, message.cluster, message.member);
        return null;
      case 'join-refused':
        this.#onJoinRefused(from, message.member, message.reason);
        return null;
      case 'found-request':
        if (this.#bond !== null || this.#isBetween) return null;
        this.#takeSteps(this.#formation.requested(from, message.member, message.position, this.#freshView()));
        return null;
      case 'found-grant':
        if (this.#bond !== null || this.#isBetween) return null;
        this.#takeSteps(this.#formation.granted(from, message.founder, message.member, this.#freshView()));
        return null;
      case 'propose':
        if (message.data.length > COMMAND_BYTES_MAX) return 'bad-frame';
        this.#onPropose(from, message.cluster, message.id, message.data);
        return null;
      case 'proposed':
        this.#proposals.placed(message.id, message.index, message.term, (index) => this.#appliedTermAt(index));
        return null;
      case 'propose-refused':
        this.#proposals.refused(message.id, this.#nowTick);
        return null;
    }
  }

  #onAnnounce(from: ServerId, announce: Announce): string | null {
    if (serverOf(announce.member) !== from) return 'bad-frame';
    this.#reports.note(from, announce, this.#nowTick);
    const bond = this.#bond;
    if (bond === null) return null;
    // answered only where the other looks for a leader: two that have one would answer each other for ever
    if (announce.leader === null && bond.raft.leader !== null) this.#send(from, this.announceTo(from));
    if (announce.cluster === null) return null;
    if (announce.cluster !== bond.cluster) return 'other-cluster';
    const isLeaders = announce.leader === announce.member && announce.term >= bond.raft.term;
    if (announce.excludes === this.#id && isLeaders && !this.#keeper.isBusy) {
      this.#abandon(bond, 'the leader says that this incarnation is no member any more');
    }
    return null;
  }

  #onRaft(cluster: ClusterId, message: Message): string | null {
    if (this.#bond === null) {
      if (message.to !== this.#id || this.#isBetween || !isBinding(message)) return null;
      if (!isSound(null, message, this.#ports.stateMachine)) return 'bad-frame';
      this.#bind(cluster, message);
      return null;
    }
    if (cluster !== this.#bond.cluster) return 'other-cluster';
    if (!isSound(this.#bond.raft, message, this.#ports.stateMachine)) return 'bad-frame';
    hear(this.#bond.raft, message);
    return null;
  }

  #onJoin(from: ServerId, cluster: ClusterId, member: MemberId): void {
    if (this.#bond?.cluster !== cluster || !this.#isLeader || serverOf(member) !== from) return;
    const reason = this.#joiners.ask(member, this.#bond.raft, this.#servers, this.#nowTick);
    if (reason !== null) this.#send(from, { type: 'join-refused', member, reason });
  }

  #onJoinRefused(by: ServerId, member: MemberId, reason: string): void {
    if (member !== this.#id || this.#bond !== null || this.#nowTick < this.#quietUntilTick) return;
    this.#quietUntilTick = this.#nowTick + lostTicks(this.#options);
    this.#ports.report('warn', 'not taken into the cluster', { by, reason });
  }

  #onPropose(from: ServerId, cluster: ClusterId, id: number, data: Uint8Array): void {
    const result = this.#bond?.cluster === cluster ? this.#bond.raft.propose(data) : 'not-leader';
    if (typeof result === 'number') {
      this.#answers.push({
        to: from,
        message: { type: 'proposed', id, index: result, term: this.#bond?.raft.term ?? 0 },
      });
    } else this.#send(from, { type: 'propose-refused', id });
  }

  #send(to: ServerId, message: PeerMessage): boolean {
    return this.#ports.network.send(to, message);
  }

  /** While it has no leader a server says so to all: whoever knows better answers. */
  #announceIfUnsettled(): void {
    if (this.#isBetween || this.#bond?.raft.leader != null) return;
    for (const server of this.contacts) this.#send(server, this.announceTo(server));
  }

  /** The member of this cluster that `to` takes itself for, where a committed membership says that it is none. */
  #excluded(raft: Raft, to: ServerId): MemberId | null {
    if (raft.role !== ROLE.leader || raft.log.membership.index > raft.commit) return null;
    const report = this.#reports.recent(to, this.#nowTick, lostTicks(this.#options));
    if (report === null || report.cluster !== this.#bond?.cluster) return null;
    const { voters, learners } = raft.membership;
    return voters.includes(report.member) || learners.includes(report.member) ? null : report.member;
  }

  // ---------------------------------------------------------------- fresh

  #freshView(): FreshView {
    return {
      self: this.#options.serverId,
      member: this.#id,
      listed: this.#servers,
      position: this.#position,
      reports: this.#reports,
      nowTick: this.#nowTick,
    };
  }

  #takeSteps(steps: readonly FreshStep[]): void {
    for (const step of steps) {
      if (step.kind === 'send') this.#send(step.to, step.message);
      else this.#found(step.generation, step.members);
    }
  }

  #found(generation: number, members: readonly MemberId[]): void {
    const cluster = clusterId(generation, this.#ports.randomId());
    const voters = this.#servers.map((s) => members.find((id) => serverOf(id) === s) ?? placeholder(s)).sort();
    const data = this.#ports.stateMachine.snapshot();
    this.#ports.report('info', 'founding a cluster', { cluster, members: members.length, servers: voters.length });
    this.#enter(cluster, { index: 1, term: 1, membership: { voters, learners: [] }, data }, (raft) => raft.campaign());
  }

  /** A cluster that has taken this incarnation in speaks to it: from now on it belongs to that one alone. */
  #bind(cluster: ClusterId, message: Message): void {
    this.#ports.report('info', 'belongs to a cluster', { cluster, member: this.#id });
    this.#enter(cluster, EMPTY_SNAPSHOT, (raft) => hear(raft, message));
  }

  #enter(cluster: ClusterId, snapshot: Snapshot, begin: (raft: Raft) => void): void {
    const state = boundState(cluster, this.#id, snapshot);
    this.#keeper.replace(
      () => state,
      () => {
        const raft = this.#newRaft(state);
        this.#bond = { cluster, raft };
        this.#watch.reset();
        begin(raft);
        this.#pump();
      },
    );
  }

  // ---------------------------------------------------------------- bound

  #newRaft({ member: id, hardState, snapshot, entries }: StoredState & { kind: 'bound' }): Raft {
    const { heartbeatTicks, electionTicksMin, electionTicksMax } = this.#options;
    const { random } = this.#ports;
    const timing = { heartbeatTicks, electionTicksMin, electionTicksMax };
    const window = { inFlightMax: IN_FLIGHT_MAX, batchMax: BATCH_MAX };
    return new Raft({ id, ...timing, ...window, random }, { hardState, snapshot, entries });
  }

  #tickBound(bond: Bond): void {
    const { raft } = bond;
    raft.tick();
    if (raft.leader !== null) this.#watch.reset();
    if (raft.role === ROLE.leader && this.#givesWay(bond)) return;
    if (raft.leader === null && this.#isLost(bond) && !this.#keeper.isBusy) {
      this.#abandon(bond, 'its cluster can never have a majority again');
      return;
    }
    if (raft.role === ROLE.leader) this.#admit(raft);
    else this.#joiners.clear();
  }

  /** Whether what is heard leaves no hope that a leader comes. */
  #isLost({ cluster, raft: { membership } }: Bond): boolean {
    const reports = this.#reports.allRecent(this.contacts, this.#nowTick, certaintyTicks(this.#options));
    return this.#watch.tick({ cluster, member: this.#id, membership, listed: this.#servers, reports });
  }

  /** Two clusters live side by side: the lists of servers contradicted each other. */
  #givesWay(bond: Bond): boolean {
    const reports = this.#reports.allRecent(this.contacts, this.#nowTick, certaintyTicks(this.#options));
    if (!this.#watch.tickLeader(bond.cluster, this.#position, reports) || this.#keeper.isBusy) return false;
    this.#abandon(bond, 'another cluster lives beside it, and has more to keep');
    return true;
  }

  #admit(raft: Raft): void {
    const next = this.#joiners.nextMembership(raft, this.#servers, this.#nowTick);
    if (next === null || typeof raft.proposeMembership(next) !== 'number') return;
    this.#ports.report('info', 'membership changes', { voters: next.voters, learners: next.learners });
  }

  /** Forgets its promises, as a wiped server does, and keeps the state: another incarnation begins. */
  #abandon({ cluster, raft }: Bond, why: string): void {
    this.#ports.report('warn', 'leaves its cluster, to join or found another', { cluster, why, term: raft.term });
    this.#bond = null;
    this.#answers.length = 0;
    this.#watch = new OrphanWatch(this.#options);
    this.#joiners.clear();
    this.#proposals.abandon();
    this.#id = memberId(this.#options.serverId, this.#ports.randomId());
    this.#formation = new Formation(this.#options, this.#ports.random, this.#nowTick);
    this.#rewrite();
  }

  #appliedTermAt(index: number): number | null | 'not-applied' {
    const { raft } = this;
    if (raft === null) return null;
    return index > raft.applied ? 'not-applied' : raft.log.termAt(index);
  }

  // ---------------------------------------------------------------- persist, send, apply

  /** Takes what the core has ready, one after the other, until there is nothing or the storage has to be waited for. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#bond !== null && !this.#keeper.isBusy) {
        const { raft } = this.#bond;
        this.#proposals.send(this.#nowTick, (id, data) => this.#attempt(id, data));
        this.#reportChanges(raft);
        if (!raft.hasReady()) return;
        this.#process(this.#bond, raft.ready());
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #process(bond: Bond, ready: Ready): void {
    const { hardState, entries, snapshot } = ready;
    const answers = this.#answers.splice(0);
    const whole = () => this.#wholeState();
    const carryOut = () => {
      this.#carryOut(bond, ready, answers);
      this.#pump();
    };
    if (snapshot !== null) this.#keeper.replace(whole, carryOut);
    else if (hardState !== null || entries.length > 0) this.#keeper.append({ hardState, entries }, whole, carryOut);
    else this.#carryOut(bond, ready, answers);
  }

  /** All that the core asked to persist is. */
  #carryOut(bond: Bond, ready: Ready, answers: readonly Answer[]): void {
    const { cluster, raft } = bond;
    for (const message of ready.messages) this.#send(serverOf(message.to), { type: 'raft', cluster, message });
    for (const { to, message } of answers) this.#send(to, message);
    if (ready.snapshot !== null) this.#restore(cluster, ready.snapshot);
    let mustForget = false;
    for (const entry of ready.committed) if (this.#apply(cluster, entry)) mustForget = true;
    raft.advance(ready);
    if (ready.snapshot !== null) this.#proposals.restored(ready.snapshot.index);
    for (const { index, term } of ready.committed) this.#proposals.applied(index, term);
    const { reservedEntries, snapshotDistance } = this.#options;
    // a leader's snapshot has come while that was being written: it takes the place of all of this
    if (raft.applied < raft.log.snapshot.index) return;
    if (!mustForget && raft.applied - raft.log.snapshot.index < snapshotDistance) return;
    const data = this.#ports.stateMachine.snapshot();
    if (data.length > SNAPSHOT_BYTES_MAX) throw new Error(`a state of ${data.length} bytes can be sent to nobody`);
    raft.compact(data, mustForget ? 0 : reservedEntries);
    this.#rewrite();
  }

  #rewrite(): void {
    this.#mustRewrite = false;
    this.#keeper.replace(
      () => this.#wholeState(),
      () => this.#pump(),
    );
  }

  #wholeState(): StoredState {
    if (this.#bond === null) {
      const legacy = { position: this.#position, data: this.#ports.stateMachine.snapshot() };
      return { kind: 'fresh', legacy: this.#position.generation === 0 ? null : legacy };
    }
    const { cluster, raft } = this.#bond;
    const { snapshot, lastIndex } = raft.log;
    const entries = raft.log.slice(snapshot.index + 1, lastIndex, Number.POSITIVE_INFINITY);
    return { kind: 'bound', cluster, member: this.#id, hardState: raft.hardState, snapshot, entries };
  }

  #restore(cluster: ClusterId, { index, term, data }: Snapshot): void {
    this.#ports.stateMachine.restore(data);
    if (index > 0) this.#position = { generation: generationOf(cluster), term, index };
  }

  /** Returns whether what was applied until now must be forgotten. */
  #apply(cluster: ClusterId, { index, term, payload }: Entry): boolean {
    const mustForget = payload.kind === 'command' && this.#ports.stateMachine.apply(payload.data);
    this.#position = { generation: generationOf(cluster), term, index };
    return mustForget;
  }

  /** A proposal made here that waits for a leader. */
  #attempt(id: number, data: Uint8Array): Attempt {
    if (this.#bond === null) return 'no-leader';
    const { cluster, raft } = this.#bond;
    if (raft.role === ROLE.leader) {
      const index = raft.propose(data);
      return typeof index === 'number' ? { index, term: raft.term } : 'no-leader';
    }
    if (raft.leader === null) return 'no-leader';
    return this.#send(serverOf(raft.leader), { type: 'propose', cluster, id, data }) ? 'sent' : 'no-leader';
  }

  /** An operator, and a test, can tell from the log who led when. */
  #reportChanges(raft: Raft): void {
    const { role, leader, term } = raft;
    const before = this.#seen;
    if (role === before.role && leader === before.leader && term === before.term) return;
    this.#seen = { role, leader, term };
    if (role === ROLE.leader && (before.role !== ROLE.leader || before.term !== term)) {
      this.#ports.report('info', 'leads the cluster', { term, cluster: this.cluster });
    } else if (role !== ROLE.leader && before.role === ROLE.leader) {
      this.#ports.report('info', 'leads no more', { term, leader });
    } else if (leader !== null && leader !== before.leader && role !== ROLE.leader) {
      this.#ports.report('info', 'follows a leader', { term, leader });
    }
  }
}

/**
 * Hands a message to the core. Of a term that is too far ahead only the way there is taken, step by step: a server that was
 * down, or is new, must come to where a faulty peer has driven the others, and none of them further at once.
 */
function hear(raft: Raft, message: Message): void {
  const isVoteRequest = message.type === 'vote-request';
  const reach = raft.term + (raft.term < TERM_LEAP_END ? TERM_LEAP_MAX : TERM_STEP_MAX);
  // a pre-vote changes no term
  if (message.term <= reach || (isVoteRequest && message.isPreVote)) raft.step(message);
  // while there is a leader, whoever wants its place is not listened to
  else if (message.to === raft.id && !(isVoteRequest && raft.leader !== null)) raft.approachTerm(reach);
}

/** What makes a fresh server a member: an election or a log that names its incarnation. */
function isBinding({ type }: Message): boolean {
  return type === 'append-request' || type === 'snapshot-request' || type === 'vote-request';
}

function boundState(cluster: ClusterId, member: MemberId, snapshot: Snapshot): StoredState & { kind: 'bound' } {
  return { kind: 'bound', cluster, member, hardState: { term: snapshot.term, vote: null }, snapshot, entries: [] };
}
