/**
 * A whole group of servers in one process, from one seed: virtual clocks that drift, a network that delays, loses, repeats,
 * reorders and partitions (one way, too), disks that are slow, full, or torn by a crash, servers that crash, pause and
 * come back with their disk or with nothing, and a server list that changes all along.
 *
 * What runs is the production code: core, driver, formation, admission, proposals and write-ahead log. Clock, network and
 * disk are simulated.
 *
 * Three kinds of run. A gentle one takes a server's memory only where the cluster keeps a majority that remembers: then
 * nothing that was confirmed may ever be lost, and no second cluster may come into being. A rough one takes any server's
 * memory at any time: then clusters may follow one another, but never live side by side. In a careless one the operator
 * changes several servers of the list at once, at any time, and machines that leave it are gone at once: nobody can keep two
 * clusters from living side by side then. After any, once all is healed, the servers must be one cluster that gets on.
 *
 * Of any kind some runs are electoral: leaders fall one after the other, and whoever has just voted crashes more often
 * than not, and is back at once. Some of those are duels: three or five servers with disks, and no other trouble that would
 * keep two leaders' logs from overtaking each other (paper, figure 8).
 */

import { generateKeyPairSync } from 'node:crypto';
import type { ClusterId, PeerMessage, ServerId, Storage, StoredState } from '../../src/cluster/types.ts';
import type { Raft } from '../../src/raft/raft.ts';
import { type MemberId, type Ready, ROLE } from '../../src/raft/types.ts';
import type { RotationRules } from '../../src/stek/rotation.ts';
import { nameOf } from '../../src/stek/ticket-key.ts';
import { Checker, Violation } from './checker.ts';
import { EventQueue } from './event-queue.ts';
import { KeyChecker, type KeyExercise, type StoredKeys, whatIsUnsettled } from './key-checker.ts';
import { KeyDriver } from './key-driver.ts';
import { PRODUCTION, type Production } from './production.ts';
import { Random } from './random.ts';
import type { Life, Server } from './server.ts';
import { SimDisk } from './sim-disk.ts';
import { isKeyCommand, SimState } from './sim-state.ts';

/** What a run went through. */
export interface Exercise extends KeyExercise {
  virtualMs: number;
  events: number;
  clusters: number;
  elections: number;
  proposals: number;
  confirmed: number;
  refused: number;
  unconfirmed: number;
  applied: number;
  crashes: number;
  tornWrites: number;
  wipes: number;
  pauses: number;
  partitions: number;
  isolations: number;
  oneWayCuts: number;
  messagesLost: number;
  messagesRepeated: number;
  diskFailures: number;
  snapshots: number;
  incarnations: number;
  membershipChanges: number;
  serverListChanges: number;
  transfers: number;
}

/** What kind of run it is to be. */
export interface Focus {
  readonly kind?: Simulation['kind'];
  readonly isDuel?: boolean;
  readonly isClockTrue?: boolean;
  readonly hasKeys?: boolean;
}

/** A cluster that came into being. */
interface Era {
  readonly checker: Checker;
  readonly cluster: ClusterId;
  /** When it first committed an entry; null before. */
  aliveMs: number | null;
}

const TICK_MS = 50;
const ELECTION_TICKS_MIN = 4;
const ELECTION_TICKS_MAX = 9;
const CHAOS_MS = 20_000;
/** Losing a cluster for good, waiting for orphans and forming anew take a few times ten elections. */
const SETTLE_MS = 120_000;
const SETTLE_STEP_MS = 250;
const SERVERS_MAX = 9;
/** More than this in one run is a storm of messages. */
const EVENTS_MAX = 1_000_000;
const SNAPSHOT_DISTANCE = 5;
/** Election timeouts after which a silent member does not hold up a rotation any more. */
const SILENT_ELECTIONS = 5;
/** The rotation is looked at once in so many ticks. */
const ROTATION_TICKS = 2;
const DISK_SEARCH_CHANCE = 0.1;
/** What a proposal of a former leader's may take to fail, so that its rotator goes on. */
const PROPOSAL_TICKS = 60;
/** For keys at the end: elections, commits, and rotators that look at it now and then. */
const KEYS_SLACK_MS = 2_000;
/** How often a run goes on until all keys of the chaos are gone. */
const LAST_KEY_CHANCE = 0.1;
/** A closed connection is made again about once a second. */
const REDIAL_CHANCE = 0.05;

/** One for all: the sealing itself is no matter of chance. */
const { privateKey: PRIVATE_KEY } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const wrapped = new WeakSet<object>();
/** Where the cores' steps are watched: the one simulation that runs at a time. */
let watcher: ((raft: Raft, ready: Ready | null) => void) | null = null;

