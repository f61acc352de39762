/** The ring as it is read from a write-ahead log, which another process may be writing. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, chmodSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileDisk } from '../../src/cluster/disk.ts';
import type { StoredBatch, StoredState } from '../../src/cluster/types.ts';
import { LOG_FILE, WriteAheadLog } from '../../src/cluster/wal.ts';
import type { Config } from '../../src/config/config.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { encodeCommand } from '../../src/control/state-command.ts';
import { readStoredRing, StoredRingError } from '../../src/control/stored-ring.ts';
import type { Entry } from '../../src/raft/types.ts';
import type { KeyCommand } from '../../src/stek/key-ring.ts';
import { keyId } from '../../src/stek/ticket-key.ts';
import { temporaryFolder } from '../e2e/harness.ts';
import { keyName, ticketKey } from '../stek/fixtures.ts';

const MEMBER = '1.a';
const FIRST: KeyCommand[] = [
  { kind: 'key-mint', key: ticketKey(1), atMs: 1 },
  { kind: 'key-activate', name: keyName(1), atMs: 2 },
];
const SECOND: KeyCommand[] = [
  { kind: 'key-mint', key: ticketKey(2), atMs: 3 },
  { kind: 'key-activate', name: keyName(2), atMs: 4 },
];

test('snapshot and entries give the ring, and nothing is written', async (t) => {
  const { config, folder } = await storedRing(t, { snapshot: FIRST, entries: SECOND });
  const before = readFileSync(join(folder, LOG_FILE));
  const stat = statSync(join(folder, LOG_FILE));
  assert.deepEqual(shown(config), ['retiring 1', 'active 2']);
  assert.deepEqual(readFileSync(join(folder, LOG_FILE)), before);
  assert.deepEqual(statSync(join(folder, LOG_FILE)).mtimeMs, stat.mtimeMs);
});

test('what is not committed yet does not count, where the running edge says what is', async (t) => {
  const { config } = await storedRing(t, { snapshot: FIRST, entries: SECOND });
  assert.deepEqual(shown(config, 10), ['active 1']);
  assert.deepEqual(shown(config, 11), ['active 1', 'staged 2']);
  assert.deepEqual(shown(config, 12), ['retiring 1', 'active 2']);
  // compacted since the edge was asked
  assert.deepEqual(shown(config, 3), ['active 1']);
});

test('a record that is being written is left out', async (t) => {
  const { config, folder } = await storedRing(t, { snapshot: FIRST, entries: [], batches: SECOND });
  const file = join(folder, LOG_FILE);
  const { size } = statSync(file);
  assert.deepEqual(shown(config), ['retiring 1', 'active 2']);
  for (const bytes of [1, 20, 60]) {
    truncateSync(file, size - bytes);
    assert.deepEqual(shown(config), ['active 1', 'staged 2'], `${bytes} bytes are still to come`);
  }
});

test('where there is no ring to be had, the message says why and what would be right', async (t) => {
  const { config, folder } = await storedRing(t, { snapshot: FIRST, entries: [] });
  const file = join(folder, LOG_FILE);
  const whole = readFileSync(file);
  assert.throws(() => shown({ ...config, stekShare: null }), says(/there is no stek_share/));
  assert.throws(() => shown({ ...config, stateDir: null }), says(/there is no state_dir.*write state_dir:/));
  assert.throws(() => shown({ ...config, stateDir: join(folder, 'none') }), says(/ENOENT; .*the first start/));
  assert.throws(() => shown(config, 1, '1.b'), says(/the edge that runs is member 1\.b, .* is of 1\.a; is admin/));
  writeFileSync(join(folder, 'other.key'), newKey());
  const other = withKeyFile(config, join(folder, 'other.key'));
  assert.throws(() => shown(other), says(/sealed under another private key than .*other\.key; name the one/));
  writeFileSync(join(folder, 'other.key'), 'SECRET');
  assert.throws(() => shown(other), says(/is not a private key in PEM form(?!.*SECRET)/));
  assert.throws(() => shown(withKeyFile(config, join(folder, 'no.key'))), says(/no\.key cannot be read: ENOENT/));
  writeFileSync(file, whole.fill(0, 60, 70));
  assert.throws(() => shown(config), says(/is damaged at byte \d+/));
  appendFileSync(file, 'x');
  assert.throws(() => shown(config), says(/is damaged at byte \d+/));
  writeFileSync(file, '');
  assert.throws(() => shown(config), says(/is damaged at byte 0: its header is incomplete/));
});

test('a server without a cluster has no ring, nor has one whose leader has not made a key yet', async (t) => {
  const fresh = await storedRing(t, null);
  assert.throws(() => shown(fresh.config), says(/belongs to no cluster yet/));
  const none = await storedRing(t, { snapshot: [], entries: FIRST.slice(0, 1) });
  assert.throws(() => shown(none.config), says(/holds no ticket key in use yet/));
});

const skip = process.getuid?.() === 0 ? 'root may read everything' : false;
test('a log that only another user may read is said', { skip }, async (t) => {
  const { config, folder } = await storedRing(t, { snapshot: FIRST, entries: [] });
  chmodSync(join(folder, LOG_FILE), 0);
  assert.throws(() => shown(config), says(/EACCES; run this as the user that the edge runs as/));
});

/** A snapshot at index 10, entries from 11 on, each batch a record of its own. Null: a server without a cluster. */
interface Stored {
  readonly snapshot: readonly KeyCommand[];
  readonly entries: readonly KeyCommand[];
  readonly batches?: readonly KeyCommand[];
}

