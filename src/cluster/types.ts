/**
 * What the parts of a cluster member hand to each other: plain data and narrow ports. Main thread, and the simulator.
 *
 *   Member (driver, formation, admission)  ── Network ──► transport: mutual TLS between the machines
 *                                          ── Storage ──► write-ahead log, or memory
 *                                          ── StateMachine ──► what is replicated
 */

import type { Entry, HardState, MemberId, Message, Snapshot } from '../raft/types.ts';

/** One machine of the group, as the server list names it: 1..2147483647. */
export type ServerId = number;

/** `GENERATION.RANDOM`: a cluster founded after another one that its founder knew of has a higher generation. */
export type ClusterId = string;

export interface ServerAddress {
  readonly serverId: ServerId;
  readonly address: string;
  readonly port: number;
}

/** How recent a state is: of two, the one of the later cluster, then the later term, then the higher index. */
export interface Position {
  readonly generation: number;
  readonly term: number;
  readonly index: number;
}

/**
 * What a server says of itself: when a connection opens, while it has no leader, and in answer to one that has none.
 * Invariant: leader is null where cluster is.
 */
export interface Announce {
  readonly type: 'announce';
  readonly member: MemberId;
  /** Null: a fresh server, which belongs to no cluster. */
  readonly cluster: ClusterId | null;
  /** The cluster's leader as far as known. */
  readonly leader: MemberId | null;
  /** As far as this server knows; 0 where it belongs to none. */
  readonly term: number;
  /** From a leader: the receiver, as it last announced itself, where that is no member of this cluster any more. */
  readonly excludes: MemberId | null;
  /** How recent its state is: what a fresh server would bring into a new cluster. */
  readonly position: Position;
}

export type PeerMessage =
  | Announce
  /** A message of the consensus core; of no use outside of its cluster. */
  | { readonly type: 'raft'; readonly cluster: ClusterId; readonly message: Message }
  /** A fresh server to a leader: take me in. */
  | { readonly type: 'join'; readonly cluster: ClusterId; readonly member: MemberId }
  | { readonly type: 'join-refused'; readonly member: MemberId; readonly reason: string }
  /** A fresh server to others: may I found a cluster with you? Answered only with yes. */
  | { readonly type: 'found-request'; readonly member: MemberId; readonly position: Position }
  | { readonly type: 'found-grant'; readonly founder: MemberId; readonly member: MemberId }
  /** A follower to its leader. `id` is the sender's own; answered by one of the next two. */
  | { readonly type: 'propose'; readonly cluster: ClusterId; readonly id: number; readonly data: Uint8Array }
  | { readonly type: 'proposed'; readonly id: number; readonly index: number; readonly term: number }
  | { readonly type: 'propose-refused'; readonly id: number };

/** What a server must find again after a restart. */
export type StoredState =
  /** It belongs to no cluster, and has made no promise. `legacy` is the state of one that was lost. */
  | { readonly kind: 'fresh'; readonly legacy: Legacy | null }
  | {
      readonly kind: 'bound';
      readonly cluster: ClusterId;
      readonly member: MemberId;
      readonly hardState: HardState;
      readonly snapshot: Snapshot;
      /** Follow on `snapshot`. */
      readonly entries: readonly Entry[];
    };

export interface Legacy {
  readonly position: Position;
  readonly data: Uint8Array;
}

/** To be added to a bound state: whatever it held from the first entry's index on is cut off first. */
export interface StoredBatch {
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
}

export type Done = (error: Error | null) => void;

/**
 * Keeps a StoredState. One call at a time: the next only after `done`, which may come at once. `done(null)`: what was
 * handed over survives a crash; with an error it may or may not, and `replace` must succeed before the next `append`.
 */
export interface Storage {
  append(batch: StoredBatch, done: Done): void;
  /** Atomic: after a crash there is the old state or the new one. */
  replace(state: StoredState, done: Done): void;
}

