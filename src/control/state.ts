/**
 * What all edges of a cluster agree on: the affinity salt and the pool edits. Pure: no clock, no chance; the same entries
 * give the same state everywhere. Main thread.
 *
 * A further part takes a command in state-command.ts, a case in `apply`, and a key in the snapshot.
 */

import { decode, encode } from '@msgpack/msgpack';
import type { StateMachine } from '../cluster/types.ts';
import { type EditsOfPool, PoolEdits } from './pool-edits.ts';
import { decodeCommand } from './state-command.ts';

const SNAPSHOT_VERSION = 1;

/** What has changed, for those who show it to others. */
export type StateChange =
  | { readonly kind: 'salt' }
  | { readonly kind: 'pool'; readonly pool: string }
  | { readonly kind: 'all' };

export class ReplicatedState implements StateMachine {
  /** Called after each change. */
  onChange: (change: StateChange) => void = () => {};
  #salt: string | null = null;
  #edits = new PoolEdits();

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

  /** Ignores what is not a command of this version, and what does not fit: the same everywhere. */
  apply(data: Uint8Array): void {
    const command = decodeCommand(data);
    if (command === null) return;
    if (command.kind === 'salt') {
      // the first stays: all edges may propose one when they start
      if (this.#salt !== null) return;
      this.#salt = command.salt;
      this.onChange({ kind: 'salt' });
    } else {
      this.#edits.set(command.pool, command.address, command.edit);
      this.onChange({ kind: 'pool', pool: command.pool });
    }
  }

  /** The same bytes for equal states. */
  snapshot(): Uint8Array {
    return encode({ version: SNAPSHOT_VERSION, salt: this.#salt, pools: this.#edits.toSnapshot() });
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
    const { salt, edits } = data.length === 0 ? { salt: null, edits: new PoolEdits() } : readSnapshot(data);
    this.#salt = salt;
    this.#edits = edits;
    this.onChange({ kind: 'all' });
  }
}

function readSnapshot(data: Uint8Array): { salt: string | null; edits: PoolEdits } {
  try {
    const { version, salt, pools } = decode(data) as Record<string, unknown>;
    if (version !== SNAPSHOT_VERSION || (salt !== null && typeof salt !== 'string')) throw new TypeError();
    return { salt, edits: PoolEdits.fromSnapshot(pools) };
  } catch {
    throw new Error('the snapshot of the replicated state is not one that this version reads');
  }
}
