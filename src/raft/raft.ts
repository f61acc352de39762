/**
 * The consensus core: a pure state machine. Messages, ticks and proposals go in; what to persist, send and apply comes
 * out as data (see Ready). It has no clock, no socket, no disk and no chance of its own. Main thread, and the simulator.
 *
 *   const raft = new Raft(options, restored);
 *   on a tick:     raft.tick()
 *   on a message:  raft.step(message)
 *   then, while raft.hasReady():
 *     const ready = raft.ready();
 *     persist ready.snapshot, ready.hardState, ready.entries and sync;
 *     send ready.messages; apply ready.snapshot and ready.committed;
 *     raft.advance(ready);
 *
 * One file, longer than most: every transition reads and writes the same private state, and a reader of the paper finds its
 * rules side by side.
 *
 * Invariants: snapshot.index <= applied <= commit <= lastIndex, where no leader's snapshot waits to be applied; term never
 * falls; a term has one vote.
 */

import { RaftLog } from './log.ts';
import { isMajority, isMember, isSafeChange, majorityIndex } from './membership.ts';
import { Progress } from './progress.ts';
import {
  type AppendRequest,
  type AppendResponse,
  type Entry,
  type HardState,
  type MemberId,
  type Membership,
  type Message,
  type Payload,
  type RaftOptions,
  type Ready,
  type Refusal,
  ROLE,
  type Role,
  type Snapshot,
  type VoteRequest,
  type VoteResponse,
} from './types.ts';

/** What a restarted member found on its disk, or what a cluster begins with. */
export interface Restored {
  readonly hardState: HardState;
  readonly snapshot: Snapshot;
  readonly entries: readonly Entry[];
}

/** A message without what `send` fills in. */
type Draft<T extends Message = Message> = T extends Message ? Omit<T, 'from' | 'term'> & { term?: number } : never;

export class Raft {
  readonly id: MemberId;
  readonly log: RaftLog;
  readonly #options: RaftOptions;
  #role: Role = ROLE.follower;
  #term: number;
  #vote: MemberId | null;
  #leader: MemberId | null = null;
  #commit: number;
  #applied: number;
  #membership: Membership;
  #membershipIndex: number;

  /** Ticks since word from a leader, or (leader) since the last check of the quorum. */
  #electionElapsed = 0;
  #heartbeatElapsed = 0;
  #electionTimeout = 0;
  #votes = new Map<MemberId, boolean>();
  #progress = new Map<MemberId, Progress>();
  #transferTo: MemberId | null = null;
  #transferElapsed = 0;

  #messages: Message[] = [];
  /** First index that is not known to be synced. */
  #unstable: number;
  #persistedHardState: HardState;
  #incomingSnapshot: Snapshot | null = null;

