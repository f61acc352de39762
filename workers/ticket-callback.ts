/**
 * What becomes of a session ticket: which key makes it, whether one that comes back is opened, and whether its client
 * gets a new one. The one file that knows Node's undocumented callback for it. Listener threads.
 *
 * Node's documented `ticketKeys` holds a single key: each rotation would lose every ticket. The callback has been there
 * since 2015, and Node tests it (test-https-resume-after-renew.js); ticket-proof.ts tries it before a thread relies on it.
 *
 *   callback(name, iv, isIssuing) => [result, hmac, aes, name, iv]
 *     issuing   1: a ticket is made with these. 0: none is made
 *     opening   1: the ticket is opened. 2: and a new one is issued. 0: a full handshake
 *
 * Resumption must not cross from one group of certificates to another (RFC 6066 section 3), so a ticket says which it
 * was issued for, in its IV, which the ticket's MAC covers. 64 bits of it are random, and no bit of it can be foreseen:
 *
 *   0   random          8
 *   8   the first 4 of these XOR a mark: the ticket is stekbal's
 *   12  the second 4    XOR the group's tag
 *
 * Without the mark a ticket is of another program that shares the keys, such as HAProxy, and draws its IVs freely.
 */

import { randomFillSync } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { STAGE_RETIRING, STAGE_STAGED } from '../src/boards/key-board.ts';
import type { Stat } from '../src/boards/stats-board.ts';
import type { HeldKey, TicketKeys } from './ticket-keys.ts';

/** Read by Node before the next call: one array serves all. */
export type TicketReply = [result: 0 | 1 | 2, hmac: Buffer, aes: Buffer, name: Buffer, iv: Buffer];

/** What a context knows of the connections it serves. */
export interface TicketScope {
  /** Its group of certificates. */
  readonly tag: number;
  /** Its clients offer TLS 1.3, so that is what they get. */
  readonly isTls13: boolean;
  /** Its sessions stand for a client's certificate. */
  readonly vouches: boolean;
}

const TICKET = { refused: 0, taken: 1, renewed: 2 } as const;
const IV_BYTES = 16;
const RANDOM_BYTES = 8;
const MARK_AT = 8;
const TAG_AT = 12;
const MARK = 0x7374_656b;
/** Random bytes are fetched this many at once: a call for each IV would cost more than the ticket. */
const POOL_BYTES = RANDOM_BYTES * 512;

/** Decides on the tickets of a listener thread, and counts them. */
export class Tickets {
  /** A ticket was opened since somebody set this to false. */
  hasOpened = false;

  readonly #keys: TicketKeys;
  readonly #count: (stat: Stat) => void;
  readonly #iv = Buffer.alloc(IV_BYTES);
  readonly #reply: TicketReply = [TICKET.refused, NO_KEY, NO_KEY, NO_KEY, this.#iv];
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #poolUsed = POOL_BYTES;

  constructor(keys: TicketKeys, count: (stat: Stat) => void) {
    this.#keys = keys;
    this.#count = count;
  }

  /** A ticket is to be made in `scope`. */
  issue(scope: TicketScope): TicketReply {
    this.#keys.refresh();
    const key = this.#keys.encrypting;
    if (key === null) return this.#refuse();
    this.#count('ticketsIssued');
    this.#fillIv(scope.tag);
    return this.#answer(TICKET.taken, key);
  }

  /** A client of `scope` shows a ticket made with the key called `name`. */
  open(scope: TicketScope, name: Buffer, iv: Buffer): TicketReply {
    this.#keys.refresh();
    const key = this.#keys.find(name);
    if (key === null) {
      this.#count('ticketsUnknownKey');
      return this.#refuse();
    }
    if (this.#isOfAnotherGroup(scope.tag, iv)) {
      this.#count('ticketsRefused');
      return this.#refuse();
    }
    this.hasOpened = true;
    this.#count(openedOf(key));
    if (!this.#renews(scope, key)) return this.#answer(TICKET.taken, key);
    this.#count('ticketsRenewed');
    return this.#answer(TICKET.renewed, key);
  }

  /**
   * A TLS 1.3 client uses a ticket once, and gets none on resumption unless we say so. Each begins anew there, so that one
   * which stands for a certificate is not renewed: it would do so for ever, and its client never show again that it has the
   * key (RFC 8446 section 4.6.1). A TLS 1.2 client keeps its ticket until that is worth replacing: not for a key that is
   * newer than the active one.
   */
  #renews({ isTls13, vouches }: TicketScope, { stage }: HeldKey): boolean {
    if (this.#keys.encrypting === null) return false;
    return isTls13 ? !vouches : stage === STAGE_RETIRING;
  }

  #isOfAnotherGroup(own: number, iv: Buffer): boolean {
    const isOurs = (iv.readInt32LE(MARK_AT) ^ iv.readInt32LE(0)) === MARK;
    return isOurs && (iv.readInt32LE(TAG_AT) ^ iv.readInt32LE(4)) !== own;
  }

  #fillIv(tag: number): void {
    if (this.#poolUsed === POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#poolUsed = 0;
    }
    this.#pool.copy(this.#iv, 0, this.#poolUsed, this.#poolUsed + RANDOM_BYTES);
    this.#poolUsed += RANDOM_BYTES;
    this.#iv.writeInt32LE(this.#iv.readInt32LE(0) ^ MARK, MARK_AT);
    this.#iv.writeInt32LE(this.#iv.readInt32LE(4) ^ tag, TAG_AT);
  }

  #answer(result: 1 | 2, key: HeldKey): TicketReply {
    const reply = this.#reply;
    reply[0] = result;
    reply[1] = key.hmac;
    reply[2] = key.aes;
    reply[3] = key.name;
    return reply;
  }

  #refuse(): TicketReply {
    const reply = this.#reply;
    reply[0] = TICKET.refused;
    reply[1] = reply[2] = reply[3] = NO_KEY;
    return reply;
  }
}

/** Node wants parts of the right length even where there is no key. */
const NO_KEY = Buffer.alloc(16);

function openedOf({ stage }: HeldKey): Stat {
  if (stage === STAGE_STAGED) return 'ticketsOpenedStaged';
  return stage === STAGE_RETIRING ? 'ticketsOpenedRetiring' : 'ticketsOpenedActive';
}

interface NativeContext {
  onticketkeycallback?: (name: Buffer, iv: Buffer, isIssuing: boolean) => TicketReply;
  enableTicketKeyCallback?: () => void;
}

/** Makes `tickets` decide on the tickets of `context`. Throws where this Node does not have the callback. */
export function installTicketCallback(context: SecureContext, tickets: Tickets, scope: TicketScope): void {
  const native = context.context as NativeContext;
  if (typeof native.enableTicketKeyCallback !== 'function') throw new Error('this Node has no ticket callback');
  native.onticketkeycallback = (name, iv, isIssuing) =>
    isIssuing ? tickets.issue(scope) : tickets.open(scope, name, iv);
  native.enableTicketKeyCallback();
}
