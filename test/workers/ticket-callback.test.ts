/** What becomes of tickets, decided without TLS: every stage, both versions, and the boundary between groups. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  type BoardKey,
  KeyBoard,
  NONE,
  STAGE_ACTIVE,
  STAGE_RETIRING,
  STAGE_STAGED,
} from '../../src/boards/key-board.ts';
import { type TicketReply, type TicketScope, Tickets } from '../../workers/ticket-callback.ts';
import { TicketKeys } from '../../workers/ticket-keys.ts';
import { newKey, publishKeys } from './tls-harness.ts';

const SCOPE_12: TicketScope = { tag: 0x1234_5678, isTls13: false, vouches: false };
const SCOPE_13: TicketScope = { ...SCOPE_12, isTls13: true };
const OTHER: TicketScope = { tag: -7, isTls13: false, vouches: false };
const FOREIGN_IV = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

test('tickets are made with the key that encrypts, and counted', () => {
  const key = newKey();
  const { tickets, counts } = newTickets([newKey(STAGE_RETIRING), key, newKey(STAGE_STAGED)]);
  const [result, hmac, aes, name, iv] = tickets.issue(SCOPE_12);
  assert.equal(result, 1);
  assert.deepEqual(Buffer.concat([name, hmac, aes]), Buffer.from(key.bytes));
  assert.equal(iv.length, 16);
  assert.deepEqual(counts, { ticketsIssued: 1 });
});

test('without a key that encrypts no ticket is made, and the parts are still of the length that Node wants', () => {
  const { tickets, counts } = newTickets([newKey(STAGE_STAGED), newKey(STAGE_RETIRING)]);
  const [result, ...parts] = tickets.issue(SCOPE_13);
  assert.equal(result, 0);
  assert.deepEqual(
    parts.map(({ length }) => length),
    [16, 16, 16, 16],
  );
  assert.deepEqual(counts, {});
});

test('every IV is new, through many refills of the pool', () => {
  const { tickets } = newTickets([newKey()]);
  const ivs = Array.from({ length: 5_000 }, () => tickets.issue(SCOPE_12)[4].toString('hex'));
  assert.equal(new Set(ivs.map((iv) => iv.slice(0, 24))).size, ivs.length);
  // random bytes: each value at each of the 12 places about 20 times
  for (let place = 0; place < 12; place++) {
    assert.ok(new Set(ivs.map((iv) => iv.slice(2 * place, 2 * place + 2))).size > 200, `place ${place}`);
  }
});

// TLS 1.3 clients get a new ticket whenever one can be made, TLS 1.2 clients when theirs will soon not be opened
for (const [stage, encrypts, result12, result13, stat] of [
  [STAGE_ACTIVE, true, 1, 2, 'ticketsOpenedActive'],
  [STAGE_ACTIVE, false, 1, 1, 'ticketsOpenedActive'],
  [STAGE_STAGED, true, 1, 2, 'ticketsOpenedStaged'],
  [STAGE_STAGED, false, 1, 1, 'ticketsOpenedStaged'],
  [STAGE_RETIRING, true, 2, 2, 'ticketsOpenedRetiring'],
  [STAGE_RETIRING, false, 1, 1, 'ticketsOpenedRetiring'],
] as const) {
  const what = `${stat}, ${encrypts ? 'a' : 'no'} key encrypts`;
  test(`a ticket is opened by the stage of its key: ${what}`, () => {
    const key = newKey(stage);
    const ring = stage === STAGE_ACTIVE || !encrypts ? [key] : [key, newKey(STAGE_ACTIVE)];
    const { tickets, counts } = newTickets(ring, encrypts ? ring.length - 1 : NONE);
    for (const [scope, expected] of [
      [SCOPE_12, result12],
      [SCOPE_13, result13],
    ] as const) {
      tickets.hasOpened = false;
      const [result, hmac, aes] = open(tickets, scope, key);
      assert.equal(result, expected);
      assert.deepEqual(Buffer.concat([hmac, aes]), Buffer.from(key.bytes.subarray(16)));
      assert.ok(tickets.hasOpened);
    }
    const renewed = Number(result12 === 2) + Number(result13 === 2);
    assert.deepEqual(counts, { [stat]: 2, ...(renewed > 0 && { ticketsRenewed: renewed }) });
  });
}

test("a ticket that stands for a client's certificate is not renewed in TLS 1.3, whatever its key", () => {
  const ring = [newKey(STAGE_RETIRING), newKey(STAGE_ACTIVE), newKey(STAGE_STAGED)];
  const { tickets } = newTickets(ring, 1);
  const results = (scope: TicketScope) => ring.map((key) => open(tickets, { ...scope, vouches: true }, key)[0]);
  assert.deepEqual(results(SCOPE_13), [1, 1, 1]);
  // there the session keeps the time of its full handshake
  assert.deepEqual(results(SCOPE_12), [2, 1, 1]);
});

test('a ticket of an unknown key is not opened', () => {
  const { tickets, counts } = newTickets([newKey()]);
  assert.equal(open(tickets, SCOPE_12, newKey())[0], 0);
  assert.equal(tickets.hasOpened, false);
  assert.deepEqual(counts, { ticketsUnknownKey: 1 });
});

test('a ticket opens in the group it was made for, on any machine, and in no other', () => {
  const key = newKey();
  const made = newTickets([key]);
  const ivs = Array.from({ length: 50 }, () => Buffer.from(made.tickets.issue(SCOPE_12)[4]));
  const { tickets, counts } = newTickets([key]);
  for (const iv of ivs) {
    assert.equal(open(tickets, SCOPE_12, key, iv)[0], 1);
    assert.equal(open(tickets, OTHER, key, iv)[0], 0);
  }
  assert.deepEqual(counts, { ticketsOpenedActive: 50, ticketsRefused: 50 });
});

test('a ticket of a group that no listener serves any more opens nowhere: its certificate had other names', () => {
  const key = newKey();
  const { tickets, counts } = newTickets([key]);
  const iv = Buffer.from(tickets.issue({ ...OTHER, tag: 99 })[4]);
  assert.equal(open(tickets, SCOPE_12, key, iv)[0], 0);
  assert.deepEqual(counts, { ticketsRefused: 1, ticketsIssued: 1 });
});

test('a ticket of another program with the same keys opens in every group', () => {
  const key = newKey();
  const { tickets, counts } = newTickets([key]);
  for (const scope of [SCOPE_12, OTHER]) assert.equal(open(tickets, scope, key, FOREIGN_IV)[0], 1);
  assert.deepEqual(counts, { ticketsOpenedActive: 2 });
});

test('a change of the ring is in force with the next ticket', () => {
  const [one, two] = [newKey(), newKey()];
  const { tickets, board } = newTickets([one]);
  publishKeys(board, [two, { ...one, stage: STAGE_RETIRING }]);
  assert.equal(open(tickets, SCOPE_12, one)[0], 2);
  assert.deepEqual([...tickets.issue(SCOPE_12)[3]], [...two.bytes.subarray(0, 16)]);
  publishKeys(board, [two]);
  assert.equal(open(tickets, SCOPE_12, one)[0], 0);
});

function newTickets(ring: readonly BoardKey[], encrypting?: number) {
  const board = KeyBoard.create();
  if (encrypting === undefined) publishKeys(board, ring);
  else board.publish(ring, encrypting);
  const counts: Record<string, number> = {};
  const tickets = new Tickets(new TicketKeys(board), (stat) => {
    counts[stat] = (counts[stat] ?? 0) + 1;
  });
  return { tickets, counts, board };
}

function open(tickets: Tickets, scope: TicketScope, key: BoardKey, iv = randomBytes(16)): TicketReply {
  return tickets.open(scope, Buffer.from(key.bytes.subarray(0, 16)), iv);
}
