/**
 * What the ticket callback costs: deciding on a new ticket and on one that comes back, with few keys in the ring and with
 * many. OpenSSL's own part, the cipher and the MAC, is not in it.
 *
 *   node native-free-bench/micro-tickets.ts
 */

import { createHash } from 'node:crypto';
import { type BoardKey, KeyBoard, STAGE_ACTIVE, STAGE_RETIRING } from '../src/boards/key-board.ts';
import { type TicketScope, Tickets } from '../workers/ticket-callback.ts';
import { TicketKeys } from '../workers/ticket-keys.ts';
import { callsOf, type Effort, FULL, interleaved, nanosecondsEach, printFigures, type Sampled } from './figures.ts';

const TICKETS = 200_000;
const RINGS = [3, 100];
const KEY_BYTES = 48;
const NAME_BYTES = 16;
const TLS13: TicketScope = { tag: 7, isTls13: true, vouches: false };
const TLS12: TicketScope = { ...TLS13, isTls13: false };

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const calls = callsOf(TICKETS, effort);
  const cases = RINGS.flatMap((keys) => casesOf(keys, calls));
  return interleaved(Object.fromEntries(cases), 'ns', effort);
}

/** The last key of the ring makes tickets. */
function casesOf(keys: number, calls: number): [name: string, measure: () => number][] {
  const ring = Array.from({ length: keys }, (_, i) =>
    createHash('sha384').update(`${i}`).digest().subarray(0, KEY_BYTES),
  );
  const board = KeyBoard.create();
  const boardKeys = ring.map((bytes, i): BoardKey => {
    return { stage: i === keys - 1 ? STAGE_ACTIVE : STAGE_RETIRING, bytes };
  });
  board.publish(boardKeys, keys - 1);
  const tickets = new Tickets(new TicketKeys(board), () => {});
  const [oldest, newest] = [ring[0] as Buffer, ring[keys - 1] as Buffer].map((key) => key.subarray(0, NAME_BYTES));
  const iv = Buffer.from(tickets.issue(TLS13)[4]);
  const open = (scope: TicketScope, name: Buffer) => () => tickets.open(scope, name, iv)[0] > 0;
  const cases: Record<string, () => boolean> = {
    issue: () => tickets.issue(TLS13)[0] === 1,
    'open, TLS 1.3, the active key': open(TLS13, newest as Buffer),
    'open, TLS 1.2, the oldest key': open(TLS12, oldest as Buffer),
    'refuse, unknown key': () => tickets.open(TLS13, iv, iv)[0] === 0,
  };
  return Object.entries(cases).map(([name, decide]) => [
    `${name}, ${keys} keys`,
    () => {
      let right = 0;
      const each = nanosecondsEach(calls, () => {
        if (decide()) right++;
      });
      if (right !== calls) throw new Error(`${calls - right} of ${calls} tickets: ${name} went wrong`);
      return each;
    },
  ]);
}

if (import.meta.main) printFigures(await run());
