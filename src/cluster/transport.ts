/**
 * The network between the machines of a group: mutual TLS 1.3. Each server dials every other one and sends on that
 * connection; it receives on those that it has accepted. Main thread.
 */

import type { Credentials } from './credentials.ts';
import { type PeerContext, TRANSPORT_LIMITS, type Traffic, type TransportLimits } from './peer-connection.ts';
import { PeerDoor } from './peer-door.ts';
import { PeerLink } from './peer-link.ts';
import { PeerServer } from './peer-server.ts';
import { Refusals } from './refusals.ts';
import type { Announce, Network, PeerMessage, Report, ServerAddress, ServerId } from './types.ts';

export interface TransportOptions {
  readonly serverId: ServerId;
  /** Port 0 lets the kernel choose. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly credentials: Credentials;
  /** What to say of ourselves to `to`, now. */
  readonly hello: (to: ServerId) => Announce;
  /**
   * Also gets what a server announces in its hello. An answer other than null is the reason to close the connection on
   * which the message came, such as 'other-cluster'; it is counted and reported.
   */
  readonly onMessage: (from: ServerId, message: PeerMessage) => string | null;
  /** Messages to `to` are sent from now on, or dropped. */
  readonly onLinkUp: (to: ServerId) => void;
  readonly onLinkDown: (to: ServerId) => void;
  readonly report: Report;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Others than the usual ones, for tests. */
  readonly limits?: Partial<TransportLimits>;
}

export interface PeerStatus extends ServerAddress {
  /** Whether messages to it are sent. */
  readonly isConnected: boolean;
  /** When that last changed; Unix time. */
  readonly changedAtMs: number;
  /** Whether it has a connection to us, on which its messages come. */
  readonly isHeard: boolean;
}

export interface TransportCounters extends Readonly<Traffic> {
  readonly refusals: Readonly<Record<string, number>>;
}

export class Transport implements Network {
  readonly #options: TransportOptions;
  readonly #context: PeerContext;
  readonly #refusals: Refusals;
  readonly #server: PeerServer;
  readonly #links = new Map<ServerId, PeerLink>();
  #credentials: Credentials;
  #closed: Promise<void> | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#credentials = options.credentials;
    this.#refusals = new Refusals(options.report);
    const limits = { ...TRANSPORT_LIMITS, ...options.limits };
    this.#context = {
      ...options,
      credentials: () => this.#credentials,
      limits,
      door: new PeerDoor(limits, () => performance.now()),
      refusals: this.#refusals,
      traffic: { accepted: 0, dialled: 0, framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0 },
    };
    this.#server = new PeerServer(this.#context);
  }

  get credentials(): Credentials {
    return this.#credentials;
  }

  get counters(): TransportCounters {
    return { ...this.#context.traffic, refusals: { ...this.#refusals.counts } };
  }

  /** Resolves to the port. Rejects with a message for an operator. */
  listen(): Promise<number> {
    const { address, port } = this.#options.listen;
    return this.#server.listen(address, port);
  }

  /** The whole group; this server itself may stand in it. Only those listed are dialled and let in. */
  setServers(servers: readonly ServerAddress[]): void {
    if (this.#closed !== null) return;
    const others = new Map(servers.map((server) => [server.serverId, server]));
    others.delete(this.#options.serverId);
    this.#server.setServers(others.keys());
    for (const [serverId, link] of this.#links) {
      const server = others.get(serverId);
      if (server?.address === link.server.address && server.port === link.server.port) continue;
      this.#links.delete(serverId);
      link.close();
    }
    for (const [serverId, server] of others) {
      if (!this.#links.has(serverId)) this.#links.set(serverId, new PeerLink(server, this.#context));
    }
  }

  /** All connections are made anew, so that a CA or a subject that is no longer accepted is out at once. */
  setCredentials(credentials: Credentials): void {
    this.#credentials = credentials;
    this.#server.renew();
    for (const link of this.#links.values()) link.redial();
  }

  send(to: ServerId, message: PeerMessage): boolean {
    const link = this.#links.get(to);
    if (link !== undefined) return link.send(message);
    this.#context.traffic.dropped += 1;
    return false;
  }

  /** Sorted by server. */
  peers(): PeerStatus[] {
    return [...this.#links.values()]
      .map(({ server, isUp, changedAtMs }) => ({
        serverId: server.serverId,
        address: server.address,
        port: server.port,
        isConnected: isUp,
        changedAtMs,
        isHeard: this.#server.hears(server.serverId),
      }))
      .sort((a, b) => a.serverId - b.serverId);
  }

  /** Resolves when nothing is left that would keep the process alive. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    await this.#server.close();
    this.#refusals.close();
  }
}
