/**
 * One server's part in the group: the member with its clock, its log on disk and its connections. Main thread.
 */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROLE, type Role } from '../raft/types.ts';
import { type Credentials, loadCredentials } from './credentials.ts';
import { FileDisk, lockFolder } from './disk.ts';
import { serverOf } from './identity.ts';
import { Member, type MemberOptions } from './member.ts';
import { memberStatuses } from './member-status.ts';
import { MemoryStorage } from './memory-storage.ts';
import { Transport } from './transport.ts';
import type {
  ClusterOptions,
  ClusterStatus,
  ClusterTiming,
  PeeringOptions,
  ServerAddress,
  ServerId,
  Storage,
  StoredState,
} from './types.ts';
import { LOG_FILE, WalDamagedError, WriteAheadLog } from './wal.ts';

/** Ticks from one heartbeat to the next: how finely the election timeouts are drawn. */
const HEARTBEAT_TICKS = 4;
/** From one attempt to write a log that could not be written to the next. */
const STORAGE_RETRY_MS = 1_000;
/** For a write that is under way at the end. */
const CLOSE_TIMEOUT_MS = 1_000;

/** The log on disk, and what it takes to let go of it. */
interface DiskLog {
  readonly storage: WriteAheadLog;
  close(): void;
}

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #tickMs: number;
  #member: Member | null = null;
  #transport: Transport | null = null;
  #disk: DiskLog | null = null;
  #privateKey: Credentials['privateKey'] | null = null;
  /** Where each server is that this one has heard of, listed or not any more. */
  readonly #addresses = new Map<ServerId, ServerAddress>();
  #contacts: readonly ServerId[] = [];
  #clock: NodeJS.Timeout | null = null;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#tickMs = Math.max(1, Math.floor(options.timing.heartbeatMs / HEARTBEAT_TICKS));
    this.#learnAddresses(options.servers);
  }

  /** Reads the log, listens for peers. Rejects with a message for an operator where it cannot. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  /**
   * Proposes to the leader, wherever it is. Resolves once it is committed and applied here. Rejects with a ProposalError
   * within the proposal timeout.
   */
  propose(data: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let isDone = false;
      const giveUp = this.#running.propose(data, (error) => {
        isDone = true;
        clearTimeout(timer);
        if (error === null) resolve();
        else reject(error);
      });
      // ticks are lost while the process has no time: whoever waits goes by the clock
      if (!isDone) timer = setTimeout(giveUp, this.#options.timing.proposalTimeoutMs);
    });
  }

  status(): ClusterStatus {
    const member = this.#running;
    const { raft } = member;
    const leader = raft?.leader ?? null;
    return {
      serverId: this.#options.serverId,
      member: member.id,
      cluster: member.cluster,
      role: raft === null ? 'fresh' : roleName(raft.role, raft.membership.voters.includes(member.id)),
      term: raft?.term ?? 0,
      leader: leader === null ? null : { member: leader, serverId: serverOf(leader) },
      commit: raft?.commit ?? 0,
      applied: raft?.applied ?? 0,
      lastIndex: raft?.log.lastIndex ?? 0,
      members: raft === null ? [] : memberStatuses(raft, this.#tickMs),
      peers: (this.#transport?.peers() ?? []).map(({ serverId, address, port, isConnected }) => {
        return { serverId, address, port, isConnected };
      }),
      refusals: this.#transport?.counters.refusals ?? {},
      isStorageFailed: member.isStorageFailed,
      certificateNotAfterMs: this.#transport?.credentials.notAfterMs ?? null,
    };
  }

  /**
   * Changed in the file: the server list, and the certificate files, which are read again. Rejects where those are faulty, or
   * bring in a certificate that has expired; nothing is changed then.
   */
  async reload(servers: readonly ServerAddress[], peering: PeeringOptions): Promise<void> {
    const { serverId } = this.#options;
    if (!servers.some((server) => server.serverId === serverId)) {
      throw new Error(`the server list does not hold server_id ${serverId}, which is this server's until a restart`);
    }
    const credentials = await loadCredentials(peering, peering.certVerifyStr);
    const isNew = this.#transport !== null && !isSameIdentity(credentials, this.#transport.credentials);
    // its peers would refuse it, and the connections that are open now would go
    if (isNew && hasExpired(credentials)) {
      const date = new Date(credentials.notAfterMs).toISOString();
      throw new Error(`${peering.serverCertFile}: the certificate has expired (${date}), and peers would refuse it`);
    }
    this.#warnOf(credentials);
    if (this.#member === null || this.#transport === null) return;
    this.#learnAddresses(servers);
    this.#member.setServers(servers.map(({ serverId }) => serverId));
    this.#updateContacts(this.#member);
    if (!isNew) return;
    this.#transport.setCredentials(credentials);
    if (this.#disk === null || this.#privateKey?.equals(credentials.privateKey) !== false) return;
    // sealed under the new key at once: after a restart the old one is not there any more
    this.#privateKey = credentials.privateKey;
    this.#disk.storage.rekey(credentials.privateKey);
    this.#member.rewrite();
  }

  /** Hands leadership over where it leads, and ends. */
  async stop(): Promise<void> {
    const member = this.#member;
    if (member?.handOver() === true) {
      const until = performance.now() + this.#options.timing.electionMaxMs;
      while (member.raft?.role === ROLE.leader && performance.now() < until) await sleep(this.#tickMs);
    }
    await this.#close();
  }

  get #running(): Member {
    if (this.#member === null) throw new Error('the cluster has not been started');
    return this.#member;
  }

  async #start(): Promise<void> {
    const { peering, stateDir } = this.#options;
    if (peering === null) this.#begin({ kind: 'fresh', legacy: null }, new MemoryStorage());
    else {
      const credentials = await loadCredentials(peering, peering.certVerifyStr);
      this.#warnOf(credentials);
      this.#privateKey = credentials.privateKey;
      const { state, storage } = await this.#openLog(stateDir, credentials);
      this.#begin(state, storage);
      await this.#connect(peering, credentials);
    }
    const member = this.#running;
    this.#clock = setInterval(() => {
      member.tick();
      this.#updateContacts(member);
    }, this.#tickMs);
    member.tick();
  }

  /** Says so where peers that are configured alike would refuse this server. */
  #warnOf(credentials: Credentials): void {
    const { subject, certVerifyStr, notAfterMs } = credentials;
    if (hasExpired(credentials)) {
      const expired = "this server's certificate for its peers has expired: they refuse new connections";
      this.#options.report('warn', expired, { notAfter: new Date(notAfterMs).toISOString() });
    }
    if (certVerifyStr !== '' && subject !== certVerifyStr) {
      const message = "this server's own certificate is not as cert_verify_str wants its peers': they will refuse it";
      this.#options.report('warn', message, { subject, certVerifyStr });
    }
  }

  async #openLog(
    stateDir: string | null,
    { privateKey }: Credentials,
  ): Promise<{ state: StoredState; storage: Storage }> {
    if (stateDir === null) return { state: { kind: 'fresh', legacy: null }, storage: new MemoryStorage() };
    try {
      return await this.#openLogIn(stateDir, privateKey);
    } catch (error) {
      throw error instanceof WalDamagedError ? error : new Error(`state_dir ${stateDir}: ${(error as Error).message}`);
    }
  }

  async #openLogIn(
    stateDir: string,
    privateKey: Credentials['privateKey'],
  ): Promise<{ state: StoredState; storage: Storage }> {
    const unlock = await lockFolder(stateDir);
    try {
      const disk = new FileDisk(join(stateDir, LOG_FILE));
      const { state, storage } = WriteAheadLog.open(disk, privateKey, this.#options.report);
      const close = () => {
        disk.close();
        unlock();
      };
      this.#disk = { storage, close };
      return { state, storage };
    } catch (error) {
      unlock();
      throw error;
    }
  }

  #begin(state: StoredState, storage: Storage): void {
    const { report, stateMachine, timing, serverId, servers, reservedEntries, snapshotDistance } = this.#options;
    const options: MemberOptions = {
      serverId,
      servers: servers.map((server) => server.serverId),
      ...ticks(timing, this.#tickMs),
      storageRetryTicks: Math.ceil(STORAGE_RETRY_MS / this.#tickMs),
      reservedEntries,
      snapshotDistance,
    };
    this.#member = new Member(
      options,
      {
        network: { send: (to, message) => this.#transport?.send(to, message) ?? false },
        storage,
        stateMachine,
        random: Math.random,
        randomId: () => randomBytes(8).toString('hex'),
        report,
      },
      state,
    );
  }

  async #connect({ address, port }: PeeringOptions, credentials: Credentials): Promise<void> {
    const member = this.#running;
    this.#transport = new Transport({
      serverId: this.#options.serverId,
      listen: { address, port },
      credentials,
      hello: (to) => member.announceTo(to),
      onMessage: (from, message) => member.receive(from, message),
      onLinkUp: () => {},
      onLinkDown: (to) => member.reportUnreachable(to),
      report: this.#options.report,
      random: Math.random,
    });
    await this.#transport.listen();
    this.#updateContacts(member);
  }

  #learnAddresses(servers: readonly ServerAddress[]): void {
    for (const server of servers) this.#addresses.set(server.serverId, server);
  }

  /** Keeps in touch with those listed, and with those that left the list until they are no members any more. */
  #updateContacts(member: Member): void {
    const { contacts } = member;
    if (contacts === this.#contacts) return;
    this.#contacts = contacts;
    this.#transport?.setServers(contacts.flatMap((id) => this.#addresses.get(id) ?? []));
  }

  async #close(): Promise<void> {
    if (this.#clock !== null) clearInterval(this.#clock);
    this.#clock = null;
    this.#member?.stop();
    await this.#transport?.close();
    // a file must not be closed under a write
    const until = performance.now() + CLOSE_TIMEOUT_MS;
    while (this.#member?.isStoring === true && performance.now() < until) await sleep(this.#tickMs);
    this.#disk?.close();
    this.#disk = null;
  }
}

