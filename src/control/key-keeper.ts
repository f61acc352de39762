/**
 * The ticket keys of this edge: proposes their rotation where it leads, and shows the ring to the listener threads. Main
 * thread; the only writer of the key board.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BOARD_KEYS_MAX,
  type BoardStage,
  KeyBoard,
  NONE,
  STAGE_ACTIVE,
  STAGE_RETIRING,
  STAGE_STAGED,
} from '../boards/key-board.ts';
import { type ClusterStatus, ProposalError } from '../cluster/types.ts';
import { describeKey, KEYS_MAX, type KeyCommand, type RingKey, type Stage } from '../stek/key-ring.ts';
import type { RotationRules } from '../stek/rotation.ts';
import { type Leadership, Rotator } from '../stek/rotator.ts';
import { keyId, nameOf, TICKET_KEY_BYTES, type TicketKey } from '../stek/ticket-key.ts';
import { KeyError } from './key-error.ts';
import type { Log } from './log.ts';
import type { ReplicatedState } from './state.ts';
import { encodeCommand } from './state-command.ts';
import type { KeysStatus } from './status.ts';

/** How often the rotation is looked at: an interval is at least a second. */
const TICK_MS = 100;
/** An election at Traffic Server's timeouts takes as long. */
const SYNC_RETRY_MS = 250;
const IMPORT_UNUSED =
  'ticket_keys: the cluster has keys already, so this one was not used; take it out, or a cluster that has lost its memory begins with it again';
const BOARD_STAGE: Readonly<Record<Stage, BoardStage>> = {
  staged: STAGE_STAGED,
  active: STAGE_ACTIVE,
  retiring: STAGE_RETIRING,
};

if (KEYS_MAX > BOARD_KEYS_MAX) throw new RangeError('the ring does not fit its board');

export interface KeyKeeperOptions {
  readonly state: ReplicatedState;
  readonly rules: RotationRules;
  /** The first key of a new cluster, in place of a random one; null: none. Zeroed as soon as there is a ring. */
  readonly importKey: TicketKey | null;
  readonly clusterStatus: () => ClusterStatus;
  /** Rejects with a ProposalError. */
  readonly propose: (data: Uint8Array) => Promise<void>;
  readonly ending: AbortSignal;
  readonly log: Log;
}

export class KeyKeeper {
  readonly board = KeyBoard.create();
  readonly #options: KeyKeeperOptions;
  readonly #rotator: Rotator;
  #clock: NodeJS.Timeout | null = null;
  #importKey: TicketKey | null;
  /** The ring has changed since it was published. */
  #isStale = true;
  /** As published: the key that encrypts. */
  #issuing: RingKey | null = null;
  /** Its id, as the log has it. */
  #reported: string | null = null;
  /**
   * All that was committed before the start has been applied. Until then the ring may be one that was read from a disk, and
   * its keys retired or revoked meanwhile: no ticket is made with them, and none opened.
   */
  #isSynced = false;
  /** Whoever waits for it hears of it without a clock. */
  #onHeld: () => void = () => {};

