/**
 * Runs the real program in a process of its own, with backends made by the test. Its ports are chosen by the kernel; nothing
 * waits for a time, only for events; everything ends with the test.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { freePort } from './cluster-network.ts';

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/**
 * Loading the code is most of what a start costs. Node writes it when a process ends, and not when it is killed; what it
 * knows of a file that has changed since it does not use.
 */
export const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/stekbal-tests', import.meta.url));
const CHAOS = new URL('./chaos-preload.ts', import.meta.url).href;
const ENVIRONMENT = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
const WAIT_MS = 30_000;
/** This process is not kept from its turns for longer but where it, or the whole machine, stands still. */
const TURN_MS_MAX = 100;

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** The program as a process, whatever becomes of it. */
export interface ProgramProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly log: readonly LogLine[];
  /** All that it wrote to stderr so far. */
  text(): string;
  /** Resolves to the first line, past or future, for which `matches` holds. */
  logged(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /** Resolves to the exit code, once all that it wrote has been read. */
  readonly exited: Promise<number | null>;
  /** Resident memory of the process with all its threads, bytes. */
  rss(): number;
  /** Descriptors that it holds open. */
  openFiles(): number;
}

export interface Program extends ProgramProcess {
  /** Ports of the listeners, in the order of the configuration. */
  readonly ports: readonly number[];
  readonly port: number;
  readonly configFile: string;
  /** Writes the configuration anew and reloads; resolves when the program says it did. */
  reload(yaml: string): Promise<void>;
  /** Makes a listener thread misbehave; see chaos-preload.ts. */
  chaos(action: ChaosAction): void;
}

export type ChaosAction =
  | 'terminate'
  | 'throw'
  | 'throw-all'
  | 'throw-late'
  | 'reject'
  | 'exit'
  | 'stack'
  | 'heap'
  | 'buffers'
  | 'hang';

/** Whatever ends and takes with it what was made for it: a test, mostly. */
export interface Lifetime {
  after(undo: () => unknown): unknown;
}

/** A folder that goes with the test: mostly before the programs that write there. */
export function temporaryFolder(t: Lifetime): string {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }));
  return folder;
}

export interface SpawnOptions {
  readonly chaos?: boolean;
  /** URLs of further modules to load first. */
  readonly imports?: readonly string[];
  /** In a process group of its own, which a terminal's Ctrl-C does not reach. */
  readonly detached?: boolean;
  /** Added to this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Passed as a service manager does it, by their names. */
  readonly sockets?: readonly { readonly name: string; readonly fd: number }[];
  /** Descriptors that it may have open. */
  readonly openFilesMax?: number;
  /** A command that runs the program in its turn, as the last of its arguments say. */
  readonly by?: readonly string[];
}

/** Starts `stekbal run` on `configFile`. It is killed with the test. */
export function spawnProgram(
  t: Lifetime,
  configFile: string,
  { chaos = false, imports = [], env = {}, sockets = [], detached = false, openFilesMax, by = [] }: SpawnOptions = {},
): ProgramProcess {
  const preloads = [...(chaos ? [CHAOS] : []), ...imports].flatMap((url) => ['--import', url]);
  const args = [...preloads, MAIN, 'run', '-c', configFile];
  const stdio: StdioOptions = ['ignore', 'inherit', 'pipe', ...sockets.map(({ fd }) => fd), 'ipc'];
  const names = sockets.map(({ name }) => name).join(':');
  const passed = sockets.length === 0 ? {} : { LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: names };
  // the process that they are for is known only once it runs
  const pid = sockets.length === 0 ? '' : 'LISTEN_PID=$$ ';
  const limit = openFilesMax === undefined ? '' : `ulimit -n ${openFilesMax}; `;
  const command = pid + limit === '' ? by : ['/bin/sh', '-c', `${limit}${pid}exec "$@"`, 'sh', ...by];
  const [program = process.execPath, ...before] = [...command, process.execPath];
  const child = spawn(program, [...before, ...args], { stdio, detached, env: { ...ENVIRONMENT, ...passed, ...env } });
  const log: LogLine[] = [];
  const watchers = new Set<(line: LogLine) => void>();
  let text = '';
  let rest = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const parsed = JSON.parse(line) as LogLine;
      log.push(parsed);
      for (const watcher of watchers) watcher(parsed);
    }
  });
  const stderr = child.stderr as Readable;
  // not 'close' of the process: that does not come where its door for chaos was closed first
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => (stderr.closed ? resolve(code) : stderr.once('close', () => resolve(code))));
  });
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });

  const logged = (matches: (line: LogLine) => boolean): Promise<LogLine> => {
    const past = log.find(matches);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const done = (line: LogLine | null, why = '') => {
        clearTimeout(timer);
        watchers.delete(watcher);
        if (line !== null) resolve(line);
        else reject(new Error(`${why}; its output:\n${text.slice(-4000)}`));
      };
      const watcher = (line: LogLine) => {
        if (matches(line)) done(line);
      };
      const timer = setTimeout(() => done(null, 'the awaited log line did not come'), WAIT_MS);
      watchers.add(watcher);
      void exited.then((code) => done(null, `the program ended with ${code}`));
    });
  };

  return {
    pid: child.pid as number,
    child,
    log,
    text: () => text,
    logged,
    exited,
    rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024,
    openFiles: () => readdirSync(`/proc/${child.pid}/fd`).length,
  };
}

