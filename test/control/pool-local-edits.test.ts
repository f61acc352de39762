/** Edits of one edge alone: where they are kept, and what a bad file or disk does to them. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LocalEdits } from '../../src/control/local-edits.ts';
import { EDITS_MAX } from '../../src/control/pool-edits.ts';
import { temporaryFolder } from '../e2e/harness.ts';
import { recordingLog } from './new-edge.ts';

const DRAIN = { kind: 'changed', weight: null, drain: true } as const;
const ADD = { kind: 'present', weight: 3, drain: null } as const;

test('without a state_dir an edit is in force at once, and not kept', async () => {
  const edits = new LocalEdits(null, recordingLog().log);
  const changed: string[] = [];
  edits.onChange = (pool) => changed.push(pool);
  const kept = edits.set('web', 'a:1', DRAIN);
  assert.deepEqual([edits.of('web').get('a:1'), changed], [DRAIN, ['web']]);
  assert.equal(await kept, false);
});

test('edits are kept in the state_dir, for nobody else to read, and read again at the next start', async (t) => {
  const folder = join(temporaryFolder(t), 'state');
  const first = new LocalEdits(folder, recordingLog().log);
  assert.ok(!existsSync(folder), 'nothing is made before it is needed');
  const kept = await Promise.all([
    first.set('web', 'a:1', DRAIN),
    first.set('web', 'b:1', ADD),
    first.set('web', '[::1]:80', { kind: 'absent' }),
    first.set('api', 'a:1', ADD),
    first.set('api', 'a:1', null),
  ]);
  assert.deepEqual(kept, [true, true, true, true, true]);
  const file = join(folder, 'local-pools.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const { log, lines } = recordingLog();
  const second = new LocalEdits(folder, log);
  assert.deepEqual(second.of('web'), first.of('web'));
  assert.deepEqual([second.of('web').size, second.of('api').size, lines], [3, 0, []]);
});

test('a damaged file is named in the log, and the edge has no edits of its own then', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'local-pools.json');
  const damaged = [
    '',
    '{',
    'null',
    '[]',
    '"text"',
    '{"version":2,"pools":[]}',
    '{"version":1}',
    '{"version":1,"pools":{}}',
    '{"version":1,"pools":[["web",[["a:1"]]]]}',
    '{"version":1,"pools":[["web",[["a:1",0,true]]]]}',
    '{"version":1,"pools":[["web",[["a:1",1,true,true]]]]}',
    '{"version":1,"pools":[["web",[[7,null]]]]}',
    '{"version":1,"pools":[[7,[["a:1",null]]]]}',
    `{"version":1,"pools":[${' '.repeat(5 * 1024 * 1024)}]}`,
    '\u0000\ufffd',
  ];
  for (const text of damaged) {
    writeFileSync(file, text);
    const { log, lines } = recordingLog();
    const edits = new LocalEdits(folder, log);
    assert.equal(edits.of('web').size, 0, text.slice(0, 60));
    assert.equal(lines.length, 1, text.slice(0, 60));
    assert.deepEqual([lines[0]?.level, lines[0]?.file, lines[0]?.msg.includes(file)], [50, file, true]);
    assert.equal(readFileSync(file, 'utf8'), text, 'it is left for whoever wants to look');
  }
  const edits = new LocalEdits(folder, recordingLog().log);
  assert.equal(await edits.set('web', 'a:1', DRAIN), true);
  assert.deepEqual(new LocalEdits(folder, recordingLog().log).of('web'), edits.of('web'));
});

test('a folder in its place is damage too', (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'local-pools.json'));
  const { log, lines } = recordingLog();
  assert.equal(new LocalEdits(folder, log).of('web').size, 0);
  assert.match(String(lines[0]?.msg), /local-pools\.json is damaged or cannot be read/);
});

test('an edit that cannot be written is in force all the same, and said not to be kept', async (t) => {
  for (const folder of [join(temporaryFolder(t), 'missing', 'state'), '/dev/null', '/proc/1']) {
    const { log, lines } = recordingLog();
    const edits = new LocalEdits(folder, log);
    assert.equal(await edits.set('web', 'a:1', DRAIN), false, folder);
    assert.equal(edits.of('web').size, 1);
    assert.equal(lines.filter(({ msg }) => msg.includes('not kept over a restart')).length, 1);
  }
});

test('a disk that works again keeps what was said before', async (t) => {
  const parent = temporaryFolder(t);
  const folder = join(parent, 'later', 'state');
  const edits = new LocalEdits(folder, recordingLog().log);
  assert.equal(await edits.set('web', 'a:1', DRAIN), false);
  mkdirSync(join(parent, 'later'));
  assert.equal(await edits.set('web', 'b:1', ADD), true);
  assert.equal(new LocalEdits(folder, recordingLog().log).of('web').size, 2);
});

test('as many edits as there can be fit the file, and no more are kept in mind', async (t) => {
  const folder = temporaryFolder(t);
  const edits = new LocalEdits(folder, recordingLog().log);
  const pool = 'p'.repeat(64);
  const addresses = Array.from({ length: EDITS_MAX }, (_, i) => `${String(i).padStart(310, 'h')}:65535`);
  const kept = await Promise.all(addresses.map((address) => edits.set(pool, address, { ...DRAIN, weight: 256 })));
  assert.ok(kept.every(Boolean));
  assert.deepEqual(
    [edits.hasRoomFor(pool, 'one-more:1'), edits.hasRoomFor(pool, addresses[0] as string)],
    [false, true],
  );
  const { log, lines } = recordingLog();
  assert.deepEqual([new LocalEdits(folder, log).of(pool).size, lines], [EDITS_MAX, []]);
});

test('what another process keeps in the folder is not written over: the edit is in force, and said not to be kept', async (t) => {
  const folder = join(temporaryFolder(t), 'state');
  const first = new LocalEdits(folder, recordingLog().log);
  assert.equal(await first.set('web', 'a:1', DRAIN), true);
  const { log, lines } = recordingLog();
  const second = new LocalEdits(folder, log);
  assert.equal(await second.set('web', 'b:1', ADD), false);
  assert.deepEqual(second.of('web').get('b:1'), ADD);
  assert.match(JSON.stringify(lines), /is not kept over a restart/);
  assert.match(JSON.stringify(lines), /another process uses it/);
  assert.ok(!readFileSync(join(folder, 'local-pools.json'), 'utf8').includes('b:1'));
  await first.close();
  assert.equal(await second.set('web', 'b:1', ADD), true);
  await second.close();
});
