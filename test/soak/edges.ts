/** The edges of a soak: real processes, each with its folder, its files and its admin socket. */

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EdgeStatus } from '../../src/control/status.ts';
import { type Authority, writeCredentials } from '../cluster/certificates.ts';
import { type Answer, ask, HOST } from '../e2e/cluster-network.ts';
import { type ProgramProcess, servingPorts, spawnProgram } from '../e2e/harness.ts';
import { type Scrape, scrape } from '../e2e/metrics-scrape.ts';
import type { Scope } from '../scope.ts';
import type { PoolName } from './fault.ts';

export const SUBJECT = '/O=Soak/CN=edge';
export const SITE_NAMES = ['sticky.test', 'plain.test'];
const PROBE = new URL('./probe-preload.ts', import.meta.url).href;
/** Ticket keys change this often, and open tickets for so long: each stage of a key's life is reached in a run. */
const KEY_INTERVAL_S = 20;
const TICKET_LIFETIME = '5m';
/** `drain_timeout`, and what a busy machine adds. */
const END_MS_MAX = 20_000;
const RELOADED = /^reload(ed| refused| failed)/;

export interface EdgeOptions {
  readonly id: number;
  readonly folder: string;
  readonly peerPort: number;
  /** Where each server is reached from here. */
  readonly peers: Readonly<Record<number, number>>;
  readonly peerAuthority: Authority;
  readonly siteAuthority: Authority;
  readonly sampleMs: number;
  readonly onSpawn: (edge: SoakEdge) => void;
}

/** What a reload changes. */
export interface EdgeSettings {
  workers: number;
  nodes: Record<PoolName, string[]>;
  /** A line that is wrong in every configuration. */
  isFaulty: boolean;
}

export class SoakEdge {
  readonly id: number;
  readonly settings: EdgeSettings;
  /** Of the listeners: plain and TLS; kept while it is down, as clients keep an address. */
  ports: readonly number[] = [];
  isUp = false;
  readonly #options: EdgeOptions;
  readonly #scope: Scope;
  #program: ProgramProcess | null = null;
  #rotations = 0;

  constructor(options: EdgeOptions, nodes: Record<PoolName, string[]>, scope: Scope) {
    this.id = options.id;
    this.#options = options;
    this.#scope = scope;
    this.settings = { workers: 2, nodes: structuredClone(nodes), isFaulty: false };
    mkdirSync(options.folder, { recursive: true });
    writeCredentials(options.folder, 'peer', [options.peerAuthority], options.peerAuthority.issue(SUBJECT));
    const rows = Object.entries(options.peers).map(
      ([id, port]) => `- {server_id: ${id}, address: ${HOST}, port: ${port}}\n`,
    );
    writeFileSync(join(options.folder, 'server_list.yaml'), rows.join(''));
    this.renewCertificate();
  }

  get program(): ProgramProcess {
    if (this.#program === null) throw new Error(`edge ${this.id} has not been started`);
    return this.#program;
  }
  /** A signal to one that has just been started would end it. */
  get #living(): ProgramProcess {
    if (!this.isUp) throw new Error(`edge ${this.id} is away`);
    return this.program;
  }
  get pid(): number {
    return this.program.pid;
  }

