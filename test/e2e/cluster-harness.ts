/**
 * A cluster of real processes on the loopback: each with its own folder, certificate and admin socket. After each test
 * everything ends, and the logs of all have shown that no term had two leaders.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ClusterStatus, ServerId } from '../../src/cluster/types.ts';
import type { EdgeStatus } from '../../src/control/status.ts';
import { type Authority, createAuthority, type Leaf, writeCredentials } from '../cluster/certificates.ts';
import { type Answer, ask, freePort, HOST } from './cluster-network.ts';
import {
  COMPILE_CACHE,
  eventually,
  get,
  type LogLine,
  namedBackend,
  PLAIN_LISTENER,
  type ProgramProcess,
  servingPorts,
  spawnProgram,
  temporaryFolder,
} from './harness.ts';

export const SUBJECT = '/C=US/O=Yahoo/CN=localhost';
/** For what takes a cluster some seconds by design, such as giving up a lost one. */
export const PATIENT_MS = 60_000;
const START_ATTEMPTS = 5;
/** A member has ended, and has left its code for others: five that load it on two cores take longer than what is tested. */
const CACHE_MARK = join(COMPILE_CACHE, 'has-a-member');

export interface ClusterSetup {
  /** Servers 1..servers are listed. */
  readonly servers: number;
  /** Default: yes. */
  readonly hasStateDir?: boolean;
  readonly workers?: number;
  /** Further keys of the pool. */
  readonly pool?: readonly string[];
  /** Further lines of the service, of stek_share and of the file's top. */
  readonly service?: readonly string[];
  readonly stekShare?: readonly string[];
  readonly top?: readonly string[];
  /** Entries of `listeners`, in place of one plain listener. */
  readonly listeners?: readonly string[];
  /** Further files in each server's folder, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly keyUpdateInterval?: number;
  /** Of all, or of each. */
  readonly env?: NodeJS.ProcessEnv | ((id: ServerId) => NodeJS.ProcessEnv);
  /** What a peer's subject must be. Default: that of all certificates here. */
  readonly certVerifyStr?: string;
  readonly authority?: Authority;
}

interface ServerPlace {
  readonly folder: string;
  readonly port: number;
  readonly processes: ProgramProcess[];
  leaf: Leaf;
  /** What its list file holds. */
  list: readonly ServerId[];
  authorities: readonly Authority[];
  isPaused: boolean;
}

/**
 * For tests that say of a term that it stays: with Traffic Server's timing a machine that is busy with others for 200 ms has
 * an election, and that is right.
 */
export const STEADY = ['election_timeout_lower_bound: 1000', 'election_timeout_upper_bound: 2000'];

export class ClusterHarness {
  readonly authority: Authority;
  /** Of pool "demo": answers with its own address. */
  readonly node: string;
  readonly #t: TestContext;
  readonly #setup: ClusterSetup;
  readonly #folder: string;
  readonly #places = new Map<ServerId, ServerPlace>();

  static async create(t: TestContext, setup: ClusterSetup): Promise<ClusterHarness> {
    const { address } = await namedBackend(t);
    const harness = new ClusterHarness(t, setup, address);
    for (let id = 1; id <= setup.servers; id++) await harness.add(id);
    for (const id of harness.ids) harness.list(id, harness.ids);
    if (!existsSync(CACHE_MARK)) await harness.#fillCompileCache();
    return harness;
  }

  private constructor(t: TestContext, setup: ClusterSetup, node: string) {
    this.#t = t;
    this.#setup = setup;
    this.#folder = temporaryFolder(t);
    this.authority = setup.authority ?? createAuthority();
    this.node = node;
  }