/** The ports of its listeners, once it serves. */
export async function servingPorts({ logged }: ProgramProcess): Promise<number[]> {
  const serving = await logged((line) => line.msg === 'serving');
  return (serving.addresses as string[]).map((address) => Number(address.slice(address.lastIndexOf(':') + 1)));
}

/** Starts `stekbal run` on `yaml` and waits until it serves. */
export async function startProgram(
  t: TestContext,
  yaml: string,
  chaos = false,
  options: SpawnOptions = {},
): Promise<Program> {
  const configFile = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(configFile, yaml);
  const program = spawnProgram(t, configFile, { ...options, chaos });
  const { child, log, logged } = program;
  const ports = await servingPorts(program);
  return {
    ...program,
    ports,
    port: ports[0] as number,
    configFile,
    reload: async (changed) => {
      const before = log.length;
      writeFileSync(configFile, changed);
      child.kill('SIGHUP');
      await logged((line) => line.msg === 'reloaded' && log.indexOf(line) >= before);
    },
    chaos: (action) => {
      child.send(action);
    },
  };
}

/** Runs the command line to its end. */
export async function runToEnd(
  args: readonly string[],
  { termAfterMs }: { termAfterMs?: number } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: ENVIRONMENT });
  if (termAfterMs !== undefined) setTimeout(() => child.kill('SIGTERM'), termAfterMs);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

export interface Backend {
  readonly port: number;
  /** "127.0.0.1:PORT": its place in a pool's nodes. */
  readonly address: string;
  readonly server: net.Server;
  /** Connections accepted so far. */
  readonly connections: net.Socket[];
  close(): Promise<void>;
  /** Listens again on the same port, which nobody has taken meanwhile. */
  reopen(): Promise<void>;
}

async function listening(t: TestContext, server: net.Server): Promise<Backend> {
  const connections: net.Socket[] = [];
  server.on('connection', (socket: net.Socket) => {
    connections.push(socket);
    socket.on('error', () => {});
  });
  const listen = (port: number) => {
    server.listen(port, '127.0.0.1');
    return once(server, 'listening').then(() => {});
  };
  const port = await freePort();
  await listen(port);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of connections) socket.destroy();
    });
  t.after(close);
  return { port, address: `127.0.0.1:${port}`, server, connections, close, reopen: () => listen(port) };
}

/** A backend on node:http. */
export function httpBackend(t: TestContext, onRequest: http.RequestListener): Promise<Backend> {
  return listening(t, http.createServer({ keepAliveTimeout: 60_000 }, onRequest));
}

/** A backend that says its own name. */
export function namedBackend(t: TestContext): Promise<Backend> {
  return httpBackend(t, (request, response) => {
    request.resume();
    response.end(`127.0.0.1:${request.socket.localPort}`);
  });
}

