/** A listener thread's data path before one backend with `pipelining`, in the test's own process, and clients of it. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { AddressBoard } from '../../src/boards/address-board.ts';
import { KeyBoard } from '../../src/boards/key-board.ts';
import type { ServiceSettings } from '../../src/boards/listener-task.ts';
import { ServiceBoard } from '../../src/boards/service-board.ts';
import { type Stat, StatsBoard } from '../../src/boards/stats-board.ts';
import { type AcceptedStream, createServer } from '../../workers/accept.ts';
import { Downstream } from '../../workers/downstream.ts';
import { ListenerRoutes } from '../../workers/listener-routes.ts';
import { NodePool } from '../../workers/node-pool.ts';
import { Service } from '../../workers/service.ts';
import { ThreadContext } from '../../workers/thread-context.ts';
import { ThreadLog } from '../../workers/thread-log.ts';
import { TicketKeys } from '../../workers/ticket-keys.ts';
import { boardOf, node } from '../affinity/fixtures.ts';
import { type Client, openClient } from '../e2e/harness.ts';
import { SERVICE } from './tls-harness.ts';

/** A request as the backend got it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly socket: net.Socket;
  /** Of its connection, in the order in which they were opened: 0, 1... */
  readonly connection: number;
}

/** A backend that leaves answering to the test. */
export interface AskedBackend {
  readonly address: string;
  /** All requests so far, in the order in which they came. */
  readonly asked: readonly Asked[];
  readonly sockets: readonly net.Socket[];
  /** Called with each request; answers it by itself at first. */
  onAsked: (asked: Asked) => void;
  /** Resolves to the `count` requests after the first `from`, once they have come. */
  next(count: number, from?: number): Promise<readonly Asked[]>;
}

const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n([\s\S]*?\r\n)?\r\n/;

/** An answer whose body is the path that was asked for. */
export function answerTo({ path }: { readonly path: string }): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
}

/** Answers as it should. */
export function answer(asked: Asked): void {
  asked.socket.write(answerTo(asked), 'latin1');
}

export async function askedBackend(t: TestContext): Promise<AskedBackend> {
  const asked: Asked[] = [];
  const sockets: net.Socket[] = [];
  const watchers = new Set<() => void>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = sockets.push(socket) - 1;
    let text = '';
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (;;) {
        const [head, method = '', path = '', fields = ''] = REQUEST.exec(text) ?? [];
        if (head === undefined) return;
        const bodyBytes = Number(/^content-length: (\d+)\r$/im.exec(fields)?.[1] ?? 0);
        if (text.length < head.length + bodyBytes) return;
        text = text.slice(head.length + bodyBytes);
        const one = { method, path, socket, connection };
        asked.push(one);
        backend.onAsked(one);
        for (const watcher of watchers) watcher();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const backend: AskedBackend = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    sockets,
    onAsked: answer,
    next: (count, from = 0) =>
      new Promise((resolve) => {
        const watcher = () => {
          if (asked.length < from + count) return;
          watchers.delete(watcher);
          resolve(asked.slice(from, from + count));
        };
        watchers.add(watcher);
        watcher();
      }),
  };
  return backend;
}

export interface PipelineSite {
  readonly backend: AskedBackend;
  readonly context: ThreadContext;
  readonly pool: NodePool;
  /** The clients' connections as they are served, the oldest first. */
  readonly connections: ReadonlySet<Downstream>;
  count(stat: Stat): number;
  client(bytes?: string): Client;
  /** A client for each path, which has sent its GET. */
  askFor(...paths: readonly string[]): Client[];
  /** Clients that wait on one backend connection, the first of the paths first, all of them sent. */
  inLine(...paths: readonly string[]): Promise<{ clients: readonly Client[]; line: readonly Asked[] }>;
}

export const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Serves until the test's end. */
export async function servePipelined(t: TestContext, service: Partial<ServiceSettings> = {}): Promise<PipelineSite> {
  const backend = await askedBackend(t);
  const stats = StatsBoard.create(1);
  const addresses = AddressBoard.create(1);
  addresses.clear(0);
  const { port1, port2 } = new MessageChannel();
  const limits = {
    ...{ headBytesMax: 16_384, headersMax: 64, targetBytesMax: 8_192, headerTimeoutMs: 10_000 },
    ...{ connectionsMax: 1_000, connectionsPerThreadMax: 0, connectionsPerAddressMax: 0 },
    ...{ handshakesMax: 100, requestsPerConnectionMax: 0, connectionsShare: 1_000 },
    ...{ upstreamsMax: 1_000, upstreamsShare: 1_000 },
  };
  const boards = { stats, services: ServiceBoard.create(), addresses };
  const keys = new TicketKeys(KeyBoard.create());
  const context = new ThreadContext(0, boards, new ThreadLog(port1, 0), null, keys, limits);
  const pool = new NodePool(0, boardOf([node({ slot: 0, address: backend.address })]), context);
  const settings = { ...SERVICE, retries: 2, pipelining: 8, ...service };
  const routes = new ListenerRoutes({ service: 0, hosts: [] }, [new Service(settings, pool)]);
  const connections = new Set<Downstream>();
  const server = createServer((stream: AcceptedStream) => {
    const connection = new Downstream(stream, context, { routes, isTls: false }, (gone) => connections.delete(gone));
    connections.add(connection);
    return connection;
  });
  t.after(() => {
    for (const connection of connections) connection.cut();
    server.close();
    pool.closeIdle();
    context.wheel.stop();
    port2.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = (bytes = '') => openClient(t, port, bytes);
  const askFor = (...paths: readonly string[]) => paths.map((path) => client(get(path)));
  return {
    backend,
    context,
    pool,
    connections,
    client,
    askFor,
    count: (stat) => stats.read(0, stat),
    inLine: async (...paths) => {
      backend.onAsked = answer;
      await gets(askFor('/proof')[0] as Client, '/proof');
      const from = backend.asked.length;
      backend.onAsked = () => {};
      const clients: Client[] = [];
      for (const path of paths) {
        clients.push(...askFor(path));
        await backend.next(clients.length, from);
      }
      const line = backend.asked.slice(from);
      assert.deepEqual(
        line.map(({ path, connection }) => [path, connection]),
        paths.map((path) => [path, line[0]?.connection]),
      );
      return { clients, line };
    },
  };
}

/** Resolves once `client` has its whole answer, which is to be the one to `path`, and nothing behind it. */
export async function gets(client: Client, path: string): Promise<void> {
  const received = await client.until((text) => text.endsWith(`\r\n\r\n${path}`) || /^HTTP\/1.1 50\d /.test(text));
  assert.ok(received.startsWith('HTTP/1.1 200 '), received);
  assert.equal(received.split('HTTP/1.1 ').length, 2, received);
}
