/**
 * What must hold of the ticket keys at every step, whatever breaks: no ring has two active keys, or two staged; a ticket that
 * any server would issue can be opened by all that are in touch with the leader; a key that is gone is gone from everywhere.
 * Throws at the first violation. That equal positions in the log mean equal rings is checked with the rest of the state, in
 * checker.ts.
 *
 * Not in question are tickets between two servers
 *
 *   - of two clusters, or of which one has none;
 *   - of which one has applied a revocation, and the other has not: revoking asks nobody.
 *
 * and a server that lacks the key as yet
 *
 *   - which the leader counted for silent when it proposed the activation, or that was no member then;
 *   - which has restarted, and not applied yet all that was committed before: its doors are closed until it has;
 *   - which has left its cluster for another, and not had the state of that one yet.
 *
 * A key is gone by retirement when its time is over, by the leader's clock, and a server issues no more by its own. So where
 * clocks are true no server, in touch or not, may issue with a key that is retired. Where they are not, one that is in touch
 * has some time to learn of it, and of one that is cut off nothing can be said.
 */

import { serverOf } from '../../src/cluster/identity.ts';
import type { Member } from '../../src/cluster/member.ts';
import type { ServerId } from '../../src/cluster/types.ts';
import { decodeCommand } from '../../src/control/state-command.ts';
import type { Raft } from '../../src/raft/raft.ts';
import { type Entry, type MemberId, ROLE } from '../../src/raft/types.ts';
import type { RingKey, Stage } from '../../src/stek/key-ring.ts';
import type { RotationRules } from '../../src/stek/rotation.ts';
import { nameOf } from '../../src/stek/ticket-key.ts';
import { Violation } from './checker.ts';
import type { Life, Server } from './server.ts';

/** What a run went through, of its keys. */
export interface KeyExercise {
  keysMinted: number;
  keysActivated: number;
  keysRetired: number;
  revocations: number;
  /** Pairs of a server that issues and another that opens. */
  ticketsChecked: number;
  /** A server's memory, or its disk, searched for a key that is gone. */
  memoriesSearched: number;
  disksSearched: number;
}

export interface KeyCheckerOptions {
  readonly servers: ReadonlyMap<ServerId, Server>;
  readonly rules: RotationRules;
  readonly isClockTrue: boolean;
  readonly tickMs: number;
  readonly nowMs: () => number;
  /** Every key that was ever made, by its name. */
  readonly made: ReadonlyMap<string, Buffer>;
  /** What the server's disk would give back at a restart; null: it has none. */
  readonly stored: (server: Server) => StoredKeys | null;
  /** Whether to look at a disk this time: it costs. */
  readonly mayLookAtDisk: () => boolean;
  readonly exercise: KeyExercise;
}

/** Where keys may stand. */
export interface StoredKeys {
  readonly snapshot: Uint8Array;
  readonly entries: readonly Entry[];
}

/** True clocks differ by less, and a rotator ticks within this time. */
const CLOCK_SLACK_MS = 200;
/** Within this time each server is looked at. */
const LATE_GAP_MS = 300;

export class KeyChecker {
  readonly #options: KeyCheckerOptions;
  /** Who was heard of when a leader proposed an activation, by the key's name and the time of the proposal. */
  readonly #counted = new Map<string, ReadonlySet<MemberId>>();
  /** Keys that came by a revocation, and with it at once. */
  readonly #revoking = new Set<string>();
  readonly #minted = new Set<string>();
  readonly #activated = new Set<string>();
  /** When the first server let go of a key, and whether that was by a revocation. */
  readonly #gone = new Map<string, { readonly atMs: number; readonly isRevoked: boolean }>();
  /** Where clocks are wrong: who was found to issue with a key that is retired while in touch, since when, and when last. */
  readonly #late = new WeakMap<Life, { readonly name: string; readonly sinceMs: number; readonly seenMs: number }>();

  constructor(options: KeyCheckerOptions) {
    this.#options = options;
  }

  /** An operator is about to propose a revocation with this key. */
  revokes(name: string): void {
    this.#revoking.add(name);
  }

