/**
 * The listening sockets, and which listener thread serves which. Main thread.
 *
 * With SO_REUSEPORT each socket has a queue of its own of connections to be accepted, and these are reset when the socket
 * closes (unless net.ipv4.tcp_migrate_req is on). So this thread keeps a descriptor of every socket, and gives the threads
 * duplicates to serve: whatever becomes of a thread, what waits on its sockets is kept for the one that takes its place.
 * Where descriptors cannot be duplicated (system-calls.ts), each thread keeps its sockets to itself.
 */

import { closeSync, unlinkSync } from 'node:fs';
import type { BindAddress, ListenerSettings, OpenedSocket, SocketSettings } from '../boards/listener-task.ts';
import { duplicate, hasSystemCalls, socketInfo } from './system-calls.ts';
import { ListenError } from './thread-link.ts';
import type { ListenerPlan } from './thread-settings.ts';

/** Sockets that the service manager passed, by name: descriptors of this process, never closed here. */
export type PassedSockets = ReadonlyMap<string, readonly number[]>;

interface Socket {
  readonly id: number;
  /** This thread's own descriptor; null while no thread has opened it, or where it cannot be duplicated. */
  fd: number | null;
  /** The thread that opens it, and alone serves it while `fd` is null. Null: passed by the service manager. */
  opener: number | null;
}

/** The sockets of one address, whatever is spoken there. */
interface SocketSet {
  /** With the port that the kernel chose where it was 0, once one of them is open. */
  address: BindAddress;
  /** Null until a socket is open: for those who log it. */
  bound: BindAddress | null;
  sockets: Socket[];
}

/** Which thread is to serve what, from the next commit on. */
export interface SocketPlan {
  readonly listeners: readonly PlannedListener[];
  readonly sets: ReadonlyMap<string, SocketSet>;
  /** Sockets that there were not before. */
  readonly created: readonly Socket[];
}

interface PlannedListener {
  readonly id: number;
  readonly plan: ListenerPlan;
  readonly set: SocketSet;
  /** By the socket's id: the threads that serve it. */
  readonly threads: ReadonlyMap<number, readonly number[]>;
}

export class ListeningSockets {
  readonly #passed: PassedSockets;
  readonly #canShare: boolean;
  #sets: ReadonlyMap<string, SocketSet> = new Map();
  /** By address and what is spoken there. Never used again for another. */
  readonly #listenerIds = new Map<string, number>();
  #nextSocket = 0;

  constructor(passed: PassedSockets, canShare: boolean = hasSystemCalls()) {
    this.#passed = passed;
    this.#canShare = canShare;
  }

