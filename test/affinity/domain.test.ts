/** Domain mode against what Perl's own sort, ord and % make of it: test/golden/domains.pl. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { domainIndex } from '../../src/affinity/domain.ts';
import { sortedNodeAt } from '../../src/affinity/selection.ts';
import { boardOf, node } from './fixtures.ts';

const GOLDEN = readFileSync(new URL('../golden/domains.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');

test('domain mode chooses the node that SessionAffinity chooses', () => {
  const found = { slot: 0, generation: 0, flags: 0 };
  for (const line of GOLDEN) {
    const [host, pool, chosen] = JSON.parse(line) as [string, string[], string];
    const board = boardOf(pool.map((address, slot) => node({ slot, address })));
    const bytes = Buffer.from(`>${host}<`, 'latin1');
    const index = domainIndex(bytes, 1, bytes.length - 1, pool.length);
    assert.ok(sortedNodeAt(board, index, found), line);
    assert.equal(pool[found.slot], chosen, line);
  }
});

test('an empty Host header chooses the first node', () => {
  assert.equal(domainIndex(Buffer.from('Host'), 2, 2, 5), 0);
});