  /** A leader is about to propose an activation. */
  activates({ life, electedMs }: Server, name: string, atMs: number): void {
    const raft = life?.member.raft as Raft;
    const ledMs = this.#options.nowMs() - electedMs;
    const isCounted = (id: MemberId) => id === raft.id || this.#silentMs(raft, id, ledMs) < this.#silenceMsMax;
    const { voters, learners } = raft.membership;
    this.#counted.set(`${name} ${atMs}`, new Set([...voters, ...learners].filter(isCounted)));
  }

  /** By a command, or a snapshot (null). */
  ringChanged({ id }: Server, life: Life, before: ReadonlySet<string>, data: Uint8Array | null): void {
    const { active, staged, keys } = life.state.ring;
    const count = (wanted: Stage) => keys.filter(({ stage }) => stage === wanted).length;
    if (count('active') > 1) throw new Violation(`keys: server ${id} has two active keys`);
    if (count('staged') > 1) throw new Violation(`keys: server ${id} has two staged keys`);
    const kind = data === null ? null : (decodeCommand(data)?.kind ?? null);
    if (kind === 'key-mint') this.#noteMinted(staged);
    if (kind === 'key-activate' || kind === 'key-revoke') this.#noteActive(active);
    for (const name of before) if (kind !== null && !life.held.has(name)) this.#noteGone(name, kind === 'key-revoke');
  }

  /** What `server` would issue, or can open, may be another. */
  changed(server: Server): void {
    for (const other of this.#options.servers.values()) {
      if (other === server) continue;
      this.#checkTickets(server, other);
      this.#checkTickets(other, server);
    }
  }

  /** A leader has heard of a member, which may be in touch from now on. */
  heard(leader: Server, member: MemberId): void {
    const opener = this.#options.servers.get(serverOf(member));
    if (opener?.life?.member.id === member) this.#checkTickets(leader, opener);
  }

  /** Looks for keys that `server` has let go of, once it has written what it had to. */
  search(server: Server): void {
    const { life } = server;
    if (life === null || life.gone.size === 0 || life.member.isStoring) return;
    const gone = [...life.gone].filter((name) => !life.held.has(name));
    life.gone.clear();
    const { raft } = life.member;
    const { exercise, mayLookAtDisk, stored } = this.#options;
    if (raft !== null) {
      const { log } = raft;
      const entries = log.slice(log.firstIndex, raft.applied, Number.POSITIVE_INFINITY);
      exercise.memoriesSearched++;
      this.#mustLack(gone, { snapshot: log.snapshot.data, entries }, `the log of server ${server.id}`);
    }
    const found = server.disk !== null && mayLookAtDisk() ? stored(server) : null;
    if (found === null) return;
    const applied = raft?.applied ?? 0;
    exercise.disksSearched++;
    const entries = found.entries.filter(({ index }) => index <= applied);
    this.#mustLack(gone, { snapshot: found.snapshot, entries }, `the disk of server ${server.id}`);
  }

  #noteMinted(key: RingKey | null): void {
    if (key === null || this.#minted.has(nameOf(key.bytes))) return;
    this.#minted.add(nameOf(key.bytes));
    this.#options.exercise.keysMinted++;
  }