  /** Names of the access logs that there have been, the current one last. */
  get accessLogs(): string[] {
    const rotated = Array.from({ length: this.#rotations }, (_, i) => `access.log.${i + 1}`);
    return [...rotated, 'access.log'].map((name) => join(this.#options.folder, name));
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    const { folder, sampleMs } = this.#options;
    this.#write();
    const env = { STEKBAL_SOAK_SAMPLE_MS: String(sampleMs) };
    this.#program = spawnProgram(this.#scope, join(folder, 'stekbal.yaml'), {
      chaos: true,
      imports: [PROBE],
      env,
      detached: true,
    });
    this.#options.onSpawn(this);
    this.ports = await servingPorts(this.#program);
    this.isUp = true;
  }

  /** Resolves to its exit code; null where a signal ended it, ours too when it did not end in time. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const { child, exited } = this.program;
    this.isUp = false;
    child.kill(signal);
    const limit = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX);
    return await exited.finally(() => clearTimeout(limit));
  }

  pause(): void {
    this.program.child.kill('SIGSTOP');
  }
  resume(): void {
    this.program.child.kill('SIGCONT');
  }

  /** SIGHUP, with the files as they are to be now. Resolves to what the program says of it; rejects where it is away. */
  async reload(): Promise<string> {
    const { log, logged, child } = this.#living;
    const before = log.length;
    this.#write();
    child.kill('SIGHUP');
    return (await logged((line) => RELOADED.test(line.msg) && log.indexOf(line) >= before)).msg;
  }

  renewCertificate(): void {
    const { folder, siteAuthority } = this.#options;
    const { certificate, key } = siteAuthority.issue('/CN=sticky.test', { names: SITE_NAMES });
    writeFileSync(join(folder, 'site.pem'), certificate);
    writeFileSync(join(folder, 'site.key'), key);
  }

  /** The file is moved away; the next reload opens it anew. */
  rotateAccessLog(): void {
    this.#rotations++;
    renameSync(join(this.#options.folder, 'access.log'), join(this.#options.folder, `access.log.${this.#rotations}`));
  }

  /** Rejects where the process is away. */
  async killThread(): Promise<void> {
    const { child } = this.#living;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    child.send('terminate', (error) => (error === null ? resolve() : reject(error)));
    await promise;
  }

  ask<T>(method: string, path: string, body?: object): Promise<Answer<T>> {
    return ask(join(this.#options.folder, 'admin.sock'), method, path, body);
  }
  async status(): Promise<EdgeStatus> {
    return (await this.ask<EdgeStatus>('GET', '/status')).body;
  }
  scrape(): Promise<Scrape> {
    return scrape(join(this.#options.folder, 'admin.sock'));
  }

  #write(): void {
    const { id, folder, peerPort } = this.#options;
    const { workers, nodes, isFaulty } = this.settings;
    const hosts = 'hosts: {sticky.test: sticky, plain.test: plain}';
    const check = 'health_check: {type: http, path: /health, interval: 1s, timeout: 800ms, fall: 2, rise: 2}';
    const tls = `tls: {certificates: [{cert_file: site.pem, key_file: site.key}], ticket_lifetime: ${TICKET_LIFETIME}}`;
    const times = [
      'connect_timeout: 1s',
      'response_timeout: 3s',
      'body_timeout: 15s',
      'fail_timeout: 1s',
      'max_fails: 2',
    ];
    const pool = (name: PoolName) => `  ${name}: {nodes: ${JSON.stringify(nodes[name])}, ${check}}`;
    const service = (name: PoolName) => [`  ${name}:`, ...[`pool: ${name}`, ...times].map((line) => `    ${line}`)];
    const lines = [
      `workers: ${workers}`,
      'drain_timeout: 3s',
      'state_dir: state',
      'access_log: access.log',
      'limits: {header_timeout: 5s}',
      `admin: {address: "unix:${join(folder, 'admin.sock')}"}`,
      'listeners:',
      `  - {address: "${HOST}:0", ${hosts}}`,
      `  - {address: "${HOST}:0", ${hosts}, ${tls}}`,
      'pools:',
      pool('sticky'),
      pool('plain'),
      'services:',
      ...service('sticky'),
      '    affinity: yes',
      ...service('plain'),
      'stek_share:',
      `  server_id: ${id}`,
      `  address: ${HOST}`,
      `  port: ${peerPort}`,
      `  key_update_interval: ${KEY_INTERVAL_S}`,
      '  server_list_file: server_list.yaml',
      '  root_cert_file: peer-root.pem',
      '  server_cert_file: peer-cert.pem',
      '  server_key_file: peer-key.pem',
      `  cert_verify_str: ${SUBJECT}`,
      ...(isFaulty ? ['no_such_key: 1'] : []),
    ];
    writeFileSync(join(folder, 'stekbal.yaml'), `${lines.join('\n')}\n`);
  }
}
