/**
 * A running group of three over mutual TLS, and a machine with a valid certificate that says it is one of them: whatever it
 * sends, and however, nothing throws, no state is lost, and the group agrees on an edit soon after. Test support.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { encode } from '@msgpack/msgpack';
import { Cluster } from '../../../src/cluster/cluster.ts';
import { frame } from '../../../src/cluster/frames.ts';
import { encodeFrame } from '../../../src/cluster/peer-codec.ts';
import type { ServerAddress, ServerId } from '../../../src/cluster/types.ts';
import { ReplicatedState } from '../../../src/control/state.ts';
import { encodeCommand } from '../../../src/control/state-command.ts';
import { type Authority, createAuthority, writeCredentials } from '../../cluster/certificates.ts';
import { freePort } from '../../e2e/cluster-network.ts';
import { mutateBytes } from '../byte-mutations.ts';
import { hostileFrame, type Victim } from '../hostile-messages.ts';
import { Random } from '../random.ts';
import type { CaseVerdict, FuzzCase, FuzzTarget } from '../target.ts';

const HOST = '127.0.0.1';
const SUBJECT = '/C=US/O=Yahoo/CN=localhost';
const SERVERS: readonly ServerId[] = [1, 2, 3];
/** Whose certificate and name the hostile machine has; the true one runs beside it. */
const TAKEN: ServerId = 3;
const BATCH = 4;
const STEPS_MAX = 40;
const STEP_BYTES = 4;
const SALT = 'the salt of before';
/** The machine may be busy: an election takes half a second. */
const AGREEMENT_MS = 20_000;
const HEAP_BYTES_MAX = 600 * 1024 * 1024;

interface Machine {
  readonly cluster: Cluster;
  readonly state: ReplicatedState;
  readonly port: number;
}

export async function openPeerTarget(): Promise<FuzzTarget> {
  const target = new PeerTarget();
  await target.form();
  return target;
}

