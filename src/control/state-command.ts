/**
 * The commands of the replicated state, one log entry each: MessagePack arrays that begin with a version. Pure; main
 * thread.
 *
 *   [1, 'salt', SALT]
 *   [1, 'node', POOL, ADDRESS, WEIGHT, DRAIN]   the node is in the pool, with this weight and drain; null: as it was
 *   [1, 'node', POOL, ADDRESS, WEIGHT, DRAIN, false]   the same where it is in the pool anyway: this does not add it
 *   [1, 'node', POOL, ADDRESS, null]            it is not, whatever the file says
 *   [1, 'node', POOL, ADDRESS]                  as the file says: an earlier edit is withdrawn
 *   [1, 'sync']                                 changes nothing: who proposed it has applied all that was committed before
 *   [1, 'key-mint', KEY, TIME]                  KEY: 48 bytes; NAME: the 32 hex digits of a key's name; TIME: Unix, ms
 *   [1, 'key-activate', NAME, TIME]
 *   [1, 'key-retire', NAME]
 *   [1, 'key-rotate']
 *   [1, 'key-revoke', KEY, TIME]
 */

import { decode, encode } from '@msgpack/msgpack';
import { WEIGHT_RANGE } from '../config/config.ts';
import { isTicketKey, isTime, type KeyCommand } from '../stek/key-ring.ts';

const VERSION = 1;
const SALT_CHARS_MAX = 256;
const POOL_CHARS_MAX = 64;
/** A name of 253 characters, or an IPv6 address with a zone, and a port. */
const ADDRESS_CHARS_MAX = 320;
const KEY_NAME = /^[0-9a-f]{32}$/;

/** What an operator has said of a node, over what the file says. */
export type NodeEdit =
  /**
   * Null: as an earlier edit or the file says. So edits of one and of the other, made at the same time, both hold.
   * `changed`: only where the file or an earlier edit has it, so that a node that was drained goes when the file drops it.
   */
  | { readonly kind: 'present' | 'changed'; readonly weight: number | null; readonly drain: boolean | null }
  | { readonly kind: 'absent' };

export const EDIT_KINDS: readonly NodeEdit['kind'][] = ['present', 'absent', 'changed'];

export type StateCommand =
  | KeyCommand
  | { readonly kind: 'sync' }
  | { readonly kind: 'salt'; readonly salt: string }
  /** `edit` null: withdrawn. */
  | { readonly kind: 'node'; readonly pool: string; readonly address: string; readonly edit: NodeEdit | null };

/** Throws where the command breaks a bound of this file: apply would ignore it. */
export function encodeCommand(command: StateCommand): Uint8Array {
  const data = encode([VERSION, ...fieldsOf(command)]);
  if (decodeCommand(data) === null) throw new RangeError(`not a command that could be applied: ${command.kind}`);
  return data;
}

function fieldsOf(command: StateCommand): unknown[] {
  switch (command.kind) {
    case 'salt':
      return ['salt', command.salt];
    case 'key-mint':
    case 'key-revoke':
      return [command.kind, command.key, command.atMs];
    case 'key-activate':
      return [command.kind, command.name, command.atMs];
    case 'key-retire':
      return [command.kind, command.name];
    case 'key-rotate':
    case 'sync':
      return [command.kind];
  }
  return ['node', command.pool, command.address, ...encodeEdit(command.edit)];
}

/**
 * Null for what this version does not know. A throw here would end every member of an older version at the first command
 * of a newer one, and again at each start, since the entry stays in the log: a fleet could not be upgraded one machine at
 * a time. So members of several versions may differ, also later on where one of the older ones has passed its state on:
 * what such a command said is to be said again once all are of one version.
 */
export function decodeCommand(data: Uint8Array): StateCommand | null {
  const fields = decodeArray(data);
  if (fields === null || fields[0] !== VERSION) return null;
  const [, kind, ...rest] = fields;
  if (kind === 'salt') {
    const [salt] = rest;
    return rest.length === 1 && isText(salt, SALT_CHARS_MAX) ? { kind, salt } : null;
  }
  if (kind === 'sync') return rest.length === 0 ? { kind } : null;
  if (kind !== 'node') return decodeKeyCommand(kind, rest);
  const [pool, address, ...values] = rest;
  if (!isText(pool, POOL_CHARS_MAX) || !isText(address, ADDRESS_CHARS_MAX)) return null;
  const edit = values.length === 0 ? null : decodeEdit(values);
  return edit === undefined ? null : { kind, pool, address, edit };
}

function decodeKeyCommand(kind: unknown, fields: readonly unknown[]): KeyCommand | null {
  const [subject, atMs] = fields;
  const isNamed = typeof subject === 'string' && KEY_NAME.test(subject);
  if (kind === 'key-rotate') return fields.length === 0 ? { kind } : null;
  if (kind === 'key-retire') return isNamed && fields.length === 1 ? { kind, name: subject } : null;
  if (fields.length !== 2 || !isTime(atMs)) return null;
  if (kind === 'key-activate') return isNamed ? { kind, name: subject, atMs } : null;
  if (kind !== 'key-mint' && kind !== 'key-revoke') return null;
  return isTicketKey(subject) ? { kind, key: subject, atMs } : null;
}

/** The last fields of a `node` command, and of an edit in a snapshot. */
export function encodeEdit(edit: NodeEdit | null): unknown[] {
  if (edit === null) return [];
  if (edit.kind === 'absent') return [null];
  return edit.kind === 'present' ? [edit.weight, edit.drain] : [edit.weight, edit.drain, false];
}

/** Undefined where the fields are no edit. */
export function decodeEdit(fields: readonly unknown[]): NodeEdit | undefined {
  const [weight, drain, adds] = fields;
  if (fields.length === 1 && weight === null) return { kind: 'absent' };
  const kind = fields.length === 2 ? 'present' : 'changed';
  if (kind === 'changed' && !(fields.length === 3 && adds === false)) return undefined;
  if (!(drain === null || typeof drain === 'boolean')) return undefined;
  return weight === null || isWeight(weight) ? { kind, weight, drain } : undefined;
}

function isWeight(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= WEIGHT_RANGE.min && (value as number) <= WEIGHT_RANGE.max;
}

function decodeArray(data: Uint8Array): unknown[] | null {
  try {
    const value = decode(data);
    return Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function isText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= charsMax;
}