  #noteActive(key: RingKey | null): void {
    if (key === null || this.#activated.has(nameOf(key.bytes))) return;
    const name = nameOf(key.bytes);
    this.#activated.add(name);
    if (this.#revoking.has(name)) this.#options.exercise.revocations++;
    else this.#options.exercise.keysActivated++;
  }

  #noteGone(name: string, isRevoked: boolean): void {
    if (this.#gone.has(name)) return;
    this.#gone.set(name, { atMs: this.#options.nowMs(), isRevoked });
    if (!isRevoked) this.#options.exercise.keysRetired++;
  }

  #checkTickets({ id, life: issuer }: Server, opener: Server): void {
    const { life } = opener;
    if (issuer === null || life === null || issuer.isPaused || life.isPaused || issuer.issuing === null) return;
    const { cluster } = issuer.member;
    if (cluster === null || life.member.cluster !== cluster) return;
    this.#options.exercise.ticketsChecked++;
    if (life.held.has(issuer.issuing)) return;
    const gone = this.#gone.get(issuer.issuing);
    if (gone !== undefined) {
      if (!gone.isRevoked) this.#checkLate(issuer, issuer.issuing, gone.atMs);
      return;
    }
    if (!this.#mustHold(life, issuer)) return;
    throw new Violation(`tickets: server ${id} issues with key ${issuer.issuing}, which server ${opener.id} lacks`);
  }

  /** A server issues with a key that another has retired. */
  #checkLate(issuer: Life, name: string, goneMs: number): void {
    const { isClockTrue, nowMs } = this.#options;
    const now = nowMs();
    let sinceMs = goneMs;
    if (!isClockTrue) {
      if (!this.#isInTouch(issuer.member)) return;
      const late = this.#late.get(issuer);
      sinceMs = late?.name === name && now - late.seenMs < LATE_GAP_MS ? late.sinceMs : now;
      this.#late.set(issuer, { name, sinceMs, seenMs: now });
    }
    if (now - sinceMs <= (isClockTrue ? CLOCK_SLACK_MS : 2 * this.#silenceMsMax)) return;
    const since = `${(now - goneMs).toFixed(0)} ms after it was retired`;
    throw new Violation(`tickets: ${issuer.member.id} issues with key ${name}, ${since}`);
  }

  /** Whether a server must hold the key that another issues with, and that nobody has let go of. */
  #mustHold({ member, isSynced }: Life, { issuing, state }: Life): boolean {
    if (!isSynced || member.raft?.applied === 0) return false;
    if (this.#revoking.has(issuing ?? '') || !this.#isInTouch(member)) return false;
    const counted = this.#counted.get(`${issuing} ${state.ring.active?.activeSinceMs}`);
    return counted === undefined || counted.has(member.id);
  }

  /** Whether the leader of the latest term of its cluster hears of it. */
  #isInTouch({ id, cluster }: Member): boolean {
    let leader: Raft | null = null;
    for (const { life } of this.#options.servers.values()) {
      const raft = life?.member.raft;
      if (life?.member.cluster !== cluster || raft?.role !== ROLE.leader || life.isPaused) continue;
      if (leader === null || raft.term > leader.term) leader = raft;
    }
    if (leader === null) return false;
    return leader.id === id || this.#silentMs(leader, id, Number.POSITIVE_INFINITY) < this.#silenceMsMax;
  }

  /** `unheardMs` for one that has not been heard of since the leader's election. */
  #silentMs({ progress }: Raft, id: MemberId, unheardMs: number): number {
    const silentTicks = progress.get(id)?.silentTicks ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(silentTicks) ? silentTicks * this.#options.tickMs : unheardMs;
  }

  get #silenceMsMax(): number {
    return this.#options.rules.silenceMsMax;
  }

  #mustLack(names: readonly string[], { snapshot, entries }: StoredKeys, where: string): void {
    const places = entries.flatMap(({ payload }) => (payload.kind === 'command' ? [payload.data] : []));
    for (const name of names) {
      const key = this.#options.made.get(name) as Buffer;
      if ([snapshot, ...places].some((bytes) => Buffer.from(bytes).includes(key))) {
        throw new Violation(`keys: ${where} still holds ${name}, which is gone from its ring`);
      }
    }
  }
}

/** Null: all is as it should be where nothing is out of order; otherwise what is not. */
export function whatIsUnsettled(lives: readonly Life[]): string | null {
  const [first, ...others] = lives;
  if (first === undefined) return null;
  const { active, staged } = first.state.ring;
  if (active === null || staged === null) return 'one active and one staged key';
  if (others.some(({ state }) => state.text.keys !== first.state.text.keys)) return 'the same ring everywhere';
  const name = nameOf(active.bytes);
  return lives.every(({ issuing }) => issuing === name) ? null : 'tickets with the same key everywhere';
}