class PeerTarget implements FuzzTarget {
  readonly #folder = mkdtempSync(join(tmpdir(), 'stekbal-fuzz-'));
  readonly #authority: Authority = createAuthority();
  readonly #files = writeCredentials(this.#folder, 'own', [this.#authority], this.#authority.issue(SUBJECT));
  readonly #leaf = this.#authority.issue(SUBJECT);
  #machines: readonly Machine[] = [];
  /** Drawn once. */
  #servers: readonly ServerAddress[] = [];
  #edits = 0;
  #uncaught: unknown = null;
  readonly #onUncaught = (error: unknown) => {
    this.#uncaught ??= error;
  };

  constructor() {
    process.on('uncaughtException', this.#onUncaught);
  }

  /** A new group, which knows a salt. */
  async form(): Promise<void> {
    await this.#stop();
    if (this.#servers.length === 0) {
      const draw = async (serverId: ServerId) => ({ serverId, address: HOST, port: await freePort() });
      this.#servers = await Promise.all(SERVERS.map(draw));
    }
    this.#machines = this.#servers.map((server) => this.#newMachine(server, this.#servers));
    await Promise.all(this.#machines.map(({ cluster }) => cluster.start()));
    const salt = encodeCommand({ kind: 'salt', salt: SALT });
    if (!(await this.#agree(salt, ({ state }) => state.salt === SALT))) throw new Error('the group was not formed');
  }

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      const bytes = Buffer.alloc(STEP_BYTES * (1 + random.below(STEPS_MAX)));
      for (let at = 0; at < bytes.length; at += STEP_BYTES) bytes.writeUInt32LE(random.next(), at);
      return { target: 'peer', tag: 'steps', bytes };
    });
  }

  async check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<CaseVerdict[]> {
    const verdicts: CaseVerdict[] = [];
    for (const fuzzCase of cases) {
      about(fuzzCase);
      verdicts.push(await this.#checkOne(fuzzCase.bytes));
    }
    return verdicts;
  }

  async close(): Promise<void> {
    await this.#stop();
    process.off('uncaughtException', this.#onUncaught);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #checkOne(bytes: Buffer): Promise<CaseVerdict> {
    const classes: Record<string, number> = {};
    const canLead = await this.#attack(bytes, classes);
    const address = `10.0.${(++this.#edits >> 8) & 255}.${this.#edits & 255}:80`;
    const edit = encodeCommand({
      kind: 'node',
      pool: 'web',
      address,
      edit: { kind: 'present', weight: 1, drain: false },
    });
    const isTogether = await this.#agree(edit, ({ state }) => state.editsOf('web').has(address));
    const isKept = this.#machines.every(({ state }) => state.salt === SALT);
    let difference: string | null = null;
    if (this.#uncaught !== null) difference = `uncaught: ${(this.#uncaught as Error).stack ?? this.#uncaught}`;
    else if (!isKept && !canLead) difference = 'forgotten: the state of before';
    else if (!isTogether && !canLead)
      difference = `apart: ${JSON.stringify(this.#machines.map(({ cluster }) => cluster.status()))}`;
    else if (process.memoryUsage().heapUsed > HEAP_BYTES_MAX)
      difference = `memory: ${process.memoryUsage().heapUsed} bytes`;
    this.#uncaught = null;
    const outcome = isTogether && isKept ? 'agreed on an edit, and forgot nothing' : 'harmed by one that led';
    classes[outcome] = 1;
    if (!isTogether || !isKept) await this.form();
    return { messages: bytes.length / STEP_BYTES, classes, difference };
  }

  /** Returns whether something was sent that only a leader may send: Raft trusts it. */
  async #attack(bytes: Buffer, classes: Record<string, number>): Promise<boolean> {
    let canLead = false;
    let socket: tls.TLSSocket | null = null;
    let to: ServerId = 1;
    for (let at = 0; at + STEP_BYTES <= bytes.length; at += STEP_BYTES) {
      const random = new Random(bytes.readUInt32LE(at));
      if (socket === null || socket.destroyed || random.below(10) === 0) {
        // the one before stays open as often as not
        if (random.below(2) === 0) socket?.destroy();
        to = 1 + random.below(2);
        socket = await this.#dial(to);
        if (random.below(12) > 0) socket.write(this.#hello(to, random));
      }
      const content = hostileFrame(random, this.#victim(to));
      const kind = JSON.stringify(content, (_, value) => (typeof value === 'bigint' ? null : value));
      canLead ||= /"(append|snapshot)-request"/.test(kind);
      const name = sendStep(socket, encode(content), random);
      classes[name] = (classes[name] ?? 0) + 1;
      await sleep(random.below(8) === 0 ? 30 : 0);
    }
    await new Promise((resolve) => (socket?.destroyed === false ? socket.write('', resolve) : resolve(null)));
    if (bytes.length % 3 === 0) socket?.destroy();
    return canLead;
  }

  async #dial(to: ServerId): Promise<tls.TLSSocket> {
    const { port } = this.#machines[to - 1] as Machine;
    const identity = { cert: this.#leaf.certificate, key: this.#leaf.key, ca: this.#authority.certificate };
    const socket = tls.connect({ ...identity, port, host: HOST, checkServerIdentity: () => undefined });
    socket.on('error', () => {}).resume();
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
    return socket;
  }

  #hello(to: ServerId, random: Random): Buffer {
    const member = this.#memberOf(TAKEN);
    const position = { generation: 0, term: 0, index: 0 };
    const cluster = random.below(10) === 0 ? '9.abcdef' : this.#victim(to).cluster;
    const announce = { type: 'announce', member, cluster, leader: null, term: 0, excludes: null, position } as const;
    return frame(encodeFrame({ type: 'hello', version: 1, serverId: TAKEN, to, announce }));
  }

  #victim(to: ServerId): Victim {
    const { cluster, term, lastIndex, commit } = (this.#machines[to - 1] as Machine).cluster.status();
    const members = SERVERS.map((id) => this.#memberOf(id));
    const [from, addressee] = [this.#memberOf(TAKEN), this.#memberOf(to)];
    return { from, to: addressee, cluster: cluster ?? '1.ab', term, lastIndex, lastTerm: term, commit, members };
  }

  #memberOf(id: ServerId): string {
    return (this.#machines[id - 1] as Machine).cluster.status().member;
  }

  /** Proposes at each in turn until it is everywhere. */
  async #agree(data: Uint8Array, isThere: (machine: Machine) => boolean): Promise<boolean> {
    const until = performance.now() + AGREEMENT_MS;
    for (let turn = 0; performance.now() < until; turn++) {
      await this.#machines[turn % SERVERS.length]?.cluster.propose(data).catch(() => {});
      for (let i = 0; i < 20; i++) {
        if (this.#machines.every(isThere)) return true;
        await sleep(25);
      }
    }
    return false;
  }

  #newMachine({ serverId, port }: ServerAddress, servers: readonly ServerAddress[]): Machine {
    const state = new ReplicatedState();
    const cluster = new Cluster({
      ...{ serverId, servers, reservedEntries: 5, snapshotDistance: 20, stateDir: null, stateMachine: state },
      timing: { heartbeatMs: 50, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 1_000 },
      peering: { address: HOST, port, ...this.#files, certVerifyStr: SUBJECT },
      report: () => {},
    });
    return { cluster, state, port };
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#machines.map(({ cluster }) => cluster.stop()));
    this.#machines = [];
  }
}

/** Sends one message, as it is or worse; returns how. */
function sendStep(socket: tls.TLSSocket, bytes: Uint8Array, random: Random): string {
  if (socket.destroyed) return 'refused before';
  switch (random.below(16)) {
    case 0:
      socket.write(mutateBytes(frame(bytes), random, 1 + random.below(3)));
      return 'damaged';
    case 1:
      socket.write(frame(bytes).subarray(0, random.below(bytes.length + 4)));
      return 'half a frame';
    case 2:
      for (let i = 0; i < 300; i++) socket.write(frame(bytes));
      return '300 times';
    case 3:
      socket.write(Buffer.from([0, random.below(256), 255, 255, ...Array<number>(random.below(3_000)).fill(0x91)]));
      return 'a large frame begun';
    default:
      socket.write(frame(bytes));
      return 'once';
  }
}
