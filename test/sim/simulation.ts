/**
 * A whole cluster in one process, from one seed: virtual clocks that drift, a network that delays, loses, repeats,
 * reorders and partitions (one way, too), members that crash, pause and come back with their disk, without what was not
 * synced, or with nothing, and a membership that changes all along.
 *
 * What runs is the production core, through its documented loop: persist, send, apply, advance.
 */

import type { Raft as ProductionRaft, Restored } from '../../src/raft/raft.ts';
import {
  type Entry,
  type HardState,
  type MemberId,
  type Membership,
  type Message,
  type RaftOptions,
  type Ready,
  ROLE,
  type Snapshot,
} from '../../src/raft/types.ts';
import { Checker, Violation } from './checker.ts';
import { EventQueue } from './event-queue.ts';
import { Random } from './random.ts';

export type RaftConstructor = new (options: RaftOptions, restored: Restored) => ProductionRaft;

/** How the loop around the core works; a planted bug may get it wrong. */
export interface DriverHabits {
  /** Persist before sending; the other way round is a bug. */
  readonly persistsFirst: boolean;
  /** The vote is part of what is persisted; without it is a bug. */
  readonly keepsVote: boolean;
}

/** What a run went through. */
export interface Exercise {
  virtualMs: number;
  events: number;
  elections: number;
  proposals: number;
  applied: number;
  crashes: number;
  tornRestarts: number;
  wipes: number;
  pauses: number;
  partitions: number;
  oneWayCuts: number;
  messagesLost: number;
  messagesRepeated: number;
  snapshots: number;
  membershipChanges: number;
  transfers: number;
}

/** What survives a crash: all that was synced. */
interface Disk {
  hardState: HardState;
  snapshot: Snapshot;
  entries: Entry[];
}

interface Member {
  readonly id: MemberId;
  readonly server: number;
  raft: ProductionRaft | null;
  disk: Disk;
  state: string;
  /** A tick lasts this long here. */
  tickMs: number;
  isPaused: boolean;
  /** Messages that came during a pause. */
  inbox: Message[];
  /** When it last had an append response from each other member; pauses do not count. */
  heardMs: Map<MemberId, number>;
  /** Since when it leads without a pause; Infinity where it does not. */
  leadsSinceMs: number;
  ledMembership: Membership | null;
  ledTerm: number;
  /** Told apart from earlier lives, whose timers and messages must not reach this one. */
  life: number;
}

const TICK_MS = 50;
const ELECTION_TICKS_MIN = 4;
const CHAOS_MS = 20_000;
const SETTLE_MS = 20_000;
const SNAPSHOT_DISTANCE = 5;
const RESERVED = 3;
const NOTHING: Snapshot = { index: 0, term: 0, membership: { voters: [], learners: [] }, data: new Uint8Array() };

export class Simulation {
  readonly exercise: Exercise;
  readonly #Raft: RaftConstructor;
  readonly #habits: DriverHabits;
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #checker = new Checker();
  readonly #members = new Map<MemberId, Member>();
  readonly #incarnations: number[] = [];
  /** "from>to" pairs of servers that cannot talk. */
  #cut = new Set<string>();
  #lossRate = 0;
  #repeatRate = 0;
  #delayMaxMs = 5;
  #isCalm = false;
  #commands = 0;
  #lastLeaderTerm = 0;