  constructor(options: RaftOptions, restored: Restored) {
    const { heartbeatTicks, electionTicksMin, electionTicksMax } = options;
    if (!(heartbeatTicks >= 1 && heartbeatTicks < electionTicksMin && electionTicksMin < electionTicksMax)) {
      throw new RangeError('a heartbeat must be shorter than the shortest election timeout, and that than the longest');
    }
    this.id = options.id;
    this.#options = options;
    this.log = new RaftLog(restored.snapshot, restored.entries);
    this.#term = restored.hardState.term;
    this.#vote = restored.hardState.vote;
    this.#commit = this.#applied = restored.snapshot.index;
    this.#unstable = this.log.lastIndex + 1;
    this.#persistedHardState = restored.hardState;
    ({ membership: this.#membership, index: this.#membershipIndex } = this.log.membership);
    this.#drawElectionTimeout();
  }

  get role(): Role {
    return this.#role;
  }
  get term(): number {
    return this.#term;
  }
  /** The leader of this term as far as known. */
  get leader(): MemberId | null {
    return this.#leader;
  }
  /** What a restart must find, as of now: maybe more than `ready` has handed out. */
  get hardState(): HardState {
    return { term: this.#term, vote: this.#vote };
  }
  get commit(): number {
    return this.#commit;
  }
  get applied(): number {
    return this.#applied;
  }
  /** In force: the latest in the log, committed or not (thesis, 4.1). */
  get membership(): Membership {
    return this.#membership;
  }
  /** A leader's view of each other member. Empty on others. */
  get progress(): ReadonlyMap<MemberId, Progress> {
    return this.#progress;
  }

  // ---------------------------------------------------------------- input

  /** Time moves on by one tick. */
  tick(): void {
    this.#electionElapsed++;
    if (this.#role === ROLE.leader) this.#tickLeader();
    else if (this.#electionElapsed >= this.#electionTimeout) {
      this.#electionElapsed = 0;
      // a learner stands for nothing, but must stop sticking to a leader that is gone: its vote may be needed
      this.#leader = null;
      if (this.#mayCampaign()) this.#campaign(true, false);
    }
  }

  #tickLeader(): void {
    for (const progress of this.#progress.values()) progress.silentTicks++;
    if (this.#transferTo !== null && ++this.#transferElapsed >= this.#options.electionTicksMin) this.#transferTo = null;
    if (this.#electionElapsed >= this.#options.electionTicksMin) {
      this.#electionElapsed = 0;
      // check-quorum (thesis, 6.2): a leader cut off from the majority must not go on believing it leads
      if (!isMajority(this.#membership, (id) => id === this.id || this.#progress.get(id)?.isActive === true)) {
        this.#becomeFollower(this.#term, null);
        return;
      }
      for (const progress of this.#progress.values()) progress.endPeriod();
    }
    if (++this.#heartbeatElapsed >= this.#options.heartbeatTicks) {
      this.#heartbeatElapsed = 0;
      for (const id of this.#progress.keys()) this.#sendHeartbeat(id);
    }
  }

  /** A message has come. Messages that are of no use are ignored: none can do harm by coming late or twice. */
  step(message: Message): void {
    if (message.to !== this.id) return;
    if (message.term > this.#term) {
      if (message.type === 'vote-request' && this.#sticksToLeader(message)) return;
      this.#meetHigherTerm(message);
    } else if (message.term < this.#term) {
      this.#answerStale(message);
      return;
    }
    switch (message.type) {
      case 'vote-request':
        this.#onVoteRequest(message);
        return;
      case 'vote-response':
        this.#onVoteResponse(message);
        return;
      case 'append-request':
        this.#followLeader(message.from);
        this.#onAppendRequest(message);
        return;
      case 'snapshot-request':
        this.#followLeader(message.from);
        this.#onSnapshot(message.from, message.snapshot);
        return;
      case 'append-response':
        if (this.#role === ROLE.leader) this.#onAppendResponse(message);
        return;
      case 'timeout-now':
        if (this.#role !== ROLE.leader && this.#mayCampaign()) this.#campaign(false, true);
    }
  }

  /** Word of a term that nobody is to bring about at once: this member goes as far as `term` towards it, and follows nobody. */
  approachTerm(term: number): void {
    if (term > this.#term) this.#becomeFollower(term, null);
  }

  /** A command for the log. Returns its index, or why it is not taken. */
  propose(data: Uint8Array): number | Refusal {
    return this.#propose({ kind: 'command', data });
  }

  /**
   * A change of the membership: one voter more or less, and learners at will. Not before the last change, and an entry of
   * this leader's own term, are committed (thesis, 4.1, and its erratum of 2015).
   */
  proposeMembership(membership: Membership): number | Refusal {
    if (this.#role !== ROLE.leader) return 'not-leader';
    const ownTermCommitted = this.log.termAt(this.#commit) === this.#term;
    if (this.#membershipIndex > this.#commit || !ownTermCommitted) return 'change-pending';
    if (!isSafeChange(this.#membership, membership)) return 'bad-change';
    return this.#propose({ kind: 'membership', membership });
  }

  /** Hands leadership to `to` as soon as it has the whole log; gives up after an election timeout (thesis, 3.10). */
  transfer(to: MemberId): void {
    const progress = this.#progress.get(to);
    if (this.#role !== ROLE.leader || progress === undefined || !this.#membership.voters.includes(to)) return;
    this.#transferTo = to;
    this.#transferElapsed = 0;
    if (progress.match === this.log.lastIndex) this.#send({ type: 'timeout-now', to });
    else this.#sendAppend(to);
  }

  /** Stands for election without waiting for the timeout: a founder need not. */
  campaign(): void {
    if (this.#role !== ROLE.leader && this.#mayCampaign()) this.#campaign(true, false);
  }

  /** The network knows that `id` cannot be reached: what was under way to it is lost. */
  reportUnreachable(id: MemberId): void {
    this.#progress.get(id)?.unreachable();
  }

  /** Takes `data`, the state machine as of `applied`, in place of the log up to there, less `reserved` entries. */
  compact(data: Uint8Array, reserved: number): Snapshot {
    const index = this.#applied;
    const snapshot = { index, term: this.log.termAt(index) as number, membership: this.log.membershipAt(index), data };
    this.log.compact(snapshot, reserved);
    return snapshot;
  }

  // ---------------------------------------------------------------- output

  hasReady(): boolean {
    return (
      this.#messages.length > 0 ||
      this.#incomingSnapshot !== null ||
      this.#unstable <= this.log.lastIndex ||
      this.#applied < this.#commit ||
      this.#hardStateChanged()
    );
  }

  /** What there is to do. Each thing is handed out once; `advance` must follow before the next call. */
  ready(): Ready {
    const { firstIndex, lastIndex } = this.log;
    const ready: Ready = {
      hardState: this.#hardStateChanged() ? { term: this.#term, vote: this.#vote } : null,
      snapshot: this.#incomingSnapshot,
      entries: this.#unstable <= lastIndex ? this.log.slice(this.#unstable, lastIndex, Number.POSITIVE_INFINITY) : [],
      messages: this.#messages,
      committed:
        this.#applied < this.#commit
          ? this.log.slice(Math.max(firstIndex, this.#applied + 1), this.#commit, Number.POSITIVE_INFINITY)
          : [],
    };
    this.#messages = [];
    return ready;
  }

  /** All that `ready` asked for is done: its entries are synced, so that they count towards a majority now. */
  advance(ready: Ready): void {
    if (ready.hardState !== null) this.#persistedHardState = ready.hardState;
    if (ready.snapshot !== null && ready.snapshot === this.#incomingSnapshot) this.#incomingSnapshot = null;
    // where a leader has replaced some meanwhile, what was synced is not what stands there now
    const last = ready.entries.findLast(({ index, term }) => this.log.termAt(index) === term);
    if (last !== undefined) this.#unstable = Math.max(this.#unstable, last.index + 1);
    const applied = ready.committed.at(-1)?.index ?? ready.snapshot?.index ?? 0;
    this.#applied = Math.max(this.#applied, applied);
    if (this.#role === ROLE.leader) {
      this.#maybeCommit();
      this.#stepDownIfRemoved();
    }
  }

  #hardStateChanged(): boolean {
    const { term, vote } = this.#persistedHardState;
    return term !== this.#term || vote !== this.#vote;
  }

  // ---------------------------------------------------------------- terms and elections

  /** Within the shortest election timeout after a leader's word no vote is given against it (thesis, 4.2.3 and 6.4.1). */
  #sticksToLeader(request: VoteRequest): boolean {
    return !request.isTransfer && this.#leader !== null && this.#electionElapsed < this.#options.electionTicksMin;
  }

  #meetHigherTerm(message: Message): void {
    // a pre-vote has not begun its term, and a granted one only says that it may
    if (message.type === 'vote-request' && message.isPreVote) return;
    if (message.type === 'vote-response' && message.isPreVote && message.isGranted) return;
    const isFromLeader = message.type === 'append-request' || message.type === 'snapshot-request';
    this.#becomeFollower(message.term, isFromLeader ? message.from : null);
  }

  /** Whoever is behind learns the term: without it a leader of old would go on, kept from elections by pre-vote. */
  #answerStale(message: Message): void {
    if (message.type === 'append-request' || message.type === 'snapshot-request') {
      this.#sendAppendResponse(message.from, { isRejected: true, index: 0, hintIndex: 0, hintTerm: 0 });
    } else if (message.type === 'vote-request') {
      this.#send({ type: 'vote-response', to: message.from, isPreVote: message.isPreVote, isGranted: false });
    }
  }

  #onVoteRequest(request: VoteRequest): void {
    if (request.isPreVote && request.term <= this.#term && request.from !== this.#vote) {
      // this term is taken; the asker is told so
      this.#send({ type: 'vote-response', to: request.from, isPreVote: true, isGranted: false });
      return;
    }
    // paper, 5.2: one vote a term, first come, first served; a pre-vote binds nobody
    const isFree = this.#vote === request.from || (this.#vote === null && this.#leader === null);
    const isGranted =
      (request.isPreVote ? request.term > this.#term || isFree : isFree) &&
      this.log.isUpToDate(request.lastIndex, request.lastTerm);
    const { from: to, isPreVote, term } = request;
    if (!isGranted) {
      this.#send({ type: 'vote-response', to, isPreVote, isGranted });
      return;
    }
    if (!isPreVote) {
      this.#vote = to;
      this.#electionElapsed = 0;
    }
    this.#send({ type: 'vote-response', to, isPreVote, isGranted, term });
  }

  /**
   * Voters may, and one that is about to be removed until that is committed: it may hold entries that the others need its
   * leadership to get (thesis, 4.2.2).
   */
  #mayCampaign(): boolean {
    if (this.#membership.voters.includes(this.id)) return true;
    return (
      this.#membershipIndex > this.#commit && this.log.membershipAt(this.#membershipIndex - 1).voters.includes(this.id)
    );
  }

  #campaign(isPreVote: boolean, isTransfer: boolean): void {
    this.#leader = null;
    this.#votes = new Map();
    this.#drawElectionTimeout();
    this.#electionElapsed = 0;
    if (isPreVote) this.#role = ROLE.preCandidate;
    else {
      this.#role = ROLE.candidate;
      this.#term++;
      this.#vote = this.id;
    }
    this.#votes.set(this.id, true);
    if (this.#countVotes()) return;
    const { lastIndex, lastTerm } = this.log;
    const term = isPreVote ? this.#term + 1 : this.#term;
    for (const to of this.#membership.voters) {
      if (to === this.id) continue;
      this.#send({ type: 'vote-request', to, term, isPreVote, isTransfer, lastIndex, lastTerm });
    }
  }

  #onVoteResponse(response: VoteResponse): void {
    if (this.#role !== (response.isPreVote ? ROLE.preCandidate : ROLE.candidate)) return;
    if (response.isPreVote && response.isGranted && response.term !== this.#term + 1) return;
    if (!this.#votes.has(response.from)) this.#votes.set(response.from, response.isGranted);
    this.#countVotes();
  }

  /** Moves on where the election is decided; returns whether it was won. */
  #countVotes(): boolean {
    if (isMajority(this.#membership, (id) => this.#votes.get(id) === true)) {
      if (this.#role === ROLE.preCandidate) this.#campaign(false, false);
      else this.#becomeLeader();
      return true;
    }
    if (isMajority(this.#membership, (id) => this.#votes.get(id) === false)) this.#becomeFollower(this.#term, null);
    return false;
  }

  #becomeFollower(term: number, leader: MemberId | null): void {
    if (term > this.#term) {
      this.#term = term;
      this.#vote = null;
    }
    this.#role = ROLE.follower;
    this.#leader = leader;
    this.#electionElapsed = 0;
    this.#transferTo = null;
    this.#progress.clear();
    this.#drawElectionTimeout();
  }

  #followLeader(leader: MemberId): void {
    // paper, 5.2: at most one leader a term
    if (this.#role === ROLE.leader) throw new Error(`two leaders in term ${this.#term}: ${this.id} and ${leader}`);
    if (this.#role !== ROLE.follower || this.#leader !== leader) this.#becomeFollower(this.#term, leader);
    this.#electionElapsed = 0;
  }

  #becomeLeader(): void {
    this.#role = ROLE.leader;
    this.#leader = this.id;
    this.#electionElapsed = this.#heartbeatElapsed = 0;
    this.#progress.clear();
    this.#syncProgress();
    // paper, section 8: only an entry of its own term tells a leader what is committed (5.4.2)
    this.#appendOwn({ kind: 'noop' });
  }

  #drawElectionTimeout(): void {
    const { electionTicksMin: min, electionTicksMax: max, random } = this.#options;
    this.#electionTimeout = min + Math.floor(random() * (max - min));
  }

  // ---------------------------------------------------------------- leader

  #propose(payload: Payload): number | Refusal {
    if (this.#role !== ROLE.leader) return 'not-leader';
    if (this.#transferTo !== null) return 'transferring';
    return this.#appendOwn(payload);
  }

  #appendOwn(payload: Payload): number {
    const index = this.log.lastIndex + 1;
    this.log.append([{ index, term: this.#term, payload }]);
    if (payload.kind === 'membership') this.#adoptMembership();
    for (const id of this.#progress.keys()) this.#sendAppend(id);
    return index;
  }

  /** Follows the log's latest membership: new members get a progress, former ones lose it. */
  #adoptMembership(): void {
    ({ membership: this.#membership, index: this.#membershipIndex } = this.log.membership);
    if (this.#role === ROLE.leader) this.#syncProgress();
  }

  #syncProgress(): void {
    for (const id of this.#progress.keys()) if (!isMember(this.#membership, id)) this.#progress.delete(id);
    for (const id of [...this.#membership.voters, ...this.#membership.learners]) {
      if (id === this.id || this.#progress.has(id)) continue;
      // counted as active until the next check: it has had no chance to be heard of
      this.#progress.set(id, new Progress(this.log.lastIndex + 1, true));
    }
  }

  #sendHeartbeat(to: MemberId): void {
    const progress = this.#progress.get(to) as Progress;
    progress.freeOne(this.#options.inFlightMax);
    const { state, next } = progress;
    // a probe is repeated as it is: the answer to anything else says nothing of where the logs agree
    if (state === 'probe' || (state === 'replicate' && next <= this.log.lastIndex)) this.#sendAppend(to);
    else this.#sendCommit(to);
  }

  /**
   * The commit index, without entries. It holds for what is under way, too; where an append was lost, the entry before next
   * is missing, and the refusal says so.
   */
  #sendCommit(to: MemberId): void {
    const { state, next, match } = this.#progress.get(to) as Progress;
    this.#sendAppendOf(to, state === 'replicate' ? next - 1 : match, 0);
  }

  /** Sends what the follower lacks, as far as the window allows. */
  #sendAppend(to: MemberId): void {
    const progress = this.#progress.get(to) as Progress;
    const { inFlightMax, batchMax } = this.#options;
    while (!progress.isPaused(inFlightMax)) {
      if (this.log.termAt(progress.next - 1) === null) {
        this.#sendSnapshot(to, progress);
        return;
      }
      const hasEntries = progress.next <= this.log.lastIndex;
      if (!hasEntries && progress.state !== 'probe') return;
      this.#sendAppendOf(to, progress.next - 1, batchMax);
      if (progress.state === 'probe') return;
    }
  }

  #sendAppendOf(to: MemberId, previousIndex: number, batchMax: number): void {
    const known = this.log.termAt(previousIndex);
    // a heartbeat to one whose log is compacted away here: an index that is known to both may be as old as 0
    const index = known === null ? this.log.firstIndex - 1 : previousIndex;
    const entries = batchMax === 0 ? [] : this.log.slice(index + 1, this.log.lastIndex, batchMax);
    const commit = Math.min(this.#commit, index + entries.length);
    const previousTerm = this.log.termAt(index) as number;
    if (batchMax > 0) this.#progress.get(to)?.sent(index + entries.length);
    this.#send({ type: 'append-request', to, previousIndex: index, previousTerm, entries, commit });
  }

  #sendSnapshot(to: MemberId, progress: Progress): void {
    const { snapshot } = this.log;
    progress.awaitSnapshot(snapshot.index);
    this.#send({ type: 'snapshot-request', to, snapshot });
  }

  #onAppendResponse(response: AppendResponse): void {
    const progress = this.#progress.get(response.from);
    if (progress === undefined || response.index > this.log.lastIndex) return;
    progress.isActive = true;
    progress.silentTicks = 0;
    if (response.isRejected) {
      const agreeAt = this.log.agreementBefore(response.hintIndex, response.hintTerm);
      if (progress.rejected(response.index, agreeAt)) this.#sendAppend(response.from);
      return;
    }
    progress.applied = Math.max(progress.applied, response.applied);
    if (progress.accepted(response.index)) this.#maybeCommit();
    this.#sendAppend(response.from);
    if (this.#transferTo === response.from && progress.match === this.log.lastIndex) {
      this.#send({ type: 'timeout-now', to: response.from });
    }
  }

  /** Commits what a majority has, counting only entries of this term (paper, 5.4.2 and figure 8). */
  #maybeCommit(): void {
    const own = this.#unstable - 1;
    const index = majorityIndex(this.#membership, (id) =>
      id === this.id ? own : (this.#progress.get(id)?.match ?? 0),
    );
    if (index <= this.#commit || this.log.termAt(index) !== this.#term) return;
    this.#commit = index;
    // followers learn of it at once, not with the next heartbeat
    for (const id of this.#progress.keys()) this.#sendCommit(id);
  }

  /** A leader that is no voter any more leads until that is committed, and no longer (thesis, 4.2.2). */
  #stepDownIfRemoved(): void {
    if (this.#membershipIndex > this.#commit || this.#membership.voters.includes(this.id)) return;
    this.#becomeFollower(this.#term, null);
  }

  // ---------------------------------------------------------------- follower

  #onAppendRequest(request: AppendRequest): void {
    const { from, previousIndex, previousTerm, entries } = request;
    if (previousIndex < this.#commit) {
      // all up to the commit index agrees with every leader's log (paper, figure 3: leader completeness)
      this.#sendAppendResponse(from, { isRejected: false, index: this.#commit, hintIndex: 0, hintTerm: 0 });
      return;
    }
    if (this.log.termAt(previousIndex) !== previousTerm) {
      const hintIndex = this.log.agreementBefore(previousIndex, previousTerm);
      const hintTerm = this.log.termAt(hintIndex) as number;
      this.#sendAppendResponse(from, { isRejected: true, index: previousIndex, hintIndex, hintTerm });
      return;
    }
    this.#appendFromLeader(this.log.newOf(entries));
    const agreed = previousIndex + entries.length;
    this.#commitUpTo(Math.min(request.commit, agreed));
    this.#sendAppendResponse(from, { isRejected: false, index: agreed, hintIndex: 0, hintTerm: 0 });
  }

  #appendFromLeader(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#commit) throw new Error(`committed entry ${first.index} conflicts with the leader's`);
    this.log.append(entries);
    this.#unstable = Math.min(this.#unstable, first.index);
    this.#adoptMembership();
  }

  #onSnapshot(from: MemberId, snapshot: Snapshot): void {
    if (snapshot.index > this.#commit) {
      if (this.log.termAt(snapshot.index) === snapshot.term) {
        // paper, section 7: the log has all that the snapshot covers, and maybe more
        this.#commitUpTo(snapshot.index);
      } else {
        this.log.restore(snapshot);
        this.#incomingSnapshot = snapshot;
        this.#commit = snapshot.index;
        this.#unstable = snapshot.index + 1;
        this.#adoptMembership();
      }
    }
    this.#sendAppendResponse(from, { isRejected: false, index: this.#commit, hintIndex: 0, hintTerm: 0 });
  }

  #commitUpTo(index: number): void {
    this.#commit = Math.max(this.#commit, Math.min(index, this.log.lastIndex));
  }

  #sendAppendResponse(
    to: MemberId,
    answer: Pick<AppendResponse, 'isRejected' | 'index' | 'hintIndex' | 'hintTerm'>,
  ): void {
    this.#send({ type: 'append-response', to, applied: this.#applied, ...answer });
  }

  #send(draft: Draft): void {
    this.#messages.push({ from: this.id, term: this.#term, ...draft } as Message);
  }
}
