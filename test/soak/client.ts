/**
 * A client of a soak: it comes to any edge, over plain TCP or one version of TLS, with the newest ticket that it was given,
 * and enters in the ledger what it sees. What a client of each kind does stands in traffic/.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { TLS_VERSIONS, type TlsVersion } from '../e2e/tls-client.ts';
import type { Random } from '../sim/random.ts';
import { affinityIdOf } from './bodies.ts';
import type { SoakEdge } from './edges.ts';
import type { Symptom } from './failure.ts';
import type { PoolName } from './fault.ts';
import type { Ledger } from './ledger.ts';
import type { WireResponse } from './response-parser.ts';
import { WireConnection, WireError } from './wire-client.ts';

/** After a failure: nobody is to be hammered while it is down. */
const AFTER_FAILURE_MS = 150;
const GATEWAY_STATUSES: readonly number[] = [502, 503, 504];

export interface World {
  readonly edges: readonly SoakEdge[];
  readonly random: Random;
  readonly ledger: Ledger;
  /** Ends all pauses, and the traffic. */
  readonly ending: AbortSignal;
}

/** One thing that a client tries: what is known of it should it fail. */
export class Trial {
  readonly edge: SoakEdge;
  readonly pool: PoolName;
  id = '';
  node: string | null = null;
  isSafe = true;
  fromMs = performance.now();
  connection: WireConnection | null = null;

  constructor(edge: SoakEdge, pool: PoolName) {
    this.edge = edge;
    this.pool = pool;
  }
}

let ids = 0;

export class Client {
  readonly world: World;
  readonly traffic: string;
  /** Null: plain. */
  readonly version: TlsVersion | null;
  #ticket: { readonly session: Buffer; readonly atMs: number; readonly edge: number } | null = null;

  /** The `index`th of its kind: a third each speaks plain, TLS 1.2 and 1.3. */
  constructor(world: World, traffic: string, index: number) {
    this.world = world;
    this.traffic = traffic;
    this.version = [null, ...TLS_VERSIONS][index % 3] as TlsVersion | null;
  }

  /** Tries again and again, with pauses of `pauseMs` on average, until the world ends. */
  async run(attempt: (trial: Trial) => Promise<void>, pauseMs: number): Promise<void> {
    const { random, edges, ending } = this.world;
    while (!ending.aborted) {
      const trial = new Trial(random.pick(edges), random.pick(['sticky', 'plain'] as const));
      try {
        await attempt(trial);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.#failed(trial, error);
        await this.pause(AFTER_FAILURE_MS);
      } finally {
        trial.connection?.destroy();
      }
      await this.pause(random.next() * 2 * pauseMs);
    }
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.world.ending }).catch(() => {});
  }

  get isEnding(): boolean {
    return this.world.ending.aborted;
  }

  /** A fresh name for what is tried next. */
  name(trial: Trial): string {
    trial.id = `${this.traffic}-${(ids++).toString(36)}`;
    trial.node = null;
    trial.fromMs = performance.now();
    return trial.id;
  }

  ok(): void {
    this.world.ledger.ok(this.traffic);
  }

  async connect(trial: Trial): Promise<WireConnection> {
    const { version, world } = this;
    const { edge } = trial;
    const ticket = this.#ticket;
    trial.fromMs = performance.now();
    const connection = await WireConnection.open(
      edge.ports[version === null ? 0 : 1] as number,
      version === null
        ? null
        : {
            version,
            session: ticket?.session ?? null,
            onSession: (session) => {
              this.#ticket = { session, atMs: performance.now(), edge: edge.id };
            },
          },
    );
    trial.connection = connection;
    if (version === null) return connection;
    const { tls } = world.ledger;
    if (ticket === null) tls.first++;
    else {
      tls.offered++;
      if (connection.isResumed) {
        tls.resumed++;
        if (ticket.edge !== edge.id) tls.elsewhere++;
      } else {
        const ago = Math.round(performance.now() - ticket.atMs);
        const detail = `${version}, a ticket of edge ${ticket.edge}, ${ago} ms old`;
        this.#failed(trial, new WireError('full-handshake', detail), ticket);
      }
    }
    return connection;
  }

  head(trial: Trial, method: string, path: string, ...lines: readonly string[]): string {
    trial.isSafe = method === 'GET' || method === 'HEAD';
    return [`${method} ${path} HTTP/1.1`, `Host: ${trial.pool}.test`, ...lines, '', ''].join('\r\n');
  }

  /** The answer to the request of `trial`, which has to be a 200 with this body. */
  async expect(trial: Trial, body: Buffer | null, isHead = false): Promise<WireResponse> {
    const response = await (trial.connection as WireConnection).response(isHead);
    this.check(trial, response, body);
    return response;
  }

  check(trial: Trial, { status, headers, body }: WireResponse, expected: Buffer | null): void {
    const node = headers.get('x-node') ?? null;
    trial.node = node;
    if (GATEWAY_STATUSES.includes(status)) throw new WireError(`${status}` as Symptom, `status ${status}`);
    if (status !== 200 && status !== 101) throw new WireError('wrong', `status ${status}`);
    const id = headers.get('x-id');
    if (id !== trial.id) throw new WireError('wrong', `the answer of ${id}`);
    if (expected !== null && !body.equals(expected)) {
      throw new WireError('wrong', `body: ${body.length} bytes in place of ${expected.length}, or others`);
    }
    const cookie = headers.get('set-cookie');
    if (cookie !== undefined && !cookie.startsWith(`X-SERVERID=${affinityIdOf(node ?? '')};`)) {
      throw new WireError('wrong', `the cookie of another node than ${node}: ${cookie}`);
    }
  }

  /** A connection that is kept: whether it can be used again. One that ended without an announcement is a failure. */
  isKept(trial: Trial, { headers }: WireResponse): boolean {
    const connection = trial.connection as WireConnection;
    if (headers.get('connection') === 'close') return false;
    if (!connection.isOver) return true;
    if (!this.isEnding) this.#failed(trial, new WireError('broken', 'ended while idle'));
    return false;
  }

  #failed(trial: Trial, error: WireError, ticket: { atMs: number; edge: number } | null = null): void {
    const { edge, pool, id, isSafe, connection } = trial;
    const overMs = connection?.overMs ?? 0;
    const atMs = performance.now();
    const isOfConnection = overMs > 0 && ['broken', 'truncated', 'tunnel-cut'].includes(error.symptom);
    this.world.ledger.failed({
      traffic: this.traffic,
      symptom: error.symptom,
      id,
      edge: edge.id,
      node: error.node ?? trial.node,
      pool,
      isSafe,
      isReused: connection?.isReused ?? false,
      attempts: null,
      ticketMs: ticket?.atMs ?? null,
      ticketEdge: ticket?.edge ?? null,
      fromMs: isOfConnection ? overMs : trial.fromMs,
      atMs: isOfConnection ? overMs : atMs,
      detail: error.message,
    });
  }
}
