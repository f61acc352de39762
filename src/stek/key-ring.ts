/**
 * The ring of ticket keys, part of the replicated state. Pure and deterministic: the same commands give the same ring
 * everywhere. Main thread.
 *
 *   staged    every machine can decrypt with it, none encrypts      by mint
 *   active    the one key that new tickets are made with            by activate
 *   retiring  decrypts only                                         by the activation of the next
 *   (gone)    zeroed                                                by retire, or by revoke
 *
 * A command that does not fit the ring as it is changes nothing: two leaders may have proposed the same step.
 */

import { keyId, nameOf, TICKET_KEY_BYTES, type TicketKey } from './ticket-key.ts';

/** Bounds a board, a snapshot (64 KiB), and the search for a key by its name. */
export const KEYS_MAX = 1_024;
/** Of these, the ones that time brings about; the rest is for rotations that somebody asks for. */
export const SCHEDULED_KEYS_MAX = KEYS_MAX - 64;

/** ECMA-262, section 21.4.1.1. */
const TIME_MS_MAX = 8.64e15;

export type Stage = 'staged' | 'active' | 'retiring';

export interface RingKey {
  readonly bytes: TicketKey;
  readonly stage: Stage;
  /** When it entered its stage, by the clock of the leader that proposed it: Unix time in ms. */
  readonly sinceMs: number;
  /** When it became active, likewise; 0 while it is staged. */
  readonly activeSinceMs: number;
}

/** What changes the ring; times are Unix time in ms. */
export type KeyCommand =
  | { readonly kind: 'key-mint'; readonly key: TicketKey; readonly atMs: number }
  | { readonly kind: 'key-activate'; readonly name: string; readonly atMs: number }
  | { readonly kind: 'key-retire'; readonly name: string }
  /** Someone wants the next key to be active without waiting for its time. */
  | { readonly kind: 'key-rotate' }
  /** Replaces the active key at once, and erases all others. */
  | { readonly kind: 'key-revoke'; readonly key: TicketKey; readonly atMs: number };

export type KeyCommandKind = KeyCommand['kind'];

/** What a command did. `erased`: bytes of keys are gone from the ring, and must not stay anywhere else. */
export type RingEffect = 'none' | 'changed' | 'erased';

/** Invariants: at most one key is active, at most one staged; no two have the same name; at most KEYS_MAX keys. */
export class KeyRing {
  #keys: RingKey[] = [];
  #isRotationWanted = false;

  /** In the order in which they came; another array after each change. The bytes are the ring's own: zeroed when the key is gone. */
  get keys(): readonly RingKey[] {
    return this.#keys;
  }

  get active(): RingKey | null {
    return this.#keys.find(({ stage }) => stage === 'active') ?? null;
  }

  get staged(): RingKey | null {
    return this.#keys.find(({ stage }) => stage === 'staged') ?? null;
  }

  /** Somebody has asked for the next key since the last activation. */
  get isRotationWanted(): boolean {
    return this.#isRotationWanted;
  }

  find(name: string): RingKey | null {
    return this.#keys.find(({ bytes }) => nameOf(bytes) === name) ?? null;
  }

  apply(command: KeyCommand): RingEffect {
    switch (command.kind) {
      case 'key-mint':
        return this.#mint(command.key, command.atMs);
      case 'key-activate':
        return this.#activate(command.name, command.atMs);
      case 'key-retire':
        return this.#retire(command.name);
      case 'key-rotate':
        return this.#want();
      case 'key-revoke':
        return this.#revoke(command.key, command.atMs);
    }
  }

