/** RoutePublisher with a real helper thread, read as the listener threads read. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type FoundNode, findById } from '../../src/affinity/route-table.ts';
import { addressOf, countNodes, weightOf } from '../../src/affinity/selection.ts';
import { NODE_DOWN, NODE_UP, RouteBoard } from '../../src/boards/route-board.ts';
import type { NodeConfig } from '../../src/config/config.ts';
import { Helper } from '../../src/control/helper.ts';
import { RoutePublisher } from '../../src/control/route-publisher.ts';
import { idWords } from '../affinity/fixtures.ts';

const SALT = 'salt';
const helper = new Helper();
after(() => helper.close());

test('a node keeps its slot and generation while it stays, whatever happens around it', async () => {
  const publisher = newPublisher(['a:1', 'b:1', 'c:1']);
  await publisher.update(nodes(['a:1', 'b:1', 'c:1']));
  const before = find(publisher, 'b:1');
  await publisher.update(nodes(['d:1', 'b:1']));
  assert.deepEqual(find(publisher, 'b:1'), before);
  await publisher.update([node('c:1'), { ...node('b:1'), weight: 9, drain: true }, node('a:1')]);
  const found = find(publisher, 'b:1');
  assert.deepEqual([found?.slot, found?.generation], [before?.slot, before?.generation]);
  assert.equal(weightOf(publisher.board, found?.slot ?? -1), 9);
});

test('a node that comes back has a generation of its own, and so has each new tenant of a slot', async () => {
  const publisher = newPublisher(['a:1']);
  const seen = new Set<number>();
  for (const address of ['a:1', 'b:1', 'a:1', 'c:1', 'a:1']) {
    await publisher.update(nodes([address]));
    const { slot = -1, generation = -1 } = find(publisher, address) ?? {};
    assert.equal(slot, 0);
    assert.ok(!seen.has(generation));
    seen.add(generation);
  }
});

test('no two nodes share a slot over many random changes, and what left is not found', async () => {
  const publisher = newPublisher([]);
  const all = Array.from({ length: 60 }, (_, i) => `node-${i}:80`);
  for (let round = 0; round < 60; round++) {
    const present = all.filter((_, i) => (i * 7 + round * round) % 5 > 1);
    await publisher.update(nodes(present));
    const slots = new Set(present.map((address) => find(publisher, address)?.slot));
    assert.equal(slots.size, present.length);
    assert.ok(!slots.has(undefined));
    for (const address of all) if (!present.includes(address)) assert.equal(find(publisher, address), null);
  }
});

test('growth replaces the board, already filled, and keeps slots, generations and states', async () => {
  const given: RouteBoard[] = [];
  const publisher = newPublisher(['a:1', 'b:1'], (buffer) => given.push(new RouteBoard(buffer)));
  await publisher.update(nodes(['a:1', 'b:1']));
  const small = publisher.board;
  const before = find(publisher, 'b:1');
  small.setState(before?.slot ?? -1, NODE_DOWN);
  const many = Array.from({ length: 100 }, (_, i) => `n${i}:1`);
  await publisher.update(nodes([...many, 'b:1']));
  assert.equal(given.length, 1);
  assert.equal(given[0]?.buffer, publisher.board.buffer);
  assert.ok(publisher.board.dimensions.capacity > small.dimensions.capacity);
  assert.deepEqual(find(publisher, 'b:1'), before);
  assert.equal(publisher.board.stateOf(before?.slot ?? -1), NODE_DOWN);
  assert.equal(countNodes(small), 2, 'the old board stays whole for those who have not heard yet');
});

test('more threads need a larger board, and nothing else of it changes', async () => {
  const given: RouteBoard[] = [];
  const publisher = newPublisher(['a:1'], (buffer) => given.push(new RouteBoard(buffer)));
  await publisher.update(nodes(['a:1']));
  const before = find(publisher, 'a:1');
  publisher.growTo(1);
  await publisher.update(nodes(['a:1']));
  assert.equal(given.length, 0, 'a board loses no row');
  publisher.growTo(5);
  await publisher.update(nodes(['a:1']));
  assert.deepEqual([given.length, publisher.board.threads], [1, 5]);
  assert.deepEqual(find(publisher, 'a:1'), before);
});

test("a node's requests are counted from when it came, whoever had its slot before", async () => {
  const publisher = newPublisher(['a:1']);
  await publisher.update(nodes(['a:1']));
  const { words } = publisher.board;
  const count = (inFlight: number, requests: number) => {
    words[publisher.board.inFlightRow(1)] = inFlight;
    words[publisher.board.requestsRow(1)] = requests;
  };
  count(2, 10);
  assert.deepEqual(publisher.activity('a:1'), { inFlight: 2, requests: 10 });
  await publisher.update(nodes(['b:1']));
  count(1, 13);
  assert.deepEqual(publisher.activity('b:1'), { inFlight: 1, requests: 3 });
  assert.equal(publisher.activity('a:1'), null);
  const generation = find(publisher, 'b:1')?.generation ?? -1;
  assert.deepEqual([publisher.addressAt(0, generation), publisher.addressAt(0, generation - 1)], ['b:1', null]);
});

test('a board that only its text outgrows keeps room for every slot in use', async () => {
  const short = Array.from({ length: 90 }, (_, i) => `n${i}:1`);
  const publisher = newPublisher(short);
  await publisher.update(nodes(short));
  const last = find(publisher, 'n89:1');
  const long = Array.from({ length: 40 }, (_, i) => `${'x'.repeat(200)}${i}:1`);
  await publisher.update(nodes([...long, 'n89:1']));
  assert.deepEqual(find(publisher, 'n89:1'), last);
  for (const address of long) assert.notEqual(find(publisher, address), null);
});

test('a new node is up, even in the slot of one that was down', async () => {
  const publisher = newPublisher(['a:1']);
  await publisher.update(nodes(['a:1']));
  publisher.board.setState(0, NODE_DOWN);
  await publisher.update(nodes(['a:1']));
  assert.equal(publisher.board.stateOf(0), NODE_DOWN);
  await publisher.update(nodes(['b:1']));
  assert.equal(find(publisher, 'b:1')?.slot, 0);
  assert.equal(publisher.board.stateOf(0), NODE_UP);
});

test('under another salt nodes keep slots and states, and are found under their new ids, of a new generation', async () => {
  const publisher = newPublisher(['a:1', 'b:1']);
  await publisher.update(nodes(['a:1', 'b:1']));
  const before = ['a:1', 'b:1'].map((address) => find(publisher, address));
  publisher.board.setState(before[0]?.slot ?? -1, NODE_DOWN);
  await publisher.update(nodes(['a:1', 'b:1']), 'other');
  for (const [i, address] of ['a:1', 'b:1'].entries()) {
    assert.equal(find(publisher, address), null);
    const found = find(publisher, address, 'other');
    assert.equal(found?.slot, before[i]?.slot);
    assert.notEqual(found?.generation, before[i]?.generation);
  }
  assert.equal(publisher.board.stateOf(before[0]?.slot ?? -1), NODE_DOWN);
  const after = find(publisher, 'a:1', 'other');
  await publisher.update(nodes(['a:1']));
  assert.deepEqual(find(publisher, 'a:1', 'other'), after, 'the salt stays where none is said');
});

test('updates take effect in the order of the calls, a slow one before a quick one', async () => {
  const publisher = newPublisher([]);
  const large = Array.from({ length: 3_000 }, (_, i) => `n${i}:1`);
  const done: string[] = [];
  await Promise.all([
    publisher.update(nodes(large)).then(() => done.push(`large, ${countNodes(publisher.board)}`)),
    publisher.update(nodes(['a:1'])).then(() => done.push(`small, ${countNodes(publisher.board)}`)),
    publisher.update(nodes(['a:1', 'b:1'])).then(() => done.push(`last, ${countNodes(publisher.board)}`)),
  ]);
  assert.deepEqual(done, ['large, 3000', 'small, 1', 'last, 2']);
});

test('an update that fails changes nothing, and the next one succeeds', async () => {
  const publisher = newPublisher(['a:1']);
  await publisher.update(nodes(['a:1']));
  const before = find(publisher, 'a:1');
  await assert.rejects(publisher.update(nodes(['b:1', 'c:1', 'c:1'])), /two nodes on slot/);
  assert.deepEqual(find(publisher, 'a:1'), before);
  await publisher.update(nodes(['a:1', 'b:1']));
  assert.deepEqual(find(publisher, 'a:1'), before);
  assert.notEqual(find(publisher, 'b:1'), null);
});

test('a table of 100,000 nodes is built by the helper, while this thread goes on', async () => {
  const many = Array.from({ length: 100_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`);
  const built: number[] = [];
  let turns = 0;
  const counting = {
    async buildRoutes(...[placed, salt, dimensions]: Parameters<Helper['buildRoutes']>) {
      built.push(placed.length);
      const image = helper.buildRoutes(placed, salt, dimensions);
      let isDone = false;
      const watched = image.finally(() => {
        isDone = true;
      });
      while (!isDone) await new Promise((resolve) => setImmediate(resolve, turns++));
      return watched;
    },
  };
  const publisher = new RoutePublisher(nodes(many), SALT, 1, counting as unknown as Helper, () => assert.fail());
  await publisher.update(nodes(many));
  assert.deepEqual(built, [100_000]);
  assert.ok(turns > 20, `the event loop turned ${turns} times`);
  assert.equal(countNodes(publisher.board), 100_000);
  for (let i = 0; i < many.length; i += 997) {
    const address = many[i] as string;
    const { slot = -1, generation = -1 } = find(publisher, address) ?? {};
    assert.equal(addressOf(publisher.board, slot, generation), address);
  }
  await publisher.update(nodes(many.slice(0, 10)));
  assert.deepEqual(built, [100_000], 'a small table needs no helper');
});

function newPublisher(addresses: readonly string[], onOutgrown: (buffer: SharedArrayBuffer) => void = () => {}) {
  return new RoutePublisher(nodes(addresses), SALT, 2, helper, onOutgrown);
}

function nodes(addresses: readonly string[]): NodeConfig[] {
  return addresses.map(node);
}

function node(address: string): NodeConfig {
  const [host = '', port] = address.split(':');
  return { address, host, port: Number(port), weight: 1, drain: false };
}

function find(publisher: RoutePublisher, address: string, salt = SALT): FoundNode | null {
  const found: FoundNode = { slot: 0, generation: 0, flags: 0 };
  return findById(publisher.board, idWords(address, salt), found) ? found : null;
}
