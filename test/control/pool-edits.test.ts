/** How edits lie over the nodes of the file. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeConfig } from '../../src/config/config.ts';
import { effectiveNodes, originOf, PoolEdits, removedAddresses } from '../../src/control/pool-edits.ts';
import type { NodeEdit } from '../../src/control/state-command.ts';

const FILE = ['10.0.0.2:80', '10.0.0.1:80', '10.0.0.3:80'].map((address) => node(address));

test('without edits the nodes are those of the file', () => {
  assert.equal(effectiveNodes(FILE, new Map()), FILE);
});

test('an edit changes a node in its place, takes it out, or adds one behind the others', () => {
  const edits = new Map<string, NodeEdit>([
    ['10.0.0.9:80', { kind: 'present', weight: 3, drain: false }],
    ['10.0.0.1:80', { kind: 'present', weight: 2, drain: true }],
    ['10.0.0.3:80', { kind: 'absent' }],
  ]);
  assert.deepEqual(effectiveNodes(FILE, edits), [
    node('10.0.0.2:80'),
    { ...node('10.0.0.1:80'), weight: 2, drain: true },
    { ...node('10.0.0.9:80'), weight: 3 },
  ]);
});

test('added nodes stand in the order of their addresses, whatever the order of the edits', () => {
  const present = { kind: 'present', weight: 1, drain: false } as const;
  const addresses = ['b:1', '[::1]:80', 'a:2', 'a:10'];
  for (const order of [addresses, addresses.toReversed()]) {
    const nodes = effectiveNodes([], new Map(order.map((address) => [address, present])));
    assert.deepEqual(
      nodes.map(({ address }) => address),
      ['[::1]:80', 'a:10', 'a:2', 'b:1'],
    );
    assert.deepEqual(nodes[0], { address: '[::1]:80', host: '::1', port: 80, weight: 1, drain: false });
  }
});

test('the absence of a node that the file does not name is no matter', () => {
  assert.deepEqual(effectiveNodes(FILE, new Map([['10.0.0.9:80', { kind: 'absent' }]])), FILE);
});

test('an address that this version does not read is left out', () => {
  const present = { kind: 'present', weight: 1, drain: false } as const;
  const edits = new Map<string, NodeEdit>([
    ['quic://a:1', present],
    ['A:1', present],
    ['a', present],
  ]);
  assert.deepEqual(effectiveNodes(FILE, edits), FILE);
});

function node(address: string): NodeConfig {
  const [host = '', port] = address.split(':');
  return { address, host, port: Number(port), weight: 1, drain: false };
}

test('an edit of the weight and one of drain both hold, in either order and over what the file says', () => {
  const node: NodeConfig = { address: 'a:1', host: 'a', port: 1, weight: 5, drain: false };
  const weigh = { kind: 'present', weight: 7, drain: null } as const;
  const drain = { kind: 'present', weight: null, drain: true } as const;
  for (const order of [
    [weigh, drain],
    [drain, weigh],
  ]) {
    const edits = new PoolEdits();
    for (const edit of order) edits.set('p', 'a:1', edit);
    assert.deepEqual(effectiveNodes([node], edits.of('p')), [{ ...node, weight: 7, drain: true }]);
    assert.deepEqual(PoolEdits.fromSnapshot(edits.toSnapshot()).of('p'), edits.of('p'));
  }
  assert.deepEqual(effectiveNodes([node], new Map([['a:1', drain]])), [{ ...node, drain: true }]);
  assert.deepEqual(effectiveNodes([], new Map([['a:1', drain]])), [{ ...node, weight: 1, drain: true }]);
});

test('a change of a node goes with the node: drained, and dropped from the file, it is gone', () => {
  const drained = new Map<string, NodeEdit>([['10.0.0.1:80', { kind: 'changed', weight: null, drain: true }]]);
  assert.deepEqual(effectiveNodes(FILE, drained)[1], { ...node('10.0.0.1:80'), drain: true });
  assert.deepEqual(effectiveNodes([], drained), []);
});

test('what an edit makes of an earlier one depends on what both say', () => {
  const add = { kind: 'present', weight: 2, drain: null } as const;
  const drain = { kind: 'changed', weight: null, drain: true } as const;
  const remove = { kind: 'absent' } as const;
  const cases: [edits: NodeEdit[], result: NodeEdit][] = [
    [[add, drain], { kind: 'present', weight: 2, drain: true }],
    [[drain, add], { kind: 'present', weight: 2, drain: true }],
    [[drain, { ...drain, weight: 5 }], { kind: 'changed', weight: 5, drain: true }],
    [[remove, drain], remove],
    [[remove, add], add],
    [[add, remove], remove],
  ];
  for (const [made, result] of cases) {
    const edits = new PoolEdits();
    for (const edit of made) edits.set('p', 'a:1', edit);
    assert.deepEqual(edits.of('p').get('a:1'), result);
    assert.deepEqual(PoolEdits.fromSnapshot(edits.toSnapshot()).of('p'), edits.of('p'));
    const [group, local] = made as [NodeEdit, NodeEdit];
    const [over, alone] = [new Map([['a:1', local]]), new Map([['a:1', result]])];
    assert.deepEqual(
      effectiveNodes([], new Map([['a:1', group]]), over),
      effectiveNodes([], alone),
      'one over the other is as one after the other',
    );
  }
});

test('edits of this edge alone lie over those of the group, and say whose word counts', () => {
  const group = new Map<string, NodeEdit>([
    ['10.0.0.1:80', { kind: 'absent' }],
    ['10.0.0.2:80', { kind: 'changed', weight: 4, drain: null }],
  ]);
  const local = new Map<string, NodeEdit>([
    ['10.0.0.2:80', { kind: 'changed', weight: null, drain: true }],
    ['10.0.0.3:80', { kind: 'absent' }],
  ]);
  assert.deepEqual(effectiveNodes(FILE, group, local), [{ ...node('10.0.0.2:80'), weight: 4, drain: true }]);
  const origins = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', 'b:1'].map((one) => originOf(one, group, local));
  assert.deepEqual(origins, ['group', 'local', 'local', 'file']);
  assert.deepEqual(removedAddresses(group, local), ['10.0.0.1:80', '10.0.0.3:80']);
});

test('a node that was drained here alone goes when the group removes it', () => {
  const drained = new Map<string, NodeEdit>([['10.0.0.1:80', { kind: 'changed', weight: null, drain: true }]]);
  const removed = new Map<string, NodeEdit>([['10.0.0.1:80', { kind: 'absent' }]]);
  assert.deepEqual(effectiveNodes(FILE, removed, drained), [node('10.0.0.2:80'), node('10.0.0.3:80')]);
});
