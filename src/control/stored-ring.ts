/**
 * The ring of ticket keys as the write-ahead log in the state_dir has it: key bytes never pass the admin API. Only reads;
 * takes no lock, as the process that the log belongs to may be running. Main thread of a command.
 */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterStatus, StoredState } from '../cluster/types.ts';
import { LOG_FILE, readLog, WalDamagedError } from '../cluster/wal.ts';
import type { Config } from '../config/config.ts';
import type { RingKey } from '../stek/key-ring.ts';
import { ReplicatedState } from './state.ts';

type BoundState = Extract<StoredState, { kind: 'bound' }>;

/** What the running edge says of its log. */
export type RunningMember = Pick<ClusterStatus, 'member' | 'commit'>;

/** There is no ring to be had; the message says what would be right. */
export class StoredRingError extends Error {}

/**
 * The keys, in the order in which they came. A log does not say how much of it is committed, the running edge does; where
 * none runs, all of it counts. Throws a StoredRingError.
 */
export function readStoredRing(config: Config, running: RunningMember | null): readonly RingKey[] {
  const { path, privateKeyFile } = placesOf(config);
  const stored = openLog(path, privateKeyFile);
  if (running !== null && running.member !== stored.member) {
    const advice = 'is admin the address of the edge with this configuration, and was it started with it?';
    throw new StoredRingError(
      `the edge that runs is member ${running.member}, ${path} is of ${stored.member}; ${advice}`,
    );
  }
  return replay(path, stored, running?.commit ?? Number.POSITIVE_INFINITY);
}

function placesOf({ file, stekShare, stateDir }: Config): { path: string; privateKeyFile: string } {
  if (stekShare === null) {
    const advice = 'keys are exported from the log that a member with stek_share keeps in its state_dir';
    throw new StoredRingError(
      `${file}: there is no stek_share, so the keys are in the memory of the edge alone; ${advice}`,
    );
  }
  if (stateDir === null) {
    const advice = 'write state_dir: /run/stekbal, say, and restart';
    const systemd =
      'Under systemd RuntimeDirectory= sets it for the service alone: write it here for this command too.';
    throw new StoredRingError(`${file}: there is no state_dir, so the keys are in memory alone; ${advice}. ${systemd}`);
  }
  return { path: join(stateDir, LOG_FILE), privateKeyFile: stekShare.serverKeyFile };
}

function openLog(path: string, privateKeyFile: string): BoundState {
  const privateKey = readPrivateKey(privateKeyFile);
  const bytes = readFile(path, 'so there are no ticket keys yet; the first start of the edge writes it');
  const stored = readDecoded(path, bytes, privateKey);
  if (stored === null) {
    const advice = 'name the one that the edge runs with, or reload the edge, which seals its log under the new one';
    throw new StoredRingError(`${path} is sealed under another private key than ${privateKeyFile}; ${advice}`);
  }
  if (stored.kind === 'fresh') {
    throw new StoredRingError(
      `${path}: this server belongs to no cluster yet, and has no ticket keys; see stekbal status`,
    );
  }
  return stored;
}

function readDecoded(path: string, bytes: Buffer, privateKey: KeyObject): StoredState | null {
  try {
    return readLog(path, bytes, privateKey);
  } catch (error) {
    throw error instanceof WalDamagedError ? new StoredRingError(error.message) : error;
  }
}

function replay(path: string, { snapshot, entries }: BoundState, commit: number): readonly RingKey[] {
  const state = new ReplicatedState();
  if (!state.isReadable(snapshot.data)) {
    throw new StoredRingError(`${path} is of another version of stekbal; use the one that the edge runs`);
  }
  state.restore(snapshot.data);
  for (const { index, payload } of entries) {
    if (index <= commit && payload.kind === 'command') state.apply(payload.data);
  }
  if (state.ring.active === null) {
    throw new StoredRingError(
      `${path} holds no ticket key in use yet; the cluster's leader makes one: see stekbal keys list`,
    );
  }
  return state.ring.keys;
}

function readPrivateKey(file: string): KeyObject {
  const pem = readFile(file, 'server_key_file names it');
  try {
    return createPrivateKey(pem);
  } catch {
    // without the cause, which may quote the file
    throw new StoredRingError(
      `${file} is not a private key in PEM form, without a passphrase; server_key_file names it`,
    );
  }
}

function readFile(file: string, adviceIfMissing: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice = code === 'ENOENT' ? adviceIfMissing : 'run this as the user that the edge runs as';
    throw new StoredRingError(`${file} cannot be read: ${code}; ${advice}`);
  }
}
