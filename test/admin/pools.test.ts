/** The admin API's part for pools: what an edit answers, where it is made, how long it is kept. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../e2e/harness.ts';
import { FILE_NODE, NODES, node, REFUSALS, startAdmin } from './admin-harness.ts';

const ADDED = '10.0.0.9:80';

test('nodes are added, changed, drained, listed and removed, for the whole group', async (t) => {
  const { ask, cluster } = await startAdmin(t, { hasGroup: true });
  const added = await ask('POST', NODES, { address: '10.0.0.9' });
  const made = { pool: 'demo', address: ADDED, scope: 'group', isKept: true };
  assert.deepEqual([added.status, added.body], [200, { ...made, node: node(ADDED, { origin: 'group' }) }]);
  const weighed = await ask('POST', NODES, { address: ADDED, weight: 4 });
  assert.deepEqual(weighed.body.node, node(ADDED, { origin: 'group', weight: 4 }));
  const drained = await ask('PATCH', `${NODES}/10.0.0.9`, { drain: true });
  const after = node(ADDED, { origin: 'group', weight: 4, drain: true });
  assert.deepEqual(drained.body, { ...made, node: after });
  assert.deepEqual((await ask('GET', `${NODES}/${ADDED}`)).body, { pool: 'demo', node: after });
  assert.equal((await ask('POST', NODES, { address: '[0::1]:8080', weight: 3 })).status, 200);
  const all = [node(FILE_NODE), after, node('[::1]:8080', { origin: 'group', weight: 3 })];
  assert.deepEqual((await ask('GET', NODES)).body, { pool: 'demo', nodeCount: 3, nodes: all, removed: [] });
  const removed = await ask('DELETE', `${NODES}/${encodeURIComponent('[::1]:8080')}`);
  assert.deepEqual([removed.status, removed.body], [200, { ...made, address: '[::1]:8080', node: null }]);
  assert.equal((await ask('DELETE', `${NODES}?node=10.0.0.9`)).status, 200);
  assert.equal((await ask('DELETE', `${NODES}/${FILE_NODE}`)).status, 200);
  const gone = [ADDED, FILE_NODE, '[::1]:8080'].map((address) => ({ address, origin: 'group' }));
  assert.deepEqual((await ask('GET', NODES)).body, { pool: 'demo', nodeCount: 0, nodes: [], removed: gone });
  assert.equal(cluster.proposals, 7);
});

test('an edit that is withdrawn leaves what the file says', async (t) => {
  const { ask } = await startAdmin(t, { hasGroup: true });
  await ask('DELETE', `${NODES}/${FILE_NODE}`);
  await ask('POST', NODES, { address: ADDED });
  const back = await ask('DELETE', `/pools/demo/edits/${FILE_NODE}`);
  assert.deepEqual([back.status, back.body.node], [200, node(FILE_NODE)]);
  assert.deepEqual((await ask('DELETE', `/pools/demo/edits/${ADDED}`)).body.node, null);
  assert.equal((await ask('DELETE', `/pools/demo/edits/${ADDED}`)).status, 404);
  assert.deepEqual((await ask('GET', NODES)).body.nodes, [node(FILE_NODE)]);
});

test('an edit for this edge alone asks nobody, and lies over what the group says', async (t) => {
  const { ask, cluster } = await startAdmin(t, { hasGroup: true });
  const drained = await ask('PATCH', `${NODES}/${FILE_NODE}`, { drain: true, local: true });
  const local = node(FILE_NODE, { origin: 'local', drain: true });
  const made = { pool: 'demo', address: FILE_NODE, scope: 'local', isKept: false };
  assert.deepEqual([drained.status, drained.body], [200, { ...made, node: local }]);
  assert.equal(cluster.proposals, 0);
  const overruled = await ask('PATCH', `${NODES}/${FILE_NODE}`, { drain: false, weight: 7 });
  assert.deepEqual(overruled.body.node, { ...local, weight: 7 });
  assert.equal((await ask('DELETE', `${NODES}/${FILE_NODE}?local=1`)).body.node, null);
  assert.deepEqual((await ask('GET', NODES)).body.removed, [{ address: FILE_NODE, origin: 'local' }]);
  const reset = await ask('DELETE', `/pools/demo/edits/${FILE_NODE}?local=yes`);
  assert.deepEqual(reset.body.node, node(FILE_NODE, { origin: 'group', weight: 7 }));
});

test('without a group every edit is local, and kept where there is a state_dir', async (t) => {
  const folder = join(temporaryFolder(t), 'state');
  const { ask, cluster } = await startAdmin(t, { top: [`state_dir: ${folder}`] });
  const { body } = await ask('POST', NODES, { address: ADDED, local: false });
  assert.deepEqual([body.scope, body.isKept], ['local', true]);
  assert.equal(cluster.proposals, 0);
  const again = await startAdmin(t, { top: [`state_dir: ${folder}`] });
  assert.deepEqual((await again.ask('GET', NODES)).body.nodes, [node(FILE_NODE), node(ADDED, { origin: 'local' })]);
  await again.ask('DELETE', `${NODES}/${ADDED}`);
  assert.deepEqual((await again.ask('GET', NODES)).body.removed, [], 'nothing is left to be kept');
});

test('an edit that the cluster does not take says how it stands', async (t) => {
  const { ask, cluster } = await startAdmin(t, { hasGroup: true });
  for (const [code, status] of REFUSALS) {
    cluster.refusal = code;
    const answers = [
      await ask('POST', NODES, { address: 'a:1' }),
      await ask('PATCH', `${NODES}/${FILE_NODE}`, { drain: true }),
      await ask('DELETE', `${NODES}/${FILE_NODE}`),
    ];
    for (const answer of answers) {
      assert.deepEqual([answer.status, answer.body.code], [status, code]);
      assert.match(String(answer.body.message), new RegExp(code));
    }
    assert.equal((await ask('POST', NODES, { address: 'b:1', local: true })).status, 200, 'it needs no leader');
  }
});

test('nodes come 1,000 at a time', async (t) => {
  const nodes = Array.from({ length: 1_200 }, (_, i) => `10.1.${i >> 8}.${i & 255}:80`);
  const { ask } = await startAdmin(t, { nodes });
  const lengthOf = async (path: string) => ((await ask('GET', path)).body.nodes as unknown[]).length;
  assert.deepEqual(
    [await lengthOf(NODES), await lengthOf(`${NODES}?offset=1000`), await lengthOf(`${NODES}?offset=9999`)],
    [1_000, 200, 0],
  );
  const { pools } = (await ask('GET', '/pools')).body as { pools: { nodeCount: number; nodes: unknown[] }[] };
  assert.deepEqual([pools[0]?.nodeCount, pools[0]?.nodes.length], [1_200, 1_000]);
});
