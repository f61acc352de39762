/**
 * How many connections there may be, and who has to go when there are too many. Listener threads, one a thread.
 *
 *   in all       idle connections of this thread make room, those first that would time out first; then the handshake that
 *   a thread     is under way longest; where there is neither, the new one is refused
 *   an address   the new one is refused
 *   handshakes   the one that is under way longest makes room: of those that finish, few take longer than the newest
 *   backends     beyond a thread's share, the one of its connections to them that is idle longest makes room; where none is
 *                idle and all are taken, the request gets 503
 *
 * What all threads have open is read from the boards at every new connection. Threads that accept at the same moment may
 * each go one beyond a limit. No thread can end another's connections: so one with more than its share leaves the last eighth
 * to those with less, and when all is full closes idle ones at each tick, down to its share. When all connections to backends
 * are taken, each thread closes an eighth of its idle ones at each tick: what it has no more than its share of is in others'
 * way, too.
 */

import type { AddressBoard } from '../src/boards/address-board.ts';
import { type Gauge, STAT, type Stat, type StatsBoard } from '../src/boards/stats-board.ts';
import { IdleUpstreams } from './idle-upstreams.ts';
import type { ThreadLog } from './thread-log.ts';

export interface ConnectionLimitSettings {
  readonly connectionsMax: number;
  readonly connectionsShare: number;
  readonly upstreamsMax: number;
  readonly upstreamsShare: number;
  /** 0: no limit; of the next, too. */
  readonly connectionsPerThreadMax: number;
  readonly connectionsPerAddressMax: number;
  readonly handshakesMax: number;
}

/** A connection that may be ended to make room. */
export interface Evictable {
  /** Wheel time, ms, at which it is closed if nothing comes; Infinity while it is in use. */
  readonly idleUntilMs: number;
  /** For the limits' use: the later it was opened, the higher. */
  openOrder: number;
  evict(): void;
}

export const ADMISSION = { admitted: 0, full: 1, threadFull: 2, addressFull: 3 } as const;
export type Admission = (typeof ADMISSION)[keyof typeof ADMISSION];

const REFUSALS = [
  null,
  { stat: 'connectionsRefusedAll', limit: 'max_connections' },
  { stat: 'connectionsRefusedThread', limit: 'max_connections_per_thread' },
  { stat: 'connectionsRefusedAddress', limit: 'max_connections_per_address' },
] as const;

/** Connections looked at to find an idle one: with as many, the best of them is near the best of all. */
const SAMPLE = 32;
/** Of all connections, a part of one in so many. */
const ROOM_FOR_OTHERS = 8;
/** Of idle backend connections, one in so many closes when the system has no descriptor left. */
const SHORTAGE_PARTS = 2;
const TICKS_PER_SECOND = 10;

export class ConnectionLimits {
  readonly idleUpstreams = new IdleUpstreams();
  readonly #thread: number;
  readonly #stats: StatsBoard;
  readonly #row: Int32Array;
  readonly #addresses: AddressBoard;
  readonly #log: ThreadLog;
  #settings: ConnectionLimitSettings;
  #opened = 0;
  readonly #connections = new Set<Evictable>();
  readonly #handshakes = new Set<Evictable>();
  /** Goes round: which connections are looked at next. */
  #cursor: Iterator<Evictable> | null = null;
  #ticks = 0;
  /** Refused and ended since they were last logged, by Admission, and to make room. */
  readonly #unsaid = [0, 0, 0, 0];
  #evictedUnsaid = 0;

  constructor(
    thread: number,
    stats: StatsBoard,
    addresses: AddressBoard,
    log: ThreadLog,
    settings: ConnectionLimitSettings,
  ) {
    this.#thread = thread;
    this.#stats = stats;
    this.#row = stats.row(thread);
    this.#addresses = addresses;
    this.#log = log;
    this.#settings = settings;
  }

  /** For connections that come from now on. */
  set settings(settings: ConnectionLimitSettings) {
    this.#settings = settings;
  }

  /** Decides on a new connection from `address`, '' where it has none. Others may be ended to let it in. */
  admit(address: string): Admission {
    const { connectionsMax, connectionsPerThreadMax, connectionsPerAddressMax } = this.#settings;
    if (connectionsPerAddressMax > 0 && address !== '' && this.#addresses.count(address) >= connectionsPerAddressMax) {
      return this.#refused(ADMISSION.addressFull);
    }
    if (connectionsPerThreadMax > 0 && this.#openHere >= connectionsPerThreadMax && !this.#makeRoom()) {
      return this.#refused(ADMISSION.threadFull);
    }
    if (this.#openEverywhere() >= this.#allowed(connectionsMax) && !this.#makeRoom()) {
      return this.#refused(ADMISSION.full);
    }
    return ADMISSION.admitted;
  }

