/** Three members with their clocks and their network in one hand, in memory, the same at each run. Test support. */

import { Member } from '../../src/cluster/member.ts';
import type { PeerMessage, ServerId, Storage, StoredState } from '../../src/cluster/types.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { encodeCommand } from '../../src/control/state-command.ts';
import { ROLE } from '../../src/raft/types.ts';
import { Random } from './random.ts';

const SERVERS: readonly ServerId[] = [1, 2, 3];
/** Messages that one tick brings about; more are a storm. */
const DELIVERIES_MAX = 5_000;

/** Keeps the whole state, in the form in which the member hands it over. */
class KeptState implements Storage {
  state: StoredState = { kind: 'fresh', legacy: null };

  append({ hardState, entries }: Parameters<Storage['append']>[0], done: Parameters<Storage['append']>[1]): void {
    if (this.state.kind === 'bound') {
      const first = entries[0]?.index ?? Number.POSITIVE_INFINITY;
      const kept = this.state.entries.filter(({ index }) => index < first);
      this.state = { ...this.state, hardState: hardState ?? this.state.hardState, entries: [...kept, ...entries] };
    }
    done(null);
  }

  replace(state: StoredState, done: Parameters<Storage['replace']>[1]): void {
    this.state = state;
    done(null);
  }
}

interface Machine {
  readonly member: Member;
  readonly state: ReplicatedState;
  readonly storage: KeptState;
}

interface Sent {
  readonly from: ServerId;
  readonly to: ServerId;
  readonly message: PeerMessage;
}

export class VirtualGroup {
  readonly #machines = new Map<ServerId, Machine>();
  readonly #stored = new Map<ServerId, StoredState>();
  readonly #queue: Sent[] = [];
  readonly #random = new Random(1);
  #ids = 0;

  constructor() {
    for (const id of SERVERS) this.start(id);
  }

  /** Null: it is not running. */
  machine(id: ServerId): Machine | null {
    return this.#machines.get(id) ?? null;
  }

  get running(): readonly Machine[] {
    return [...this.#machines.values()];
  }

  start(serverId: ServerId): void {
    const storage = new KeptState();
    storage.state = this.#stored.get(serverId) ?? storage.state;
    const state = new ReplicatedState();
    const member = new Member(
      {
        ...{
          serverId,
          servers: SERVERS,
          heartbeatTicks: 1,
          electionTicksMin: 4,
          electionTicksMax: 8,
          proposalTicks: 60,
        },
        ...{ storageRetryTicks: 3, reservedEntries: 5, snapshotDistance: 20 },
      },
      {
        network: {
          send: (to, message) => {
            this.#queue.push({ from: serverId, to, message });
            return true;
          },
        },
        storage,
        stateMachine: state,
        random: () => this.#random.next() / 2 ** 32,
        randomId: () => (++this.#ids).toString(16).padStart(4, '0'),
        report: () => {},
      },
      storage.state,
    );
    this.#machines.set(serverId, { member, state, storage });
  }

  /** Its disk stays. */
  stop(serverId: ServerId): void {
    const machine = this.#machines.get(serverId);
    if (machine !== undefined) this.#stored.set(serverId, machine.storage.state);
    this.#machines.delete(serverId);
  }

  /** Of one that is stopped: it starts as one that has never been. */
  wipe(serverId: ServerId): void {
    this.#stored.delete(serverId);
  }

  receive(to: ServerId, from: ServerId, message: PeerMessage): string | null {
    const refusal = this.#machines.get(to)?.member.receive(from, message) ?? null;
    this.#deliver();
    return refusal;
  }

  tick(count = 1): void {
    for (let i = 0; i < count; i++) {
      for (const { member } of this.running) member.tick();
      this.#deliver();
    }
  }

  /** Ticks until `is` holds; false after `ticksMax`. */
  tickUntil(is: () => boolean, ticksMax: number): boolean {
    for (let i = 0; i < ticksMax; i++) {
      if (is()) return true;
      this.tick();
    }
    return is();
  }

  get leader(): Machine | null {
    return this.running.find(({ member }) => member.raft?.role === ROLE.leader) ?? null;
  }

  /** An edit that is proposed at each until it is on all that run. */
  agreesOnEdit(address: string, ticksMax: number): boolean {
    const data = encodeCommand({
      kind: 'node',
      pool: 'web',
      address,
      edit: { kind: 'present', weight: 1, drain: false },
    });
    const isOn = ({ state }: Machine) => state.editsOf('web').has(address);
    for (let ticks = 0; ticks < ticksMax; ticks += 40) {
      for (const { member } of this.running) member.propose(data, () => {});
      if (this.tickUntil(() => this.running.every(isOn), 40)) return true;
    }
    return false;
  }

  #deliver(): void {
    for (let delivered = 0; this.#queue.length > 0; delivered++) {
      if (delivered > DELIVERIES_MAX) throw new Error('a storm of messages');
      const { from, to, message } = this.#queue.shift() as Sent;
      this.#machines.get(to)?.member.receive(from, message);
    }
  }
}