type MemberTiming = Pick<MemberOptions, 'heartbeatTicks' | 'electionTicksMin' | 'electionTicksMax' | 'proposalTicks'>;

/** The timing in ticks. Invariant: heartbeatTicks < electionTicksMin < electionTicksMax. */
function ticks(timing: ClusterTiming, tickMs: number): MemberTiming {
  const heartbeatTicks = Math.round(timing.heartbeatMs / tickMs);
  const electionTicksMin = Math.max(heartbeatTicks + 1, Math.ceil(timing.electionMinMs / tickMs));
  const electionTicksMax = Math.max(electionTicksMin + 1, Math.ceil(timing.electionMaxMs / tickMs));
  const proposalTicks = Math.ceil(timing.proposalTimeoutMs / tickMs);
  return { heartbeatTicks, electionTicksMin, electionTicksMax, proposalTicks };
}

function roleName(role: Role, isVoter: boolean): ClusterStatus['role'] {
  if (role === ROLE.leader) return 'leader';
  if (!isVoter) return 'learner';
  return role === ROLE.follower ? 'follower' : 'candidate';
}

/** Whether nothing of what peers see or are checked against has changed. */
function hasExpired({ notAfterMs }: Credentials): boolean {
  return notAfterMs < Date.now();
}

function isSameIdentity(a: Credentials, b: Credentials): boolean {
  const { ca, cert, key } = a.contextOptions;
  const before = b.contextOptions;
  return ca === before.ca && cert === before.cert && key === before.key && a.certVerifyStr === b.certVerifyStr;
}
