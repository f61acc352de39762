/** What a status tells of pools that are too large to be listed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeConfig } from '../../src/config/config.ts';
import { type HealthStatus, type NodeSources, nodesShownMax, poolStatus } from '../../src/control/status.ts';

const UP: HealthStatus = { state: 'up', isChecked: true, reason: '', changedAtMs: null };

function nodesOf(count: number): NodeConfig[] {
  return Array.from({ length: count }, (_, i) => {
    return { address: `n${i}:80`, host: `n${i}`, port: 80, weight: 1, drain: i % 10 === 0 };
  });
}

/** `states` says which nodes are not up; `asked` is by how many nodes anybody has asked. */
function sourcesOf(states: Readonly<Record<string, HealthStatus['state']>>) {
  const asked = new Set<string>();
  const sources: NodeSources = {
    activity: () => ({ inFlight: 0, requests: 0 }),
    origin: () => 'file',
    health: (_pool, address) => {
      asked.add(address);
      return { ...UP, state: states[address] ?? 'up' };
    },
    troubled: () => Object.keys(states),
  };
  return { sources, asked };
}

test('nodes in trouble come first where not all are listed, and all are counted', () => {
  const { sources, asked } = sourcesOf({
    'n1:80': 'failing',
    'n4990:80': 'down',
    'n4999:80': 'down',
    'gone:80': 'down',
  });
  const { nodeCount, counts, nodes } = poolStatus('web', nodesOf(5_000), sources);
  assert.equal(nodeCount, 5_000);
  assert.deepEqual(counts, { up: 4_498, draining: 499, failing: 1, down: 2 });
  const shown = nodes.map(({ address }) => address);
  assert.deepEqual(shown.slice(0, 5), ['n1:80', 'n4990:80', 'n4999:80', 'n0:80', 'n2:80']);
  assert.deepEqual([shown.length, new Set(shown).size], [1_000, 1_000]);
  assert.equal(asked.size, 1_000, 'it costs what is listed, not what there is');
});

test('where all are listed they stand as the configuration has them', () => {
  const { sources } = sourcesOf({ 'n999:80': 'down' });
  const { counts, nodes } = poolStatus('web', nodesOf(1_000), sources);
  assert.deepEqual([nodes[0]?.address, nodes.at(-1)?.address], ['n0:80', 'n999:80']);
  assert.deepEqual(counts, { up: 899, draining: 100, failing: 0, down: 1 });
});

test('more nodes in trouble than are listed are counted all the same', () => {
  const nodes = nodesOf(3_000);
  const { sources } = sourcesOf(Object.fromEntries(nodes.map(({ address }) => [address, 'down'])));
  const status = poolStatus('web', nodes, sources);
  assert.deepEqual([status.nodes.length, status.counts], [1_000, { up: 0, draining: 0, failing: 0, down: 3_000 }]);
});

test('many pools have the same part of a bounded list, and none is left out', () => {
  assert.deepEqual([0, 1, 10, 11, 200, 50_000].map(nodesShownMax), [1_000, 1_000, 1_000, 910, 50, 1]);
});
