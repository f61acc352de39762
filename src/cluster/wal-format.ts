/**
 * How the write-ahead log lies in its file. Pure; main thread. Numbers are big-endian.
 *
 *   header, 44 bytes
 *      0   7  "STEKWAL"
 *      7   1  version: 1
 *      8  16  salt, drawn for this file
 *     24  16  key check: what the sealing key of this file has beside it (seal.ts)
 *     40   4  CRC-32 of bytes 0..39
 *
 *   records, one after the other; the first is a state, each later one a batch
 *      0   4  marker: a7 "WAL"
 *      4   4  CRC-32 of the salt, the length and the sealed bytes
 *      8   4  length n of the sealed bytes: TAG_BYTES..SEALED_BYTES_MAX
 *     12   n  sealed bytes: ciphertext and tag; the record's place in the file, from 0, is the sequence number
 *
 * The checksum covers the salt so that what a disk leaves of an older file is never taken for a record of this one. A
 * record whose checksum is right stands as it was written: where it does not open, no crash did that.
 *
 *   what is sealed (MessagePack; a tuple is an array)
 *     state    ["fresh", nil | [generation, term, index, data]]
 *            | ["bound", cluster, member, hard, [index, term, voters, learners, data], [entry, ...]]
 *     batch    [nil | hard, [entry, ...]]
 *     hard     [term, nil | vote]
 *     entry    [index, term, nil (noop) | data (command) | [voters, learners] (membership)]
 */

import { crc32 } from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import type { Entry, HardState, Membership, Payload, Snapshot } from '../raft/types.ts';
import { CHECK_BYTES, SALT_BYTES, TAG_BYTES } from './seal.ts';
import type { Legacy, StoredBatch, StoredState } from './types.ts';

const MAGIC = Buffer.from('STEKWAL', 'latin1');
const VERSION = 1;
const VERSION_OFFSET = MAGIC.length;
const SALT_OFFSET = VERSION_OFFSET + 1;
const CHECK_OFFSET = SALT_OFFSET + SALT_BYTES;
const HEADER_CRC_OFFSET = CHECK_OFFSET + CHECK_BYTES;
export const HEADER_BYTES = HEADER_CRC_OFFSET + 4;

const MARKER = Buffer.from('\xa7WAL', 'latin1');
const CRC_OFFSET = MARKER.length;
const LENGTH_OFFSET = CRC_OFFSET + 4;
export const FRAME_BYTES = LENGTH_OFFSET + 4;
/** A state holds a snapshot and the entries after it: far below this, or something is wrong. */
export const SEALED_BYTES_MAX = 64 * 1024 * 1024;

export interface Header {
  readonly salt: Buffer;
  readonly check: Buffer;
}

export function encodeHeader({ salt, check }: Header): Buffer {
  const header = Buffer.concat([MAGIC, Buffer.of(VERSION), salt, check, Buffer.alloc(4)], HEADER_BYTES);
  header.writeUInt32BE(crc32(header.subarray(0, HEADER_CRC_OFFSET)), HEADER_CRC_OFFSET);
  return header;
}

/** What is wrong with the header, as text, where it cannot be used. */
export function decodeHeader(file: Buffer): Header | string {
  if (file.length < HEADER_BYTES) return 'its header is incomplete';
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return 'it is no write-ahead log';
  const version = file[VERSION_OFFSET] as number;
  if (version !== VERSION) return `it is of version ${version}, and this program knows version ${VERSION} alone`;
  if (file.readUInt32BE(HEADER_CRC_OFFSET) !== crc32(file.subarray(0, HEADER_CRC_OFFSET))) {
    return 'the checksum of its header is wrong';
  }
  return {
    salt: Buffer.from(file.subarray(SALT_OFFSET, CHECK_OFFSET)),
    check: Buffer.from(file.subarray(CHECK_OFFSET, HEADER_CRC_OFFSET)),
  };
}

/** A record. Throws RangeError where `sealed` is too long. */
export function encodeFrame(salt: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealed.length > SEALED_BYTES_MAX) throw new RangeError(`a record of ${sealed.length} bytes`);
  const frame = Buffer.allocUnsafe(FRAME_BYTES + sealed.length);
  frame.set(MARKER, 0);
  frame.writeUInt32BE(sealed.length, LENGTH_OFFSET);
  frame.set(sealed, FRAME_BYTES);
  frame.writeUInt32BE(crc32(frame.subarray(LENGTH_OFFSET), crc32(salt)), CRC_OFFSET);
  return frame;
}

/** The sealed bytes of the record that begins at `offset`, in place; null where no whole one does. */
export function frameAt(file: Buffer, offset: number, salt: Uint8Array): Buffer | null {
  if (offset + FRAME_BYTES > file.length) return null;
  if (MARKER.compare(file, offset, offset + MARKER.length) !== 0) return null;
  const length = file.readUInt32BE(offset + LENGTH_OFFSET);
  const end = offset + FRAME_BYTES + length;
  if (length < TAG_BYTES || length > SEALED_BYTES_MAX || end > file.length) return null;
  const sum = crc32(file.subarray(offset + LENGTH_OFFSET, end), crc32(salt));
  return sum === file.readUInt32BE(offset + CRC_OFFSET) ? file.subarray(offset + FRAME_BYTES, end) : null;
}