/** A backend on bare bytes: what it receives is exactly what the program sent. */
export function rawBackend(t: TestContext, onConnection: (socket: net.Socket) => void): Promise<Backend> {
  return listening(t, net.createServer({ allowHalfOpen: true }, onConnection));
}

/**
 * A raw backend that gathers what it gets, and answers with `answer(received)` as soon as that is not null. One answer
 * for each connection.
 */
export function scriptedBackend(
  t: TestContext,
  answer: (received: string) => string | null,
): Promise<Backend & { received: string[] }> {
  const received: string[] = [];
  return rawBackend(t, (socket) => {
    const index = received.push('') - 1;
    let answered = false;
    socket.on('data', (chunk) => {
      received[index] += chunk.toString('latin1');
      const text = answered ? null : answer(received[index] as string);
      if (text === null) return;
      answered = true;
      socket.write(text, 'latin1');
    });
    socket.on('end', () => socket.end());
  }).then((backend) => Object.assign(backend, { received }));
}

/** Sends `bytes` and resolves to all that comes back until `isWhole` holds or the connection ends. */
export function exchange(
  port: number,
  bytes: string | readonly string[],
  options: { isWhole?: (received: string) => boolean; halfClose?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let received = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no whole answer within ${WAIT_MS} ms; so far: ${JSON.stringify(received)}`));
    }, WAIT_MS);
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(received);
    };
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (options.isWhole?.(received)) done();
    });
    socket.on('end', done);
    socket.on('error', done);
    void (async () => {
      for (const piece of typeof bytes === 'string' ? [bytes] : bytes) {
        await new Promise<void>((flushed) => socket.write(piece, 'latin1', () => setImmediate(flushed)));
      }
      if (options.halfClose) socket.end();
    })();
  });
}

export interface SimpleSettings {
  /** Further keys. */
  readonly service?: readonly string[];
  readonly pool?: readonly string[];
  readonly top?: readonly string[];
  /** In place of the one plain one. */
  readonly listeners?: readonly string[];
  readonly workers?: number;
}

export const PLAIN_LISTENER = '{address: "127.0.0.1:0", service: web}';

/** The YAML of one plain listener on a free port in front of `nodes`. */
export function simpleConfig(
  nodes: readonly string[],
  { service = [], pool = [], top = [], listeners = [PLAIN_LISTENER], workers = 1 }: SimpleSettings = {},
): string {
  const list = nodes.map((n) => (n.startsWith('{') ? n : JSON.stringify(n))).join(', ');
  return [
    `workers: ${workers}`,
    ...top,
    `listeners: [${listeners.join(', ')}]`,
    `pools: {demo: {${[`nodes: [${list}]`, ...pool].join(', ')}}}`,
    'services:',
    '  web:',
    '    pool: demo',
    ...service.map((line) => `    ${line}`),
    '',
  ].join('\n');
}

/** Fetches with node:http on a connection of its own. */
export function get(
  port: number,
  options: { path?: string; headers?: Record<string, string>; method?: string } = {},
): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', agent: false, path: '/', ...options }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

/** Skips a test with a reason where a peer program is missing; on CI that is a failure. */
export function requirePeer(t: TestContext, present: boolean, reason: string): boolean {
  if (present) return true;
  assert.notEqual(process.env.STEKBAL_REQUIRE_PEERS, '1', `${reason}, and STEKBAL_REQUIRE_PEERS is set`);
  t.skip(reason);
  return false;
}

/** Starts the program; the test fails where one of its listener threads ends that nobody made to. */
export async function startSound(t: TestContext, yaml: string): Promise<Program> {
  const program = await startProgram(t, yaml);
  t.after(async () => {
    if (!program.child.stderr?.closed) await once(program.child.stderr as Readable, 'close');
    assert.deepEqual(
      program.log.filter((line) => /listener thread/.test(line.msg)),
      [],
    );
  });
  return program;
}

/** A client connection on bare bytes that stays open until the test or the program ends it. */
export interface Client {
  readonly socket: net.Socket;
  /** All that has come so far, latin1. */
  readonly received: string;
  /** Resolves to what has come once `holds` does; rejects when the connection ends before, or it takes too long. */
  until(holds: (received: string) => boolean): Promise<string>;
  /** Resolves when the other side has ended the connection: 'FIN', or the code of the error. */
  readonly ended: Promise<string>;
}

/** Connects, and sends `bytes` where given. Our own side stays open when the other one ends. */
export function openClient(t: TestContext, port: number, bytes = ''): Client {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  t.after(() => socket.destroy());
  let received = '';
  const ended = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('FIN'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('closed by the test'));
  });
  const watchers = new Set<() => void>();
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    for (const watcher of watchers) watcher();
  });
  if (bytes !== '') socket.write(bytes, 'latin1');
  return {
    socket,
    ended,
    get received() {
      return received;
    },
    until: (holds) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => {
          clearTimeout(timer);
          reject(new Error(`${why}; received: ${JSON.stringify(received)}`));
        };
        const timer = setTimeout(() => fail(`not within ${WAIT_MS} ms`), WAIT_MS);
        const watcher = () => {
          if (!holds(received)) return;
          clearTimeout(timer);
          watchers.delete(watcher);
          resolve(received);
        };
        watchers.add(watcher);
        watcher();
        void ended.then((how) => fail(`ended by ${how}`));
      }),
  };
}

/** Resolves when `holds` does: for what no event tells, such as numbers in /proc. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
  waitMs = WAIT_MS,
): Promise<void> {
  const end = performance.now() + waitMs;
  while (!(await holds())) {
    if (performance.now() > end) assert.fail(`not within ${waitMs} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(20);
  }
}

