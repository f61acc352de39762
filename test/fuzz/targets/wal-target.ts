/**
 * The write-ahead log: of a damaged file it is said that it is, or its torn end is cut off with a warning; what is read is
 * always what was once written, and no whole record stands behind it. Test support.
 */

import { createPrivateKey } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Sealer, sealingMaterial } from '../../../src/cluster/seal.ts';
import type { StoredBatch, StoredState } from '../../../src/cluster/types.ts';
import { WalDamagedError, WriteAheadLog } from '../../../src/cluster/wal.ts';
import { encodeBatch, encodeFrame, encodeHeader, encodeState, HEADER_BYTES } from '../../../src/cluster/wal-format.ts';
import type { Entry } from '../../../src/raft/types.ts';
import { FakeDisk } from '../../cluster/fake-disk.ts';
import { mutateBytes } from '../byte-mutations.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';

type BoundState = Extract<StoredState, { kind: 'bound' }>;

const BATCH = 128;
const FILES = 8;
/** Ed25519 in PKCS#8, of a seed that everybody knows. */
const KEY = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 7)]),
  format: 'der',
  type: 'pkcs8',
});

/** A sound file, and the states that its beginnings stand for. */
interface SoundFile {
  readonly bytes: Buffer;
  /** Header, then one for each record. */
  readonly pieces: readonly Buffer[];
  /** Behind each record. */
  readonly states: readonly BoundState[];
}

export class WalTarget implements FuzzTarget {
  readonly #files = Array.from({ length: FILES }, (_, number) => newFile(number));

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      const number = random.below(FILES);
      return { target: 'wal', tag: `file-${number}`, bytes: damage(this.#files, number, random) };
    });
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, ({ tag, bytes }) => checkOne(this.#files[Number(tag.slice(5))] as SoundFile, bytes));
  }

  async close(): Promise<void> {}
}

function checkOne({ bytes: whole, pieces, states }: SoundFile, bytes: Buffer): CaseVerdict {
  const disk = new FakeDisk();
  disk.content = bytes;
  const warnings: string[] = [];
  let state: StoredState;
  let storage: WriteAheadLog;
  try {
    ({ state, storage } = WriteAheadLog.open(disk, KEY, (_level, message) => warnings.push(message)));
  } catch (error) {
    if (error instanceof WalDamagedError) return verdict('said to be damaged', null);
    throw error;
  }
  const read = states.findIndex((each) => isDeepStrictEqual(each, state));
  if (read < 0) return verdict('wrong', `a state that was never written: ${JSON.stringify(state).slice(0, 400)}`);
  const isSound = bytes.equals(whole);
  if (isSound && (read !== states.length - 1 || warnings.length > 0))
    return verdict('wrong', 'a sound file: not read whole');
  const kept = pieces.slice(0, read + 2).reduce((sum, piece) => sum + piece.length, 0);
  const lost = pieces.slice(read + 2).find((record) => bytes.includes(record, kept));
  if (lost !== undefined) return verdict('wrong', `forgotten: record of ${lost.length} bytes behind ${kept}`);
  if (bytes.length > kept && warnings.length === 0)
    return verdict('wrong', `silent: ${bytes.length - kept} bytes were cut off`);
  const added = appended(disk, storage, states[read] as BoundState);
  return verdict(isSound ? 'sound' : bytes.length > kept ? 'torn end cut off, and said' : 'cut at a record', added);
}

/** What was read can be gone on from: the file is written anew, and read again. */
function appended(disk: FakeDisk, storage: WriteAheadLog, state: BoundState): string | null {
  const entry: Entry = { index: state.snapshot.index + state.entries.length + 1, term: 99, payload: { kind: 'noop' } };
  let failure: Error | null = null;
  storage.append({ hardState: null, entries: [entry] }, (error) => {
    failure = error;
  });
  const again = WriteAheadLog.open(disk, KEY, () => {}).state;
  const isThere = isDeepStrictEqual(again, { ...state, entries: [...state.entries, entry] });
  return failure === null && isThere ? null : 'not gone on from: what was appended is not there';
}

function verdict(outcome: string, difference: string | null): CaseVerdict {
  return { messages: 1, classes: { [outcome]: 1 }, difference };
}

function damage(files: readonly SoundFile[], number: number, random: Random): Buffer {
  const { bytes, pieces } = files[number] as SoundFile;
  const other = random.pick(files);
  switch (random.below(8)) {
    case 0:
      return bytes.subarray(0, random.below(bytes.length + 1));
    case 1: {
      // a disk that wrote the end as zeros, or left what was there before
      const at = HEADER_BYTES + random.below(bytes.length - HEADER_BYTES);
      const rest = random.below(2) === 0 ? Buffer.alloc(bytes.length - at) : other.bytes.subarray(at);
      return Buffer.concat([bytes.subarray(0, at), rest]);
    }
    case 2:
      return Buffer.concat(pieces.filter((_, i) => i === 0 || random.below(6) > 0));
    case 3: {
      const at = 1 + random.below(pieces.length - 1);
      const record = random.pick([...pieces.slice(1), ...other.pieces.slice(1)]);
      return Buffer.concat([...pieces.slice(0, at), record, ...pieces.slice(at)]);
    }
    default:
      return mutateBytes(bytes, random, 1 + random.below(3));
  }
}

/** As WriteAheadLog writes it, but with a salt that is the same each time. */
function newFile(number: number): SoundFile {
  const random = new Random(number);
  const salt = Buffer.alloc(16, number + 1);
  const sealer = new Sealer(sealingMaterial(KEY), salt);
  const index = random.below(3) === 0 ? 0 : random.below(1_000);
  let state: BoundState = {
    ...{ kind: 'bound', cluster: '1.abc', member: '3.xyz', hardState: { term: 1, vote: null }, entries: [] },
    snapshot: { index, term: 1, membership: { voters: ['1.a', '3.xyz'], learners: [] }, data: newData(random) },
  };
  const pieces = [encodeHeader({ salt, check: sealer.check }), encodeFrame(salt, sealer.seal(0, encodeState(state)))];
  const states = [state];
  for (let sequence = 1; sequence < 2 + random.below(10); sequence++) {
    const batch = newBatch(random, state, sequence);
    pieces.push(encodeFrame(salt, sealer.seal(sequence, encodeBatch(batch))));
    const first = batch.entries[0]?.index ?? Number.POSITIVE_INFINITY;
    const entries = [...state.entries.filter((entry) => entry.index < first), ...batch.entries];
    state = { ...state, entries, hardState: batch.hardState ?? state.hardState };
    states.push(state);
  }
  return { bytes: Buffer.concat(pieces), pieces, states };
}

/** Its term makes each state another one. */
function newBatch(random: Random, { snapshot, entries }: BoundState, term: number): StoredBatch {
  const last = snapshot.index + entries.length;
  const first = last + 1 - random.below(Math.min(3, entries.length + 1));
  return {
    hardState: { term: 1 + term, vote: random.below(2) === 0 ? null : '1.a' },
    entries: Array.from({ length: random.below(4) }, (_, i) => ({
      ...{ index: first + i, term: random.below(100) },
      payload: random.below(3) === 0 ? { kind: 'noop' as const } : { kind: 'command' as const, data: newData(random) },
    })),
  };
}

function newData(random: Random): Uint8Array {
  // holds the marker of a record now and then
  const marker = random.below(4) === 0 ? [0xa7, 0x57, 0x41, 0x4c] : [];
  return new Uint8Array([...marker, ...Array.from({ length: random.below(80) }, () => random.below(256))]);
}
