/** Backend ids against those that coreutils' sha1sum made: test/golden/backend-ids.sh. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { backendId, ID_WORDS, readIdWords, writeIdWords } from '../../src/affinity/backend-id.ts';

const GOLDEN = readFileSync(new URL('../golden/backend-ids.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');

test('an id is what `printf SALT+ADDRESS | sha1sum` prints', () => {
  assert.ok(GOLDEN.length >= 40);
  for (const line of GOLDEN) {
    const [id, salt, address] = line.split('\t') as [string, string, string];
    assert.equal(backendId(address, salt), id, line);
    if (salt === '') assert.equal(backendId(address), id, line);
  }
});

test('the words of an id are written and read back, without touching their neighbours', () => {
  const hexId = fc.stringMatching(/^[0-9a-f]{40}$/);
  fc.assert(
    fc.property(hexId, fc.nat(8), (id, at) => {
      const words = new Int32Array(at + ID_WORDS + 1).fill(7);
      writeIdWords(id, words, at);
      assert.equal(readIdWords(words, at), id);
      assert.ok(words.subarray(0, at).every((w) => w === 7));
      assert.equal(words[at + ID_WORDS], 7);
    }),
  );
});