  /** Deals the sockets of `listeners` out to `threads`, of which there is at least one; changes nothing yet. */
  plan(listeners: readonly ListenerPlan[], threads: readonly number[]): SocketPlan {
    const sets = new Map<string, SocketSet>();
    const created: Socket[] = [];
    const planned = listeners.map((plan) => {
      const key = keyOf(plan.address, sets);
      const before = this.#sets.get(key);
      const set = before === undefined ? this.#newSet(plan.address) : { ...before, sockets: [...before.sockets] };
      sets.set(key, set);
      created.push(...this.#provide(set, threads));
      const threadsOf = this.#deal(set, threads);
      return { id: this.#listenerId(key, plan.tls !== null), plan, set, threads: threadsOf };
    });
    return { listeners: planned, sets, created };
  }

  /**
   * The listeners of one thread. `serves` says which sockets it has already. Makes a descriptor for each other one, which
   * the thread closes. Throws a ListenError where there is none to be had.
   */
  settingsFor(
    plan: SocketPlan,
    thread: number,
    serves: (listener: number, socket: number) => boolean,
  ): ListenerSettings[] {
    const made: number[] = [];
    const duplicateOf = (fd: number, listener: number): number => {
      const copy = duplicate(fd);
      if (copy === null) {
        for (const one of made) closeSync(one);
        throw new ListenError('EMFILE', 'its socket cannot be shared', listener);
      }
      made.push(copy);
      return copy;
    };
    return plan.listeners.map(({ id, plan: { tls, hosts, service }, set, threads }): ListenerSettings => {
      const sockets: SocketSettings[] = [];
      for (const socket of set.sockets) {
        if (threads.get(socket.id)?.includes(thread) !== true) continue;
        const isServed = serves(id, socket.id);
        const fd = isServed || socket.fd === null ? null : duplicateOf(socket.fd, id);
        if (isServed || fd !== null || socket.opener === thread) sockets.push({ id: socket.id, fd });
      }
      return { id, address: set.address, sockets, service, hosts, tls };
    });
  }

  /** Paths on which `thread` will open sockets, and none of ours is open. */
  pathsToOpen({ listeners }: SocketPlan, thread: number): { path: string; listener: number }[] {
    return listeners.flatMap(({ id, set: { address, bound, sockets } }) => {
      const opensOne = bound === null && sockets.some(({ fd, opener }) => fd === null && opener === thread);
      return address.kind === 'unix' && opensOne ? [{ path: address.path, listener: id }] : [];
    });
  }

  /** A thread serves these sockets now. */
  opened(plan: SocketPlan, thread: number, opened: readonly OpenedSocket[]): void {
    for (const { listener, socket: id, fd, address } of opened) {
      const set = plan.listeners.find((one) => one.id === listener)?.set;
      const socket = set?.sockets.find((one) => one.id === id);
      if (set === undefined || socket === undefined) continue;
      set.bound = address;
      if (set.address.kind === 'tcp') set.address = address;
      if (socket.opener === thread && socket.fd === null && fd !== null && this.#canShare) {
        socket.fd = duplicateListening(fd);
      }
    }
  }

  /** The plan is in force: what it does not name is closed. */
  adopt(plan: SocketPlan): void {
    const kept = new Set([...plan.sets.values()].flatMap(({ sockets }) => sockets));
    for (const [key, set] of this.#sets) {
      this.#close(set.sockets.filter((socket) => !kept.has(socket)));
      if (!plan.sets.has(key)) unlinkOf(set);
    }
    this.#sets = plan.sets;
  }

  /** The plan will not be in force. */
  abandon(plan: SocketPlan): void {
    this.#close(plan.created);
    for (const [key, set] of plan.sets) if (!this.#sets.has(key) && set.bound !== null) unlinkOf(set);
  }

  /** Closes all. What the service manager passed it keeps, with what waits there. */
  close(): void {
    for (const set of this.#sets.values()) {
      this.#close(set.sockets);
      unlinkOf(set);
    }
    this.#sets = new Map();
  }

  /** Where the listeners of a plan are bound, in their order. */
  static addresses(plan: SocketPlan): BindAddress[] {
    return plan.listeners.map(({ set }) => set.bound ?? set.address);
  }

  #newSet(address: BindAddress): SocketSet {
    const passed = address.kind === 'fd' ? (this.#passed.get(address.name) ?? []) : [];
    const sockets = passed.map((fd) => ({ id: this.#nextSocket++, fd, opener: null }));
    return { address, bound: null, sockets };
  }

  /** Adds what is missing for each of `threads` to have one. */
  #provide(set: SocketSet, threads: readonly number[]): Socket[] {
    const { address } = set;
    if (!this.#canShare) set.sockets = set.sockets.filter(({ opener }) => opener === null || threads.includes(opener));
    // a descriptor that never came (its opener died first) leaves the socket to whoever is there
    for (const socket of set.sockets) {
      if (socket.fd === null && socket.opener !== null && !threads.includes(socket.opener)) {
        socket.opener = threads[0] as number;
      }
    }
    const openers = new Set(set.sockets.map(({ opener }) => opener));
    const created: Socket[] = [];
    const wanted = address.kind === 'tcp' ? threads.length : address.kind === 'unix' ? 1 : 0;
    while (set.sockets.length < wanted) {
      const opener = threads.find((thread) => !openers.has(thread)) ?? (threads[0] as number);
      openers.add(opener);
      const socket = { id: this.#nextSocket++, fd: null, opener };
      set.sockets.push(socket);
      created.push(socket);
    }
    return created;
  }

  /** No socket is left without a thread; and no thread without a socket, where they can be shared. */
  #deal({ sockets }: SocketSet, threads: readonly number[]): Map<number, number[]> {
    const threadsOf = new Map<number, number[]>(sockets.map(({ id }) => [id, []]));
    const give = (socket: Socket | undefined, thread: number) => {
      const list = threadsOf.get(socket?.id ?? -1);
      if (list?.includes(thread) === false) list.push(thread);
    };
    const own = sockets.filter(({ fd }) => fd === null);
    for (const socket of own) give(socket, socket.opener as number);
    const shared = sockets.filter(({ fd }) => fd !== null);
    // those that open one begin last
    const order = [...threads].sort((a, b) => Number(opens(own, a)) - Number(opens(own, b)));
    shared.forEach((socket, i) => {
      give(socket, order[i % order.length] as number);
    });
    if (shared.length > 0) {
      order.forEach((thread, i) => {
        if (!opens(own, thread)) give(shared[i % shared.length], thread);
      });
    } else if (sockets.length < threads.length && this.#canShare) {
      // a unix socket that the first thread is about to open
      for (const thread of threads) give(sockets[0], thread);
    }
    return threadsOf;
  }

  #listenerId(key: string, isTls: boolean): number {
    const name = `${isTls ? 'tls' : 'plain'} ${key}`;
    const id = this.#listenerIds.get(name) ?? this.#listenerIds.size;
    this.#listenerIds.set(name, id);
    return id;
  }

  #close(sockets: readonly Socket[]): void {
    for (const socket of sockets) {
      if (socket.fd !== null && socket.opener !== null) closeSync(socket.fd);
      if (socket.opener !== null) socket.fd = null;
    }
  }
}

/** Null where there is none to be had, or the thread has died meanwhile and the descriptor is something else's by now. */
function duplicateListening(fd: number): number | null {
  const copy = duplicate(fd);
  if (copy === null || socketInfo(copy)?.isListening === true) return copy;
  closeSync(copy);
  return null;
}

function opens(sockets: readonly Socket[], thread: number): boolean {
  return sockets.some(({ opener }) => opener === thread);
}

/** Listeners on port 0 are told apart by their order. */
function keyOf(address: BindAddress, taken: ReadonlyMap<string, unknown>): string {
  const name = JSON.stringify(address);
  for (let n = 0; ; n++) {
    const key = n === 0 ? name : `${name} ${n}`;
    if (!taken.has(key)) return key;
  }
}

function unlinkOf({ bound }: SocketSet): void {
  if (bound?.kind !== 'unix') return;
  try {
    unlinkSync(bound.path);
  } catch {
    // somebody was faster
  }
}