  /** Plain data, the same for equal rings. */
  toSnapshot(): unknown {
    const keys = this.#keys.map(({ bytes, stage, sinceMs, activeSinceMs }) => [bytes, stage, sinceMs, activeSinceMs]);
    return [this.#isRotationWanted, keys];
  }

  /** Throws where `data` is not what `toSnapshot` gives. */
  static fromSnapshot(data: unknown): KeyRing {
    if (!Array.isArray(data) || data.length !== 2 || typeof data[0] !== 'boolean' || !Array.isArray(data[1]))
      throw new TypeError();
    const ring = new KeyRing();
    ring.#isRotationWanted = data[0];
    ring.#keys = data[1].map(readKey);
    if (!isSound(ring.#keys)) throw new TypeError();
    return ring;
  }

  /** Zeroes every key: this ring is not used any more. */
  erase(): void {
    for (const { bytes } of this.#keys) bytes.fill(0);
    this.#keys = [];
  }

  #mint(key: TicketKey, atMs: number): RingEffect {
    if (this.staged !== null || this.#keys.length >= KEYS_MAX || this.find(nameOf(key)) !== null) return 'none';
    this.#keys = [...this.#keys, { bytes: copyOf(key), stage: 'staged', sinceMs: atMs, activeSinceMs: 0 }];
    return 'changed';
  }

  #activate(name: string, atMs: number): RingEffect {
    const next = this.staged;
    if (next === null || nameOf(next.bytes) !== name) return 'none';
    this.#keys = this.#keys.map((key) => {
      if (key === next) return { ...key, stage: 'active', sinceMs: atMs, activeSinceMs: atMs };
      return key.stage === 'active' ? { ...key, stage: 'retiring', sinceMs: atMs } : key;
    });
    this.#isRotationWanted = false;
    return 'changed';
  }

  #retire(name: string): RingEffect {
    const key = this.find(name);
    if (key?.stage !== 'retiring') return 'none';
    key.bytes.fill(0);
    this.#keys = this.#keys.filter((other) => other !== key);
    return 'erased';
  }

  #want(): RingEffect {
    if (this.#isRotationWanted) return 'none';
    this.#isRotationWanted = true;
    return 'changed';
  }

  #revoke(key: TicketKey, atMs: number): RingEffect {
    // confirmed late and proposed again: the first counts
    if (this.find(nameOf(key)) !== null) return 'none';
    this.erase();
    this.#keys = [{ bytes: copyOf(key), stage: 'active', sinceMs: atMs, activeSinceMs: atMs }];
    this.#isRotationWanted = false;
    return 'erased';
  }
}

/** What may be shown of a ring. */
export interface KeyInfo {
  readonly id: string;
  readonly stage: Stage;
  readonly sinceMs: number;
}

export function describeKey({ bytes, stage, sinceMs }: RingKey): KeyInfo {
  return { id: keyId(bytes), stage, sinceMs };
}

/** A key as a command or a snapshot holds it. */
export function isTicketKey(value: unknown): value is TicketKey {
  return value instanceof Uint8Array && value.length === TICKET_KEY_BYTES;
}

/** Unix time in ms, which a Date can hold. */
export function isTime(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= TIME_MS_MAX;
}

/** Not slice(): a Buffer's is a view of the same memory, which here is the log's. */
function copyOf(key: TicketKey): TicketKey {
  return new Uint8Array(key);
}

function readKey(fields: unknown): RingKey {
  if (!Array.isArray(fields) || fields.length !== 4) throw new TypeError();
  const [bytes, stage, sinceMs, activeSinceMs] = fields as unknown[];
  const isStage = stage === 'staged' || stage === 'active' || stage === 'retiring';
  if (!isTicketKey(bytes) || !isStage || !isTime(sinceMs) || !isTime(activeSinceMs)) throw new TypeError();
  return { bytes: copyOf(bytes), stage, sinceMs, activeSinceMs };
}

function isSound(keys: readonly RingKey[]): boolean {
  const count = (wanted: Stage) => keys.filter(({ stage }) => stage === wanted).length;
  const names = new Set(keys.map(({ bytes }) => nameOf(bytes)));
  return keys.length <= KEYS_MAX && names.size === keys.length && count('active') <= 1 && count('staged') <= 1;
}