/** Carries messages to other servers as well as it can: late, twice, in any order, or not at all. Never blocks. */
export interface Network {
  /** False where it is known not to go out. */
  send(to: ServerId, message: PeerMessage): boolean;
}

/** What is replicated. Deterministic: the same entries give the same state everywhere. */
export interface StateMachine {
  /** Returns whether it erased something whose bytes must not stay in the log either: what is applied is compacted then. */
  apply(data: Uint8Array): boolean;
  /** The whole state. */
  snapshot(): Uint8Array;
  /** Whether `restore` can read it: asked before a snapshot of a peer's is taken for good. */
  isReadable(data: Uint8Array): boolean;
  /** Replaces the whole state; an empty array is the state before the first entry. */
  restore(data: Uint8Array): void;
}

/** Where a part says what an operator should know. Nothing secret. */
export type Report = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: object) => void;

/** What a member knows of one other member, or of itself. The leader alone knows how far the others are. */
export interface MemberStatus {
  readonly member: MemberId;
  readonly serverId: ServerId;
  readonly isSelf: boolean;
  readonly isLeader: boolean;
  readonly isVoter: boolean;
  /** The log is known to agree up to here; null where it is not known. */
  readonly match: number | null;
  /** Applied up to here, as it last said. */
  readonly applied: number | null;
  /** Milliseconds since it was last heard of by the leader; 0 for the leader itself. */
  readonly lastContactMs: number | null;
}

export interface ClusterStatus {
  readonly serverId: ServerId;
  readonly member: MemberId;
  /** Null: a fresh server, which looks for a cluster to join or to found. */
  readonly cluster: ClusterId | null;
  readonly role: 'fresh' | 'learner' | 'follower' | 'candidate' | 'leader';
  readonly term: number;
  readonly leader: { readonly member: MemberId; readonly serverId: ServerId } | null;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  /** Sorted by server. */
  readonly members: readonly MemberStatus[];
  /** Listed servers other than this one: whether the connection to it is up. */
  readonly peers: readonly {
    readonly serverId: ServerId;
    readonly address: string;
    readonly port: number;
    readonly isConnected: boolean;
  }[];
  /** Connections and frames refused, by reason. */
  readonly refusals: Readonly<Record<string, number>>;
  /** The log cannot be written: this member takes no part until it can. */
  readonly isStorageFailed: boolean;
  /** When this server's certificate for its peers expires, Unix time; null: it has no peers. */
  readonly certificateNotAfterMs: number | null;
}

/** A proposal that was not applied, or not known to be. */
export class ProposalError extends Error {
  /**
   * no-leader: nothing was proposed. lost: it was, and will never be applied. unconfirmed: it may be applied yet.
   */
  readonly code: 'no-leader' | 'lost' | 'unconfirmed';
  constructor(code: ProposalError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Durations are milliseconds. Invariant: heartbeatMs < electionMinMs < electionMaxMs. */
export interface ClusterTiming {
  readonly heartbeatMs: number;
  readonly electionMinMs: number;
  readonly electionMaxMs: number;
  /** How long a proposal may take. */
  readonly proposalTimeoutMs: number;
}

export interface ClusterOptions {
  readonly serverId: ServerId;
  /** All servers of the group, this one included. */
  readonly servers: readonly ServerAddress[];
  readonly timing: ClusterTiming;
  /** Entries kept in front of a snapshot, and from one snapshot to the next. */
  readonly reservedEntries: number;
  readonly snapshotDistance: number;
  /** Where the log is kept; null: in memory. */
  readonly stateDir: string | null;
  /** Null: a group of one, without network and without disk. */
  readonly peering: PeeringOptions | null;
  readonly stateMachine: StateMachine;
  readonly report: Report;
}

export interface PeeringOptions {
  readonly address: string;
  readonly port: number;
  readonly rootCertFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  /** Empty: any certificate that the CA signed. */
  readonly certVerifyStr: string;
}
