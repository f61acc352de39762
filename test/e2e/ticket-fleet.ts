/**
 * Fleets of edges that share ticket keys: their configuration, their certificates, and clients that come back to another
 * edge each time.
 */

import assert from 'node:assert/strict';
import type { EdgeStatus, KeysStatus } from '../../src/control/status.ts';
import { createAuthority } from '../cluster/certificates.ts';
import type { ClusterHarness, ClusterSetup } from './cluster-harness.ts';
import { eventually } from './harness.ts';
import { TLS_VERSIONS, type TlsVersion, type Visit, visit } from './tls-client.ts';

/** SNI names that the fleet's certificates are for: the first is the default's. */
export const NAMES = ['localhost', 'a.example', 'x.b.example'];

const authority = createAuthority('clients and sites');
export const clientAuthority = createAuthority('clients');

/** Certificates for NAMES, as files; one of them for two types of keys. */
function siteFiles(): Record<string, string> {
  const files: Record<string, string> = { 'clients.pem': clientAuthority.certificate };
  const sites = { localhost: ['localhost'], a: ['a.example'], b: ['*.b.example', 'b.example'] };
  for (const [name, names] of Object.entries(sites)) {
    const { certificate, key } = authority.issue(`/CN=${names[0]}`, { names });
    Object.assign(files, { [`${name}.pem`]: certificate, [`${name}.key`]: key });
  }
  const rsa = authority.issue('/CN=a.example', { names: ['a.example'], keyType: 'rsa' });
  return { ...files, 'a-rsa.pem': rsa.certificate, 'a-rsa.key': rsa.key };
}

const CERTIFICATES = ['localhost', 'a', 'a-rsa', 'b'].map((name) => `{cert_file: ${name}.pem, key_file: ${name}.key}`);

/** A TLS listener with all certificates. `more` are further keys of `tls`. */
export function tlsListener(...more: readonly string[]): string {
  const tls = [`certificates: [${CERTIFICATES.join(', ')}]`, ...more];
  return `{address: "127.0.0.1:0", service: web, tls: {${tls.join(', ')}}}`;
}

/** A fleet with a TLS listener each, unless `setup` says otherwise. */
export function ticketFleet(setup: Omit<ClusterSetup, 'files'>): ClusterSetup {
  return { listeners: [tlsListener()], ...setup, files: siteFiles() };
}

/** Port of a server's listener `index`, of its latest process. */
export async function tlsPort(cluster: ClusterHarness, id: number, index = 0): Promise<number> {
  return (await cluster.ports(id))[index] as number;
}

/** Waits until every edge serves and holds the ring: a start waits for it for some seconds. */
export async function startIssuing(cluster: ClusterHarness): Promise<void> {
  await cluster.startAll();
  for (const id of cluster.ids) await eventually(async () => (await keysOf(cluster, id)).isIssuing, 'ticket keys');
  for (const id of cluster.ids) await cluster.ports(id);
  await eventually(async () => (await keysOf(cluster, 1)).keys.some(({ stage }) => stage === 'staged'), 'a staged key');
}

export async function keysOf(cluster: ClusterHarness, id: number): Promise<KeysStatus> {
  return (await cluster.ask<EdgeStatus>(id, 'GET', '/status')).body.keys;
}

/** The id of the key that this server makes tickets with; undefined: none yet. */
export async function activeKey(cluster: ClusterHarness, id: number): Promise<string | undefined> {
  return (await keysOf(cluster, id)).keys.find(({ stage }) => stage === 'active')?.id;
}

/** Counted over all clients. */
export interface Toll {
  handshakes: number;
  /** Of clients that had no ticket to offer. */
  first: number;
  resumed: number;
  /** Of clients that offered a ticket: where from, where to, when. */
  readonly lost: string[];
  /** Visits to a server that was down, or that went down meanwhile. */
  refused: number;
}

/** Clients that visit a randomly chosen server each time with their newest ticket, until stopped. */
export class ReturningClients {
  readonly toll: Toll = { handshakes: 0, first: 0, resumed: 0, lost: [], refused: 0 };
  readonly #cluster: ClusterHarness;
  readonly #startedMs = performance.now();
  readonly #clients: Promise<void>[];
  #isStopped = false;

  constructor(cluster: ClusterHarness, clients: number) {
    this.#cluster = cluster;
    this.#clients = Array.from({ length: clients }, (_, i) => {
      return this.#run(TLS_VERSIONS[i % TLS_VERSIONS.length] as TlsVersion, NAMES[i % NAMES.length] as string);
    });
  }

  async stop(): Promise<Toll> {
    this.#isStopped = true;
    await Promise.all(this.#clients);
    return this.toll;
  }

  async #run(version: TlsVersion, servername: string): Promise<void> {
    let session: Buffer | null = null;
    let from = 'nowhere';
    while (!this.#isStopped) {
      const { running } = this.#cluster;
      const id = running[Math.floor(Math.random() * running.length)] as number;
      const visited: Visit | null = await this.#visit(id, { version, servername, session });
      if (visited === null) continue;
      this.#count(visited, session !== null, `${version} ${servername} from ${from} to ${id}`);
      assert.match(visited.answer, /^HTTP\/1.1 200/);
      from = `${id}`;
      session = visited.session;
    }
  }

  async #visit(id: number, options: Parameters<typeof visit>[1]): Promise<Visit | null> {
    try {
      const port = await tlsPort(this.#cluster, id);
      const visited = await visit(port, options);
      // it went down within the answer
      if (visited.answer !== '') return visited;
    } catch {}
    this.toll.refused++;
    return null;
  }

  #count({ isReused }: Visit, hadTicket: boolean, route: string): void {
    this.toll.handshakes++;
    if (!hadTicket) this.toll.first++;
    else if (isReused) this.toll.resumed++;
    else this.toll.lost.push(`${route} after ${((performance.now() - this.#startedMs) / 1000).toFixed(2)} s`);
  }
}