/** Watches every core of this code: what it hands out, and what it has been told is done. Nothing is changed. */
function watchCores({ prototype }: Production['Raft']): void {
  if (wrapped.has(prototype)) return;
  wrapped.add(prototype);
  const { ready, advance } = prototype;
  prototype.ready = function (this: Raft) {
    watcher?.(this, null);
    return ready.call(this);
  };
  prototype.advance = function (this: Raft, done: Ready) {
    advance.call(this, done);
    watcher?.(this, done);
  };
}

export class Simulation {
  readonly exercise: Exercise;
  readonly kind: 'gentle' | 'rough' | 'careless';
  readonly #isElectoral: boolean;
  readonly #isDuel: boolean;
  readonly #code: Production;
  readonly #tell: ((line: string) => void) | null;
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #servers = new Map<ServerId, Server>();
  readonly #eras = new Map<ClusterId, Era>();
  /** The server list as its operator has it by now. */
  #list: readonly ServerId[];
  readonly #hasKeys: boolean;
  readonly #rules: RotationRules;
  readonly #rotationEveryMs: number;
  readonly #keys: KeyDriver;
  readonly #keyChecker: KeyChecker;
  /** Servers that nobody can talk to. */
  readonly #isolated = new Set<ServerId>();
  /** "from>to" pairs of servers that cannot talk. */
  #cut = new Set<string>();
  #lossRate = 0;
  #repeatRate = 0;
  #delayMaxMs = 5;
  #isCalm = false;
  #commands = 0;
  #incarnations = 0;
  /** When each command was proposed, and what became of it as far as its proposer was told. */
  readonly #proposedMs = new Map<string, number>();
  readonly #confirmed = new Set<string>();
  readonly #refused = new Set<string>();

