/**
 * The ticket keys of a simulated group: production rotators, one a life, driven by clocks that are wrong; an operator who asks
 * for the next key, and one who revokes them all.
 */

import type { ServerId } from '../../src/cluster/types.ts';
import { decodeCommand, encodeCommand } from '../../src/control/state-command.ts';
import { ROLE } from '../../src/raft/types.ts';
import type { KeyCommand } from '../../src/stek/key-ring.ts';
import type { RotationRules } from '../../src/stek/rotation.ts';
import type { Leadership, Rotator } from '../../src/stek/rotator.ts';
import { keyId, nameOf, TICKET_KEY_BYTES, type TicketKey } from '../../src/stek/ticket-key.ts';
import type { KeyChecker } from './key-checker.ts';
import type { Production } from './production.ts';
import type { Random } from './random.ts';
import type { Life, Server } from './server.ts';

export interface KeyDriverOptions {
  readonly code: Production;
  readonly random: Random;
  readonly rules: RotationRules;
  /** All clocks are right, but for some ms. */
  readonly isClockTrue: boolean;
  readonly tickMs: number;
  /** Virtual time. */
  readonly nowMs: () => number;
  /** Every key that was ever made is put here, by its name. */
  readonly made: Map<string, Buffer>;
  readonly checker: KeyChecker;
  /** To follow one run. */
  readonly say: (server: ServerId, message: string, fields: object) => void;
}

/** Unix time at the beginning of a run. */
const EPOCH_MS = 1_700_000_000_000;
const CLOCK_ERROR_MS = 20;
const HOUR_MS = 3_600_000;
const SYNC_RETRY_MS = 250;

export class KeyDriver {
  readonly #options: KeyDriverOptions;

  constructor(options: KeyDriverOptions) {
    this.#options = options;
  }

  /** How wrong a clock is that is set now. */
  drawClockMs(): number {
    const { random, isClockTrue } = this.#options;
    const errorMs = isClockTrue ? CLOCK_ERROR_MS : random.pick([1_000, 10_000, HOUR_MS, 3 * HOUR_MS]);
    return random.between(-errorMs, errorMs);
  }

  /** Of a clock that has been set right. */
  drawTrueClockMs(): number {
    return this.#options.random.between(-CLOCK_ERROR_MS, CLOCK_ERROR_MS);
  }

  /** For a new life, which `lifeOf` gives from then on. */
  rotator(server: Server, lifeOf: () => Life): Rotator {
    const { code, rules } = this.#options;
    return new code.Rotator(rules, {
      ring: () => lifeOf().state.ring,
      leadership: () => this.#leadership(lifeOf()),
      newKey: () => this.#newKey(),
      propose: (command, done) => this.#propose(server, lifeOf(), command, done),
    });
  }

  /** The program has started, and holds what it has found. */
  begin(server: Server, life: Life): void {
    life.state.onKeys = (command) => this.#ringChanged(server, life, command);
    life.held = heldBy(life);
    this.#observe(server, life);
  }

  tick(server: Server, life: Life): void {
    this.#sync(life);
    life.rotator.tick(this.#clockMs(server), this.#options.nowMs());
    this.#note(life);
  }

  askForRotation({ life }: Server): void {
    if (life !== null && !life.isPaused) life.member.propose(encodeCommand({ kind: 'key-rotate' }), () => {});
  }

  revoke(server: Server): void {
    const { life } = server;
    if (life === null || life.isPaused) return;
    const command: KeyCommand = { kind: 'key-revoke', key: this.#newKey(), atMs: this.#clockMs(server) };
    this.#options.checker.revokes(nameOf(command.key));
    life.member.propose(encodeCommand(command), () => {});
  }

  #ringChanged(server: Server, life: Life, command: Uint8Array | null): void {
    const before = life.held;
    life.held = heldBy(life);
    for (const name of before) if (!life.held.has(name)) life.gone.add(name);
    this.#options.checker.ringChanged(server, life, before, command);
    this.#observe(server, life);
    const kind = command === null ? 'a snapshot' : decodeCommand(command)?.kind;
    const ring = life.state.ring.keys.map(({ bytes, stage }) => `${stage} ${keyId(bytes)}`);
    this.#options.say(server.id, `its ring after ${kind}`, { ring, isIssuing: life.issuing !== null });
  }

  #observe(server: Server, life: Life): void {
    life.rotator.observe(this.#clockMs(server), this.#options.nowMs());
    this.#note(life);
  }

  /** A command that is applied here comes after all that was committed before it was proposed. */
  #sync(life: Life): void {
    const { nowMs } = this.#options;
    if (life.isSynced || nowMs() < life.syncAtMs) return;
    life.syncAtMs = Number.POSITIVE_INFINITY;
    life.member.propose(encodeCommand({ kind: 'sync' }), (error) => {
      life.isSynced = error === null;
      life.syncAtMs = nowMs() + SYNC_RETRY_MS;
    });
  }

  #note(life: Life): void {
    const issuing = life.isSynced ? life.rotator.issuing : null;
    life.issuing = issuing === null ? null : nameOf(issuing.bytes);
  }

  #clockMs({ clockMs }: Server): number {
    return Math.round(EPOCH_MS + this.#options.nowMs() + clockMs);
  }

  /** As the key keeper of an edge sees it. */
  #leadership({ member: { raft } }: Life): Leadership | null {
    if (raft?.role !== ROLE.leader) return null;
    const { code, tickMs } = this.#options;
    const others = code.memberStatuses(raft, tickMs).filter(({ isSelf }) => !isSelf);
    return {
      term: raft.term,
      applied: raft.applied,
      members: others.map((other) => ({ applied: other.applied, silentMs: other.lastContactMs })),
    };
  }

  #propose(server: Server, { member }: Life, command: KeyCommand, done: () => void): void {
    if (command.kind === 'key-activate') this.#options.checker.activates(server, command.name, command.atMs);
    member.propose(encodeCommand(command), done);
  }

  #newKey(): TicketKey {
    const { random, made } = this.#options;
    const key = Buffer.from(Array.from({ length: TICKET_KEY_BYTES }, () => random.between(0, 255)));
    made.set(nameOf(key), Buffer.from(key));
    return key;
  }
}

function heldBy({ state }: Life): ReadonlySet<string> {
  return new Set(state.ring.keys.map(({ bytes }) => nameOf(bytes)));
}