/** A clock that stands still while this process, or the machine, does: ms. For what has to come within a time. */
export function awakeClock(t: Lifetime): () => number {
  let [awakeMs, lastMs] = [0, performance.now()];
  const now = () => {
    const nowMs = performance.now();
    awakeMs += Math.min(nowMs - lastMs, TURN_MS_MAX);
    lastMs = nowMs;
    return awakeMs;
  };
  const turning = setInterval(now, TURN_MS_MAX / 5);
  t.after(() => clearInterval(turning));
  return now;
}

/** Addresses on which nothing listens: ports that the kernel gives to nobody, and that no program has used for decades. */
export const DEAD_ADDRESSES = [1, 2, 3, 4, 5, 6].map((port) => `127.0.0.1:${port}`);

/** The YAML of one plain listener with a service for each entry, reached by its name as Host. */
export function servicesConfig(
  services: Readonly<Record<string, { nodes: readonly string[]; lines?: readonly string[] }>>,
  top: readonly string[] = [],
): string {
  const names = Object.keys(services);
  return [
    'workers: 1',
    ...top,
    `listeners: [{address: "127.0.0.1:0", hosts: {${names.map((n) => `${n}: ${n}`).join(', ')}}}]`,
    'pools:',
    ...names.map((n) => `  ${n}: {nodes: ${JSON.stringify(services[n]?.nodes)}}`),
    'services:',
    ...names.flatMap((n) => [`  ${n}:`, `    pool: ${n}`, ...(services[n]?.lines ?? []).map((line) => `    ${line}`)]),
    '',
  ].join('\n');
}

/** A listening address whose backlog is full and that accepts nothing: its connections never open. */
export async function deafAddress(t: TestContext): Promise<string> {
  // its thread listens and then sleeps, so that nothing is ever accepted
  const worker = new Worker(
    `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:worker_threads').parentPort.postMessage(server.address().port);
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
    });`,
    { eval: true },
  );
  t.after(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  // the kernel takes backlog + 1
  for (let i = 0; i < 4; i++) openClient(t, port);
  await eventually(() => waitingToBeAccepted(port) === 2, 'a full backlog');
  return `127.0.0.1:${port}`;
}

/** Connections that the kernel holds for whoever listens on `port` of 127.0.0.1, and that are not accepted yet. */
export function waitingToBeAccepted(port: number): number {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // of a socket that listens (state 0A), the receive queue is that of connections
  const queue = new RegExp(`: ${address} \\S+ 0A \\w+:(\\w+) `, 'g');
  const queues = [...readFileSync('/proc/net/tcp', 'latin1').matchAll(queue)];
  return queues.reduce((sum, [, length = '']) => sum + Number.parseInt(length, 16), 0);
}
