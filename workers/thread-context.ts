/**
 * What all parts of a listener thread share: its counters, its clock, its parsers, its voice. One a thread.
 */

import type { AddressBoard } from '../src/boards/address-board.ts';
import { NO_SERVICE, type ServiceBoard } from '../src/boards/service-board.ts';
import { GAUGES, STAT, type Stat, type StatsBoard } from '../src/boards/stats-board.ts';
import { NameResolver } from '../src/names/name-resolver.ts';
import type { AccessLog } from './access-log.ts';
import { type ConnectionLimitSettings, ConnectionLimits } from './connection-limits.ts';
import type { HeadLimits } from './http1/message-head.ts';
import { RequestHead } from './http1/request-head.ts';
import { ResponseHead } from './http1/response-head.ts';
import { ServiceCounts } from './service-counts.ts';
import type { ThreadLog } from './thread-log.ts';
import type { TicketKeys } from './ticket-keys.ts';
import { TimerWheel } from './timer-wheel.ts';

export interface ThreadLimits extends HeadLimits, ConnectionLimitSettings {
  readonly headerTimeoutMs: number;
  readonly requestsPerConnectionMax: number;
}

/** The boards that a thread counts on. */
export interface CountingBoards {
  readonly stats: StatsBoard;
  /** Of this thread alone. */
  readonly services: ServiceBoard;
  readonly addresses: AddressBoard;
}

export class ThreadContext {
  readonly thread: number;
  readonly wheel: TimerWheel;
  readonly log: ThreadLog;
  readonly ticketKeys: TicketKeys;
  readonly limits: ConnectionLimits;
  readonly names: NameResolver;
  requestHead: RequestHead;
  responseHead: ResponseHead;
  /** Null while it is off. */
  accessLog: AccessLog | null;
  headBytesMax: number;
  headerTimeoutMs: number;
  /** On one connection; Infinity: no limit. */
  requestsMax: number;
  /** Set once: what is in flight is answered, and no connection is kept open after that. */
  isDraining = false;
  /** Set once: every response says that its connection ends with it, and so it does. Idle connections may wait for one. */
  isRetiring = false;
  /** Of requests that no service was found for. */
  readonly unservedCounts: ServiceCounts;
  readonly #row: Int32Array;
  readonly #services: ServiceBoard;
  /** By the id of the service. */
  readonly #counts: (ServiceCounts | undefined)[] = [];

  constructor(
    thread: number,
    { stats, services, addresses }: CountingBoards,
    log: ThreadLog,
    accessLog: AccessLog | null,
    ticketKeys: TicketKeys,
    limits: ThreadLimits,
  ) {
    this.thread = thread;
    this.#row = stats.row(thread);
    // a thread that takes a dead one's place has none of its connections
    for (const gauge of GAUGES) this.#row[STAT[gauge]] = 0;
    this.#services = services;
    this.unservedCounts = new ServiceCounts(services.block(NO_SERVICE));
    this.log = log;
    this.names = new NameResolver({ onChange: (...change) => tellOfName(log, ...change) });
    this.accessLog = accessLog;
    this.ticketKeys = ticketKeys;
    this.headBytesMax = limits.headBytesMax;
    this.headerTimeoutMs = limits.headerTimeoutMs;
    this.requestsMax = limits.requestsPerConnectionMax || Number.POSITIVE_INFINITY;
    this.requestHead = new RequestHead(limits);
    this.responseHead = new ResponseHead(limits);
    this.limits = new ConnectionLimits(thread, stats, addresses, log, limits);
    this.wheel = new TimerWheel(() => {
      this.count('heartbeat');
      // where no client shows or wants a ticket, nothing else would erase a key that was revoked
      ticketKeys.refresh();
      this.limits.onTick();
      log.onTick();
      this.accessLog?.onTick();
    });
  }

  /** For heads and connections that come from now on; what there is of a head is parsed anew with its next line. */
  setLimits(limits: ThreadLimits): void {
    this.limits.settings = limits;
    this.headBytesMax = limits.headBytesMax;
    this.headerTimeoutMs = limits.headerTimeoutMs;
    this.requestsMax = limits.requestsPerConnectionMax || Number.POSITIVE_INFINITY;
    this.requestHead = new RequestHead(limits);
    this.responseHead = new ResponseHead(limits);
  }

  /** No connection is to be kept open past its next response. */
  get isEnding(): boolean {
    return this.isDraining || this.isRetiring;
  }

  /** Adds to one of this thread's counters. It is the only writer: no atomic addition is needed. */
  count(stat: Stat, by = 1): void {
    this.add(STAT[stat], by);
  }

  /** The same by the counter's word: a name costs a look-up, which what is counted at each request can do without. */
  add(word: (typeof STAT)[Stat], by = 1): void {
    this.#row[word] = (this.#row[word] as number) + by;
  }

  /** What this thread counts of a service, by its id: the same object for the same id. */
  countsOf(service: number): ServiceCounts {
    const known = this.#counts[service];
    if (known !== undefined) return known;
    const counts = new ServiceCounts(this.#services.block(service));
    this.#counts[service] = counts;
    return counts;
  }
}

function tellOfName(log: ThreadLog, name: string, reason: string | null, addresses: number): void {
  if (reason === null) log.info('name is looked up again', { name, addresses });
  else log.warn('name cannot be looked up', { name, reason, addresses });
}