  get ids(): ServerId[] {
    return [...this.#places.keys()];
  }
  /** Processes that are neither ended nor paused. */
  get running(): ServerId[] {
    return this.ids.filter((id) => this.isRunning(id) && !this.#place(id).isPaused);
  }

  isRunning(id: ServerId): boolean {
    const child = this.#place(id).processes.at(-1)?.child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  // ---------------------------------------------------------------- files

  /** A further server: a port, a certificate, a folder. In nobody's list yet. */
  async add(id: ServerId): Promise<void> {
    const folder = join(this.#folder, String(id));
    mkdirSync(folder);
    const [leaf, authorities] = [this.authority.issue(SUBJECT), [this.authority]];
    const port = await freePort();
    this.#places.set(id, { folder, port, leaf, authorities, list: [id], processes: [], isPaused: false });
  }

  /** What the server's list file holds from the next start or reload on. */
  list(id: ServerId, servers: readonly ServerId[]): void {
    this.#place(id).list = servers;
  }

  /** Its certificate and CA bundle from the next start or reload on. */
  certify(id: ServerId, leaf: Leaf, authorities: readonly Authority[] = [this.authority]): void {
    Object.assign(this.#place(id), { leaf, authorities });
  }

  port(id: ServerId): number {
    return this.#place(id).port;
  }
  stateDir(id: ServerId): string {
    return join(this.#place(id).folder, 'state');
  }
  file(id: ServerId, name: string): string {
    return join(this.#place(id).folder, name);
  }

  wipe(id: ServerId): void {
    rmSync(this.stateDir(id), { recursive: true, force: true });
  }

  /** The configuration file, as the server reads it next. */
  write(id: ServerId): string {
    const { folder, port, leaf, authorities, list } = this.#place(id);
    const { hasStateDir = true, workers = 1, service = [], stekShare = [], certVerifyStr = SUBJECT } = this.#setup;
    const { pool = [], top = [], listeners = [PLAIN_LISTENER], files = {}, keyUpdateInterval = 3600 } = this.#setup;
    writeCredentials(folder, 'peer', authorities, leaf);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const rows = list.map((one) => `- {server_id: ${one}, address: ${HOST}, port: ${this.port(one)}}\n`);
    writeFileSync(join(folder, 'server_list.yaml'), rows.join(''));
    const options = [
      `server_id: ${id}`,
      `address: ${HOST}`,
      `port: ${port}`,
      `key_update_interval: ${keyUpdateInterval}`,
      'server_list_file: server_list.yaml',
      'root_cert_file: peer-root.pem',
      'server_cert_file: peer-cert.pem',
      'server_key_file: peer-key.pem',
      `cert_verify_str: ${JSON.stringify(certVerifyStr)}`,
      ...stekShare,
    ];
    const lines = [
      `workers: ${workers}`,
      ...top,
      ...(hasStateDir ? ['state_dir: state'] : []),
      `admin: {address: "unix:${join(folder, 'admin.sock')}"}`,
      `listeners: [${listeners.join(', ')}]`,
      `pools: {demo: {${[`nodes: ["${this.node}"]`, ...pool].join(', ')}}}`,
      'services:',
      ...['web:', '  pool: demo', '  affinity: yes', '  affinity_use_salt: yes'].map((line) => `  ${line}`),
      ...service.map((line) => `    ${line}`),
      'stek_share:',
      ...options.map((line) => `  ${line}`),
    ];
    const file = join(folder, 'stekbal.yaml');
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  }

  // ---------------------------------------------------------------- processes

  /** Resolves when the member runs and its admin API answers; the listeners may come later. */
  async start(id: ServerId): Promise<ProgramProcess> {
    for (let attempt = 1; ; attempt++) {
      const program = this.spawn(id);
      try {
        await program.logged(({ msg }) => msg === 'admin API');
        return program;
      } catch (error) {
        if (attempt === START_ATTEMPTS || !program.text().includes('EADDRINUSE')) throw error;
      }
    }
  }

  /** Starts the process, whatever becomes of it. */
  spawn(id: ServerId): ProgramProcess {
    const { env = {} } = this.#setup;
    const program = spawnProgram(this.#t, this.write(id), { env: typeof env === 'function' ? env(id) : env });
    this.#place(id).processes.push(program);
    return program;
  }

  async startAll(ids: readonly ServerId[] = this.ids): Promise<void> {
    await Promise.all(ids.map((id) => this.start(id)));
  }

  /** SIGKILL: like a power failure to the process. Resolves to when that was, Unix time. */
  async kill(id: ServerId): Promise<number> {
    return this.#end(id, 'SIGKILL');
  }

  /** SIGTERM: a graceful stop. */
  async stop(id: ServerId): Promise<number> {
    return this.#end(id, 'SIGTERM');
  }

  pause(id: ServerId): void {
    this.#place(id).isPaused = true;
    this.program(id).child.kill('SIGSTOP');
  }
  resume(id: ServerId): void {
    this.#place(id).isPaused = false;
    this.program(id).child.kill('SIGCONT');
  }

  /** The files anew, and SIGHUP. Resolves once the program has taken over what it can. */
  async reload(id: ServerId): Promise<void> {
    const { log, logged, child } = this.program(id);
    const before = log.length;
    this.write(id);
    child.kill('SIGHUP');
    await logged((line) => /^reload(ed| refused)/.test(line.msg) && log.indexOf(line) >= before);
  }

  /** The latest process of the server. */
  program(id: ServerId): ProgramProcess {
    const program = this.#place(id).processes.at(-1);
    assert.ok(program, `server ${id} has never been started`);
    return program;
  }

  // ---------------------------------------------------------------- what they say

  /** Of all processes that the server has had. */
  log(id: ServerId): LogLine[] {
    return this.#place(id).processes.flatMap(({ log }) => log);
  }

  async status(id: ServerId): Promise<ClusterStatus> {
    return (await this.ask<EdgeStatus>(id, 'GET', '/status')).body.cluster;
  }

  ask<T>(id: ServerId, method: string, path: string, body?: object): Promise<Answer<T>> {
    return ask(join(this.#place(id).folder, 'admin.sock'), method, path, body);
  }

  /** Adds a node to pool "demo", through this server. */
  addNode(id: ServerId, address: string): Promise<Answer<{ code?: string; message?: string }>> {
    return this.ask(id, 'POST', '/pools/demo/nodes', { address });
  }

  /** Addresses of pool "demo" as this server has them. */
  async nodes(id: ServerId): Promise<string[]> {
    const { body } = await this.ask<{ nodes: { address: string }[] }>(id, 'GET', '/pools/demo/nodes');
    return body.nodes.map(({ address }) => address);
  }

  /** Ports of its listeners, once it serves. */
  ports(id: ServerId): Promise<number[]> {
    return servingPorts(this.program(id));
  }

  /** Through the listener, once it is there. */
  async request(id: ServerId): Promise<{ body: string; cookie: string }> {
    const [port] = await this.ports(id);
    const { body, headers } = await get(port as number);
    return { body, cookie: headers['set-cookie']?.[0] ?? '' };
  }
  async cookie(id: ServerId): Promise<string> {
    return (await this.request(id)).cookie;
  }

  // ---------------------------------------------------------------- what must come

  /** Resolves to the leader that all running servers follow, once there is one and `holds` of all their statuses. */
  async leader(
    holds: (all: readonly ClusterStatus[]) => boolean = () => true,
    waitMs?: number,
  ): Promise<ClusterStatus & { role: 'leader' }> {
    let found: ClusterStatus | undefined;
    let all: (ClusterStatus | string)[] = [];
    const isSettled = async () => {
      const ids = this.running;
      all = await Promise.all(ids.map((id) => this.status(id).catch(String)));
      const statuses = all.filter((one) => typeof one === 'object');
      const leaders = statuses.filter(({ role }) => role === 'leader');
      found = leaders[0];
      const isFollowed = ({ cluster, term, leader }: ClusterStatus) =>
        cluster === found?.cluster && term === found.term && leader?.member === found.member;
      return leaders.length === 1 && statuses.length === ids.length && statuses.every(isFollowed) && holds(statuses);
    };
    await eventually(isSettled, () => `one leader that all follow, and more; ${JSON.stringify(all)}`, waitMs);
    return found as ClusterStatus & { role: 'leader' };
  }

  /** As `leader`, when all running servers are voters, the only members, and have applied the same. */
  settled(waitMs?: number): Promise<ClusterStatus & { role: 'leader' }> {
    return this.leader((all) => {
      const voters = all.map(({ member }) => member).sort();
      return all.every(({ members, applied, commit, lastIndex }) => {
        const seen = members.filter(({ isVoter }) => isVoter).map(({ member }) => member);
        const isSame = members.length === all.length && seen.sort().join() === voters.join();
        return isSame && applied === all[0]?.lastIndex && applied === commit && applied === lastIndex;
      });
    }, waitMs);
  }

  /** Paper, figure 3: election safety. From all that all processes ever logged. */
  assertOneLeaderATerm(): void {
    const leaders = new Map<string, string[]>();
    for (const id of this.ids) {
      for (const [index, { log }] of this.#place(id).processes.entries()) {
        for (const { term, cluster } of log.filter(({ msg }) => msg === 'leads the cluster')) {
          const key = `term ${term} of cluster ${cluster}`;
          leaders.set(key, [...(leaders.get(key) ?? []), `server ${id}, process ${index + 1}`]);
        }
      }
    }
    for (const [term, who] of leaders) assert.equal(who.length, 1, `${term} has more than one leader: ${who}`);
  }

  /** Node writes it when a process ends, and not when it is killed. */
  async #fillCompileCache(): Promise<void> {
    const [id] = this.ids as [ServerId];
    await this.start(id);
    await this.stop(id);
    this.wipe(id);
    this.#place(id).processes.length = 0;
    writeFileSync(CACHE_MARK, '');
  }

  #place(id: ServerId): ServerPlace {
    const place = this.#places.get(id);
    assert.ok(place, `there is no server ${id}`);
    return place;
  }

  async #end(id: ServerId, signal: NodeJS.Signals): Promise<number> {
    const { child, exited } = this.program(id);
    const atMs = Date.now();
    child.kill(signal);
    await exited;
    return atMs;
  }
}

/** A test of a cluster, which ends with the proof that no term had two leaders. */
export function clusterTest(
  name: string,
  setup: ClusterSetup,
  body: (t: TestContext, cluster: ClusterHarness) => Promise<void>,
): void {
  test(name, async (t) => {
    const cluster = await ClusterHarness.create(t, setup);
    try {
      await body(t, cluster);
    } finally {
      cluster.assertOneLeaderATerm();
    }
  });
}

/** When a line was logged, Unix time. */
export function timeOf({ time }: LogLine): number {
  return Date.parse(String(time));
}

/** "median 12 ms, maximum 34 ms of 56" */
export function summary(figures: readonly number[]): string {
  const sorted = [...figures].sort((a, b) => a - b);
  const [median, max] = [sorted[sorted.length >> 1], sorted.at(-1)].map((n) => n?.toFixed(0));
  return `median ${median} ms, maximum ${max} ms of ${sorted.length}`;
}