async function storedRing(t: TestContext, stored: Stored | null): Promise<{ config: Config; folder: string }> {
  const folder = temporaryFolder(t);
  const serverKeyFile = join(folder, 'server.key');
  const pem = newKey();
  writeFileSync(serverKeyFile, pem);
  const disk = new FileDisk(join(folder, LOG_FILE));
  const { storage } = WriteAheadLog.open(disk, pem, () => {});
  await done((end) => storage.replace(stored === null ? { kind: 'fresh', legacy: null } : boundState(stored), end));
  for (const [i, command] of (stored?.batches ?? []).entries()) {
    const batch: StoredBatch = { hardState: null, entries: [entryOf(command, 11 + i)] };
    await done((end) => storage.append(batch, end));
  }
  disk.close();
  const config = { file: 'stekbal.yaml', stateDir: folder, stekShare: { serverKeyFile } } as Config;
  return { config, folder };
}

function boundState({ snapshot, entries }: Stored): StoredState {
  const state = new ReplicatedState();
  for (const command of snapshot) state.apply(encodeCommand(command));
  const membership = { voters: [MEMBER], learners: [] };
  return {
    kind: 'bound',
    cluster: '0.c',
    member: MEMBER,
    hardState: { term: 1, vote: null },
    snapshot: { index: 10, term: 1, membership, data: state.snapshot() },
    entries: entries.map((command, i) => entryOf(command, 11 + i)),
  };
}

function entryOf(command: KeyCommand, index: number): Entry {
  return { index, term: 1, payload: { kind: 'command', data: encodeCommand(command) } };
}

function done(call: (end: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error === null ? resolve() : reject(error))));
}

/** `active 1`, by the number of the key; all of the log where `commit` is left out. */
function shown(config: Config, commit?: number, member = MEMBER): string[] {
  const numbers = new Map([1, 2].map((n) => [keyId(ticketKey(n)), n]));
  const keys = readStoredRing(config, commit === undefined ? null : { member, commit });
  return keys.map(({ stage, bytes }) => `${stage} ${numbers.get(keyId(bytes))}`);
}

function says(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoredRingError, String(error));
    assert.match(error.message, message);
    return true;
  };
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function withKeyFile(config: Config, serverKeyFile: string): Config {
  return { ...config, stekShare: { serverKeyFile } as NonNullable<Config['stekShare']> };
}
