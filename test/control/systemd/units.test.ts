/** The units that are shipped, as systemd's own checks see them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { requirePeer, temporaryFolder } from '../../e2e/harness.ts';

const UNITS = fileURLToPath(new URL('../../../config/systemd/', import.meta.url));
/** 2.5, in tenths. */
const EXPOSURE_MAX = 25;

const read = (name: string) => readFileSync(join(UNITS, name), 'utf8');

/** A copy of the units, as they are installed where the program is there. */
function installed(t: TestContext): string[] | null {
  const isThere = spawnSync('systemd-analyze', ['--version']).status === 0;
  if (!requirePeer(t, isThere, 'systemd-analyze is not installed')) return null;
  const folder = temporaryFolder(t);
  for (const name of readdirSync(UNITS)) copyFileSync(join(UNITS, name), join(folder, name));
  const service = join(folder, 'stekbal.service');
  writeFileSync(service, read('stekbal.service').replaceAll('/usr/local/bin/stekbal', process.execPath));
  return readdirSync(folder).map((name) => join(folder, name));
}

test('systemd-analyze verify finds nothing in the units', (t) => {
  const units = installed(t);
  if (units === null) return;
  assert.ok(units.length >= 3);
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...units], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
});

test('the service is exposed by at most 2.5, as systemd-analyze security counts', (t) => {
  const service = installed(t)?.find((unit) => unit.endsWith('stekbal.service'));
  if (service === undefined) return;
  const args = ['security', '--offline=yes', `--threshold=${EXPOSURE_MAX}`, '--no-pager', service];
  const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('each socket has the name that its configuration uses, and belongs to the service', () => {
  for (const [unit, name] of [
    ['stekbal.socket', 'http'],
    ['stekbal-https.socket', 'https'],
  ] as const) {
    const text = read(unit);
    assert.match(text, new RegExp(`^FileDescriptorName=${name}$`, 'm'));
    assert.match(text, /^Service=stekbal\.service$/m);
    assert.match(text, /^RequiredBy=stekbal\.service$/m);
  }
});

test('the service reloads by the admin socket in its runtime folder, and SIGUSR1 opens no debugger', () => {
  const text = read('stekbal.service');
  assert.match(text, /^ExecReload=\S+ reload --admin unix:\/run\/stekbal\/admin\.sock$/m);
  assert.match(text, /^RuntimeDirectory=stekbal$/m);
  assert.match(text, /^Environment=NODE_OPTIONS=--disable-sigusr1$/m);
});
