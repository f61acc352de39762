/**
 * The write-ahead log: a member's StoredState in a file, sealed and checksummed. Main thread. The layout is in
 * wal-format.ts, the sealing in seal.ts, what reaches the disk and when in disk.ts.
 *
 * A process appends only to a file that it began: the first append after a start writes the whole state anew, and with it
 * what follows. So nothing ever stands behind a torn record, and no nonce is used again for one that was lost.
 *
 *   damaged last record, nothing whole after it   torn by a crash, promised to nobody: cut off with a warning
 *   damage anywhere else                          WalDamagedError: promises would be forgotten
 *   sealed under another private key              counts as wiped, with a warning
 *
 * A synced last record that the disk itself damaged later looks like a torn one, and is cut off too.
 */

import { type KeyObject, randomBytes } from 'node:crypto';
import type { Entry, HardState } from '../raft/types.ts';
import type { Disk } from './disk.ts';
import { type PrivateKey, SALT_BYTES, Sealer, sealingMaterial } from './seal.ts';
import type { Done, Report, Storage, StoredBatch, StoredState } from './types.ts';
import {
  decodeBatch,
  decodeHeader,
  decodeState,
  encodeBatch,
  encodeFrame,
  encodeHeader,
  encodeState,
  FRAME_BYTES,
  frameAt,
  HEADER_BYTES,
  hasFrameFrom,
} from './wal-format.ts';

/** In the state_dir. */
export const LOG_FILE = 'raft.log';

type BoundState = Extract<StoredState, { kind: 'bound' }>;

/** A file begun by this process. */
interface OwnFile {
  readonly salt: Buffer;
  readonly sealer: Sealer;
  /** Of the next record. */
  sequence: number;
  /** Null: the state is fresh, and nothing can be added to it. */
  readonly log: Bounds | null;
}

/** Invariant: snapshotIndex <= lastIndex; the entries between are those of the log. */
interface Bounds {
  readonly snapshotIndex: number;
  lastIndex: number;
}

/** The file cannot be trusted. The message names it, the byte, and the way out. */
export class WalDamagedError extends Error {
  override readonly name = 'WalDamagedError';
  readonly path: string;
  readonly offset: number;

  constructor(path: string, offset: number, what: string) {
    super(
      `the write-ahead log ${path} is damaged at byte ${offset}: ${what}. ` +
        'To go on without it, remove the file: this server then counts as wiped, and its peers admit it again.',
    );
    this.path = path;
    this.offset = offset;
  }
}

export class WriteAheadLog implements Storage {
  readonly #disk: Disk;
  #material: KeyObject;
  /** What the start found, until it is written anew. */
  #found: BoundState | null;
  /** Null: replace comes next. */
  #file: OwnFile | null = null;
  #isBusy = false;

  /**
   * Reads what there is; a server without a file is fresh. Throws WalDamagedError, and where the file cannot be read or
   * `privateKey` is none.
   */
  static open(disk: Disk, privateKey: PrivateKey, report: Report): { state: StoredState; storage: WriteAheadLog } {
    const material = sealingMaterial(privateKey);
    const file = disk.read();
    const state: StoredState = (file && readState(disk.path, file, material, report)) ?? {
      kind: 'fresh',
      legacy: null,
    };
    return { state, storage: new WriteAheadLog(disk, material, state) };
  }

  private constructor(disk: Disk, material: KeyObject, state: StoredState) {
    this.#disk = disk;
    this.#material = material;
    this.#found = state.kind === 'bound' ? state : null;
  }

