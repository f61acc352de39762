/** Which node serves a request: affinity by cookie, by domain, or none; and when the cookie is set. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendId, ID_WORDS, readIdWords } from '../../src/affinity/backend-id.ts';
import { COOKIE_ID, findAffinityId } from '../../src/affinity/cookie.ts';
import { buildRouteImage, type RouteNode } from '../../src/affinity/route-table.ts';
import { publish } from '../../src/boards/epoch.ts';
import type { AffinitySettings, ServiceSettings } from '../../src/boards/listener-task.ts';
import { NODE_DOWN, NODE_FAILING } from '../../src/boards/route-board.ts';
import { RequestHead } from '../../workers/http1/request-head.ts';
import { NodePool } from '../../workers/node-pool.ts';
import { type Choice, Service } from '../../workers/service.ts';
import { boardOf, node } from '../affinity/fixtures.ts';
import { fakeContext } from './fake-context.ts';

const SALT = 'pepper';
const NODES = [0, 1, 2, 3].map((slot) => node({ slot }));
const AFFINITY: AffinitySettings = {
  cookieName: 'X-SERVERID',
  useDomain: false,
  attributesPlain: '; path=/; HttpOnly',
  attributesTls: '; path=/; HttpOnly; Secure',
};

test('a known id leads to its node, and the cookie is not set again', () => {
  const { ask } = newService(AFFINITY);
  for (const { slot, address } of NODES) {
    for (const cookie of [
      cookieFor(address),
      `a=b; ${cookieFor(address)}; c`,
      `a=b\r\nCookie: ${cookieFor(address)}`,
    ]) {
      assert.deepEqual(outcome(ask(`Cookie: ${cookie}`)), { slot, setsCookie: false });
    }
  }
});

test('without an id, with one that is malformed, or unknown, a node is chosen and the cookie set', () => {
  const { ask } = newService(AFFINITY);
  const known = cookieFor('10.0.0.2:80');
  const headers = [
    '',
    'Cookie: a=b',
    'Cookie: X-SERVERID=',
    `Cookie: ${known.toUpperCase()}`,
    `Cookie: X-SERVERID=${backendId('10.9.9.9:80', SALT)}`,
    `Cookie: X-SERVERID=${backendId('10.0.0.2:80')}`,
    `Cookie: X-SERVERID=x; ${known}`,
    `Cookie: X-SERVERID=x\r\nCookie: ${known}`,
  ];
  for (const header of headers) {
    const slots = Array.from({ length: 8 }, () => ask(header)).map(({ node, setsCookie }) => {
      assert.ok(setsCookie, header);
      return node?.slot;
    });
    assert.deepEqual([...new Set(slots)].sort(), [0, 1, 2, 3], header);
  }
});

test('a draining node keeps its clients and gets no new ones', () => {
  const { ask, set } = newService(AFFINITY);
  set(NODES.map((n) => ({ ...n, drain: n.slot === 1 })));
  assert.deepEqual(outcome(ask(`Cookie: ${cookieFor('10.0.0.1:80')}`)), { slot: 1, setsCookie: false });
  for (let i = 0; i < 20; i++) assert.notEqual(ask('').node?.slot, 1);
});

test('the clients of a node that is down, failing or gone get another, and its cookie', () => {
  const { ask, set, pool } = newService(AFFINITY);
  const header = `Cookie: ${cookieFor('10.0.0.1:80')}`;
  const assertMoved = () => {
    const { node, setsCookie } = ask(header);
    assert.ok(node !== null && node.slot !== 1 && setsCookie);
  };
  ask(header).node?.failed('ECONNREFUSED', { name: 's', maxFails: 1, failTimeoutMs: 1_000 } as ServiceSettings);
  assertMoved();
  ask(`Cookie: ${cookieFor('10.0.0.0:80')}`).node?.answered();
  for (const state of [NODE_FAILING, NODE_DOWN] as const) {
    pool.board.setState(1, state);
    assertMoved();
  }
  set(NODES.filter(({ slot }) => slot !== 1));
  assertMoved();
});

test('another tenant of a slot is another node, with its own id', () => {
  const { ask, set } = newService(AFFINITY);
  const before = ask(`Cookie: ${cookieFor('10.0.0.1:80')}`).node;
  set([node({ slot: 1, generation: 99, address: 'new.example:8080' })]);
  const after = ask('').node;
  assert.notEqual(after, before);
  assert.deepEqual([after?.slot, after?.host, after?.port], [1, 'new.example', 8080]);
  assert.equal(after?.id, backendId('new.example:8080', SALT));
});

test('Set-Cookie holds the node id and the attributes of its listener, and is read back whatever the name', () => {
  for (const cookieName of ['X-SERVERID', 'a%62', 'srv+id', "!#$%&'*+^_`|~."]) {
    const { ask, service } = newService({ ...AFFINITY, cookieName });
    const { node } = ask('');
    assert.ok(node !== null);
    const line = service.setCookieLine(node, false);
    assert.match(line, /^Set-Cookie: [^;]+=[0-9a-f]{40}; path=\/; HttpOnly\r\n$/);
    assert.ok(service.setCookieLine(node, true).endsWith('; path=/; HttpOnly; Secure\r\n'));
    const cookie = Buffer.from(line.slice('Set-Cookie: '.length, line.indexOf(';')));
    const id = new Int32Array(ID_WORDS);
    assert.equal(findAffinityId(cookie, 0, cookie.length, Buffer.from(cookieName), id), COOKIE_ID);
    assert.equal(readIdWords(id, 0), node.id);
    assert.deepEqual(outcome(ask(`Cookie: ${cookie}`)), { slot: node.slot, setsCookie: false });
  }
});

test('domain mode chooses by the Host alone, ignores the cookie and sets none', () => {
  const { ask } = newService({ ...AFFINITY, useDomain: true });
  const sums = { 'a.example': sum('a.example'), 'b.example:8080': sum('b.example:8080'), c: sum('c') };
  for (const [host, total] of Object.entries(sums)) {
    for (const header of ['', `Cookie: ${cookieFor('10.0.0.2:80')}`]) {
      assert.deepEqual(outcome(ask(header, host)), { slot: total % 4, setsCookie: false });
    }
  }
});

test('in domain mode the next usable node in the order of addresses stands in for one that is down or drains', () => {
  const { ask, set, pool } = newService({ ...AFFINITY, useDomain: true });
  const first = sum('a.example') % 4;
  pool.board.setState(first, NODE_DOWN);
  assert.equal(ask('', 'a.example').node?.slot, (first + 1) % 4);
  set(NODES.map((n) => ({ ...n, drain: n.slot === (first + 1) % 4 })));
  assert.equal(ask('', 'a.example').node?.slot, (first + 2) % 4);
});

test('without affinity every node serves, and no cookie is set', () => {
  const { ask, service } = newService(null);
  const choices = Array.from({ length: 8 }, () => ask(`Cookie: ${cookieFor('10.0.0.2:80')}`));
  assert.equal(new Set(choices.map(({ node }) => node)).size, 4);
  assert.ok(choices.every(({ setsCookie }) => !setsCookie));
  assert.equal(service.setCookieLine(choices[0]?.node as never, false), '');
});

test('a second choice leaves out the nodes that were tried, and sets the cookie where there is one', () => {
  for (const affinity of [AFFINITY, { ...AFFINITY, useDomain: true }, null]) {
    const { ask, service } = newService(affinity);
    const tried = [ask('').node].filter((n) => n !== null);
    const choice: Choice = { node: null, setsCookie: false, domainStart: 0 };
    while (tried.length < NODES.length) {
      service.chooseAgain(tried, choice);
      assert.ok(choice.node !== null && !tried.includes(choice.node));
      assert.equal(choice.setsCookie, affinity === AFFINITY);
      tried.push(choice.node);
    }
    service.chooseAgain(tried, choice);
    assert.equal(choice.node, null);
  }
});

test('an empty pool has no node for anybody', () => {
  for (const affinity of [AFFINITY, { ...AFFINITY, useDomain: true }, null]) {
    const { ask, set } = newService(affinity);
    set([]);
    assert.equal(ask(`Cookie: ${cookieFor('10.0.0.1:80')}`).node, null);
  }
});

function newService(affinity: AffinitySettings | null) {
  const board = boardOf(NODES, SALT);
  const pool = new NodePool(0, board, fakeContext().context);
  const settings = { balance: 'round_robin', via: null, affinity } as unknown as ServiceSettings;
  const service = new Service(settings, pool);
  const head = new RequestHead({ headBytesMax: 4096, headersMax: 32, targetBytesMax: 1024 });
  const ask = (header: string, host = 'a.example'): Choice => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\n${header}${header === '' ? '' : '\r\n'}\r\n`);
    assert.equal(head.parse(bytes, 0, bytes.length), bytes.length);
    const choice: Choice = { node: null, setsCookie: false, domainStart: 0 };
    service.choose(bytes, head, choice);
    return choice;
  };
  const set = (nodes: readonly RouteNode[]) => publish(board, buildRouteImage(nodes, SALT, board.dimensions));
  return { ask, set, pool, service };
}

function cookieFor(address: string): string {
  return `X-SERVERID=${backendId(address, SALT)}`;
}

function outcome({ node, setsCookie }: Choice) {
  return { slot: node?.slot, setsCookie };
}

function sum(host: string): number {
  return [...host].reduce((total, c) => total + c.charCodeAt(0), 0);
}
