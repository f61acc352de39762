/**
 * What all edges of a cluster agree on: the affinity salt, the pool edits and the ring of ticket keys. Pure: no clock, no
 * chance; the same entries give the same state everywhere. Main thread.
 *
 * A further part takes a command in state-command.ts, a case in `apply`, and a key in the snapshot: what is new within a
 * key that older versions read would make the snapshot unreadable to them, and a member that it is sent to would stay
 * behind.
 */

import { decode, encode } from '@msgpack/msgpack';
import type { StateMachine } from '../cluster/types.ts';
import { type KeyCommandKind, KeyRing } from '../stek/key-ring.ts';
import { type EditsOfPool, PoolEdits } from './pool-edits.ts';
import { decodeCommand, type StateCommand } from './state-command.ts';

const SNAPSHOT_VERSION = 1;

/** What has changed, for those who show it to others. */
export type StateChange =
  | { readonly kind: 'salt' }
  | { readonly kind: 'pool'; readonly pool: string }
  | { readonly kind: 'keys' }
  | { readonly kind: 'all' };

export class ReplicatedState implements StateMachine {
  /** Called after each change. */
  onChange: (change: StateChange) => void = () => {};
  #salt: string | null = null;
  #edits = new PoolEdits();
  #ring = new KeyRing();

  /** Empty until the cluster has one. Replaced by a restore. Secrets. */
  get ring(): Omit<KeyRing, 'apply' | 'erase'> {
    return this.#ring;
  }

  /** Null until the cluster has one; then it never changes, but for a restore. A secret. */
  get salt(): string | null {
    return this.#salt;
  }

  editsOf(pool: string): EditsOfPool {
    return this.#edits.of(pool);
  }

  /** Whether an edit of this node would be kept. */
  hasRoomFor(pool: string, address: string): boolean {
    return this.#edits.hasRoomFor(pool, address);
  }

  /**
   * Ignores what is not a command of this version, and what does not fit: the same everywhere. Returns whether it erased
   * keys, whose bytes must not stay in the log either.
   */
  apply(data: Uint8Array): boolean {
    const command = decodeCommand(data);
    if (command === null) return false;
    switch (command.kind) {
      case 'sync':
        return false;
      case 'salt':
        this.#applySalt(command.salt);
        return false;
      case 'node':
        this.#edits.set(command.pool, command.address, command.edit);
        this.onChange({ kind: 'pool', pool: command.pool });
        return false;
      default:
        return this.#applyKeys(command);
    }
  }

  /** The same bytes for equal states. */
  snapshot(): Uint8Array {
    const [salt, keys] = [this.#salt, this.#ring.toSnapshot()];
    const [pools, changes] = [this.#edits.toSnapshot(['present', 'absent']), this.#edits.toSnapshot(['changed'])];
    return encode({ version: SNAPSHOT_VERSION, salt, pools, keys, ...(changes.length > 0 && { changes }) });
  }

  isReadable(data: Uint8Array): boolean {
    try {
      if (data.length > 0) readSnapshot(data);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Throws where the snapshot cannot be read, and changes nothing then: going on without it would be going on with
   * another state than the others. Parts that this version does not know are left out, as their commands are.
   */
  restore(data: Uint8Array): void {
    const { salt, edits, ring } = data.length === 0 ? EMPTY() : readSnapshot(data);
    this.#salt = salt;
    this.#edits = edits;
    this.#ring.erase();
    this.#ring = ring;
    this.onChange({ kind: 'all' });
  }

  #applySalt(salt: string): void {
    // the first stays: all edges may propose one when they start
    if (this.#salt !== null) return;
    this.#salt = salt;
    this.onChange({ kind: 'salt' });
  }

  #applyKeys(command: StateCommand & { kind: KeyCommandKind }): boolean {
    const effect = this.#ring.apply(command);
    if (effect !== 'none') this.onChange({ kind: 'keys' });
    return effect === 'erased';
  }
}

interface Parts {
  readonly salt: string | null;
  readonly edits: PoolEdits;
  readonly ring: KeyRing;
}

const EMPTY = (): Parts => ({ salt: null, edits: new PoolEdits(), ring: new KeyRing() });

function readSnapshot(data: Uint8Array): Parts {
  try {
    const { version, salt, pools, changes = [], keys } = decode(data) as Record<string, unknown>;
    if (version !== SNAPSHOT_VERSION || (salt !== null && typeof salt !== 'string')) throw new TypeError();
    return { salt, edits: PoolEdits.fromSnapshot(pools, changes), ring: KeyRing.fromSnapshot(keys) };
  } catch {
    throw new Error('the snapshot of the replicated state is not one that this version reads');
  }
}