/** Whether a whole record begins anywhere from `offset` on. */
export function hasFrameFrom(file: Buffer, offset: number, salt: Uint8Array): boolean {
  for (let at = file.indexOf(MARKER, offset); at >= 0; at = file.indexOf(MARKER, at + 1)) {
    if (frameAt(file, at, salt) !== null) return true;
  }
  return false;
}

export function encodeState(state: StoredState): Uint8Array {
  if (state.kind === 'fresh') {
    if (state.legacy === null) return encode(['fresh', null]);
    const { position, data } = state.legacy;
    return encode(['fresh', [position.generation, position.term, position.index, data]]);
  }
  const { index, term, membership, data } = state.snapshot;
  const snapshot = [index, term, membership.voters, membership.learners, data];
  return encode(['bound', state.cluster, state.member, hardTuple(state.hardState), snapshot, entryList(state.entries)]);
}

export function encodeBatch({ hardState, entries }: StoredBatch): Uint8Array {
  return encode([hardState === null ? null : hardTuple(hardState), entryList(entries)]);
}

function hardTuple({ term, vote }: HardState): unknown[] {
  return [term, vote];
}

function entryList(entries: readonly Entry[]): unknown[] {
  return entries.map(({ index, term, payload }) => [index, term, bodyOf(payload)]);
}

function bodyOf(payload: Payload): unknown {
  if (payload.kind === 'noop') return null;
  if (payload.kind === 'command') return payload.data;
  return [payload.membership.voters, payload.membership.learners];
}

/** Null where `bytes` are no state. */
export function decodeState(bytes: Uint8Array): StoredState | null {
  return shaped(bytes, (value) => {
    const [kind] = array(value);
    if (kind === 'fresh') {
      const [, legacy] = array(value, 2);
      return { kind: 'fresh', legacy: legacy === null ? null : legacyFrom(legacy) };
    }
    if (kind !== 'bound') throw new TypeError('unknown kind');
    const [, cluster, member, hardState, snapshotTuple, list] = array(value, 6);
    const snapshot = snapshotFrom(snapshotTuple);
    const entries = entriesFrom(list);
    const next = entries[0]?.index ?? snapshot.index + 1;
    if (next !== snapshot.index + 1) throw new TypeError('entries that do not follow on the snapshot');
    return {
      kind: 'bound',
      cluster: text(cluster),
      member: text(member),
      hardState: hardFrom(hardState),
      snapshot,
      entries,
    };
  });
}

/** Null where `bytes` are no batch. */
export function decodeBatch(bytes: Uint8Array): StoredBatch | null {
  return shaped(bytes, (value) => {
    const [hardState, entries] = array(value, 2);
    return { hardState: hardState === null ? null : hardFrom(hardState), entries: entriesFrom(entries) };
  });
}

function legacyFrom(value: unknown): Legacy {
  const [generation, term, index, bytes] = array(value, 4);
  return { position: { generation: count(generation), term: count(term), index: count(index) }, data: data(bytes) };
}

function snapshotFrom(value: unknown): Snapshot {
  const [index, term, voters, learners, bytes] = array(value, 5);
  return { index: count(index), term: count(term), membership: members(voters, learners), data: data(bytes) };
}

function hardFrom(value: unknown): HardState {
  const [term, vote] = array(value, 2);
  return { term: count(term), vote: vote === null ? null : text(vote) };
}

function entriesFrom(value: unknown): Entry[] {
  const entries = array(value).map(entryFrom);
  const first = entries[0]?.index ?? 0;
  if (entries.some(({ index }, i) => index !== first + i)) throw new TypeError('entries out of order');
  return entries;
}

function entryFrom(value: unknown): Entry {
  const [index, term, body] = array(value, 3);
  return { index: count(index), term: count(term), payload: payloadFrom(body) };
}

function payloadFrom(body: unknown): Payload {
  if (body === null) return { kind: 'noop' };
  if (body instanceof Uint8Array) return { kind: 'command', data: data(body) };
  const [voters, learners] = array(body, 2);
  return { kind: 'membership', membership: members(voters, learners) };
}

function members(voters: unknown, learners: unknown): Membership {
  return { voters: array(voters).map(text), learners: array(learners).map(text) };
}

/** `read` throws where the shape is wrong, and so does `decode` on what is no MessagePack. */
function shaped<T>(bytes: Uint8Array, read: (value: unknown) => T): T | null {
  try {
    return read(decode(bytes));
  } catch {
    return null;
  }
}

function array(value: unknown, length?: number): unknown[] {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) throw new TypeError('no such array');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text');
  return value;
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new TypeError('no count');
  return value as number;
}

/** A copy: what `decode` gives is a view that would keep the whole record alive. */
function data(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError('no bytes');
  return new Uint8Array(value);
}