  /** `tell` is given what servers report, to follow one run; `focus` says what is otherwise drawn. */
  constructor(
    seed: number,
    code: Production = PRODUCTION,
    tell: ((line: string) => void) | null = null,
    focus: Focus = {},
  ) {
    this.#tell = tell;
    this.#random = new Random(seed);
    this.#code = code;
    this.kind = focus.kind ?? this.#random.pick(['gentle', 'gentle', 'rough', 'rough', 'careless']);
    this.#isElectoral = focus.isDuel ?? this.#random.chance(0.4);
    this.#isDuel = focus.isDuel ?? (this.#isElectoral && this.#random.chance(0.5));
    this.exercise = {
      virtualMs: 0,
      events: 0,
      clusters: 0,
      elections: 0,
      proposals: 0,
      confirmed: 0,
      refused: 0,
      unconfirmed: 0,
      applied: 0,
      crashes: 0,
      tornWrites: 0,
      wipes: 0,
      pauses: 0,
      partitions: 0,
      isolations: 0,
      oneWayCuts: 0,
      messagesLost: 0,
      messagesRepeated: 0,
      diskFailures: 0,
      snapshots: 0,
      incarnations: 0,
      membershipChanges: 0,
      serverListChanges: 0,
      transfers: 0,
      keysMinted: 0,
      keysActivated: 0,
      keysRetired: 0,
      revocations: 0,
      ticketsChecked: 0,
      memoriesSearched: 0,
      disksSearched: 0,
    };
    // what a rotation commits covers up what shows in a quiet log
    this.#hasKeys = focus.hasKeys ?? this.#random.chance(0.85);
    this.#rules = this.#drawRules();
    this.#rotationEveryMs = this.#random.pick([400, 4_000]);
    const isClockTrue = focus.isClockTrue ?? this.#random.chance(0.5);
    const keys = {
      servers: this.#servers,
      code,
      random: this.#random,
      rules: this.#rules,
      isClockTrue,
      tickMs: TICK_MS,
      nowMs: () => this.#queue.now,
      made: new Map(),
      stored: (server: Server) => this.#storedKeys(server),
      mayLookAtDisk: () => this.#random.chance(DISK_SEARCH_CHANCE),
      exercise: this.exercise,
    };
    this.#keyChecker = new KeyChecker(keys);
    this.#keys = new KeyDriver({
      ...keys,
      checker: this.#keyChecker,
      say: (server, message, fields) => this.#say(server, message, fields),
    });
    watchCores(code.Raft);
    const size = this.#isDuel ? this.#random.pick([3, 5]) : this.#random.between(1, SERVERS_MAX);
    this.#list = Array.from({ length: size }, (_, i) => i + 1);
    for (const id of this.#list) {
      const server = this.#addServer(id);
      this.#queue.after(this.#random.between(0, 1_000), () => this.#start(server));
    }
  }

  /** Intervals are shorter than tickets live, and longer; an operator at times cannot wait. */
  #drawRules(): RotationRules {
    return {
      intervalMs: this.#random.between(1_500, 4_000),
      lifetimeMs: this.#random.chance(0.5) ? 1_000 : this.#random.between(1_000, 8_000),
      silenceMsMax: SILENT_ELECTIONS * ELECTION_TICKS_MAX * TICK_MS,
    };
  }

  get isGentle(): boolean {
    return this.kind === 'gentle';
  }

  /** Runs chaos, then heals everything and demands progress. Throws a Violation. */
  run(): Exercise {
    watcher = (raft, ready) => this.#watch(raft, ready);
    try {
      this.#scheduleFaults();
      this.#runUntil(CHAOS_MS);
      this.#heal();
      this.#settle();
      this.#checkOutcome();
      this.#settleKeys();
    } finally {
      watcher = null;
    }
    const { exercise } = this;
    exercise.virtualMs = this.#queue.now;
    exercise.clusters = this.#eras.size;
    exercise.incarnations = this.#incarnations;
    for (const { checker } of this.#eras.values()) exercise.elections += checker.elections;
    for (const { disk } of this.#servers.values()) exercise.tornWrites += disk?.torn ?? 0;
    return exercise;
  }

  #runUntil(until: number): void {
    while (this.#queue.step(until)) {
      if (++this.exercise.events > EVENTS_MAX) throw new Violation(`more than ${EVENTS_MAX} events: a storm`);
    }
    this.#queue.now = until;
  }

  // ---------------------------------------------------------------- servers

  #addServer(id: ServerId): Server {
    const hasDisk = this.#isDuel || this.#random.chance(0.75);
    const server: Server = {
      id,
      disk: hasDisk ? new SimDisk(this.#queue, this.#random) : null,
      tickMs: TICK_MS * (0.9 + 0.2 * this.#random.next()),
      list: this.#list,
      clockMs: this.#keys.drawClockMs(),
      life: null,
      heardMs: new Map(),
      reign: null,
      electedMs: 0,
    };
    this.#servers.set(id, server);
    return server;
  }

  #start(server: Server): void {
    // one that was removed while it was down does not come back in the place of a new one with its id
    if (server.life !== null || this.#servers.get(server.id) !== server) return;
    const { state, storage } = this.#open(server);
    const stateMachine = new SimState(new this.#code.ReplicatedState());
    const rotator = this.#keys.rotator(server, () => life);
    const life: Life = {
      member: undefined as never,
      rotator,
      state: stateMachine,
      isPaused: false,
      inbox: [],
      held: new Set(),
      issuing: null,
      isSynced: false,
      syncAtMs: 0,
      gone: new Set(),
    };
    const options = {
      serverId: server.id,
      servers: server.list,
      heartbeatTicks: 2,
      electionTicksMin: ELECTION_TICKS_MIN,
      electionTicksMax: ELECTION_TICKS_MAX,
      proposalTicks: PROPOSAL_TICKS,
      storageRetryTicks: 20,
      reservedEntries: 3,
      snapshotDistance: SNAPSHOT_DISTANCE,
    };
    const member = new this.#code.Member(
      options,
      {
        network: { send: (to, message) => this.#send(server.id, to, message) },
        storage: this.#watchedStorage(storage),
        stateMachine,
        random: this.#random.next,
        randomId: () => (++this.#incarnations).toString(16),
        report: (_level, message, fields) => this.#say(server.id, message, fields),
      },
      state,
    );
    Object.assign(life, { member });
    server.life = life;
    this.#keys.begin(server, life);
    server.reign = null;
    this.#scheduleTick(server, life, 0);
  }

  #say(server: ServerId, message: string, fields: object = {}): void {
    this.#tell?.(
      `${this.#queue.now.toFixed(0).padStart(6)} ms, server ${server}: ${message} ${JSON.stringify(fields)}`,
    );
  }

  #open({ disk }: Server): { state: StoredState; storage: Storage } {
    if (disk === null) return { state: { kind: 'fresh', legacy: null }, storage: new this.#code.MemoryStorage() };
    return this.#code.WriteAheadLog.open(disk, PRIVATE_KEY, () => {});
  }

  /** What the server would find if it restarted now. */
  #storedKeys({ disk }: Server): StoredKeys | null {
    if (disk === null) return null;
    const { state } = this.#code.WriteAheadLog.open(disk, PRIVATE_KEY, () => {});
    if (state.kind === 'bound') return { snapshot: state.snapshot.data, entries: state.entries };
    return state.legacy === null ? null : { snapshot: state.legacy.data, entries: [] };
  }

  #scheduleTick(server: Server, life: Life, ticks: number): void {
    this.#queue.after(server.tickMs, () => {
      if (server.life !== life) return;
      if (!life.isPaused) {
        life.member.tick();
        this.#redial(server, life);
        if (server.life === life) this.#checkContact(server, life);
        if (server.life === life && ticks % ROTATION_TICKS === 0) this.#rotate(server, life);
      }
      this.#scheduleTick(server, life, ticks + 1);
    });
  }

  #rotate(server: Server, life: Life): void {
    if (!this.#hasKeys) return;
    this.#keys.tick(server, life);
    this.#keyChecker.changed(server);
    this.#keyChecker.search(server);
  }

  /**
   * Connections to members of another cluster, and to servers that do not list this one, are closed and made again, with a
   * hello each way.
   */
  #redial({ id }: Server, { member }: Life): void {
    for (const to of member.contacts) {
      const other = this.#servers.get(to)?.life;
      if (other == null || other.isPaused || !this.#random.chance(REDIAL_CHANCE)) continue;
      const isClosed = other.member.cluster !== member.cluster || !other.member.contacts.includes(id);
      if (!isClosed || !this.#send(id, to, member.announceTo(to))) continue;
      this.#send(to, id, other.member.announceTo(id));
    }
  }

  /** Looks at what is written, and writes it. */
  #watchedStorage(storage: Storage): Storage {
    return {
      append: (batch, done) => storage.append(batch, done),
      replace: (state, done) => {
        if (state.kind === 'bound') {
          const { cluster, member, snapshot } = state;
          if (snapshot.index === 1 && !this.#eras.has(cluster)) this.#begin(cluster, new Checker(snapshot));
          this.#eraOf(cluster, member).checker.snapshot(member, snapshot);
          if (snapshot.index > 1) this.exercise.snapshots++;
        }
        storage.replace(state, done);
      },
    };
  }

  #begin(cluster: ClusterId, checker: Checker): void {
    this.#eras.set(cluster, { cluster, checker, aliveMs: null });
  }

  #eraOf(cluster: ClusterId, member: MemberId): Era {
    const era = this.#eras.get(cluster);
    if (era === undefined) throw new Violation(`${member} belongs to ${cluster}, which nobody has founded`);
    return era;
  }

  // ---------------------------------------------------------------- checks

  /** A core hands out a Ready (null), or has been told that one is carried out. */
  #watch(raft: Raft, done: Ready | null): void {
    const server = this.#serverOf(raft.id);
    const cluster = server?.life?.member.cluster ?? null;
    if (server?.life?.member.raft !== raft || cluster === null) return;
    const era = this.#eraOf(cluster, raft.id);
    // at its birth: its first entry may be on its own disk alone, or on some (figure 8)
    const isBorn = raft.role === ROLE.leader && era.checker.leads(raft);
    if (isBorn) server.electedMs = this.#queue.now;
    if (isBorn && this.#isElectoral && !this.#isCalm && this.#random.chance(0.5)) {
      const afterMs = this.#random.chance(0.5) ? 0 : this.#random.between(0, 2 * this.#delayMaxMs);
      this.#queue.after(afterMs, () => this.#crash(server));
    }
    if (done === null) {
      era.checker.holds(raft, server.life.state.text);
      return;
    }
    era.checker.appends(raft, done.entries);
    era.checker.applies(raft, done.committed);
    this.exercise.applied += done.committed.length;
    for (const { payload, index } of done.committed) {
      if (payload.kind === 'membership' && raft.role === ROLE.leader) this.exercise.membershipChanges++;
      const isWord = payload.kind === 'command' && !isKeyCommand(payload.data);
      if (index > 1) this.#checkEra(era, isWord ? Buffer.from(payload.data).toString() : null);
    }
    if (done.committed.length > 0 || done.snapshot !== null) this.#keyChecker.changed(server);
    // most of all where a promise was made
    const promises = done.messages.some((m) => m.type === 'vote-response' && m.isGranted && !m.isPreVote);
    const crashRate = promises ? (this.#isElectoral ? 0.4 : 0.05) : 0.0005;
    if (!this.#isCalm && this.#random.chance(crashRate)) {
      this.#queue.after(0, () => this.#crash(server));
    }
  }

  /** Once a later cluster lives, an earlier one commits nothing that is proposed from then on. */
  #checkEra(era: Era, command: string | null): void {
    const { now } = this.#queue;
    era.aliveMs ??= now;
    if (command === null || this.kind === 'careless') return;
    const proposedMs = this.#proposedMs.get(command) ?? 0;
    for (const other of this.#eras.values()) {
      if (other.aliveMs === null || other.aliveMs <= era.aliveMs || other.aliveMs >= proposedMs) continue;
      throw new Violation(`two clusters: ${era.cluster} commits ${command} while ${other.cluster} lives`);
    }
  }

  /** A leader that hears of no majority for two periods must have stepped down (thesis, 6.2). */
  #checkContact(server: Server, { member: { raft } }: Life): void {
    if (raft?.role !== ROLE.leader || server.life?.member.isStorageFailed) {
      server.reign = null;
      return;
    }
    const { now } = this.#queue;
    const { membership, term } = raft;
    // counted anew in each term and for each membership: a new voter needs time to be heard of
    if (server.reign?.membership !== membership || server.reign.term !== term) {
      server.reign = { sinceMs: now, membership, term };
    }
    const dueMs = now - server.tickMs * ELECTION_TICKS_MIN * 3;
    const heard = membership.voters.filter((id) => id === raft.id || (server.heardMs.get(id) ?? 0) >= dueMs).length;
    if (server.reign.sinceMs < dueMs && heard * 2 <= membership.voters.length && !server.life?.member.isStorageFailed) {
      throw new Violation(
        `stale leader: ${raft.id} leads term ${term}, hears of ${heard} of ${membership.voters.length}`,
      );
    }
  }

  // ---------------------------------------------------------------- network

  #send(from: ServerId, to: ServerId, message: PeerMessage): boolean {
    if (this.#random.chance(this.#lossRate) || this.#isCut(from, to)) {
      this.exercise.messagesLost++;
      // the sender is told at times, as where a connection is down
      return this.#random.chance(0.5);
    }
    // the core bears any repetition; a proposal comes once, as the connection that carries it delivers nothing twice
    const copies = message.type !== 'propose' && this.#random.chance(this.#repeatRate) ? 2 : 1;
    if (copies > 1) this.exercise.messagesRepeated++;
    for (let i = 0; i < copies; i++) {
      this.#queue.after(this.#random.between(1, this.#delayMaxMs), () => this.#deliver(from, to, message));
    }
    return true;
  }

  #isCut(from: ServerId, to: ServerId): boolean {
    if (this.#isolated.size > 0 && (this.#isolated.has(from) || this.#isolated.has(to))) return true;
    return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`);
  }

  /** To whatever lives on that server by now. */
  #deliver(from: ServerId, to: ServerId, message: PeerMessage): void {
    const server = this.#servers.get(to);
    if (server?.life?.member.contacts.includes(from) !== true) return;
    if (server.life.isPaused) server.life.inbox.push({ from, message });
    else this.#receive(server, server.life, from, message);
  }

  #receive(server: Server, life: Life, from: ServerId, message: PeerMessage): void {
    const isHeard = message.type === 'raft' && message.message.type === 'append-response';
    if (isHeard) server.heardMs.set(message.message.from, this.#queue.now);
    life.member.receive(from, message);
    if (isHeard && server.life === life) this.#keyChecker.heard(server, message.message.from);
  }

  #serverOf(id: MemberId): Server | undefined {
    return this.#servers.get(Number(id.slice(0, id.indexOf('.'))));
  }

  // ---------------------------------------------------------------- faults

  #scheduleFaults(): void {
    const duel: [number, () => void][] = [
      [300, () => this.#propose(this.#anyServer())],
      [300, () => this.#toppleLeader()],
      [500, () => this.#changeNetwork()],
    ];
    const faults: [number, () => void][] = [
      [150, () => this.#propose(this.#anyServer())],
      [600, () => this.#changeNetwork()],
      [900, () => this.#crash(this.#anyServer())],
      [1_500, () => this.#pause(this.#anyServer())],
      [2_000, () => this.#troubleDisk(this.#anyServer())],
      [2_500, () => this.#handOver(this.#anyServer())],
      [800, () => this.#loseConnection()],
      [4_000, () => this.#anyServer().life?.member.rewrite()],
      [this.isGentle ? 3_000 : 700, () => this.#meddle()],
      this.isGentle ? [2_000, () => this.#changeList()] : [3_000, () => this.#wipe(this.#anyServer())],
      [2_500, () => this.kind === 'careless' && this.#changeListCarelessly()],
      [3_000, () => this.#wipeGently(this.#anyServer())],
    ];
    const keyFaults: [number, () => void][] = [
      [4_000, () => this.#isolate(this.#anyServer())],
      [this.#rotationEveryMs, () => this.#keys.askForRotation(this.#anyServer())],
      [10_000, () => this.#keys.revoke(this.#anyServer())],
      [4_000, () => this.#setClock(this.#anyServer())],
    ];
    if (this.#hasKeys) faults.push(...keyFaults);
    if (this.#isElectoral) faults.push([400, () => this.#toppleLeader()]);
    for (const [everyMs, fault] of this.#isDuel ? duel : faults) {
      const again = () => {
        if (this.#isCalm) return;
        fault();
        this.#queue.after(this.#random.between(1, everyMs * 2), again);
      };
      this.#queue.after(this.#random.between(1, everyMs * 2), again);
    }
  }

  #anyServer(): Server {
    return this.#random.pick([...this.#servers.values()]);
  }

  #anyListed(): Server {
    return this.#servers.get(this.#random.pick(this.#list)) as Server;
  }

  #propose({ life }: Server): void {
    if (life === null || life.isPaused) return;
    const command = `${++this.#commands}`;
    this.exercise.proposals++;
    this.#proposedMs.set(command, this.#queue.now);
    life.member.propose(Buffer.from(command), (error) => {
      if (error === null) {
        this.exercise.confirmed++;
        this.#confirmed.add(command);
        if (!life.state.has(command)) throw new Violation(`${command} is confirmed and not applied`);
      } else if (error.code === 'unconfirmed') this.exercise.unconfirmed++;
      else {
        this.exercise.refused++;
        this.#refused.add(command);
      }
    });
  }

  #changeNetwork(): void {
    this.#cut.clear();
    this.#delayMaxMs = this.#random.pick([5, 5, 50, 300]);
    this.#lossRate = this.#random.pick([0, 0, 0.02, 0.3]);
    this.#repeatRate = this.#random.pick([0, 0.05, 0.3]);
    const servers = [...this.#servers.keys()];
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

  /** For longer than the network stays as it is: a rotation may go on without this server. */
  #isolate({ id }: Server): void {
    if (this.#isolated.has(id)) return;
    this.exercise.isolations++;
    this.#isolated.add(id);
    this.#queue.after(this.#random.between(500, 8_000), () => this.#isolated.delete(id));
  }

  #setClock(server: Server): void {
    server.clockMs = this.#keys.drawClockMs();
  }

  #handOver({ life }: Server): void {
    if (life?.member.handOver() === true) this.exercise.transfers++;
  }

  #toppleLeader(): void {
    for (const { id } of this.#leaders()) {
      const server = this.#serverOf(id);
      if (server === undefined) continue;
      if (this.#random.chance(0.5)) this.#crash(server);
      else this.#pause(server);
    }
  }

  /** Asks leaders for one voter less, and at once for another: the core must refuse the second (thesis, 4.1). */
  #meddle(): void {
    for (const raft of this.#leaders()) {
      const { voters, learners } = raft.membership;
      // one less, as admission.ts would allow itself: fewer, and the rest could found a cluster beside it
      if (voters.length < 3 || voters.length !== this.#list.length) continue;
      const [one, other] = [this.#random.pick(voters), this.#random.pick(voters)];
      const less = voters.filter((id) => id !== one);
      const answering = less.filter((id) => id === raft.id || !this.#isKnownSilent(raft, id));
      const isSafe = answering.length * 2 > less.length && voters.every((id) => this.#isRunning(id));
      if (this.isGentle && !isSafe) continue;
      raft.proposeMembership({ voters: less, learners });
      raft.proposeMembership({ voters: less.filter((id) => id !== other), learners });
    }
  }

  #loseConnection(): void {
    this.#anyServer().life?.member.reportUnreachable(this.#anyServer().id);
  }

  #crash(server: Server): void {
    if (server.life === null || this.#isCalm) return;
    // without a disk a crash takes the memory, too
    if (server.disk === null && this.isGentle && !this.#mayForget(server)) return;
    this.exercise.crashes++;
    this.#say(server.id, 'crashes');
    if (server.disk === null) this.exercise.wipes++;
    this.#end(server);
    const downMs =
      this.#isElectoral || this.#random.chance(0.5) ? this.#random.between(1, 50) : this.#random.between(50, 5_000);
    this.#queue.after(downMs, () => this.#start(server));
  }

  #end(server: Server): void {
    server.life = null;
    server.reign = null;
    server.disk?.crash();
  }

  #pause(server: Server): void {
    const { life } = server;
    if (life === null || life.isPaused) return;
    life.isPaused = true;
    this.exercise.pauses++;
    this.#queue.after(this.#random.between(100, 4_000), () => this.#resume(server, life));
  }

  #resume(server: Server, life: Life): void {
    if (server.life !== life || !life.isPaused) return;
    life.isPaused = false;
    server.reign = null;
    // timers whose time has passed run first
    this.#rotate(server, life);
    for (const { from, message } of life.inbox.splice(0)) {
      if (server.life === life) this.#receive(server, life, from, message);
    }
  }

  #troubleDisk({ disk }: Server): void {
    if (disk === null) return;
    disk.isFull = this.#random.chance(0.4);
    disk.isSlow = this.#random.chance(0.4);
    if (disk.isFull) this.exercise.diskFailures++;
    this.#queue.after(this.#random.between(100, 3_000), () => {
      disk.isFull = disk.isSlow = false;
    });
  }

  /** The disk is gone, and with it the promises. */
  #wipe(server: Server): void {
    this.exercise.wipes++;
    this.#say(server.id, 'is wiped');
    this.#end(server);
    server.disk?.wipe();
    this.#queue.after(this.#random.between(50, 2_000), () => this.#start(server));
  }

  #wipeGently(server: Server): void {
    if (this.#mayForget(server)) this.#wipe(server);
  }

  /**
   * Whether every membership that anybody may go by keeps a majority of members that remember, without this server. More
   * than that no protocol survives.
   */
  #mayForget({ id, life }: Server): boolean {
    const others = [...this.#servers.values()].filter((server) => server.id !== id);
    // of a server that is down nobody knows what it holds
    if (others.some((server) => server.life === null) || life === null) return false;
    const remembering = new Set(others.map((server) => server.life?.member.id));
    const memberships = [...this.#servers.values()].flatMap((server) => {
      const raft = server.life?.member.raft;
      if (raft == null) return [];
      const changes = raft.log
        .slice(raft.log.firstIndex, raft.log.lastIndex, Number.POSITIVE_INFINITY)
        .flatMap(({ payload }) => (payload.kind === 'membership' ? [payload.membership] : []));
      return [raft.log.snapshot.membership, raft.membership, ...changes];
    });
    const isKept = memberships.every(({ voters }) => {
      return voters.length === 0 || voters.filter((v) => remembering.has(v)).length * 2 > voters.length;
    });
    // the leader's own log may hold a change that is on its way; one leader, nothing under way
    const leaders = this.#leaders();
    const isQuiet = leaders.length === 1 && leaders.every((raft) => raft.log.membership.index <= raft.commit);
    // a server that has yet to bind itself does not count for its cluster yet
    const bound = others.filter((server) => server.life?.member.cluster != null).length;
    // nor while the list changes: the same moment may take a member that is needed
    const isListed =
      leaders[0]?.membership.voters.map((v) => this.#serverOf(v)?.id).join() === this.#list.toSorted().join();
    return isKept && isQuiet && isListed && bound * 2 > this.#list.length + 1;
  }

  #leaders(): Raft[] {
    return [...this.#servers.values()].flatMap(({ life }) => {
      const raft = life?.member.raft;
      return raft?.role === ROLE.leader && !life?.isPaused ? [raft] : [];
    });
  }

  /** One server more or less, as its operator would: in quiet times, and the lists are not changed all at once. */
  #changeList(): void {
    const leader = this.#leaders()[0];
    const isSettled =
      leader !== undefined &&
      leader.commit >= leader.log.membership.index &&
      this.#list.every((id) => leader.membership.voters.some((voter) => this.#serverOf(voter)?.id === id)) &&
      leader.membership.voters.every((voter) => this.#isRunning(voter) || this.#isKnownSilent(leader, voter));
    if (!isSettled || leader.membership.voters.length !== this.#list.length) return;
    this.exercise.serverListChanges++;
    this.#say(0, 'the server list changes');
    const newest = Math.max(...this.#servers.keys());
    if (this.#list.length > 1 && (this.#random.chance(0.5) || this.#list.length === SERVERS_MAX)) {
      this.#removeServer(this.#random.pick(this.#list));
    } else {
      this.#list = [...this.#list, newest + 1];
      this.#start(this.#addServer(newest + 1));
    }
    for (const server of this.#servers.values()) {
      this.#queue.after(this.#random.between(1, 2_000), () => this.#reload(server, this.#list));
    }
  }

  #changeListCarelessly(): void {
    this.exercise.serverListChanges++;
    this.#say(0, 'the server list changes');
    const newest = Math.max(...this.#servers.keys());
    const staying = this.#list.filter(() => this.#random.chance(0.7));
    const added = Array.from(
      { length: this.#random.between(staying.length === 0 ? 1 : 0, 3) },
      (_, i) => newest + 1 + i,
    );
    const leaving = this.#list.filter((id) => !staying.includes(id));
    this.#list = [...staying, ...added].slice(-SERVERS_MAX);
    for (const id of leaving) {
      this.#queue.after(this.#random.between(0, 3_000), () => this.#remove(id));
    }
    for (const id of added) this.#start(this.#addServer(id));
    for (const id of staying) if (!this.#list.includes(id)) this.#remove(id);
    for (const server of this.#servers.values()) {
      this.#queue.after(this.#random.between(1, 5_000), () => this.#reload(server, this.#list));
    }
  }

  #remove(id: ServerId): void {
    const server = this.#servers.get(id);
    if (server === undefined) return;
    this.#end(server);
    this.#servers.delete(id);
  }

  #isRunning(voter: MemberId): boolean {
    return this.#serverOf(voter)?.life?.member.id === voter;
  }

  /** A member that is gone, and that the leader has noticed to be. */
  #isKnownSilent(leader: Raft, voter: MemberId): boolean {
    return (leader.progress.get(voter)?.silentTicks ?? 0) >= ELECTION_TICKS_MIN;
  }

  #removeServer(id: ServerId): void {
    this.#list = this.#list.filter((other) => other !== id);
    // its operator has it hand over, and stops it once the others have let go of it
    const stop = () => {
      const server = this.#servers.get(id);
      if (server === undefined) return;
      const isNeeded = [...this.#servers.values()].some(({ id: other, life }) => {
        if (!this.#list.includes(other)) return false;
        const raft = life?.member.raft;
        if (life === null || (raft != null && raft.log.membership.index > raft.commit)) return true;
        return raft?.membership.voters.some((voter) => this.#serverOf(voter) === server) === true;
      });
      server.life?.member.handOver();
      if (isNeeded) this.#queue.after(500, stop);
      else this.#remove(id);
    };
    this.#queue.after(2_500, stop);
  }

  #reload(server: Server, list: readonly ServerId[]): void {
    if (!list.includes(server.id)) return;
    server.list = list;
    server.life?.member.setServers(list);
  }

  // ---------------------------------------------------------------- the end

  #heal(): void {
    this.#isCalm = true;
    this.#cut.clear();
    this.#isolated.clear();
    this.#lossRate = this.#repeatRate = 0;
    this.#delayMaxMs = 5;
    for (const server of this.#servers.values()) {
      server.clockMs = this.#keys.drawTrueClockMs();
      if (server.disk !== null) server.disk.isFull = server.disk.isSlow = false;
      this.#reload(server, this.#list);
      if (server.life === null) this.#start(server);
      else this.#resume(server, server.life);
    }
  }

  /** Waits until all servers are one cluster, and what is proposed then is applied on all. */
  #settle(): void {
    const end = this.#queue.now + SETTLE_MS;
    while (!this.#isOneCluster()) this.#wait(end, 'one cluster');
    const command = `${++this.#commands}`;
    this.#proposedMs.set(command, this.#queue.now);
    let error: Error | null | undefined;
    this.#anyListed().life?.member.propose(Buffer.from(command), (result) => {
      error = result;
    });
    const isApplied = ({ life }: Server) => life?.state.has(command) === true;
    while (!this.#list.every((id) => isApplied(this.#servers.get(id) as Server))) {
      if (error != null) throw new Violation(`liveness: a proposal fails once all is healed: ${error.message}`);
      this.#wait(end, `${command} applied everywhere`);
    }
  }

  /** A rotation takes place; then all have the same ring, whole, and issue with the same key. */
  #settleKeys(): void {
    if (!this.#hasKeys) return;
    const { intervalMs, lifetimeMs, silenceMsMax } = this.#rules;
    const lives = () => this.#list.flatMap((id) => this.#servers.get(id)?.life ?? []);
    const end = this.#queue.now + 2 * intervalMs + PROPOSAL_TICKS * TICK_MS + KEYS_SLACK_MS;
    const before = activeName(lives());
    for (;;) {
      const missing = whatIsUnsettled(lives()) ?? (activeName(lives()) === before ? 'another active key' : null);
      if (missing === null) break;
      this.#wait(end, missing);
    }
    if (!this.#random.chance(LAST_KEY_CHANCE)) return;
    const old = new Set(lives().flatMap(({ held }) => [...held]));
    const last = this.#queue.now + Math.max(lifetimeMs, 2 * intervalMs) + silenceMsMax + 2 * intervalMs + KEYS_SLACK_MS;
    while (lives().some(({ held }) => [...held].some((name) => old.has(name)))) {
      this.#wait(last, 'the keys of before gone');
    }
  }

  #wait(end: number, what: string): void {
    if (this.#queue.now >= end) throw new Violation(`liveness: healed, and for long not ${what}: ${this.#describe()}`);
    this.#runUntil(this.#queue.now + SETTLE_STEP_MS);
  }

  /** One leader whose voters are exactly the incarnations that run. */
  #isOneCluster(): boolean {
    const [raft, ...more] = this.#leaders();
    if (raft === undefined || more.length > 0 || raft.log.membership.index > raft.commit) return false;
    const running = [...this.#servers.values()].map(({ life }) => life?.member.id ?? '').sort();
    const followers = [...this.#servers.values()].every(({ life }) => life?.member.raft?.leader === raft.id);
    const { voters, learners } = raft.membership;
    return followers && learners.length === 0 && voters.join() === running.join();
  }

  #checkOutcome(): void {
    // for what was proposed in the storm and is applied only now
    this.#runUntil(this.#queue.now + 1_000);
    const states = new Set(this.#list.map((id) => this.#servers.get(id)?.life?.state.text.words ?? ''));
    if (states.size > 1) throw new Violation(`the servers end with different states: ${[...states].join(' and ')}`);
    const state = ([...states][0] ?? '').split(',');
    const known = new Set(state);
    if (known.size !== state.length) throw new Violation(`a command was applied twice: ${state}`);
    for (const command of this.#refused) {
      if (known.has(command)) throw new Violation(`${command} was refused, and is applied`);
    }
    if (!this.isGentle) return;
    for (const command of this.#confirmed) {
      if (!known.has(command)) throw new Violation(`${command} was confirmed, and is lost`);
    }
    const lived = [...this.#eras.values()].filter(({ aliveMs }) => aliveMs !== null);
    if (lived.length > 1) throw new Violation(`a second cluster, although a majority kept its memory`);
  }

  #describe(): string {
    return [...this.#servers.values()]
      .map(({ life, list }) => {
        const { member } = life as Life;
        const { raft } = member;
        return `${member.id} of ${member.cluster}: role ${raft?.role} term ${raft?.term} leader ${raft?.leader} last ${raft?.log.lastIndex} commit ${raft?.commit} of ${JSON.stringify(raft?.membership)} list ${list}`;
      })
      .join('; ');
  }
}

function activeName([life]: readonly Life[]): string | null {
  const active = life?.state.ring.active ?? null;
  return active === null ? null : nameOf(active.bytes);
}
