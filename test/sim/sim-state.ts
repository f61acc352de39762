/**
 * What the servers of a simulation agree on: words, in the order in which they were committed, and the production state with
 * the ring of ticket keys.
 *
 *   snapshot: length of the words (4, big endian), the words, the production state's snapshot
 */

import type { StateMachine } from '../../src/cluster/types.ts';
import type { ReplicatedState } from '../../src/control/state.ts';

/** A state in a form that can be compared and kept. */
export interface StateText {
  /** Each followed by a comma. */
  readonly words: string;
  /** The production state's snapshot, a character a byte. */
  readonly keys: string;
}

export class SimState implements StateMachine {
  /** Called after each command that has changed the ring, and with null after a restore. */
  onKeys: (command: Uint8Array | null) => void = () => {};
  readonly #state: ReplicatedState;
  #words = '';
  /** Null: it has changed since. */
  #keys: string | null = null;

  constructor(state: ReplicatedState) {
    this.#state = state;
    state.onChange = () => {
      this.#keys = null;
    };
  }

  get ring(): ReplicatedState['ring'] {
    return this.#state.ring;
  }

  get text(): StateText {
    this.#keys ??= latin1(this.#state.snapshot());
    return { words: this.#words, keys: this.#keys };
  }

  has(word: string): boolean {
    return this.#words.split(',').includes(word);
  }

  apply(data: Uint8Array): boolean {
    if (!isKeyCommand(data)) {
      this.#words += `${latin1(data)},`;
      return false;
    }
    const mustForget = this.#state.apply(data);
    if (this.#keys === null) this.onKeys(data);
    return mustForget;
  }

  snapshot(): Uint8Array {
    const words = Buffer.from(this.#words, 'latin1');
    const head = Buffer.alloc(4);
    head.writeUInt32BE(words.length);
    return Buffer.concat([head, words, this.#state.snapshot()]);
  }

  isReadable(data: Uint8Array): boolean {
    return data.length === 0 || this.#state.isReadable(partsOf(data).state);
  }

  restore(data: Uint8Array): void {
    const { words, state } = partsOf(data);
    this.#words = latin1(words);
    this.#state.restore(state);
    this.onKeys(null);
  }
}

/** Of a snapshot. */
export function stateText(snapshot: Uint8Array): StateText {
  const { words, state } = partsOf(snapshot);
  return { words: latin1(words), keys: latin1(state) };
}

export function isSame(one: StateText, other: StateText): boolean {
  return one.words === other.words && one.keys === other.keys;
}

/** A word is of digits; a command of the production state is a MessagePack array. */
export function isKeyCommand(data: Uint8Array): boolean {
  return ((data[0] as number) & 0xf0) === 0x90;
}

function partsOf(snapshot: Uint8Array): { words: Uint8Array; state: Uint8Array } {
  if (snapshot.length === 0) return { words: snapshot, state: snapshot };
  const end = 4 + new DataView(snapshot.buffer, snapshot.byteOffset).getUint32(0);
  return { words: snapshot.subarray(4, end), state: snapshot.subarray(end) };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
