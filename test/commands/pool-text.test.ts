/** What `stekbal pool` prints. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type EditAnswer,
  type NodeAction,
  renderEdit,
  renderNodes,
  renderPools,
} from '../../src/commands/pool-text.ts';
import { countsOf, type NodeStatus } from '../../src/control/status.ts';

const NOW_MS = 1_800_000_000_000;
const UP = { state: 'up', isChecked: false, reason: '', changedAtMs: null } as const;

test('the pools are a line each, with what is not well counted', () => {
  const down = { ...UP, state: 'down' } as const;
  const nodes = [node({ inFlight: 3, requests: 90 }), node({ health: down }), node({ drain: true, requests: 10 })];
  const pools = [
    { name: 'web', nodeCount: 3, counts: countsOf(nodes), nodes },
    { name: 'api', nodeCount: 1_200, counts: { up: 900, down: 200, failing: 60, draining: 40 }, nodes: [node({})] },
  ];
  assert.equal(
    renderPools(pools),
    `pool  nodes   up  down  failing  draining  in flight  requests
web       3    1     1        0         1          3       100
api    1200  900   200       60        40          0         0
of large pools, "in flight" and "requests" are those of the nodes that a status lists
`,
  );
  assert.equal(renderPools([]), 'no pools\n');
});

test('the nodes are a line each, and those that an edit takes out are named', () => {
  const removed = [
    { address: '10.0.0.8:80', origin: 'group' },
    { address: '10.0.0.9:80', origin: 'local' },
  ] as const;
  assert.equal(
    renderNodes({ pool: 'web', nodeCount: 1, nodes: [node({ requests: 2 })], removed }, NOW_MS),
    `pool web: 1 node
  node         state  weight  in flight  requests  share  set by
  10.0.0.1:80  up          1          0         2   100%
  10.0.0.8:80  removed by group
  10.0.0.9:80  removed by this edge
`,
  );
  assert.equal(renderNodes({ pool: 'web', nodeCount: 0, nodes: [], removed: [] }, NOW_MS), 'pool web: 0 nodes\n');
});

test('what was done is said, and where', () => {
  const cases: [action: NodeAction, answer: Partial<EditAnswer>, text: string][] = [
    ['add', { node: node({ weight: 2 }) }, 'is in the pool, weight 2; on every edge of the group'],
    ['add', { node: node({ drain: true }) }, 'is in the pool, weight 1, draining; on every edge of the group'],
    ['remove', { node: null, scope: 'local' }, 'is removed; on this edge only'],
    ['remove', { node: null, scope: 'local', isKept: false }, 'is removed; on this edge only, until it restarts'],
    [
      'drain',
      { node: node({ drain: true, inFlight: 1 }) },
      'drains: no new clients, those it has stay (1 request in flight); on every edge of the group',
    ],
    ['undrain', {}, 'takes new clients again; on every edge of the group'],
    ['reset', {}, 'is as the file says again, weight 1; on every edge of the group'],
    ['reset', { node: null }, 'is not in the pool, as the file says; on every edge of the group'],
    [
      'reset',
      { node: node({ origin: 'group' }), scope: 'local' },
      'is as the file and the group say again, weight 1; on this edge only',
    ],
  ];
  for (const [action, changes, text] of cases) {
    assert.equal(renderEdit(action, null, answer(changes)), `pool web: 10.0.0.1:80 ${text}\n`);
  }
});

test('where an edit of this edge alone lies over what was done, that is said, and how to withdraw it', () => {
  const overruled: [NodeAction, number | null, Partial<EditAnswer>][] = [
    ['remove', null, {}],
    ['drain', null, {}],
    ['undrain', null, { node: node({ drain: true }) }],
    ['add', 5, {}],
    ['add', null, { node: null }],
  ];
  for (const [action, weight, changes] of overruled) {
    const [, note] = renderEdit(action, weight, answer(changes)).split('\n');
    assert.match(note ?? '', /lies over it here: stekbal pool web reset 10\.0\.0\.1:80 --local withdraws it/, action);
  }
});

function answer(fields: Partial<EditAnswer>): EditAnswer {
  return { pool: 'web', address: '10.0.0.1:80', node: node({}), scope: 'group', isKept: true, ...fields };
}

function node(fields: Partial<NodeStatus>): NodeStatus {
  const { inFlight = 0, requests = 0 } = fields;
  return { address: '10.0.0.1:80', weight: 1, drain: false, origin: 'file', health: UP, ...fields, inFlight, requests };
}
