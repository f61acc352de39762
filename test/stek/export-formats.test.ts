/** Keys as other programs read them: against files that xxd and openssl made. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { atsBlocks, haproxyLines, nginxFiles } from '../../src/stek/export-formats.ts';
import type { RingKey } from '../../src/stek/key-ring.ts';
import { ticketKey } from './fixtures.ts';

const STAGES = { r: 'retiring', a: 'active', s: 'staged' } as const;

/** [format, ring, what is written] */
const GOLDEN = readFileSync(new URL('../golden/ticket-keys.txt', import.meta.url), 'utf8')
  .split('\n')
  .slice(0, -1)
  .map((line) => line.split('\t') as [format: string, ring: string, written: string]);

/** `r1 r2 a3 s4`: in the order in which they came. */
function keysOf(ring: string): RingKey[] {
  return ring.split(' ').map((word) => {
    const stage = STAGES[word[0] as keyof typeof STAGES];
    return { bytes: ticketKey(Number(word.slice(1))), stage, sinceMs: 0, activeSinceMs: 0 };
  });
}

const WRITERS: Readonly<Record<string, (keys: readonly RingKey[]) => string>> = {
  haproxy: (keys) => haproxyLines(keys).replaceAll('\n', ' '),
  ats: (keys) => Buffer.from(atsBlocks(keys)).toString('base64'),
  nginx: (keys) => {
    const files = nginxFiles(keys).map(({ name, bytes }) => `${name}:${Buffer.from(bytes).toString('base64')} `);
    return files.join('');
  },
};

for (const [format, ring, written] of GOLDEN) {
  test(`${format} gets ${ring} in its own order`, () => {
    assert.equal(WRITERS[format]?.(keysOf(ring)), written);
  });
}

test('HAProxy encrypts with the active key and uses at least it, whatever else is in the ring', () => {
  for (const ring of ['a1', 'a1 s2', 'r1 a2', 'r1 a2 s3', 'r1 r2 a3', 'r1 r2 r3 a4 s5']) {
    const lines = haproxyLines(keysOf(ring)).trimEnd().split('\n');
    assert.ok(lines.length >= 3, ring);
    const active = keysOf(ring).find(({ stage }) => stage === 'active') as RingKey;
    const penultimate = Buffer.from(lines.at(-2) as string, 'base64');
    assert.deepEqual(penultimate.subarray(0, 16), Buffer.from(active.bytes.subarray(0, 16)), ring);
  }
});

test('a ring without an active key is written for nobody', () => {
  for (const write of [nginxFiles, haproxyLines, atsBlocks]) {
    assert.throws(() => write(keysOf('s1')), /without an active key/);
    assert.throws(() => write([]), /without an active key/);
  }
});

test('the ring is left as it was', () => {
  const [keys, before] = [keysOf('r1 r2 a3'), keysOf('r1 r2 a3')];
  for (const write of [nginxFiles, haproxyLines, atsBlocks]) write(keys);
  assert.deepEqual(keys, before);
});
