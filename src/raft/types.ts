/**
 * What goes into the consensus core and what comes out of it: plain data. Main thread, and the simulator.
 *
 * The paper: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)", 2014.
 * The thesis: Ongaro, "Consensus: Bridging Theory and Practice", 2014.
 */

/** Names one member for as long as it remembers its promises: a server that forgot them comes back under another id. */
export type MemberId = string;

/** Who takes part. Both lists are sorted, and no id stands in both. */
export interface Membership {
  /** Vote and count towards majorities. */
  readonly voters: readonly MemberId[];
  /** Receive the log and count for nothing (thesis, 4.2.1). */
  readonly learners: readonly MemberId[];
}

export type Payload =
  /** A leader's first entry: what it commits makes all before it committed too (paper, section 8). */
  | { readonly kind: 'noop' }
  | { readonly kind: 'command'; readonly data: Uint8Array }
  | { readonly kind: 'membership'; readonly membership: Membership };

export interface Entry {
  /** 1 for the first entry of a log. */
  readonly index: number;
  readonly term: number;
  readonly payload: Payload;
}

/** What a member must find again after a restart, besides its entries (paper, figure 2). */
export interface HardState {
  readonly term: number;
  readonly vote: MemberId | null;
}

/** The state machine as of `index`, in place of the entries up to it (paper, section 7). */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly membership: Membership;
  readonly data: Uint8Array;
}

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: number;
}

export interface VoteRequest extends Envelope {
  readonly type: 'vote-request';
  /** Asks whether an election could be won, and changes nothing (thesis, 9.6). `term` is the one it would have. */
  readonly isPreVote: boolean;
  /** The leader itself asked for this election: stickiness does not apply (thesis, 3.10). */
  readonly isTransfer: boolean;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface VoteResponse extends Envelope {
  readonly type: 'vote-response';
  readonly isPreVote: boolean;
  readonly isGranted: boolean;
}

/** Entries to append; none in a heartbeat. */
export interface AppendRequest extends Envelope {
  readonly type: 'append-request';
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  /** The leader's commit index. */
  readonly commit: number;
}

export interface AppendResponse extends Envelope {
  readonly type: 'append-response';
  readonly isRejected: boolean;
  /** Accepted: the log agrees with the leader's up to here. Rejected: the previousIndex that did not match. */
  readonly index: number;
  /** Rejected: where the logs may still agree at the latest, and the term of that entry. */
  readonly hintIndex: number;
  readonly hintTerm: number;
  /** How far the follower has applied its log. */
  readonly applied: number;
}

export interface SnapshotRequest extends Envelope {
  readonly type: 'snapshot-request';
  readonly snapshot: Snapshot;
}

/** The leader hands over: stand for election now (thesis, 3.10). */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeout-now';
}

export type Message = VoteRequest | VoteResponse | AppendRequest | AppendResponse | SnapshotRequest | TimeoutNow;

/**
 * What the driver has to do, in this order: persist `snapshot`, `hardState` and `entries`, synced; send `messages`; apply
 * `snapshot` and `committed`; call `advance`. Sending before all is synced would break promises at a crash.
 */
export interface Ready {
  readonly hardState: HardState | null;
  /** From the leader: replaces the whole log. */
  readonly snapshot: Snapshot | null;
  /** To be appended; whatever the log held from the first one's index on is cut off first. */
  readonly entries: readonly Entry[];
  readonly messages: readonly Message[];
  /** In order, each exactly once, after everything up to the first one's index has been applied. */
  readonly committed: readonly Entry[];
}

export const ROLE = { follower: 0, preCandidate: 1, candidate: 2, leader: 3 } as const;
export type Role = (typeof ROLE)[keyof typeof ROLE];

export interface RaftOptions {
  readonly id: MemberId;
  /** Ticks without word from a leader before standing for election: drawn anew from [min, max) each time. */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  /** Ticks between heartbeats. Invariant: heartbeatTicks < electionTicksMin. */
  readonly heartbeatTicks: number;
  /** Appends under way to one follower. At least 1. */
  readonly inFlightMax: number;
  /** Entries in one append. At least 1. */
  readonly batchMax: number;
  /** Uniform in [0, 1): the only source of chance. */
  readonly random: () => number;
}

/** Why a proposal was not taken. */
export type Refusal =
  | 'not-leader'
  /** Leadership is being handed over. */
  | 'transferring'
  /** An earlier membership change, or the leader's first entry, is not committed yet. */
  | 'change-pending'
  /** It changes more than one member, or nothing, or leaves no voter. */
  | 'bad-change';
