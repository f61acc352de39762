/** Pipelined backend connections in the running program: the setting, and what ends while requests wait on them. */

import assert from 'node:assert/strict';
import type net from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Backend, type Client, eventually, openClient, rawBackend, simpleConfig, startSound } from './harness.ts';

const PATHS = ['/a', '/b', '/c'];
const POOL = { pool: ['pipelining: 8'] };

interface HeldBackend extends Backend {
  /** Requests that it has not answered, by the connections that they came on. */
  readonly held: Map<net.Socket, string[]>;
  /** Answers all of them, and from now on each request as it comes. */
  release(): void;
}

/** Answers what is asked for by /proof, and holds what else it gets. */
async function heldBackend(t: TestContext): Promise<HeldBackend> {
  const held = new Map<net.Socket, string[]>();
  let isHolding = true;
  const answer = (socket: net.Socket, path: string) =>
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
  const backend = await rawBackend(t, (socket) => {
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      for (const [, path = ''] of chunk.toString('latin1').matchAll(/^GET (\S+) HTTP/gm)) {
        if (!isHolding || path === '/proof') answer(socket, path);
        else held.set(socket, [...(held.get(socket) ?? []), path]);
      }
    });
  });
  const release = () => {
    isHolding = false;
    for (const [socket, paths] of held) for (const path of paths) answer(socket, path);
    held.clear();
  };
  return Object.assign(backend, { held, release });
}

function ask(t: TestContext, port: number, path: string): Client {
  return openClient(t, port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
}

/** How long requests surely wait for those before them: after a second they are asked again elsewhere. */
const PATIENCE_MS = 700;
/** Who comes this soon surely joins those before: after a fifth of a second nobody does. */
const BRISK_MS = 150;

interface Waiting {
  readonly clients: readonly Client[];
  /** False: they may have come on several connections, or gone elsewhere by now. */
  isInTime(): boolean;
}

/** Clients that wait for PATHS, after a connection has shown that it stays open. */
async function waiting(t: TestContext, port: number, backend: HeldBackend): Promise<Waiting> {
  const proof = ask(t, port, '/proof');
  await proof.until((text) => text.endsWith('/proof'));
  proof.socket.destroy();
  const askedMs = performance.now();
  const clients = PATHS.map((path) => ask(t, port, path));
  await eventually(() => [...backend.held.values()].flat().length >= PATHS.length, 'a request has not come');
  const areTogether = performance.now() - askedMs < BRISK_MS;
  return { clients, isInTime: () => areTogether && performance.now() - askedMs < PATIENCE_MS };
}

/** Plays `scenario` until it was in time, which it says: what a busy machine makes of it otherwise is not what it is about. */
async function inTime(scenario: () => Promise<boolean>): Promise<void> {
  for (let attempt = 1; !(await scenario()); attempt++) assert.ok(attempt < 10, 'ten times it was not in time');
}

function answered(clients: readonly Client[]): Promise<unknown> {
  return Promise.all(clients.map((client, i) => client.until((text) => text.endsWith(`\r\n\r\n${PATHS[i]}`))));
}

test('a pool pipelines where it says so, and a reload ends it', async (t) => {
  await inTime(async () => {
    const backend = await heldBackend(t);
    const program = await startSound(t, simpleConfig([backend.address], POOL));
    const first = await waiting(t, program.port, backend);
    const held = [...backend.held.values()];
    await program.reload(simpleConfig([backend.address]));
    const later = ask(t, program.port, '/d');
    await eventually(() => [...backend.held.values()].flat().includes('/d'), 'a request has not come');
    if (!first.isInTime()) return false;
    assert.deepEqual(held, [PATHS]);
    assert.equal(backend.held.size, 2, 'it came on the same connection');
    backend.release();
    await answered(first.clients);
    await later.until((text) => text.endsWith('/d'));
    return true;
  });
});

test('requests that wait on a pipelined connection when a drain begins are answered', async (t) => {
  const backend = await heldBackend(t);
  const program = await startSound(t, simpleConfig([backend.address], POOL));
  const { clients } = await waiting(t, program.port, backend);
  program.child.kill('SIGTERM');
  await program.logged(({ msg }) => /drain/.test(msg));
  backend.release();
  await answered(clients);
  for (const client of clients) {
    assert.equal(await client.ended, 'FIN');
    client.socket.end();
  }
  assert.equal(await program.exited, 0);
});

test('requests that wait on a pipelined connection of a node that leaves its pool are answered', async (t) => {
  await inTime(async () => {
    const [leaving, staying] = [await heldBackend(t), await heldBackend(t)];
    const program = await startSound(t, simpleConfig([leaving.address], POOL));
    const { clients, isInTime } = await waiting(t, program.port, leaving);
    await program.reload(simpleConfig([staying.address], POOL));
    if (!isInTime()) return false;
    leaving.release();
    await answered(clients);
    await ask(t, program.port, '/proof').until((text) => text.endsWith('/proof'));
    assert.equal(staying.connections.length, 1);
    return true;
  });
});