  /** A connection to a backend may be opened. An idle one may be closed for it. */
  admitUpstream(): boolean {
    const { upstreamsMax, upstreamsShare } = this.#settings;
    if ((this.#row[STAT.upstreamsOpen] as number) < upstreamsShare || this.idleUpstreams.closeOldest()) return true;
    if (this.#sum('upstreamsOpen') < upstreamsMax) return true;
    this.#count('upstreamsRefused', 1);
    return false;
  }

  /** The system has no descriptor left. */
  onShortage(): void {
    this.idleUpstreams.closePart(SHORTAGE_PARTS);
  }

  opened(connection: Evictable, address: string): void {
    connection.openOrder = this.#opened++;
    this.#connections.add(connection);
    this.#countOpen('connectionsOpen', address, 1);
  }

  closed(connection: Evictable, address: string): void {
    this.#connections.delete(connection);
    this.#countOpen('connectionsOpen', address, -1);
  }

  handshakeBegan(handshake: Evictable, address: string): void {
    if (this.#handshakes.size >= this.#settings.handshakesMax) this.#evictOldestHandshake();
    this.#handshakes.add(handshake);
    this.#countOpen('handshakesOpen', address, 1);
  }

  handshakeEnded(handshake: Evictable, address: string): void {
    this.#handshakes.delete(handshake);
    this.#countOpen('handshakesOpen', address, -1);
  }

  /** Called at every tick of the timer wheel: a flood is a line a second. */
  onTick(): void {
    // an iterator that stands still keeps all that has left the set since
    if (this.#cursor?.next().done === true) this.#cursor = null;
    this.#giveWay();
    this.#giveWayUpstream();
    if (++this.#ticks % TICKS_PER_SECOND !== 0) return;
    for (const [admission, refusal] of REFUSALS.entries()) {
      const connections = this.#unsaid[admission] as number;
      if (refusal === null || connections === 0) continue;
      this.#unsaid[admission] = 0;
      this.#log.warn('connections refused', { limit: refusal.limit, connections });
    }
    if (this.#evictedUnsaid === 0) return;
    this.#log.warn('connections ended to make room', { connections: this.#evictedUnsaid });
    this.#evictedUnsaid = 0;
  }

  /** To this thread. */
  #allowed(connectionsMax: number): number {
    const { connectionsShare } = this.#settings;
    const leavesRoom = this.#openHere >= connectionsShare && connectionsShare < connectionsMax;
    return leavesRoom ? connectionsMax - Math.floor(connectionsMax / ROOM_FOR_OTHERS) : connectionsMax;
  }

  /** For threads that would have to refuse, while this one has idle connections. */
  #giveWay(): void {
    const { connectionsMax, connectionsShare } = this.#settings;
    const tooMany = this.#openHere - connectionsShare;
    if (tooMany <= 0 || this.#openEverywhere() < connectionsMax) return;
    for (let i = Math.min(tooMany, Math.ceil(connectionsMax / ROOM_FOR_OTHERS)); i > 0; i--) {
      if (!this.#evictIdle()) return;
    }
  }

  #giveWayUpstream(): void {
    const { upstreamsMax, upstreamsShare } = this.#settings;
    const isAlone = upstreamsShare >= upstreamsMax;
    if (isAlone || this.idleUpstreams.size === 0 || this.#sum('upstreamsOpen') < upstreamsMax) return;
    this.idleUpstreams.closePart(ROOM_FOR_OTHERS);
  }

  #refused(admission: Exclude<Admission, 0>): Admission {
    this.#count(REFUSALS[admission].stat, 1);
    this.#unsaid[admission] = (this.#unsaid[admission] as number) + 1;
    return admission;
  }

  get #openHere(): number {
    return this.#connections.size + this.#handshakes.size;
  }

  #openEverywhere(): number {
    return this.#sum('connectionsOpen') + this.#sum('handshakesOpen');
  }

  /** Over all threads. */
  #sum(gauge: Gauge): number {
    let sum = 0;
    const threads = this.#addresses.partsInUse;
    for (let thread = 0; thread < threads; thread++) sum += this.#stats.read(thread, gauge);
    return sum;
  }

  /** Ends what is least of a loss. False where this thread has nothing that it could end. */
  #makeRoom(): boolean {
    return this.#evictIdle() || this.#evictOldestHandshake();
  }

  #evictIdle(): boolean {
    const idle = this.#sampleIdle();
    if (idle === null) return false;
    this.#count('connectionsEvicted', 1);
    this.#evictedUnsaid++;
    idle.evict();
    return true;
  }

  #evictOldestHandshake(): boolean {
    const [oldest] = this.#handshakes;
    if (oldest === undefined) return false;
    this.#count('handshakesEvicted', 1);
    this.#evictedUnsaid++;
    oldest.evict();
    return true;
  }

  /** Of the next few connections, the idle one that would be closed first. */
  #sampleIdle(): Evictable | null {
    let best: Evictable | null = null;
    for (let looked = Math.min(SAMPLE, this.#connections.size); looked > 0; looked--) {
      const connection = this.#nextConnection();
      if (connection === null) break;
      if (connection.idleUntilMs !== Number.POSITIVE_INFINITY && isBefore(connection, best)) best = connection;
    }
    return best;
  }

  #nextConnection(): Evictable | null {
    const next = this.#cursor?.next();
    if (next !== undefined && next.done !== true) return next.value;
    this.#cursor = this.#connections.values();
    return this.#cursor.next().value ?? null;
  }

  /** A client on a unix socket has no address. */
  #countOpen(gauge: Gauge, address: string, by: 1 | -1): void {
    this.#count(gauge, by);
    if (address !== '') this.#addresses.add(this.#thread, address, by);
  }

  #count(stat: Stat, by: number): void {
    const word = STAT[stat];
    this.#row[word] = (this.#row[word] as number) + by;
  }
}

/** Ends earlier; in a flood many end at one tick of the wheel, and the newest may be about to send its request. */
function isBefore(one: Evictable, other: Evictable | null): boolean {
  if (other === null || one.idleUntilMs < other.idleUntilMs) return true;
  return one.idleUntilMs === other.idleUntilMs && one.openOrder < other.openOrder;
}
