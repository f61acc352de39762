/**
 * What all parts of a listener thread share: its counters, its clock, its parsers, its voice. One a thread.
 */

import { STAT, type Stat } from '../src/boards/stats-board.ts';
import type { AccessLog } from './access-log.ts';
import type { HeadLimits } from './http1/message-head.ts';
import { RequestHead } from './http1/request-head.ts';
import { ResponseHead } from './http1/response-head.ts';
import type { ThreadLog } from './thread-log.ts';
import type { TicketKeys } from './ticket-keys.ts';
import { TimerWheel } from './timer-wheel.ts';

export class ThreadContext {
  readonly thread: number;
  readonly wheel: TimerWheel;
  readonly log: ThreadLog;
  readonly ticketKeys: TicketKeys;
  readonly requestHead: RequestHead;
  readonly responseHead: ResponseHead;
  /** Null while it is off. */
  readonly accessLog: AccessLog | null;
  readonly headBytesMax: number;
  readonly headerTimeoutMs: number;
  /** Set once: what is in flight is answered, and no connection is kept open after that. */
  isDraining = false;
  readonly #row: Int32Array;

  constructor(
    thread: number,
    row: Int32Array,
    log: ThreadLog,
    accessLog: AccessLog | null,
    ticketKeys: TicketKeys,
    limits: HeadLimits & { headerTimeoutMs: number },
  ) {
    this.thread = thread;
    this.#row = row;
    // a thread that takes a dead one's place has none of its connections
    row[STAT.connectionsOpen] = row[STAT.tunnelsOpen] = 0;
    this.log = log;
    this.accessLog = accessLog;
    this.ticketKeys = ticketKeys;
    this.headBytesMax = limits.headBytesMax;
    this.headerTimeoutMs = limits.headerTimeoutMs;
    this.requestHead = new RequestHead(limits);
    this.responseHead = new ResponseHead(limits);
    this.wheel = new TimerWheel(() => {
      this.count('heartbeat');
      // where no client shows or wants a ticket, nothing else would erase a key that was revoked
      ticketKeys.refresh();
      log.onTick();
      accessLog?.onTick();
    });
  }

  /** Adds to one of this thread's counters. It is the only writer: no atomic addition is needed. */
  count(stat: Stat, by = 1): void {
    const word = STAT[stat];
    this.#row[word] = (this.#row[word] as number) + by;
  }

  countResponse(status: number): void {
    const word = STAT.responses + Math.min(5, Math.floor(status / 100));
    this.#row[word] = (this.#row[word] as number) + 1;
  }
}