  /** Throws where there is no bound state to add to, the batch does not follow on it, or it is longer than a record. */
  append(batch: StoredBatch, done: Done): void {
    this.#assertIdle();
    if (this.#found !== null) {
      const state = { ...this.#found, entries: [...this.#found.entries] };
      add(state, batch);
      this.replace(state, done);
      return;
    }
    const file = this.#file;
    if (file?.log == null) throw new Error('append to a write-ahead log that has no bound state: replace comes first');
    file.log.lastIndex = lastIndexAfter(file.log, batch.entries);
    const record = encodeFrame(file.salt, file.sealer.seal(file.sequence, encodeBatch(batch)));
    file.sequence++;
    this.#isBusy = true;
    this.#disk.append(record, (error) => this.#end(error ? null : file, error, done));
  }

  /** Throws where the entries do not follow on the snapshot, or the state is longer than a record. */
  replace(state: StoredState, done: Done): void {
    this.#assertIdle();
    if (state.kind === 'bound') assertWhole(state);
    const salt = randomBytes(SALT_BYTES);
    const sealer = new Sealer(this.#material, salt);
    const header = encodeHeader({ salt, check: sealer.check });
    const record = encodeFrame(salt, sealer.seal(0, encodeState(state)));
    const file: OwnFile = { salt, sealer, sequence: 1, log: boundsOf(state) };
    this.#isBusy = true;
    this.#found = null;
    this.#disk.replace(Buffer.concat([header, record]), (error) => this.#end(error ? null : file, error, done));
  }

  /**
   * Seals under this private key from the next replace on. Until that one is done the file opens with the old key alone:
   * after a restart with the new one it counts as wiped.
   */
  rekey(privateKey: PrivateKey): void {
    this.#material = sealingMaterial(privateKey);
  }

  #assertIdle(): void {
    if (this.#isBusy) throw new Error('a write-ahead log takes one call at a time');
  }

  #end(file: OwnFile | null, error: Error | null, done: Done): void {
    this.#file = file;
    this.#isBusy = false;
    done(error);
  }
}

/**
 * What a log holds, for one that only looks: the process that it belongs to may be appending, and the torn end is left
 * out. Null: sealed under another private key. Throws WalDamagedError, and where `privateKey` is none.
 */
export function readLog(path: string, bytes: Buffer, privateKey: PrivateKey): StoredState | null {
  return readState(path, bytes, sealingMaterial(privateKey), () => {});
}

/** A file that is being read. */
interface FoundFile {
  readonly path: string;
  readonly bytes: Buffer;
  readonly salt: Buffer;
  readonly sealer: Sealer;
}

/** Null: sealed under another private key. */
function readState(path: string, bytes: Buffer, material: KeyObject, report: Report): StoredState | null {
  const header = decodeHeader(bytes);
  if (typeof header === 'string') throw new WalDamagedError(path, 0, header);
  const sealer = new Sealer(material, header.salt);
  if (!sealer.isCheck(header.check)) {
    report('warn', `the write-ahead log ${path} is of another private key: this server counts as wiped`, { path });
    return null;
  }
  const file: FoundFile = { path, bytes, salt: header.salt, sealer };
  const first = recordAt(file, HEADER_BYTES, 0);
  const state = first && decodeState(first.opened);
  if (first === null || state === null) throw new WalDamagedError(path, HEADER_BYTES, 'its first record is broken');
  return replay(file, first.end, state, report);
}

/** Adds the batches that stand from `start` on. */
function replay(file: FoundFile, start: number, first: StoredState, report: Report): StoredState {
  const { path, bytes, salt } = file;
  const state = first.kind === 'bound' ? { ...first, entries: [...first.entries] } : first;
  for (let offset = start, sequence = 1; offset < bytes.length; sequence++) {
    const record = recordAt(file, offset, sequence);
    if (record === null) {
      if (hasFrameFrom(bytes, offset + 1, salt)) throw new WalDamagedError(path, offset, 'a record is broken');
      const torn = bytes.length - offset;
      report('warn', `the write-ahead log ${path} ends in ${torn} bytes of a torn write: cut off`, { path, torn });
      break;
    }
    const batch = decodeBatch(record.opened);
    if (batch === null || state.kind !== 'bound' || !follows(boundsOf(state), batch.entries)) {
      throw new WalDamagedError(path, offset, 'a record does not follow on those before it');
    }
    add(state, batch);
    offset = record.end;
  }
  return state;
}

/** Null where no whole record stands there; throws where one does that was not written there. */
function recordAt(file: FoundFile, offset: number, sequence: number): { opened: Buffer; end: number } | null {
  const sealed = frameAt(file.bytes, offset, file.salt);
  if (sealed === null) return null;
  const opened = file.sealer.open(sequence, sealed);
  if (opened === null) throw new WalDamagedError(file.path, offset, 'a record is not what was written there');
  return { opened, end: offset + FRAME_BYTES + sealed.length };
}

/** Cuts off what the batch replaces, and adds it. */
function add(state: BoundState & { entries: Entry[]; hardState: HardState }, batch: StoredBatch): void {
  const first = batch.entries[0];
  lastIndexAfter(boundsOf(state), batch.entries);
  if (first !== undefined) state.entries.length = first.index - state.snapshot.index - 1;
  for (const entry of batch.entries) state.entries.push(entry);
  if (batch.hardState !== null) state.hardState = batch.hardState;
}

function boundsOf(state: BoundState): Bounds;
function boundsOf(state: StoredState): Bounds | null;
function boundsOf(state: StoredState): Bounds | null {
  if (state.kind === 'fresh') return null;
  const { index } = state.snapshot;
  return { snapshotIndex: index, lastIndex: index + state.entries.length };
}

function assertWhole({ snapshot, entries }: BoundState): void {
  lastIndexAfter({ snapshotIndex: snapshot.index, lastIndex: snapshot.index }, entries);
}

/** Whether the entries are in order and begin within the log or right after it. */
function follows({ snapshotIndex, lastIndex }: Bounds, entries: readonly Entry[]): boolean {
  const first = entries[0]?.index ?? lastIndex + 1;
  return first > snapshotIndex && first <= lastIndex + 1 && entries.every(({ index }, i) => index === first + i);
}

/** The log's last index once the entries are added. */
function lastIndexAfter(bounds: Bounds, entries: readonly Entry[]): number {
  if (!follows(bounds, entries)) {
    const { snapshotIndex, lastIndex } = bounds;
    throw new RangeError(`entries from ${entries[0]?.index} do not follow on ${snapshotIndex}..${lastIndex}`);
  }
  return entries.at(-1)?.index ?? bounds.lastIndex;
}