  constructor(options: KeyKeeperOptions) {
    this.#options = options;
    this.#importKey = options.importKey;
    this.#rotator = new Rotator(options.rules, {
      ring: () => options.state.ring,
      leadership: () => this.#leadership(),
      newKey: (isFirst) => this.#newKey(isFirst),
      propose: (command, done) =>
        void this.#propose(command).finally(() => {
          done();
          if (command.kind === 'key-mint') this.#activateFirst();
        }),
    });
    this.#rotator.isLive = false;
  }

  /** After the member of the cluster runs; unless the edge ends already. */
  start(): void {
    if (this.#options.ending.aborted) return;
    this.#clock = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
    void this.#sync();
  }

  /** Before the member leaves its cluster. Not before: while it drains it may lead, and nobody else rotates then. */
  stop(): void {
    if (this.#clock !== null) clearInterval(this.#clock);
    this.#clock = null;
  }

  /** From a reload. */
  setLifetime(lifetimeMs: number): void {
    this.#rotator.rules = { ...this.#rotator.rules, lifetimeMs };
  }

  /** The ring has changed: the listener threads see it from now on. */
  stateChanged(): void {
    this.#isStale = true;
    if (this.#isSynced && this.#options.state.ring.keys.length > 0) {
      this.#importKey?.fill(0);
      this.#importKey = null;
    }
    this.#observe();
    this.#publish();
    if (this.isHeld) this.#onHeld();
  }

  /** After start(): resolves when this edge holds the ring, when it ends, or with a warning after `timeoutMs`. */
  async waitForRing(timeoutMs: number): Promise<void> {
    const { ending, log } = this.#options;
    const untilMs = performance.now() + timeoutMs;
    while (!this.isHeld && !ending.aborted) {
      if (performance.now() >= untilMs) {
        const consequence = 'no ticket keys from the cluster yet: until then full handshakes, and no tickets';
        log.warn({ waitedMs: timeoutMs }, consequence);
        return;
      }
      const held = new Promise<void>((resolve) => {
        this.#onHeld = resolve;
      });
      await Promise.race([held, sleep(TICK_MS / 2, undefined, { signal: ending }).catch(() => {})]);
    }
  }

  /** There is an active key, and it is the cluster's. */
  get isHeld(): boolean {
    return this.#isSynced && this.#options.state.ring.active !== null;
  }

  status(): KeysStatus {
    const { ring } = this.#options.state;
    const { lifetimeMs, intervalMs } = this.#rotator.rules;
    this.#observe();
    const { active } = ring;
    return {
      keys: ring.keys.map(describeKey),
      isIssuing: this.#issuing !== null,
      activeAgeMs: active === null ? null : Math.round(this.#rotator.ageMs(active)),
      lifetimeMs,
      intervalMs,
    };
  }

  /** Has the next key become active without waiting for its time. Rejects with a KeyError. */
  async rotate(): Promise<KeysStatus> {
    const { state, ending } = this.#options;
    const before = activeName(state);
    await this.#mustPropose({ kind: 'key-rotate' });
    // every live member is asked first, and a silent one waited for; the next leader may have to begin again
    const untilMs = performance.now() + 3 * this.#rotator.rules.silenceMsMax;
    while (activeName(state) === before) {
      if (performance.now() >= untilMs || ending.aborted) {
        throw new KeyError(
          'not-activated',
          'the rotation is agreed on, but the next key is not active yet: see status',
        );
      }
      await sleep(TICK_MS / 2, undefined, { signal: ending }).catch(() => {});
    }
    return this.status();
  }

  /** Replaces the active key at once, and erases all others everywhere. Rejects with a KeyError. */
  async revoke(): Promise<KeysStatus> {
    const key = randomBytes(TICKET_KEY_BYTES);
    await this.#mustPropose({ kind: 'key-revoke', key, atMs: Date.now() }).finally(() => key.fill(0));
    return this.status();
  }

  #tick(): void {
    this.#rotator.tick(Date.now(), performance.now());
    this.#publish();
  }

  /** The first key of all is used as soon as it may be: a start waits for it. */
  #activateFirst(): void {
    const { active, staged } = this.#options.state.ring;
    if (active === null && staged !== null && !this.#options.ending.aborted) this.#tick();
  }

  /** A key that has just come has an age, too. */
  #observe(): void {
    this.#rotator.observe(Date.now(), performance.now());
  }

  /** What is applied here once this command is includes all that was committed before it. Goes on until it is. */
  async #sync(): Promise<void> {
    const { ending, log, state } = this.#options;
    while (!ending.aborted && !(await this.#isProposed({ kind: 'sync' }))) {
      await sleep(SYNC_RETRY_MS, undefined, { signal: ending }).catch(() => {});
    }
    if (ending.aborted) return;
    this.#observe();
    this.#isSynced = this.#rotator.isLive = true;
    const { ring } = state;
    const isUnused = this.#importKey !== null && ring.keys.length > 0 && ring.find(nameOf(this.#importKey)) === null;
    if (isUnused) log.warn(IMPORT_UNUSED);
    this.stateChanged();
  }

  #publish(): void {
    const issuing = this.#isSynced ? this.#rotator.issuing : null;
    if (!this.#isStale && issuing === this.#issuing) return;
    this.#isStale = false;
    const keys = this.#isSynced ? this.#options.state.ring.keys : [];
    this.board.publish(
      keys.map(({ bytes, stage }) => ({ bytes, stage: BOARD_STAGE[stage] })),
      issuing === null ? NONE : keys.indexOf(issuing),
    );
    this.#issuing = issuing;
    this.#report(issuing === null ? null : keyId(issuing.bytes));
  }

  #report(id: string | null): void {
    const { log, state } = this.#options;
    if (id === this.#reported) return;
    this.#reported = id;
    if (id !== null) log.info({ key: id }, 'ticket key in use');
    else {
      const why = state.ring.active === null ? 'the cluster has none' : 'the active one is too old, and not replaced';
      log.warn(`no ticket is issued for want of a key: ${why}`);
    }
  }

  #leadership(): Leadership | null {
    const { role, term, applied, members } = this.#options.clusterStatus();
    if (role !== 'leader') return null;
    const others = members.filter(({ isSelf }) => !isSelf);
    return { term, applied, members: others.map((m) => ({ applied: m.applied, silentMs: m.lastContactMs })) };
  }

  #newKey(isFirst: boolean): TicketKey {
    return isFirst && this.#importKey !== null ? new Uint8Array(this.#importKey) : randomBytes(TICKET_KEY_BYTES);
  }

  /** A step that is not confirmed is taken again, by whoever leads then. */
  async #propose(command: KeyCommand): Promise<void> {
    await this.#isProposed(command);
    if (command.kind === 'key-mint') command.key.fill(0);
  }

  /** Whether it is committed and applied here. */
  async #isProposed(command: KeyCommand | { readonly kind: 'sync' }): Promise<boolean> {
    try {
      await this.#options.propose(encodeCommand(command));
      return true;
    } catch (error) {
      if (!(error instanceof ProposalError) && !this.#options.ending.aborted) {
        this.#options.log.error({ err: error }, `could not be proposed to the cluster: ${command.kind}`);
      }
      return false;
    }
  }

  async #mustPropose(command: KeyCommand): Promise<void> {
    try {
      await this.#options.propose(encodeCommand(command));
    } catch (error) {
      throw error instanceof ProposalError ? new KeyError(error.code, error.message) : error;
    }
  }
}

function activeName({ ring }: ReplicatedState): string | null {
  return ring.active === null ? null : nameOf(ring.active.bytes);
}