  constructor(seed: number, Raft: RaftConstructor, habits: DriverHabits = { persistsFirst: true, keepsVote: true }) {
    this.#random = new Random(seed);
    this.#Raft = Raft;
    this.#habits = habits;
    this.exercise = {
      virtualMs: 0,
      events: 0,
      elections: 0,
      proposals: 0,
      applied: 0,
      crashes: 0,
      tornRestarts: 0,
      wipes: 0,
      pauses: 0,
      partitions: 0,
      oneWayCuts: 0,
      messagesLost: 0,
      messagesRepeated: 0,
      snapshots: 0,
      membershipChanges: 0,
      transfers: 0,
    };
    const size = this.#random.between(1, 7);
    const ids = Array.from({ length: size }, (_, server) => this.#nextId(server));
    const membership: Membership = { voters: ids.toSorted(), learners: [] };
    this.#checker.membershipApplied(1, JSON.stringify(membership));
    // the cluster begins as its founders agreed: a snapshot that names them
    const founding: Snapshot = { index: 1, term: 1, membership, data: new Uint8Array() };
    for (const [server, id] of ids.entries()) {
      this.#add(id, server, { hardState: { term: 1, vote: null }, snapshot: founding, entries: [] });
    }
  }

  /** Runs chaos, then heals everything and demands progress. Throws a Violation. */
  run(): Exercise {
    this.#scheduleFaults();
    this.#runUntil(CHAOS_MS);
    this.#heal();
    const goal = this.#settle();
    for (let i = 0; i < 40 && !this.#hasSettled(goal); i++) this.#runUntil(this.#queue.now + SETTLE_MS / 40);
    if (!this.#hasSettled(goal))
      throw new Violation(`liveness: healed for ${SETTLE_MS} ms, and no progress: ${this.#describe()}`);
    this.exercise.virtualMs = this.#queue.now;
    return this.exercise;
  }

  #runUntil(until: number): void {
    while (this.#queue.step(until)) this.exercise.events++;
    this.#queue.now = until;
  }

  // ---------------------------------------------------------------- members

  #nextId(server: number): MemberId {
    const incarnation = (this.#incarnations[server] ?? 0) + 1;
    this.#incarnations[server] = incarnation;
    return `${server}.${incarnation}`;
  }

  #add(id: MemberId, server: number, disk: Disk): Member {
    const member: Member = {
      id,
      server,
      raft: null,
      disk,
      state: '',
      isPaused: false,
      inbox: [],
      heardMs: new Map(),
      leadsSinceMs: Number.POSITIVE_INFINITY,
      ledMembership: null,
      ledTerm: 0,
      life: 0,
      tickMs: TICK_MS * (0.9 + 0.2 * this.#random.next()),
    };
    this.#members.set(id, member);
    this.#start(member);
    return member;
  }

  #start(member: Member): void {
    const { hardState, snapshot, entries } = member.disk;
    const options: RaftOptions = {
      id: member.id,
      heartbeatTicks: 2,
      electionTicksMin: ELECTION_TICKS_MIN,
      electionTicksMax: 9,
      inFlightMax: 3,
      batchMax: 4,
      random: this.#random.next,
    };
    member.life++;
    member.isPaused = false;
    member.inbox = [];
    member.state = Buffer.from(snapshot.data).toString();
    member.raft = new this.#Raft(options, { hardState, snapshot, entries: [...entries] });
    this.#scheduleTick(member, member.life);
  }

  #scheduleTick(member: Member, life: number): void {
    this.#queue.after(member.tickMs, () => {
      if (member.life !== life || member.raft === null) return;
      if (!member.isPaused) {
        member.raft.tick();
        this.#drive(member);
        this.#checkContact(member);
      }
      this.#scheduleTick(member, life);
    });
  }

  /** A leader that hears of no majority for two periods must have stepped down (thesis, 6.2). */
  #checkContact(member: Member): void {
    const { raft } = member;
    if (raft?.role !== ROLE.leader) {
      member.leadsSinceMs = Number.POSITIVE_INFINITY;
      return;
    }
    const { now } = this.#queue;
    // counted anew after a pause, in each term and for each membership: a new voter needs time to be heard of
    if (
      member.leadsSinceMs === Number.POSITIVE_INFINITY ||
      raft.membership !== member.ledMembership ||
      raft.term !== member.ledTerm
    ) {
      member.leadsSinceMs = now;
      member.ledMembership = raft.membership;
      member.ledTerm = raft.term;
    }
    const dueMs = now - member.tickMs * ELECTION_TICKS_MIN * 3;
    const { voters } = raft.membership;
    const heard = voters.filter((id) => id === raft.id || (member.heardMs.get(id) ?? 0) >= dueMs).length;
    if (member.leadsSinceMs < dueMs && heard * 2 <= voters.length) {
      throw new Violation(
        `stale leader: ${raft.id} leads term ${raft.term} and hears of ${heard} of ${voters.length} voters`,
      );
    }
  }

  /** The documented loop, with crashes between its steps. */
  #drive(member: Member): void {
    const { raft } = member;
    while (raft?.hasReady() && member.raft === raft) {
      const ready = raft.ready();
      // most of all where a promise is being made
      const promises = ready.messages.some((m) => m.type === 'vote-response' && m.isGranted && !m.isPreVote);
      const crashes = !this.#isCalm && this.#random.chance(promises ? 0.05 : 0.0005);
      if (!this.#habits.persistsFirst) this.#send(ready.messages);
      if (crashes && this.#random.chance(0.5)) {
        // nothing of this step was synced
        this.exercise.tornRestarts++;
        this.#crash(member);
        return;
      }
      this.#persist(member, ready);
      if (crashes) {
        this.#crash(member);
        return;
      }
      if (this.#habits.persistsFirst) this.#send(ready.messages);
      this.#apply(member, raft, ready);
      raft.advance(ready);
      this.#watch(raft);
      if (raft.applied - raft.log.snapshot.index >= SNAPSHOT_DISTANCE) {
        const snapshot = raft.compact(Buffer.from(member.state), RESERVED);
        this.#checker.restores(raft, snapshot);
        member.disk.entries = member.disk.entries.filter(({ index }) => index > snapshot.index);
        member.disk.snapshot = snapshot;
        this.exercise.snapshots++;
      }
    }
  }

  #persist(member: Member, ready: Ready): void {
    const { disk } = member;
    if (ready.snapshot !== null) {
      disk.snapshot = ready.snapshot;
      disk.entries = [];
    }
    if (ready.hardState !== null) {
      disk.hardState = this.#habits.keepsVote ? ready.hardState : { ...ready.hardState, vote: null };
    }
    const first = ready.entries[0];
    if (first === undefined) return;
    disk.entries = [
      ...disk.entries.filter(({ index }) => index < first.index),
      ...ready.entries.filter(({ index }) => index > disk.snapshot.index),
    ];
    this.#checker.appends(member.raft as ProductionRaft, ready.entries);
  }

  #apply(member: Member, raft: ProductionRaft, ready: Ready): void {
    if (ready.snapshot !== null) {
      this.#checker.restores(raft, ready.snapshot);
      member.state = Buffer.from(ready.snapshot.data).toString();
      const expected = this.#checker.stateAt(ready.snapshot.index);
      if (member.state !== expected)
        throw new Violation(`snapshot: ${member.id} takes ${member.state}, not ${expected}`);
    }
    this.#checker.applies(raft, ready.committed);
    for (const { index, payload } of ready.committed) {
      this.exercise.applied++;
      if (payload.kind === 'command') member.state += `${Buffer.from(payload.data)},`;
      if (payload.kind === 'membership') this.#checker.membershipApplied(index, JSON.stringify(payload.membership));
    }
  }

  #watch(raft: ProductionRaft): void {
    if (raft.role !== ROLE.leader) return;
    this.#checker.leads(raft);
    if (raft.term > this.#lastLeaderTerm) {
      this.#lastLeaderTerm = raft.term;
      this.exercise.elections++;
    }
  }

  #crash(member: Member): void {
    if (member.raft === null) return;
    member.raft = null;
    member.life++;
    this.exercise.crashes++;
    const life = member.life;
    const downMs = this.#random.chance(0.5) ? this.#random.between(1, 50) : this.#random.between(50, 5_000);
    this.#queue.after(downMs, () => {
      if (member.life === life && member.raft === null && this.#members.has(member.id)) this.#start(member);
    });
  }

  /** The disk is gone, and with it the promises: the server comes back as another member. */
  #wipe(member: Member): void {
    member.raft = null;
    member.life++;
    this.#members.delete(member.id);
    this.exercise.wipes++;
    this.#queue.after(this.#random.between(50, 2_000), () => this.#join(member.server));
  }

  #join(server: number): void {
    this.#add(this.#nextId(server), server, { hardState: { term: 0, vote: null }, snapshot: NOTHING, entries: [] });
  }

  // ---------------------------------------------------------------- network

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      const isLost =
        this.#random.chance(this.#lossRate) || this.#cut.has(`${serverOf(message.from)}>${serverOf(message.to)}`);
      if (isLost) {
        this.exercise.messagesLost++;
        continue;
      }
      const copies = this.#random.chance(this.#repeatRate) ? 2 : 1;
      if (copies > 1) this.exercise.messagesRepeated++;
      for (let i = 0; i < copies; i++) {
        this.#queue.after(this.#random.between(1, this.#delayMaxMs), () => this.#deliver(message));
      }
    }
  }

  #deliver(message: Message): void {
    // as a network does: to whoever lives at that place by now
    const member = this.#onServer(serverOf(message.to));
    if (member?.raft == null) return;
    if (member.isPaused) {
      member.inbox.push(message);
      return;
    }
    this.#step(member, message);
  }

  #step(member: Member, message: Message): void {
    if (message.type === 'append-response') member.heardMs.set(message.from, this.#queue.now);
    member.raft?.step(message);
    this.#drive(member);
  }

  #onServer(server: string): Member | undefined {
    return [...this.#members.values()].find((member) => serverOf(member.id) === server);
  }

  // ---------------------------------------------------------------- faults

  #scheduleFaults(): void {
    const faults: [number, () => void][] = [
      [150, () => this.#proposeSomewhere()],
      [600, () => this.#changeNetwork()],
      [900, () => this.#crash(this.#anyMember())],
      [1_500, () => this.#pause(this.#anyMember())],
      [1_200, () => this.#changeMembership()],
      [2_500, () => this.#transferLeadership()],
      [6_000, () => this.#wipeOne()],
    ];
    for (const [everyMs, fault] of faults) {
      const again = () => {
        if (this.#isCalm) return;
        fault();
        this.#queue.after(this.#random.between(1, everyMs * 2), again);
      };
      this.#queue.after(this.#random.between(1, everyMs * 2), again);
    }
  }

  #anyMember(): Member {
    return this.#random.pick([...this.#members.values()]);
  }

  #leaders(): ProductionRaft[] {
    return [...this.#members.values()].flatMap(({ raft, isPaused }) =>
      raft?.role === ROLE.leader && !isPaused ? [raft] : [],
    );
  }

  #proposeSomewhere(): void {
    for (const raft of this.#leaders()) {
      this.exercise.proposals++;
      raft.propose(Buffer.from(`${++this.#commands}`));
      this.#drive(this.#members.get(raft.id) as Member);
    }
  }

  #changeNetwork(): void {
    this.#cut.clear();
    this.#delayMaxMs = this.#random.pick([5, 5, 50, 300]);
    this.#lossRate = this.#random.pick([0, 0, 0.02, 0.3]);
    this.#repeatRate = this.#random.pick([0, 0.05, 0.3]);
    const servers = [...new Set([...this.#members.values()].map(({ server }) => server))];
    const kind = this.#random.between(0, 3);
    if (kind === 0) {
      this.exercise.partitions++;
      const side = new Set(servers.filter(() => this.#random.chance(0.5)));
      for (const a of servers) for (const b of servers) if (side.has(a) !== side.has(b)) this.#cut.add(`${a}>${b}`);
    } else if (kind === 1) {
      this.exercise.oneWayCuts++;
      for (const a of servers) for (const b of servers) if (this.#random.chance(0.25)) this.#cut.add(`${a}>${b}`);
    }
  }

  #pause(member: Member): void {
    if (member.raft === null || member.isPaused) return;
    member.isPaused = true;
    this.exercise.pauses++;
    const { life } = member;
    this.#queue.after(this.#random.between(100, 4_000), () => this.#resume(member, life));
  }

  #resume(member: Member, life: number): void {
    if (member.life !== life || !member.isPaused) return;
    member.isPaused = false;
    member.leadsSinceMs = Number.POSITIVE_INFINITY;
    for (const message of member.inbox.splice(0)) {
      if (member.life !== life) return;
      this.#step(member, message);
    }
  }

  #transferLeadership(): void {
    const raft = this.#leaders()[0];
    if (raft === undefined || raft.progress.size === 0) return;
    this.exercise.transfers++;
    raft.transfer(this.#random.pick([...raft.progress.keys()]));
    this.#drive(this.#members.get(raft.id) as Member);
  }

  /** One step of membership: a learner made or unmade, a voter added or removed. */
  #changeMembership(): void {
    for (const raft of this.#leaders()) {
      const { voters, learners } = raft.membership;
      const present = [...this.#members.keys()];
      const outside = present.filter((id) => !voters.includes(id) && !learners.includes(id));
      const options: Membership[] = [];
      if (outside.length > 0) options.push({ voters, learners: [...learners, this.#random.pick(outside)].sort() });
      if (learners.length > 0) {
        const id = this.#random.pick(learners);
        const others = learners.filter((l) => l !== id);
        options.push({ voters: [...voters, id].sort(), learners: others }, { voters, learners: others });
      }
      if (voters.length > 1) {
        const id = this.#random.pick(voters);
        options.push({ voters: voters.filter((v) => v !== id), learners });
        // more than one at once, which the core must refuse
        const few = voters.filter(() => this.#random.chance(0.5));
        if (few.length > 0) options.push({ voters: few, learners });
      }
      // as its operator would: a change that leaves no majority of living voters is not asked for
      const sane = options.filter((m) => m.voters.filter((id) => this.#members.has(id)).length * 2 > m.voters.length);
      if (sane.length === 0) continue;
      const index = raft.proposeMembership(this.#random.pick(sane));
      if (typeof index === 'number') this.exercise.membershipChanges++;
      this.#drive(this.#members.get(raft.id) as Member);
    }
  }

  /** Wipes a member where the voters keep a majority that remembers: more than that no protocol survives. */
  #wipeOne(): void {
    const memberships = [...this.#members.values()].flatMap(({ raft, disk }) => [
      raft?.membership,
      disk.snapshot.membership,
      ...disk.entries.map(({ payload }) => (payload.kind === 'membership' ? payload.membership : undefined)),
    ]);
    const victim = this.#anyMember();
    const isSafe = memberships.every((m) => {
      if (m === undefined || m.voters.length === 0) return true;
      const left = m.voters.filter((id) => id !== victim.id && this.#members.has(id)).length;
      return left >= Math.floor(m.voters.length / 2) + 1;
    });
    // entries on the way may hold memberships that nobody has yet: wipe only while no change is under way
    const isQuiet = this.#leaders().every((raft) => raft.log.membership.index <= raft.commit);
    if (isSafe && isQuiet && this.#leaders().length === 1) this.#wipe(victim);
  }

  // ---------------------------------------------------------------- the end

  #heal(): void {
    this.#isCalm = true;
    this.#cut.clear();
    this.#lossRate = this.#repeatRate = 0;
    this.#delayMaxMs = 5;
    for (const member of this.#members.values()) {
      if (member.raft === null) this.#start(member);
      else if (member.isPaused) this.#resume(member, member.life);
    }
  }

  /** Proposes until something proposed after the healing is applied; returns nothing but what to look for. */
  #settle(): string {
    const goal = `goal${++this.#commands}`;
    const propose = () => {
      if (this.#hasSettled(goal)) return;
      for (const raft of this.#leaders()) {
        raft.propose(Buffer.from(goal));
        this.#drive(this.#members.get(raft.id) as Member);
      }
      this.#queue.after(1_000, propose);
    };
    this.#queue.after(2_000, propose);
    return goal;
  }

  /** Every member of the leader's membership that is there has applied the goal. */
  #hasSettled(goal: string): boolean {
    const leader = this.#leaders().find((raft) => raft.log.membership.index <= raft.commit);
    if (leader === undefined) return false;
    const { voters, learners } = leader.membership;
    return [...voters, ...learners].every((id) => {
      const member = this.#members.get(id);
      return member === undefined || member.state.includes(`${goal},`);
    });
  }

  #describe(): string {
    return [...this.#members.values()]
      .map(
        ({ id, raft }) =>
          `${id}: role ${raft?.role} term ${raft?.term} last ${raft?.log.lastIndex} commit ${raft?.commit} of ${JSON.stringify(raft?.membership)}`,
      )
      .join('; ');
  }
}

function serverOf(id: MemberId): string {
  return id.slice(0, id.indexOf('.'));
}
